/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Streams between Shorthaul and a stock gRPC of another language, both ways: client, server and
 * bidirectional streaming, each longer than any window, by key where the peer takes and gives
 * buffers, and inline where not. What is cut short leaves nothing behind.
 *
 *   test_interop_streams WAY COMMAND...
 */

#include <sched.h>

#include "interop.h"
#include "pool/impl.h"
#include "stream_test.h"

#define MIB   (UINT64_C(1) << 20)
#define SMALL 5000
#define MANY  200

/* How payloads are to go, either way. */
static haul_path expected_path(void)
{
    return interop_is_participant() ? HAUL_PATH_SHM : HAUL_PATH_INLINE;
}

static void their_client(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, &(stream_pair_opts){.large = true});
    peer p = interop_start("stream", pair.address, pair.server_pool);
    peer_stop(&p);
    stream_pair_close(&pair);
}

/* ---- Our client, their server ---- */

/* The stream functions of the tests want a pair; of this one only the client's half is there. */
typedef struct scene {
    interop_visit visit;
    stream_pair pair;
} scene;

static void begin(scene *s)
{
    interop_begin(&s->visit, test_pool_create_streams("interop"));
    s->pair = (stream_pair){.client_pool = s->visit.pool, .channel = s->visit.channel};
}

/* End the stream, which went well, and check how its payloads went. */
static void finish(haul_stream *stream, haul_path up, haul_path down)
{
    haul_reply *reply;
    haul_stream_finish(stream, &reply);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
    assert_int_equal(haul_reply_request_path(reply), up);
    assert_int_equal(haul_reply_path(reply), down);
    haul_reply_free(reply);
}

static void client_streaming(void **state)
{
    (void)state;
    scene s;
    uint64_t sum = 0;
    haul_received *received;
    begin(&s);
    haul_stream *stream = stream_open(&s.pair, STREAM_UPLOAD, NULL);
    for (unsigned i = 0; i < 40; i++) {
        uint64_t len = i == 7 ? MIB : SMALL - i;
        assert_ok(stream_send(stream, i, len, (uint8_t)i));
        sum += test_payload_sum(len, (uint8_t)i);
    }
    assert_ok(haul_stream_close_send(stream));
    assert_ok(haul_stream_receive(stream, -1, &received));
    assert_int_equal(stream_frame(received)->number, 40);
    assert_true(stream_frame(received)->sum == sum);
    haul_received_free(received);
    assert_status(stream_drop(stream), HAUL_END);
    finish(stream, expected_path(), HAUL_PATH_NONE);
    interop_end(&s.visit);
}

static void download(scene *s, unsigned count, uint64_t size)
{
    haul_stream *stream = stream_open(&s->pair, STREAM_DOWNLOAD, NULL);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_ECHO, count, size));
    assert_ok(haul_stream_close_send(stream));
    for (unsigned i = 0; i < count; i++) {
        stream_expect(stream, i, size, (uint8_t)i, expected_path());
    }
    assert_status(stream_drop(stream), HAUL_END);
    finish(stream, HAUL_PATH_NONE, expected_path());
}

static void server_streaming(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    download(&s, MANY, SMALL);
    download(&s, 3, MIB);
    interop_end(&s.visit);
}

static void there_and_back(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 60000, MIB, 20000000};
    scene s;
    begin(&s);
    haul_stream *stream = stream_open(&s.pair, STREAM_CHAT, NULL);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_ok(stream_send(stream, i, sizes[i], 3));
        stream_expect(stream, i, sizes[i], 3, sizes[i] ? expected_path() : HAUL_PATH_INLINE);
    }
    assert_ok(haul_stream_close_send(stream));
    assert_status(stream_drop(stream), HAUL_END);
    haul_path both = interop_is_participant() ? HAUL_PATH_MIXED : HAUL_PATH_INLINE;
    finish(stream, both, both);
    interop_end(&s.visit);
}

typedef struct talker {
    haul_stream *stream;
    haul_status status;
} talker;

static void *talk(void *arg)
{
    talker *t = arg;
    for (unsigned i = 0; i < MANY && t->status == HAUL_OK; i++) {
        t->status = stream_send(t->stream, i, SMALL + i, (uint8_t)i);
    }
    if (t->status == HAUL_OK) {
        t->status = haul_stream_close_send(t->stream);
    }
    return NULL;
}

/* The windows of both sides are full at times. */
static void a_thread_each_way(void **state)
{
    (void)state;
    scene s;
    pthread_t thread;
    begin(&s);
    talker t = {.stream = stream_open(&s.pair, STREAM_CHAT, NULL)};
    assert_int_equal(pthread_create(&thread, NULL, talk, &t), 0);
    for (unsigned i = 0; i < MANY; i++) {
        stream_expect(t.stream, i, SMALL + i, (uint8_t)i, expected_path());
    }
    assert_status(stream_drop(t.stream), HAUL_END);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ok(t.status);
    finish(t.stream, expected_path(), expected_path());
    interop_end(&s.visit);
}

/* Whether somebody sleeps until a buffer is claimed or freed. */
static bool is_awaited(haul_pool *pool)
{
    return (haul__load32_seq(&haul__header_of(pool)->wake) & 1) != 0;
}

/* We stop receiving: the peer fills the window that docs/wire.md allows it, waits, and goes on when we
 * do. */
static void a_receiver_that_stops(void **state)
{
    (void)state;
    if (!interop_is_participant()) {
        skip(); /* nothing is given to anybody */
    }
    scene s;
    begin(&s);
    haul_stream *stream = stream_open(&s.pair, STREAM_DOWNLOAD, NULL);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_ECHO, MANY, SMALL));
    assert_ok(haul_stream_close_send(stream));
    while (!is_awaited(s.visit.pool)) {
        (void)sched_yield();
    }
    assert_int_equal(test_class_info(s.visit.pool, 0).n_given, HAUL_STREAM_WINDOW_DEFAULT);
    for (unsigned i = 0; i < MANY; i++) {
        stream_expect(stream, i, SMALL, (uint8_t)i, HAUL_PATH_SHM);
    }
    assert_status(stream_drop(stream), HAUL_END);
    finish(stream, HAUL_PATH_NONE, HAUL_PATH_SHM);
    interop_end(&s.visit);
}

/* A buffer that stays ours is attached, and answered in another; once it is released, its key is
 * refused. Where the peer takes no gifts, the bytes go inline. */
static void a_shared_buffer(void **state)
{
    (void)state;
    scene s;
    haul_payload_out out;
    haul_payload *data[] = {&out.payload};
    begin(&s);
    haul_buf *buf = test_payload(s.visit.pool, SMALL, 1, &out);
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    frame.data = data;
    frame.n_data = 1;
    haul_stream *stream = stream_open(&s.pair, STREAM_CHAT, NULL);
    for (int i = 0; i < 2; i++) {
        assert_ok(haul_stream_send(stream, &frame.base));
        stream_expect(stream, 0, SMALL, 1, expected_path());
    }
    haul_buf_release(buf);
    if (interop_is_participant()) {
        assert_ok(haul_stream_send(stream, &frame.base));
        assert_status(stream_drop(stream), HAUL_END);
        stream_finish(stream, GRPC_STATUS_FAILED_PRECONDITION);
    } else {
        finish(stream, expected_path(), expected_path());
    }
    interop_end(&s.visit);
}

static void their_server_refuses(void **state)
{
    (void)state;
    scene s;
    haul_payload_out out;
    haul_payload *data[] = {&out.payload};
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    begin(&s);
    frame.data = data;
    frame.n_data = 1;
    interop_assert_refuses(&s.visit, "/haul.test.StreamService/Chat", &frame.base, &out);
    interop_end(&s.visit);
}

static void a_status_of_theirs(void **state)
{
    (void)state;
    scene s;
    haul_reply *reply;
    begin(&s);
    haul_stream *stream = stream_open(&s.pair, STREAM_CHAT, NULL);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_FAIL, 0, 0));
    assert_status(stream_drop(stream), HAUL_END);
    haul_stream_finish(stream, &reply);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_ALREADY_EXISTS);
    assert_string_equal(haul_reply_text(reply), "as asked");
    haul_reply_free(reply);
    interop_end(&s.visit);
}

/* Frames are on their way in both directions when we leave: what nobody claims goes back. */
static void a_stream_that_is_left(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    haul_stream *stream = stream_open(&s.pair, STREAM_CHAT, NULL);
    for (unsigned i = 0; i < 10; i++) {
        assert_ok(stream_send(stream, i, SMALL, 1));
    }
    stream_expect(stream, 0, SMALL, 1, expected_path());
    haul_stream_cancel(stream);
    stream_finish(stream, GRPC_STATUS_CANCELLED);
    stream = stream_open(&s.pair, STREAM_DOWNLOAD, NULL);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_ECHO, 1000000, SMALL));
    assert_ok(haul_stream_close_send(stream));
    stream_expect(stream, 0, SMALL, 0, expected_path());
    haul_stream_cancel(stream);
    stream_finish(stream, GRPC_STATUS_CANCELLED);
    interop_end(&s.visit);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(their_client),       cmocka_unit_test(client_streaming),
        cmocka_unit_test(server_streaming),   cmocka_unit_test(there_and_back),
        cmocka_unit_test(a_thread_each_way),  cmocka_unit_test(a_receiver_that_stops),
        cmocka_unit_test(a_shared_buffer),    cmocka_unit_test(their_server_refuses),
        cmocka_unit_test(a_status_of_theirs), cmocka_unit_test(a_stream_that_is_left),
    };
    return interop_run(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
