/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The server of the conformance list, a process of its own. Each handler looks at every byte it is
 * sent and ends the call with DATA_LOSS if one is wrong; what it answers is as long as what came.
 * ACT_PAUSE makes it say so and wait for the end of its call, which only cancellation, deadlines and
 * deaths bring; ACT_LINGER does the same to a unary call before its answer is given to the caller.
 * The main thread does as it is told on the input.
 */

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance.h"

typedef struct service {
    Haul__Test__StreamService_Service base;
    const haul_alloc_opts *alloc; /* for answers */
} service;

/* A frame to be sent, with what it refers to. */
typedef struct answer {
    Haul__Test__Frame frame;
    haul_payload_out out;
    haul_payload *data[1];
    void *memory; /* the bytes, where no buffer was to be had */
} answer;

static bool is_right(const Haul__Test__Frame *frame, const haul_view *view)
{
    return view->len == frame->size &&
           test_is_filled(view->data, view->len, (uint8_t)frame->number);
}

static haul_status answer_init(answer *a, const service *s, haul_call *call, uint64_t number,
                               uint64_t size)
{
    haul_buf *buf;
    haul__test__frame__init(&a->frame);
    a->frame.number = number;
    a->frame.size = size;
    a->frame.data = a->data;
    a->frame.n_data = 1;
    a->data[0] = &a->out.payload;
    a->memory = NULL;
    haul_status status = haul_call_alloc(call, size, s->alloc, &buf);
    if (status == HAUL_OK) {
        test_fill(haul_buf_data(buf), size, (uint8_t)number);
        return haul_call_put(call, buf, size, &a->out);
    }
    if (status != HAUL_EXHAUSTED && status != HAUL_NOT_FOUND) {
        return status;
    }
    a->memory = malloc(size + 1);
    if (!a->memory) {
        return HAUL_NOMEM;
    }
    test_fill(a->memory, size, (uint8_t)number);
    haul_payload_set_inline(&a->out, a->memory, size);
    return HAUL_OK;
}

static void say(const char *word)
{
    (void)puts(word);
    (void)fflush(stdout);
}

/* The caller may not have noticed yet that its time is up: what follows must not be an answer. */
static haul_status pause_until_over(haul_call *call)
{
    say("paused");
    while (!haul_call_is_cancelled(call)) {
        (void)sched_yield();
    }
    return HAUL_TIMEOUT;
}

/* The same with a buffer for the answer, which is still the server's. */
static haul_status linger(const service *s, haul_call *call, uint64_t size)
{
    haul_buf *buf = NULL;
    haul_status status = haul_call_alloc(call, size, s->alloc, &buf);
    if (status == HAUL_OK) {
        status = pause_until_over(call);
    }
    haul_buf_release(buf);
    return status;
}

static void once(Haul__Test__StreamService_Service *base, const Haul__Test__Frame *request,
                 Haul__Test__Frame_Closure closure, void *closure_data)
{
    const service *s = (const service *)base;
    haul_call *call = closure_data;
    haul_view view;
    answer a = {.memory = NULL};
    if (request->n_data != 1 || haul_call_view(call, request->data[0], &view) != HAUL_OK ||
        !is_right(request, &view)) {
        haul_call_fail(call, GRPC_STATUS_DATA_LOSS, "other bytes than were sent");
        return;
    }
    haul_status status = HAUL_OK;
    if (request->act == HAUL__TEST__ACT__ACT_LINGER) {
        status = linger(s, call, request->size);
    }
    if (status == HAUL_OK) {
        status = answer_init(&a, s, call, CONF_ANSWER + request->number, request->size);
    }
    if (status == HAUL_OK && request->act == HAUL__TEST__ACT__ACT_PAUSE) {
        status = pause_until_over(call);
    }
    if (status == HAUL_OK) {
        closure(&a.frame, closure_data);
    } else {
        haul_call_fail(call, haul_status_to_grpc(status), "no answer");
    }
    free(a.memory);
}

static haul_status send_one(const service *s, haul_call *call, uint64_t number, uint64_t size)
{
    answer a = {.memory = NULL};
    haul_status status = answer_init(&a, s, call, number, size);
    if (status == HAUL_OK) {
        status = haul_call_send(call, &a.frame.base);
    }
    free(a.memory);
    return status;
}

/* Look at a frame of the client's and free it; @out is its numbers. HAUL_PROTOCOL: other bytes. */
static haul_status take_one(haul_call *call, Haul__Test__Frame *out)
{
    haul_received *received;
    haul_view view;
    haul_status status = haul_call_receive(call, -1, &received);
    if (status != HAUL_OK) {
        return status;
    }
    *out = *(const Haul__Test__Frame *)haul_received_message(received);
    for (size_t i = 0; i < out->n_data && status == HAUL_OK; i++) {
        status = haul_received_view(received, out->data[i], &view);
        if (status == HAUL_OK && !is_right(out, &view)) {
            status = HAUL_PROTOCOL;
        }
    }
    if (status == HAUL_OK && out->act != HAUL__TEST__ACT__ACT_ECHO && out->n_data > 0) {
        status = pause_until_over(call);
    }
    haul_received_free(received);
    return status;
}

static void finish(haul_call *call, haul_status status)
{
    grpc_status_code code = status == HAUL_END        ? GRPC_STATUS_OK
                            : status == HAUL_PROTOCOL ? GRPC_STATUS_DATA_LOSS
                                                      : haul_status_to_grpc(status);
    haul_call_finish(call, code, NULL);
}

static void upload(haul_call *call, void *ctx)
{
    Haul__Test__Frame frame;
    uint64_t n = 0;
    uint64_t size = 0;
    haul_status status = take_one(call, &frame);
    while (status == HAUL_OK) {
        size = frame.size;
        n++;
        status = take_one(call, &frame);
    }
    if (status == HAUL_END && n > 0) {
        status = send_one(ctx, call, CONF_ANSWER + n, size);
    }
    finish(call, status);
}

static void download(haul_call *call, void *ctx)
{
    Haul__Test__Frame frame;
    haul_status status = take_one(call, &frame);
    for (uint64_t i = 0; status == HAUL_OK && i < frame.count; i++) {
        status = send_one(ctx, call, CONF_ANSWER + i, frame.size);
        if (status == HAUL_OK && frame.act != HAUL__TEST__ACT__ACT_ECHO) {
            status = pause_until_over(call);
        }
    }
    finish(call, status);
}

static void chat(haul_call *call, void *ctx)
{
    Haul__Test__Frame frame;
    haul_status status = take_one(call, &frame);
    while (status == HAUL_OK) {
        status = send_one(ctx, call, CONF_ANSWER + frame.number, frame.size);
        if (status == HAUL_OK) {
            status = take_one(call, &frame);
        }
    }
    finish(call, status);
}

static haul_server *start(service *s, haul_pool *pool, const char *address)
{
    static const haul_stream_fn handlers[] = {upload, download, chat};
    const ProtobufCServiceDescriptor *descriptor = &haul__test__stream_service__descriptor;
    haul_pool *const pools[] = {pool};
    const haul_server_opts opts = {.struct_size = sizeof(opts),
                                   .pools = pools,
                                   .n_pools = pool != NULL,
                                   .busy_poll_ns = conf_busy_poll_ns()};
    haul_server *server;
    haul_error err = {0};
    assert_ok(haul_server_create(&opts, &server, &err));
    for (unsigned i = 0; i < 3; i++) {
        assert_ok(haul_server_add_stream(server, descriptor, i, handlers[i], s, &err));
    }
    assert_ok(haul_server_add_service(server, (ProtobufCService *)s, &err));
    assert_ok(haul_server_listen(server, address, 0600, NULL, &err));
    assert_ok(haul_server_start(server, &err));
    return server;
}

/* What the process has at a time. */
typedef struct life {
    service service;
    haul_pool *pool;
    haul_server *server;
} life;

static void begin(life *l, const char *address, const char *pool_name, int event)
{
    *l = (life){.service = {.alloc = conf_alloc_opts((conf_event)event)}};
    haul__test__stream_service__init(&l->service.base, NULL);
    l->service.base.once = once;
    if (strcmp(pool_name, "-") != 0) {
        assert_ok(haul_pool_open(pool_name, NULL, &l->pool, NULL));
    }
    l->server = start(&l->service, l->pool, address);
    say("ready");
}

static void stop(life *l)
{
    haul_server_destroy(l->server);
    l->server = NULL;
}

static void leave(life *l)
{
    haul_pool_close(l->pool);
    l->pool = NULL;
}

void conf_serve(void)
{
    life l = {.pool = NULL};
    char line[256];
    char address[128];
    char pool_name[HAUL_POOL_NAME_MAX + 1];
    int event;
    while (fgets(line, sizeof(line), stdin)) {
        if (strcmp(line, "stop\n") == 0) {
            stop(&l);
            say("stopped");
        } else if (strcmp(line, "leave\n") == 0) {
            leave(&l);
            say("left");
        } else {
            assert_int_equal(sscanf(line, "begin %127s %64s %d", address, pool_name, &event), 3);
            begin(&l, address, pool_name, event);
        }
    }
    stop(&l);
    leave(&l);
}

void conf_wait_for(peer *server, const char *word)
{
    char line[32] = "";
    do {
        if (!fgets(line, sizeof(line), server->from)) {
            fail_msg("the server ended before it said %s", word);
        }
        line[strcspn(line, "\n")] = '\0';
    } while (strcmp(line, word) != 0 && strcmp(line, "paused") == 0);
    assert_string_equal(line, word);
}
