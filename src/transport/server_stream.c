/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Threads for the handlers of streams.
 *
 * A handler of a stream blocks for as long as its caller likes, so it must not have one of the
 * threads that poll for calls: these go on serving unary calls and noticing what ends. A thread is
 * started when a stream comes and none is idle, up to a bound; then streams wait, up to another
 * bound; then they are refused, at once and in words. So a client that opens a thousand streams and
 * says nothing costs the server its threads for streams and nothing else.
 *
 * The server owns all this. If the process dies the threads die with it; what their calls held is
 * for the pool's reapers.
 */

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#include "base/error.h"
#include "transport/deadline.h"
#include "transport/server.h"

#define THREADS_DEFAULT 16
#define THREADS_MAX     4096
#define WAITING_DEFAULT 64

bool haul__hall_init(haul__stream_hall *hall, const haul_server_opts *opts)
{
    uint32_t n = opts->n_stream_threads ? opts->n_stream_threads : THREADS_DEFAULT;
    *hall = (haul__stream_hall){
        .n_threads_max = n < THREADS_MAX ? n : THREADS_MAX,
        .n_waiting_max = opts->n_streams_waiting ? opts->n_streams_waiting : WAITING_DEFAULT,
    };
    hall->threads = calloc(hall->n_threads_max, sizeof(*hall->threads));
    if (!hall->threads) {
        return false;
    }
    if (pthread_mutex_init(&hall->mutex, NULL) != 0) {
        free(hall->threads);
        return false;
    }
    if (!haul__cond_init(&hall->arrived)) {
        (void)pthread_mutex_destroy(&hall->mutex);
        free(hall->threads);
        return false;
    }
    return true;
}

void haul__hall_fini(haul__stream_hall *hall)
{
    (void)pthread_cond_destroy(&hall->arrived);
    (void)pthread_mutex_destroy(&hall->mutex);
    free(hall->threads);
}

/* With the lock held: the stream that has waited longest, or NULL. */
static haul_call *take_first(haul__stream_hall *hall)
{
    haul_call *call = hall->first;
    if (call) {
        hall->first = call->stream->next;
        hall->n_waiting--;
    }
    return call;
}

static void *serve(void *arg)
{
    haul__stream_hall *hall = arg;
    (void)pthread_mutex_lock(&hall->mutex);
    for (;;) {
        haul_call *call = take_first(hall);
        if (call) {
            hall->n_busy++;
            (void)pthread_mutex_unlock(&hall->mutex);
            haul__call_stream_run(call);
            haul__call_unref(call);
            (void)pthread_mutex_lock(&hall->mutex);
            hall->n_busy--;
        } else if (hall->ended) {
            break;
        } else {
            hall->n_idle++;
            (void)pthread_cond_wait(&hall->arrived, &hall->mutex);
            hall->n_idle--;
        }
    }
    (void)pthread_mutex_unlock(&hall->mutex);
    return NULL;
}

/* With the lock held. Like the server's other threads it takes no signals: it is started by one of
 * those. */
static void start_thread(haul__stream_hall *hall)
{
    if (pthread_create(&hall->threads[hall->n_threads], NULL, serve, hall) == 0) {
        hall->n_threads++;
    }
}

/* With the lock held: whether there is a thread, or a place to wait for one. */
static bool admit(haul__stream_hall *hall, haul_call *call)
{
    if (hall->n_waiting >= hall->n_idle && hall->n_threads < hall->n_threads_max) {
        start_thread(hall);
    }
    /* Those that only wait for a thread to wake up count as served. */
    uint32_t n = hall->n_busy + hall->n_waiting;
    if (hall->n_threads == 0 || n >= hall->n_threads_max + hall->n_waiting_max) {
        return false;
    }
    call->stream->next = NULL;
    if (hall->first) {
        hall->last->stream->next = call;
    } else {
        hall->first = call;
    }
    hall->last = call;
    hall->n_waiting++;
    (void)pthread_cond_signal(&hall->arrived);
    return true;
}

void haul__hall_enter(haul_call *call)
{
    haul__stream_hall *hall = &call->server->hall;
    (void)pthread_mutex_lock(&hall->mutex);
    bool admitted = admit(hall, call);
    (void)pthread_mutex_unlock(&hall->mutex);
    if (!admitted) {
        (void)grpc_call_cancel_with_status(call->grpc, GRPC_STATUS_RESOURCE_EXHAUSTED,
                                           "the server has as many streams as it can serve", NULL);
        haul__call_unref(call);
    }
}

void haul__hall_end(haul__stream_hall *hall)
{
    (void)pthread_mutex_lock(&hall->mutex);
    hall->ended = true;
    (void)pthread_cond_broadcast(&hall->arrived);
    (void)pthread_mutex_unlock(&hall->mutex);
    for (uint32_t i = 0; i < hall->n_threads; i++) {
        (void)pthread_join(hall->threads[i], NULL);
    }
    hall->n_threads = 0;
}

haul_status haul_server_add_stream(haul_server *server, const ProtobufCServiceDescriptor *service,
                                   unsigned method_index, haul_stream_fn fn, void *ctx,
                                   haul_error *err)
{
    if (!service || method_index >= service->n_methods || !fn) {
        return haul__fail(err, HAUL_INVALID, "stream: no such method, or no handler");
    }
    const char *name = service->methods[method_index].name;
    if (server->phase != HAUL__SERVER_NEW) {
        return haul__fail(err, HAUL_INVALID, "stream %s: the server has been started", name);
    }
    if (haul__server_find_method(server, service->name, method_index)) {
        return haul__fail(err, HAUL_INVALID, "stream %s: the method is served already", name);
    }
    const haul__method wanted = {
        .descriptor = service, .index = method_index, .stream = fn, .stream_ctx = ctx};
    haul_status status = haul__server_add_method(server, &wanted);
    return status == HAUL_OK ? HAUL_OK
                             : haul__fail(err, status, "stream %s: cannot be registered", name);
}
