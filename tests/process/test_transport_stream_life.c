/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Streams that the caller's side ends otherwise than planned: cancelled or out of time before, during
 * and after, or with the channel. After each the pool is free and clean (stream_pair_close()). No
 * test waits for time to pass except for the deadlines that it has set itself.
 */

#include "stream_test.h"

#include <sched.h>

#include "transport/stream.h"

#define LEN   50000
#define SHORT 1000000000 /* a deadline that is meant to pass */

static const unsigned kinds[] = {STREAM_UPLOAD, STREAM_DOWNLOAD, STREAM_CHAT};

static haul_stream_opts short_opts(void)
{
    return (haul_stream_opts){.struct_size = sizeof(haul_stream_opts), .timeout_ns = SHORT};
}

/* ---- Cancelled by the caller ---- */

static void cancelled_before_anything(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        stream_pair pair;
        stream_pair_open(&pair, NULL);
        haul_stream *stream = stream_open(&pair, kinds[i], NULL);
        haul_stream_cancel(stream);
        assert_status(stream_drop(stream), HAUL_END);
        assert_status(stream_act(stream, HAUL__TEST__ACT__ACT_ECHO, 0, 0), HAUL_END);
        stream_finish(stream, GRPC_STATUS_CANCELLED);
        stream_pair_close(&pair);
    }
}

/* Frames are on their way that nobody will receive. */
static void cancelled_in_the_middle(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, NULL);
    haul_stream *up = stream_open(&pair, STREAM_UPLOAD, NULL);
    assert_ok(stream_act(up, HAUL__TEST__ACT__ACT_PAUSE, 0, 0));
    stream_wait_paused(&pair.service, 1);
    for (unsigned i = 0; i < 4; i++) {
        assert_ok(stream_send(up, i, 3000, 1));
    }
    assert_int_equal(test_class_info(pair.client_pool, 0).n_given, 4);
    haul_stream_cancel(up);
    stream_finish(up, GRPC_STATUS_CANCELLED);
    assert_int_equal(test_class_info(pair.client_pool, 0).n_given, 0);
    stream_resume(&pair.service);
    stream_wait_ended(&pair.service, 1);

    haul_stream *down = stream_open(&pair, STREAM_DOWNLOAD, NULL);
    assert_ok(stream_act(down, HAUL__TEST__ACT__ACT_ECHO, 1000000, 3000));
    stream_expect(down, 0, 3000, 0, HAUL_PATH_SHM);
    haul_stream_cancel(down);
    stream_finish(down, GRPC_STATUS_CANCELLED);
    stream_wait_ended(&pair.service, 2);
    assert_status(pair.service.last, HAUL_END);
    stream_pair_close(&pair);
}

static void *cancel(void *stream)
{
    haul_stream_cancel(stream);
    return NULL;
}

/* A handler that does not look at its stream is told when it asks. */
static void a_handler_that_asks(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open_chat(&pair, NULL);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_LINGER, 0, 0));
    haul_stream_cancel(stream);
    stream_finish(stream, GRPC_STATUS_CANCELLED);
    stream_wait_ended(&pair.service, 1);
    stream_pair_close(&pair);
}

/* The sender waits for room in the window, in the pool; another thread ends that. */
static void cancelled_while_waiting_for_room(void **state)
{
    (void)state;
    stream_pair pair;
    pthread_t thread;
    const haul_stream_opts opts = {.struct_size = sizeof(opts), .window = 1};
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open(&pair, STREAM_UPLOAD, &opts);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_PAUSE, 0, 0));
    stream_wait_paused(&pair.service, 1);
    assert_ok(stream_send(stream, 0, 3000, 1));
    assert_int_equal(pthread_create(&thread, NULL, cancel, stream), 0);
    assert_status(stream_send(stream, 1, 3000, 1), HAUL_END);
    assert_int_equal(pthread_join(thread, NULL), 0);
    stream_finish(stream, GRPC_STATUS_CANCELLED);
    stream_resume(&pair.service);
    stream_pair_close(&pair);
}

/* Over is over: the server has ended the stream, and its status stands. */
static void cancelled_after_the_end(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    assert_ok(haul_stream_close_send(stream));
    assert_status(stream_drop(stream), HAUL_END);
    stream_wait_ended(&pair.service, 1);
    while (!haul__stream_is_over(stream)) {
        (void)sched_yield();
    }
    haul_stream_cancel(stream);
    stream_finish(stream, GRPC_STATUS_OK);
    stream_pair_close(&pair);
}

static void closing_the_channel_cancels(void **state)
{
    (void)state;
    stream_pair pair;
    pthread_t thread;
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open_chat(&pair, NULL);
    assert_int_equal(pthread_create(&thread, NULL,
                                    (void *(*)(void *))(void (*)(void))haul_channel_close,
                                    pair.channel),
                     0);
    pair.channel = NULL;
    assert_status(stream_drop(stream), HAUL_END);
    stream_finish(stream, GRPC_STATUS_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    stream_pair_close(&pair);
}

/* ---- Deadlines ---- */

static void out_of_time_before_anything(void **state)
{
    (void)state;
    stream_pair pair;
    const haul_stream_opts opts = {.struct_size = sizeof(opts), .timeout_ns = 1};
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, &opts);
    assert_status(stream_drop(stream), HAUL_END);
    stream_finish(stream, GRPC_STATUS_DEADLINE_EXCEEDED);
    stream_pair_close(&pair);
}

/* The receiver waits, on either side. */
static void out_of_time_while_receiving(void **state)
{
    (void)state;
    stream_pair pair;
    const haul_stream_opts opts = short_opts();
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open_chat(&pair, &opts);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_LINGER, 0, 0));
    assert_status(stream_drop(stream), HAUL_END);
    stream_finish(stream, GRPC_STATUS_DEADLINE_EXCEEDED);
    stream_wait_ended(&pair.service, 1); /* so the handler has noticed */
    stream_pair_close(&pair);
}

/* The sender waits for room, on either side. */
static void out_of_time_while_waiting_for_room(void **state)
{
    (void)state;
    stream_pair pair;
    haul_stream_opts opts = short_opts();
    opts.window = 1;
    stream_pair_open(&pair, &(stream_pair_opts){.window = 1});
    haul_stream *up = stream_open(&pair, STREAM_UPLOAD, &opts);
    assert_ok(stream_act(up, HAUL__TEST__ACT__ACT_PAUSE, 0, 0));
    stream_wait_paused(&pair.service, 1);
    assert_ok(stream_send(up, 0, 3000, 1));
    assert_status(stream_send(up, 1, 3000, 1), HAUL_END);
    stream_finish(up, GRPC_STATUS_DEADLINE_EXCEEDED);
    stream_resume(&pair.service);
    stream_wait_ended(&pair.service, 1);

    haul_stream *down = stream_open(&pair, STREAM_DOWNLOAD, &opts);
    assert_ok(stream_act(down, HAUL__TEST__ACT__ACT_ECHO, 10, 3000));
    stream_wait_ended(&pair.service, 2);
    assert_status(pair.service.last, HAUL_END);
    stream_finish(down, GRPC_STATUS_DEADLINE_EXCEEDED);
    stream_pair_close(&pair);
}

/* A wait that is shorter than the stream: what comes later is not lost. */
static void a_receive_with_a_timeout(void **state)
{
    (void)state;
    stream_pair pair;
    haul_received *received = NULL;
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    assert_status(haul_stream_receive(stream, 0, &received), HAUL_TIMEOUT);
    assert_status(haul_stream_receive(stream, 1000000, &received), HAUL_TIMEOUT);
    assert_ok(stream_send(stream, 0, LEN, 1));
    stream_expect(stream, 0, LEN, 1, HAUL_PATH_SHM);
    stream_finish(stream, GRPC_STATUS_OK);
    stream_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancelled_before_anything),
        cmocka_unit_test(cancelled_in_the_middle),
        cmocka_unit_test(a_handler_that_asks),
        cmocka_unit_test(cancelled_while_waiting_for_room),
        cmocka_unit_test(cancelled_after_the_end),
        cmocka_unit_test(closing_the_channel_cancels),
        cmocka_unit_test(out_of_time_before_anything),
        cmocka_unit_test(out_of_time_while_receiving),
        cmocka_unit_test(out_of_time_while_waiting_for_room),
        cmocka_unit_test(a_receive_with_a_timeout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
