/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* The stream service. The handlers run in the server's threads for streams; a test meets them under
 * the service's mutex. */

#include "stream_test.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

static const haul_alloc_opts wait_for_buffer = {
    .struct_size = sizeof(wait_for_buffer), .policy = HAUL_ALLOC_DEFAULT, .wait_ns = -1};

static void note(stream_service *service, unsigned *counter)
{
    (void)pthread_mutex_lock(&service->mutex);
    (*counter)++;
    (void)pthread_cond_broadcast(&service->changed);
    (void)pthread_mutex_unlock(&service->mutex);
}

/* A handler begins; who has called it is there for the test. */
static void enter(stream_service *service, haul_call *call)
{
    const haul_peer *peer = NULL;
    haul_status status = haul_call_peer(call, &peer);
    (void)pthread_mutex_lock(&service->mutex);
    if (status == HAUL_OK) {
        service->security = peer->security;
        (void)snprintf(service->caller, sizeof(service->caller), "%s",
                       peer->common_name ? peer->common_name : "");
    }
    (void)pthread_mutex_unlock(&service->mutex);
    note(service, &service->n_entered);
}

static void leave(stream_service *service, haul_status last)
{
    (void)pthread_mutex_lock(&service->mutex);
    service->n_ended++;
    service->last = last;
    (void)pthread_cond_broadcast(&service->changed);
    (void)pthread_mutex_unlock(&service->mutex);
}

static void pause_here(stream_service *service)
{
    (void)pthread_mutex_lock(&service->mutex);
    unsigned mine = ++service->n_paused;
    (void)pthread_cond_broadcast(&service->changed);
    while (service->n_resumed < mine) {
        (void)pthread_cond_wait(&service->changed, &service->mutex);
    }
    (void)pthread_mutex_unlock(&service->mutex);
}

/* Send one frame of @len bytes of the server's. */
static haul_status send_one(haul_call *call, uint64_t number, uint64_t len, uint8_t seed)
{
    haul_buf *buf;
    haul_payload_out out;
    haul_payload *data[] = {&out.payload};
    haul_status status = haul_call_alloc(call, len, &wait_for_buffer, &buf);
    if (status != HAUL_OK) {
        return status;
    }
    test_fill(haul_buf_data(buf), len, seed);
    status = haul_call_put(call, buf, len, &out);
    if (status != HAUL_OK) {
        return status;
    }
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    frame.number = number;
    frame.data = data;
    frame.n_data = 1;
    return haul_call_send(call, &frame.base);
}

static haul_status send_many(haul_call *call, uint64_t count, uint64_t size)
{
    haul_status status = HAUL_OK;
    for (uint64_t i = 0; i < count && status == HAUL_OK; i++) {
        status = send_one(call, i, size, (uint8_t)i);
    }
    return status;
}

static void upload(haul_call *call, void *ctx)
{
    stream_service *service = ctx;
    Haul__Test__Frame answer = HAUL__TEST__FRAME__INIT;
    haul_received *received;
    haul_status status;
    enter(service, call);
    while ((status = haul_call_receive(call, -1, &received)) == HAUL_OK) {
        const Haul__Test__Frame *frame = stream_frame(received);
        haul_view view;
        if (frame->act == HAUL__TEST__ACT__ACT_PAUSE) {
            pause_here(service);
        }
        for (size_t i = 0; i < frame->n_data; i++) {
            if (haul_received_view(received, frame->data[i], &view) == HAUL_OK) {
                answer.sum += test_sum(view.data, view.len);
            }
        }
        answer.number++;
        haul_received_free(received);
    }
    if (status == HAUL_END) {
        status = haul_call_send(call, &answer.base);
    }
    leave(service, status);
    haul_call_finish(call, GRPC_STATUS_OK, NULL);
}

static void download(haul_call *call, void *ctx)
{
    stream_service *service = ctx;
    haul_received *received;
    enter(service, call);
    haul_status status = haul_call_receive(call, -1, &received);
    if (status == HAUL_OK) {
        uint64_t count = stream_frame(received)->count;
        uint64_t size = stream_frame(received)->size;
        haul_received_free(received);
        status = send_many(call, count, size);
    }
    haul_call_finish(call, GRPC_STATUS_OK, NULL);
    leave(service, status);
}

static haul_status echo(haul_call *call, const haul_received *received)
{
    const Haul__Test__Frame *frame = stream_frame(received);
    Haul__Test__Frame back = HAUL__TEST__FRAME__INIT;
    haul_payload_out out[4];
    haul_payload *data[4];
    haul_status status = HAUL_OK;
    back.number = frame->number;
    back.data = data;
    for (size_t i = 0; i < frame->n_data && status == HAUL_OK; i++) {
        haul_view view;
        haul_buf *buf;
        status = haul_received_view(received, frame->data[i], &view);
        if (status == HAUL_OK) {
            status = haul_call_alloc(call, view.len, &wait_for_buffer, &buf);
        }
        if (status == HAUL_OK && view.len > 0) { /* an empty view has no address */
            memcpy(haul_buf_data(buf), view.data, view.len);
        }
        if (status == HAUL_OK) {
            status = haul_call_put(call, buf, view.len, &out[i]);
        }
        data[i] = &out[i].payload;
        back.n_data = i + 1;
    }
    return status == HAUL_OK ? haul_call_send(call, &back.base) : status;
}

/* The bytes go back as they lie there. */
static haul_status reply_plainly(haul_call *call, const haul_received *received)
{
    const Haul__Test__Frame *frame = stream_frame(received);
    Haul__Test__Frame back = HAUL__TEST__FRAME__INIT;
    haul_payload_out out[4];
    haul_payload *data[4];
    back.number = frame->number;
    back.data = data;
    for (size_t i = 0; i < frame->n_data && i < 4; i++) {
        haul_view view;
        haul_status status = haul_received_view(received, frame->data[i], &view);
        if (status != HAUL_OK) {
            return status;
        }
        haul_payload_set_inline(&out[i], view.data, view.len);
        data[i] = &out[i].payload;
        back.n_data = i + 1;
    }
    return haul_call_send(call, &back.base);
}

/* Messages that must not be sent, and a good one after them. */
static haul_status send_garbage(haul_call *call)
{
    const Haul__Test__EmptyRequest other = HAUL__TEST__EMPTY_REQUEST__INIT;
    static const haul_key never_given = {.pool_id = 1, .ticket = 2, .generation = 3};
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    haul_payload_out out;
    haul_payload *data[] = {&out.payload};
    if (haul_call_send(call, &other.base) != HAUL_INVALID) {
        return HAUL_CORRUPT;
    }
    haul_payload_set_key(&out, &never_given, 10);
    frame.data = data;
    frame.n_data = 1;
    if (haul_call_send(call, &frame.base) != HAUL_INVALID) {
        return HAUL_CORRUPT;
    }
    return send_one(call, 0, 10, 0);
}

static haul_status act(stream_service *service, haul_call *call, const haul_received *received)
{
    const Haul__Test__Frame *frame = stream_frame(received);
    switch (frame->act) {
    case HAUL__TEST__ACT__ACT_PAUSE:
        pause_here(service);
        return HAUL_OK;
    case HAUL__TEST__ACT__ACT_LINGER:
        while (!haul_call_is_cancelled(call)) {
            (void)sched_yield();
        }
        return HAUL_OK;
    case HAUL__TEST__ACT__ACT_FLOOD:
        return send_many(call, frame->count, frame->size);
    case HAUL__TEST__ACT__ACT_GARBAGE:
        return send_garbage(call);
    case HAUL__TEST__ACT__ACT_PLAIN:
        return reply_plainly(call, received);
    case HAUL__TEST__ACT__ACT_FAIL:
        haul_call_finish(call, GRPC_STATUS_ALREADY_EXISTS, "as asked");
        return HAUL_OK;
    default:
        return echo(call, received);
    }
}

static void chat(haul_call *call, void *ctx)
{
    stream_service *service = ctx;
    haul_received *received;
    bool returns = false;
    enter(service, call);
    haul_status status = haul_call_receive(call, -1, &received);
    while (status == HAUL_OK && !returns) {
        returns = stream_frame(received)->act == HAUL__TEST__ACT__ACT_RETURN;
        status = returns ? HAUL_OK : act(service, call, received);
        haul_received_free(received);
        if (status == HAUL_OK && !returns) {
            status = haul_call_receive(call, -1, &received);
        }
    }
    leave(service, status);
    if (!returns) {
        haul_call_finish(call, GRPC_STATUS_OK, NULL);
    }
}

static void once(Haul__Test__StreamService_Service *base, const Haul__Test__Frame *request,
                 Haul__Test__Frame_Closure closure, void *closure_data)
{
    (void)base;
    Haul__Test__Frame answer = HAUL__TEST__FRAME__INIT;
    answer.number = request->number + 1;
    closure(&answer, closure_data);
}

void stream_service_init(stream_service *service)
{
    *service =
        (stream_service){.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    haul__test__stream_service__init(&service->base, NULL);
    service->base.once = once;
}

void stream_service_add(stream_service *service, haul_server *server)
{
    static const haul_stream_fn handlers[] = {upload, download, chat};
    const ProtobufCServiceDescriptor *descriptor = &haul__test__stream_service__descriptor;
    haul_error err = {0};
    for (unsigned i = 0; i < 3; i++) {
        assert_ok(haul_server_add_stream(server, descriptor, i, handlers[i], service, &err));
    }
    assert_ok(haul_server_add_service(server, (ProtobufCService *)service, &err));
}

void stream_service_fini(stream_service *service)
{
    (void)pthread_mutex_destroy(&service->mutex);
    (void)pthread_cond_destroy(&service->changed);
}

static void wait_until(stream_service *service, const unsigned *counter, unsigned n)
{
    (void)pthread_mutex_lock(&service->mutex);
    while (*counter < n) {
        (void)pthread_cond_wait(&service->changed, &service->mutex);
    }
    (void)pthread_mutex_unlock(&service->mutex);
}

void stream_wait_entered(stream_service *service, unsigned n)
{
    wait_until(service, &service->n_entered, n);
}

void stream_wait_paused(stream_service *service, unsigned n)
{
    wait_until(service, &service->n_paused, n);
}

void stream_wait_ended(stream_service *service, unsigned n)
{
    wait_until(service, &service->n_ended, n);
}

void stream_resume(stream_service *service)
{
    (void)pthread_mutex_lock(&service->mutex);
    service->n_resumed = 1000000;
    (void)pthread_cond_broadcast(&service->changed);
    (void)pthread_mutex_unlock(&service->mutex);
}
