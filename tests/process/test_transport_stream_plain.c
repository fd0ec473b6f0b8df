/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Payloads of a stream that lie in ordinary memory: from the threshold on they go by key, either way,
 * within the window and as the options say where the pool has no buffer; the receiver gets the same
 * bytes whichever way they came.
 */

#include "stream_test.h"

#include <sched.h>
#include <string.h>

#include "transport/server.h"

#define THRESHOLD 10000
#define LEN       50000

static uint8_t bytes[LEN];

static const stream_pair_opts few = {.n_buffers = 8, .key_threshold_bytes = THRESHOLD};

static int set_up(void **state)
{
    (void)state;
    test_fill(bytes, sizeof(bytes), 1);
    return 0;
}

static haul_status send_one(haul_stream *stream, uint64_t number, uint64_t len)
{
    return stream_send_plain(stream, HAUL__TEST__ACT__ACT_PLAIN, number, bytes, len);
}

static void finish(haul_stream *stream, haul_path path)
{
    haul_reply *reply;
    haul_stream_finish(stream, &reply);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
    assert_int_equal(haul_reply_request_path(reply), path);
    assert_int_equal(haul_reply_path(reply), path);
    haul_reply_free(reply);
}

static haul_channel_stats client_stats(const stream_pair *pair)
{
    haul_channel_stats stats = {.struct_size = sizeof(stats)};
    assert_ok(haul_channel_get_stats(pair->channel, &stats));
    return stats;
}

static haul_server_stats server_stats(const stream_pair *pair)
{
    haul_server_stats stats = {.struct_size = sizeof(stats)};
    assert_ok(haul_server_get_stats(pair->server, &stats));
    return stats;
}

/* ---- Which way ---- */

static void by_key_both_ways(void **state)
{
    (void)state;
    enum {
        N = 40
    };
    stream_pair pair;
    stream_pair_open(&pair, &few);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    for (unsigned i = 0; i < N; i++) {
        assert_ok(send_one(stream, i, LEN - i));
        stream_expect(stream, i, LEN - i, 1, HAUL_PATH_SHM);
    }
    finish(stream, HAUL_PATH_SHM);
    assert_true(test_is_filled(bytes, sizeof(bytes), 1)); /* ours were only read */
    assert_int_equal(client_stats(&pair).n_copied, N);
    assert_int_equal(client_stats(&pair).requests.n_by_key, N);
    assert_int_equal(client_stats(&pair).requests.bytes_inline, 0);
    assert_int_equal(server_stats(&pair).n_copied, N);
    assert_int_equal(server_stats(&pair).answers.n_by_key, N);
    stream_pair_close(&pair);
}

/* What is measured on this host is at work where nothing is set. Each end measures for itself. */
static void by_a_threshold_that_is_measured(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    assert_ok(send_one(stream, 0, 100));
    stream_expect(stream, 0, 100, 1, HAUL_PATH_INLINE);
    assert_ok(send_one(stream, 1, LEN));
    uint64_t here = client_stats(&pair).key_threshold_bytes;
    assert_true(here > 0);
    haul_received *received;
    assert_ok(haul_stream_receive(stream, -1, &received));
    uint64_t there = haul__threshold_bytes(&pair.server->threshold);
    assert_true(there > 0);
    assert_int_equal(haul_received_path(received), there <= LEN ? HAUL_PATH_SHM : HAUL_PATH_INLINE);
    haul_received_free(received);
    stream_finish(stream, GRPC_STATUS_OK);
    assert_int_equal(client_stats(&pair).requests.n_by_key, here <= LEN);
    stream_pair_close(&pair);
}

static void around_the_threshold(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, &few);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    static const uint64_t sizes[] = {0, 1, THRESHOLD - 1, THRESHOLD, THRESHOLD + 1};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        haul_path path = sizes[i] < THRESHOLD ? HAUL_PATH_INLINE : HAUL_PATH_SHM;
        assert_ok(send_one(stream, i, sizes[i]));
        stream_expect(stream, i, sizes[i], 1, path);
    }
    finish(stream, HAUL_PATH_MIXED);
    stream_pair_close(&pair);
}

static void inline_where_it_must_be(void **state)
{
    (void)state;
    static const stream_pair_opts apart[] = {
        {.key_threshold_bytes = THRESHOLD, .server_without_pool = true},
        {.key_threshold_bytes = THRESHOLD, .client_without_pool = true},
        {.key_threshold_bytes = THRESHOLD}};
    for (unsigned i = 0; i < 3; i++) {
        stream_pair pair;
        const haul_stream_opts opts = {.struct_size = sizeof(opts), .inline_only = i == 2};
        stream_pair_open(&pair, &apart[i]);
        haul_stream *stream = stream_open(&pair, STREAM_CHAT, &opts);
        assert_ok(send_one(stream, 0, LEN));
        stream_expect(stream, 0, LEN, 1, HAUL_PATH_INLINE);
        finish(stream, HAUL_PATH_INLINE);
        assert_int_equal(client_stats(&pair).n_copied, 0);
        stream_pair_close(&pair);
    }
}

/* One that was put, one in ordinary memory, a small one and one that stays ours: each its way. */
static void beside_others_in_one_message(void **state)
{
    (void)state;
    stream_pair pair;
    haul_payload_out out[4];
    haul_payload *data[4];
    haul_buf *buf;
    haul_received *received;
    stream_pair_open(&pair, &(stream_pair_opts){.n_buffers = 16, .key_threshold_bytes = THRESHOLD});
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    haul_payload_set_inline(&out[0], bytes, LEN);
    assert_ok(haul_stream_alloc(stream, LEN, NULL, &buf));
    test_fill(haul_buf_data(buf), LEN, 2);
    assert_ok(haul_stream_put(stream, buf, LEN, -1, &out[1]));
    haul_payload_set_inline(&out[2], bytes, 100);
    haul_buf *shared = test_payload(pair.client_pool, LEN, 3, &out[3]);
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    for (unsigned i = 0; i < 4; i++) {
        data[i] = &out[i].payload;
    }
    frame.data = data;
    frame.n_data = 4;
    assert_ok(haul_stream_send(stream, &frame.base));
    assert_ok(haul_stream_receive(stream, -1, &received));
    const Haul__Test__Frame *back = (const Haul__Test__Frame *)haul_received_message(received);
    static const uint64_t lens[] = {LEN, LEN, 100, LEN};
    static const uint8_t seeds[] = {1, 2, 1, 3};
    assert_int_equal(back->n_data, 4);
    for (unsigned i = 0; i < 4; i++) {
        haul_view view;
        assert_ok(haul_received_view(received, back->data[i], &view));
        assert_int_equal(view.len, lens[i]);
        assert_true(test_is_filled(view.data, view.len, seeds[i]));
    }
    haul_received_free(received);
    haul_channel_stats before = client_stats(&pair);
    assert_int_equal(before.n_copied, 1);
    stream_finish(stream, GRPC_STATUS_OK);
    assert_int_equal(client_stats(&pair).requests.n_by_key, 3);
    assert_int_equal(client_stats(&pair).requests.n_inline, 1);
    haul_buf_release(shared);
    stream_pair_close(&pair);
}

/* What cannot be sent leaves nothing behind of what had been moved for it. */
static void a_message_that_cannot_be_sent(void **state)
{
    (void)state;
    static const haul_key never_given = {.pool_id = 1, .ticket = 2, .generation = 3};
    stream_pair pair;
    haul_payload_out out[2];
    haul_payload *data[2] = {&out[0].payload, &out[1].payload};
    stream_pair_open(&pair, &few);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    haul_payload_set_inline(&out[0], bytes, LEN);
    haul_payload_set_key(&out[1], &never_given, 10);
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    frame.data = data;
    frame.n_data = 2;
    assert_status(haul_stream_send(stream, &frame.base), HAUL_INVALID);
    assert_all_free(pair.client_pool);
    assert_ok(send_one(stream, 1, LEN)); /* and the stream goes on */
    stream_expect(stream, 1, LEN, 1, HAUL_PATH_SHM);
    stream_finish(stream, GRPC_STATUS_OK);
    stream_pair_close(&pair);
}

/* ---- No buffer ---- */

static void inline_if_the_pool_is_exhausted(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, &few);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    test_hoard h = test_hoard_take(pair.client_pool, LEN, 0);
    assert_ok(send_one(stream, 0, LEN));
    stream_expect(stream, 0, LEN, 1, HAUL_PATH_INLINE); /* the server had none either */
    assert_int_equal(client_stats(&pair).n_exhausted, 1);
    assert_int_equal(server_stats(&pair).n_exhausted, 1);
    test_hoard_release(&h);
    finish(stream, HAUL_PATH_INLINE);
    stream_pair_close(&pair);
}

static void an_error_if_that_is_asked_for(void **state)
{
    (void)state;
    stream_pair pair;
    const haul_stream_opts opts = {.struct_size = sizeof(opts),
                                   .if_exhausted = HAUL_EXHAUSTED_FAIL};
    stream_pair_open(&pair, &few);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, &opts);
    test_hoard h = test_hoard_take(pair.client_pool, LEN, 0);
    assert_status(send_one(stream, 0, LEN), HAUL_EXHAUSTED);
    test_hoard_release(&h);
    assert_ok(send_one(stream, 1, LEN)); /* nothing was sent, and the stream is as it was */
    stream_expect(stream, 1, LEN, 1, HAUL_PATH_SHM);
    stream_finish(stream, GRPC_STATUS_OK);
    stream_pair_close(&pair);
}

typedef struct sender {
    pthread_t thread;
    haul_stream *stream;
    unsigned n;
    haul_status status;
} sender;

static void *send_in_thread(void *arg)
{
    sender *s = arg;
    for (unsigned i = 0; i < s->n && s->status == HAUL_OK; i++) {
        s->status = stream_send_plain(s->stream, HAUL__TEST__ACT__ACT_ECHO, i, bytes, LEN);
    }
    return NULL;
}

static void start(sender *s, haul_stream *stream, unsigned n)
{
    *s = (sender){.stream = stream, .n = n};
    assert_int_equal(pthread_create(&s->thread, NULL, send_in_thread, s), 0);
}

static haul_status join(sender *s)
{
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    return s->status;
}

/* It waits as it is told to, until there is one or the stream is over. */
static void a_wait_for_a_buffer(void **state)
{
    (void)state;
    static const haul_alloc_opts alloc = {.struct_size = sizeof(alloc), .wait_ns = -1};
    const haul_stream_opts opts = {.struct_size = sizeof(opts), .alloc = &alloc};
    const haul_stream_opts odd = {.struct_size = sizeof(odd), .alloc = &(haul_alloc_opts){0}};
    stream_pair pair;
    haul_stream *stream;
    sender s;
    stream_pair_open(&pair, &few);
    assert_status(haul_channel_stream(pair.channel, &haul__test__stream_service__descriptor,
                                      STREAM_CHAT, &odd, &stream),
                  HAUL_INVALID);
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        stream = stream_open(&pair, STREAM_CHAT, &opts);
        test_hoard h = test_hoard_take(pair.client_pool, LEN, 0);
        start(&s, stream, 1);
        while (test_class_info(pair.client_pool, 0).n_waiting == 0) {
            (void)sched_yield();
        }
        if (cancelled) {
            haul_stream_cancel(stream);
            assert_status(join(&s), HAUL_END);
            test_hoard_release(&h);
            stream_finish(stream, GRPC_STATUS_CANCELLED);
        } else {
            test_hoard_release(&h);
            assert_ok(join(&s));
            stream_expect(stream, 0, LEN, 1, HAUL_PATH_SHM);
            stream_finish(stream, GRPC_STATUS_OK);
        }
    }
    stream_pair_close(&pair);
}

/* ---- The window ---- */

/* A receiver that stops stops them, too: no more are on their way than the window has, and what is
 * sent then waits. */
static void the_window_bounds_them(void **state)
{
    (void)state;
    const haul_stream_opts opts = {.struct_size = sizeof(opts), .window = 3};
    stream_pair pair;
    sender s;
    stream_pair_open(&pair, &few);
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        haul_stream *stream = stream_open(&pair, STREAM_UPLOAD, &opts);
        assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_PAUSE, 0, 0));
        stream_wait_paused(&pair.service, 1 + (unsigned)cancelled);
        start(&s, stream, 6);
        while (test_class_info(pair.client_pool, 0).n_given < 3) {
            (void)sched_yield();
        }
        for (int i = 0; i < 20; i++) {
            haul_class_info info = test_class_info(pair.client_pool, 0);
            assert_int_equal(info.n_given, 3);
            assert_int_equal(info.n_owned, 0); /* it waits before it takes a buffer */
        }
        if (cancelled) {
            haul_stream_cancel(stream);
            assert_status(join(&s), HAUL_END);
        }
        (void)pthread_mutex_lock(&pair.service.mutex);
        pair.service.n_resumed = 1 + (unsigned)cancelled;
        (void)pthread_cond_broadcast(&pair.service.changed);
        (void)pthread_mutex_unlock(&pair.service.mutex);
        if (!cancelled) {
            assert_ok(join(&s));
        }
        stream_finish(stream, cancelled ? GRPC_STATUS_CANCELLED : GRPC_STATUS_OK);
    }
    stream_pair_close(&pair);
}

/* More in one message than the window has room for: they go together, as those do that are put. */
static void one_message_beyond_the_window(void **state)
{
    (void)state;
    enum {
        N = 4
    };
    const haul_stream_opts opts = {.struct_size = sizeof(opts), .window = 2};
    stream_pair pair;
    haul_payload_out out[N];
    haul_payload *data[N];
    haul_received *received;
    stream_pair_open(
        &pair, &(stream_pair_opts){.n_buffers = 16, .window = 2, .key_threshold_bytes = THRESHOLD});
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, &opts);
    for (unsigned i = 0; i < N; i++) {
        haul_payload_set_inline(&out[i], bytes, LEN - i);
        data[i] = &out[i].payload;
    }
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    frame.act = HAUL__TEST__ACT__ACT_PLAIN;
    frame.data = data;
    frame.n_data = N;
    for (int i = 0; i < 5; i++) {
        assert_ok(haul_stream_send(stream, &frame.base));
        assert_ok(haul_stream_receive(stream, -1, &received));
        assert_int_equal(haul_received_path(received), HAUL_PATH_SHM);
        haul_received_free(received);
    }
    stream_finish(stream, GRPC_STATUS_OK);
    stream_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_key_both_ways),
        cmocka_unit_test(by_a_threshold_that_is_measured),
        cmocka_unit_test(around_the_threshold),
        cmocka_unit_test(inline_where_it_must_be),
        cmocka_unit_test(beside_others_in_one_message),
        cmocka_unit_test(a_message_that_cannot_be_sent),
        cmocka_unit_test(inline_if_the_pool_is_exhausted),
        cmocka_unit_test(an_error_if_that_is_asked_for),
        cmocka_unit_test(a_wait_for_a_buffer),
        cmocka_unit_test(the_window_bounds_them),
        cmocka_unit_test(one_message_beyond_the_window),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
