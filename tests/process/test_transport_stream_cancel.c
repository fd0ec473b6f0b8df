/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Cancellation tokens and streams: where haul_stream_cancel() cannot reach, because the stream is
 * still being opened, and where it could.
 */

#include "stream_test.h"

#include <sched.h>

#include "transport/channel.h"

#define LEN 3000

static haul_cancel *new_cancel(void)
{
    haul_cancel *cancel = NULL;
    assert_ok(haul_cancel_create(&cancel));
    return cancel;
}

static haul_stream *open_with(stream_pair *pair, unsigned method, haul_cancel *cancel)
{
    const haul_stream_opts opts = {.struct_size = sizeof(opts), .cancel = cancel};
    return stream_open(pair, method, &opts);
}

/* Nothing is sent, and the lane is not probed. */
static void before(void **state)
{
    (void)state;
    haul_server_stats served = {.struct_size = sizeof(served)};
    stream_pair pair;
    stream_pair_open(&pair, NULL);
    haul_cancel *cancel = new_cancel();
    haul_cancel_trigger(cancel);
    haul_stream *stream = open_with(&pair, STREAM_CHAT, cancel);
    assert_status(stream_send(stream, 0, LEN, 1), HAUL_END);
    stream_finish(stream, GRPC_STATUS_CANCELLED);
    assert_ok(haul_server_get_stats(pair.server, &served));
    assert_int_equal(served.n_calls, 0);
    assert_int_equal(pair.service.n_entered, 0);
    assert_int_equal(pair.channel->lane, HAUL__LANE_UNPROVEN);
    haul_cancel_destroy(cancel);
    stream_pair_close(&pair);
}

/* Two streams by one token, and another one goes on. */
static void during(void **state)
{
    (void)state;
    haul_stream *streams[3];
    stream_pair pair;
    stream_pair_open(&pair, NULL);
    haul_cancel *cancel = new_cancel();
    for (unsigned i = 0; i < 3; i++) {
        streams[i] = open_with(&pair, STREAM_CHAT, i < 2 ? cancel : NULL);
        assert_ok(stream_send(streams[i], i, LEN, 1));
        stream_expect(streams[i], i, LEN, 1, HAUL_PATH_SHM);
    }
    haul_cancel_trigger(cancel);
    for (unsigned i = 0; i < 2; i++) {
        assert_status(stream_drop(streams[i]), HAUL_END);
        stream_finish(streams[i], GRPC_STATUS_CANCELLED);
    }
    stream_wait_ended(&pair.service, 2);
    assert_ok(stream_send(streams[2], 7, LEN, 1));
    stream_expect(streams[2], 7, LEN, 1, HAUL_PATH_SHM);
    stream_finish(streams[2], GRPC_STATUS_OK);
    haul_cancel_destroy(cancel);
    stream_pair_close(&pair);
}

/* Once it has ended the token has nothing to do with it. */
static void after(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, NULL);
    haul_cancel *cancel = new_cancel();
    stream_finish(open_with(&pair, STREAM_CHAT, cancel), GRPC_STATUS_OK);
    haul_cancel_trigger(cancel);
    haul_cancel_destroy(cancel);
    stream_pair_close(&pair);
}

typedef struct opener {
    pthread_t thread;
    haul_channel *channel;
    haul_cancel *cancel;
    grpc_status_code code;
} opener;

static void *open_and_finish(void *arg)
{
    opener *o = arg;
    const haul_stream_opts opts = {
        .struct_size = sizeof(opts), .wait_for_ready = true, .cancel = o->cancel};
    haul_stream *stream;
    haul_reply *reply = NULL;
    o->code = GRPC_STATUS_UNKNOWN;
    if (haul_channel_stream(o->channel, &haul__test__stream_service__descriptor, STREAM_CHAT, &opts,
                            &stream) == HAUL_OK) {
        haul_stream_finish(stream, &reply);
        o->code = haul_reply_code(reply);
        haul_reply_free(reply);
    }
    return NULL;
}

static bool is_probing(haul_channel *channel)
{
    (void)pthread_mutex_lock(&channel->mutex);
    bool probing = channel->lane == HAUL__LANE_PROBING;
    (void)pthread_mutex_unlock(&channel->mutex);
    return probing;
}

/* It probes, and would wait for a server without end. */
static void while_it_is_opened(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, NULL);
    haul_server_stop(pair.server, 0);
    opener o = {.channel = pair.channel, .cancel = new_cancel()};
    assert_int_equal(pthread_create(&o.thread, NULL, open_and_finish, &o), 0);
    while (!is_probing(pair.channel)) {
        (void)sched_yield();
    }
    haul_cancel_trigger(o.cancel);
    assert_int_equal(pthread_join(o.thread, NULL), 0);
    assert_int_equal(o.code, GRPC_STATUS_CANCELLED);
    haul_cancel_destroy(o.cancel);
    stream_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before),
        cmocka_unit_test(during),
        cmocka_unit_test(after),
        cmocka_unit_test(while_it_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
