/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Streams that the server's side ends otherwise than planned: a handler fails or returns early, the
 * server stops, a thousand streams say nothing and wait for the few threads that there are. After
 * each the pool is free and clean (stream_pair_close()).
 */

#include "stream_test.h"

#include <sched.h>

#include "transport/server.h"

#define FOREVER 60000000000

/* ---- Ended by the server ---- */

static void a_handler_that_fails(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_FAIL, 0, 0));
    assert_status(stream_drop(stream), HAUL_END);
    haul_reply *reply;
    haul_stream_finish(stream, &reply);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_ALREADY_EXISTS);
    assert_string_equal(haul_reply_text(reply), "as asked");
    haul_reply_free(reply);
    stream = stream_open(&pair, STREAM_CHAT, NULL);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_RETURN, 0, 0));
    stream_finish(stream, GRPC_STATUS_INTERNAL);
    stream_pair_close(&pair);
}

/* The caller sends on while the handler has given up: it finds out, and nothing is left. */
static void a_handler_that_ends_early(void **state)
{
    (void)state;
    stream_pair pair;
    haul_status status = HAUL_OK;
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_FAIL, 0, 0));
    for (unsigned i = 0; status == HAUL_OK; i++) {
        status = stream_send(stream, i, 3000, 1);
    }
    assert_status(status, HAUL_END);
    stream_finish(stream, GRPC_STATUS_ALREADY_EXISTS);
    stream_pair_close(&pair);
}

/* The caller finishes without having received: what was sent is dropped, not lost. */
static void a_caller_that_does_not_look(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open(&pair, STREAM_DOWNLOAD, NULL);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_ECHO, 100, 3000));
    stream_finish(stream, GRPC_STATUS_OK);
    stream_wait_ended(&pair.service, 1);
    assert_ok(pair.service.last);
    stream_pair_close(&pair);
}

/* ---- Servers that stop ---- */

static void *stop_now(void *server)
{
    haul_server_stop(server, 0);
    return NULL;
}

static void *stop_with_grace(void *server)
{
    haul_server_stop(server, FOREVER);
    return NULL;
}

static void stopping_the_server_cancels(void **state)
{
    (void)state;
    stream_pair pair;
    pthread_t thread;
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open_chat(&pair, NULL);
    assert_int_equal(pthread_create(&thread, NULL, stop_now, pair.server), 0);
    assert_status(stream_drop(stream), HAUL_END);
    stream_finish(stream, GRPC_STATUS_UNAVAILABLE);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pair.service.n_ended, 1);
    stream_pair_close(&pair);
}

static bool is_stopping(haul_server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    bool stopping = server->phase == HAUL__SERVER_STOPPED;
    (void)pthread_mutex_unlock(&server->mutex);
    return stopping;
}

/* With grace a stream goes on to its own end. */
static void stopping_the_server_with_grace(void **state)
{
    (void)state;
    stream_pair pair;
    pthread_t thread;
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open_chat(&pair, NULL);
    assert_int_equal(pthread_create(&thread, NULL, stop_with_grace, pair.server), 0);
    while (!is_stopping(pair.server)) {
        (void)sched_yield();
    }
    assert_ok(stream_send(stream, 1, 3000, 2));
    stream_expect(stream, 1, 3000, 2, HAUL_PATH_SHM);
    stream_finish(stream, GRPC_STATUS_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    stream_pair_close(&pair);
}

/* ---- Many that say nothing ---- */

static void assert_unary_works(stream_pair *pair)
{
    const Haul__Test__Frame request = HAUL__TEST__FRAME__INIT;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .timeout_ns = FOREVER};
    haul_reply *reply;
    assert_ok(haul_channel_call(pair->channel, &haul__test__stream_service__descriptor, STREAM_ONCE,
                                &request.base, &opts, &reply));
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
    haul_reply_free(reply);
}

/* Until so many streams are served and so many wait. */
static void wait_for_hall(haul_server *server, uint32_t n_threads, uint32_t n_waiting)
{
    haul__stream_hall *hall = &server->hall;
    bool there = false;
    while (!there) {
        (void)pthread_mutex_lock(&hall->mutex);
        there = hall->n_busy == n_threads && hall->n_waiting == n_waiting;
        (void)pthread_mutex_unlock(&hall->mutex);
        (void)sched_yield();
    }
}

/*
 * A thousand streams are opened and say nothing: so many are served as there are threads, so many
 * wait as may, the others are refused. Other calls go on, and so does a stream once there is room.
 */
static void a_thousand_idle_streams(void **state)
{
    (void)state;
    enum {
        N = 1000,
        SERVED = 3,
        WAITING = 20
    };
    static haul_stream *streams[N];
    stream_pair pair;
    stream_pair_open(&pair, &(stream_pair_opts){.n_buffers = 3 * (SERVED + WAITING),
                                                .n_stream_threads = SERVED,
                                                .n_streams_waiting = WAITING});
    for (unsigned i = 0; i < SERVED + WAITING; i++) {
        streams[i] = stream_open(&pair, STREAM_CHAT, NULL);
    }
    wait_for_hall(pair.server, SERVED, WAITING);
    for (unsigned i = SERVED + WAITING; i < N; i++) {
        streams[i] = stream_open(&pair, STREAM_CHAT, NULL);
    }
    for (unsigned i = SERVED + WAITING; i < N; i++) {
        assert_status(stream_drop(streams[i]), HAUL_END);
        stream_finish(streams[i], GRPC_STATUS_RESOURCE_EXHAUSTED);
    }
    assert_unary_works(&pair);
    stream_wait_entered(&pair.service, SERVED);
    assert_int_equal(pair.service.n_entered, SERVED);
    for (unsigned i = 0; i < SERVED + WAITING; i++) { /* each gets its turn */
        assert_ok(stream_send(streams[i], i, 3000, (uint8_t)i));
        assert_ok(haul_stream_close_send(streams[i]));
    }
    for (unsigned i = 0; i < SERVED + WAITING; i++) {
        stream_expect(streams[i], i, 3000, (uint8_t)i, HAUL_PATH_SHM);
        stream_finish(streams[i], GRPC_STATUS_OK);
    }
    stream_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handler_that_fails),
        cmocka_unit_test(a_handler_that_ends_early),
        cmocka_unit_test(a_caller_that_does_not_look),
        cmocka_unit_test(stopping_the_server_cancels),
        cmocka_unit_test(stopping_the_server_with_grace),
        cmocka_unit_test(a_thousand_idle_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
