/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The four kinds of call, by key and inline: every frame arrives once, in order, with its bytes; and
 * a receiver that stops stops its sender.
 */

#include "stream_test.h"

#include <sched.h>
#include <string.h>

#define LEN 50000

/* How the two sides stand to the pool, and how payloads then travel. */
typedef struct terms {
    stream_pair_opts opts;
    haul_path path;
} terms;

static const terms all_terms[] = {
    {{0}, HAUL_PATH_SHM},
    {{.server_without_pool = true}, HAUL_PATH_INLINE},
    {{.client_without_pool = true}, HAUL_PATH_INLINE},
};

static void from_client(const terms *t)
{
    enum {
        N = 40
    };
    stream_pair pair;
    uint64_t sum = 0;
    stream_pair_open(&pair, &t->opts);
    if (t->opts.client_without_pool) { /* then the client has nothing to take buffers from */
        stream_pair_close(&pair);
        return;
    }
    haul_stream *stream = stream_open(&pair, STREAM_UPLOAD, NULL);
    for (unsigned i = 0; i < N; i++) {
        assert_ok(stream_send(stream, i, LEN - i, (uint8_t)i));
        sum += test_payload_sum(LEN - i, (uint8_t)i);
    }
    assert_ok(haul_stream_close_send(stream));
    haul_received *received;
    assert_ok(haul_stream_receive(stream, -1, &received));
    const Haul__Test__Frame *frame = (const Haul__Test__Frame *)haul_received_message(received);
    assert_int_equal(frame->number, N);
    assert_true(frame->sum == sum);
    haul_received_free(received);
    assert_status(stream_drop(stream), HAUL_END);
    haul_reply *reply;
    haul_stream_finish(stream, &reply);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
    assert_null(haul_reply_message(reply));
    assert_int_equal(haul_reply_request_path(reply), t->path);
    haul_reply_free(reply);
    stream_pair_close(&pair);
}

static void client_streaming(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        from_client(&all_terms[i]);
    }
}

static void from_server(const terms *t)
{
    enum {
        N = 40
    };
    stream_pair pair;
    stream_pair_open(&pair, &t->opts);
    haul_stream *stream = stream_open(&pair, STREAM_DOWNLOAD, NULL);
    /* Without a pool the server has nothing to take buffers from, and ends with nothing sent. */
    unsigned n = t->opts.server_without_pool ? 0 : N;
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_ECHO, N, LEN));
    assert_ok(haul_stream_close_send(stream));
    for (unsigned i = 0; i < n; i++) {
        stream_expect(stream, i, LEN, (uint8_t)i, t->path);
    }
    assert_status(stream_drop(stream), HAUL_END);
    assert_status(stream_drop(stream), HAUL_END);
    stream_finish(stream, GRPC_STATUS_OK);
    stream_pair_close(&pair);
}

static void server_streaming(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        from_server(&all_terms[i]);
    }
}

static void both_ways(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    for (unsigned i = 0; i < 50; i++) {
        assert_ok(stream_send(stream, i, 1 + i * 1000, (uint8_t)i));
        stream_expect(stream, i, 1 + i * 1000, (uint8_t)i, HAUL_PATH_SHM);
    }
    stream_finish(stream, GRPC_STATUS_OK);
    stream_pair_close(&pair);
}

/* ---- Two threads on one stream ---- */

typedef struct talker {
    haul_stream *stream;
    unsigned n;
    haul_status status;
} talker;

static void *talk(void *arg)
{
    talker *t = arg;
    for (unsigned i = 0; i < t->n && t->status == HAUL_OK; i++) {
        t->status = stream_send(t->stream, i, 3000 + i, (uint8_t)i);
    }
    if (t->status == HAUL_OK) {
        t->status = haul_stream_close_send(t->stream);
    }
    return NULL;
}

/* One sends while the other receives; the pool is smaller than what is on its way at times. */
static void a_thread_each_way(void **state)
{
    (void)state;
    stream_pair pair;
    pthread_t thread;
    stream_pair_open(&pair, &(stream_pair_opts){.n_buffers = 48});
    talker t = {.n = 2000};
    t.stream = stream_open(&pair, STREAM_CHAT, NULL);
    assert_int_equal(pthread_create(&thread, NULL, talk, &t), 0);
    for (unsigned i = 0; i < t.n; i++) {
        stream_expect(t.stream, i, 3000 + i, (uint8_t)i, HAUL_PATH_SHM);
    }
    assert_status(stream_drop(t.stream), HAUL_END);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ok(t.status);
    stream_finish(t.stream, GRPC_STATUS_OK);
    stream_pair_close(&pair);
}

/* ---- What a message may hold ---- */

/* Several payloads; the one that is not in the message goes back to the pool at once. */
static void several_payloads(void **state)
{
    (void)state;
    stream_pair pair;
    haul_payload_out out[4];
    haul_payload *data[3];
    stream_pair_open(&pair, &(stream_pair_opts){.n_buffers = 8});
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    for (unsigned i = 0; i < 4; i++) {
        haul_buf *buf;
        assert_ok(haul_stream_alloc(stream, LEN, NULL, &buf));
        test_fill(haul_buf_data(buf), LEN, (uint8_t)i);
        assert_ok(haul_stream_put(stream, buf, LEN, 0, &out[i]));
    }
    for (unsigned i = 0; i < 3; i++) {
        data[i] = &out[3 - i].payload; /* not the first, and in another order */
    }
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    frame.data = data;
    frame.n_data = 3;
    assert_ok(haul_stream_send(stream, &frame.base));
    haul_received *received;
    assert_ok(haul_stream_receive(stream, -1, &received));
    const Haul__Test__Frame *back = (const Haul__Test__Frame *)haul_received_message(received);
    assert_int_equal(back->n_data, 3);
    for (unsigned i = 0; i < 3; i++) {
        haul_view view;
        assert_ok(haul_received_view(received, back->data[i], &view));
        assert_true(test_sum(view.data, view.len) == test_payload_sum(LEN, (uint8_t)(3 - i)));
    }
    while (test_free_count(pair.client_pool, 0) != 8 - 3) { /* the handler lets go in a moment */
        (void)sched_yield();
    }
    assert_status(haul_stream_send(stream, &frame.base), HAUL_INVALID); /* they are gone */
    haul_received_free(received);
    stream_finish(stream, GRPC_STATUS_OK);
    stream_pair_close(&pair);
}

/* A buffer that stays the sender's, sent twice over and on two streams. */
static void a_shared_buffer(void **state)
{
    (void)state;
    stream_pair pair;
    haul_payload_out out;
    haul_payload *data[] = {&out.payload};
    stream_pair_open(&pair, NULL);
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    frame.data = data;
    frame.n_data = 1;
    for (int path = HAUL_PATH_SHM; path <= HAUL_PATH_INLINE; path++) {
        const haul_stream_opts opts = {.struct_size = sizeof(opts),
                                       .inline_only = path == HAUL_PATH_INLINE};
        haul_stream *stream = stream_open(&pair, STREAM_CHAT, &opts);
        for (int i = 0; i < 2; i++) {
            assert_ok(haul_stream_send(stream, &frame.base));
            stream_expect(stream, 0, LEN, 1, path);
        }
        stream_finish(stream, GRPC_STATUS_OK);
    }
    haul_buf_release(buf);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    assert_ok(haul_stream_send(stream, &frame.base)); /* by now it is stale */
    assert_status(stream_drop(stream), HAUL_END);
    stream_finish(stream, GRPC_STATUS_FAILED_PRECONDITION);
    assert_status(pair.service.last, HAUL_STALE);
    stream_pair_close(&pair);
}

static void what_cannot_be_sent(void **state)
{
    (void)state;
    stream_pair pair;
    const Haul__Test__EmptyRequest other = HAUL__TEST__EMPTY_REQUEST__INIT;
    stream_pair_open(&pair, NULL);
    haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
    assert_status(haul_stream_send(stream, &other.base), HAUL_INVALID);
    assert_status(haul_stream_send(stream, NULL), HAUL_INVALID);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_GARBAGE, 0, 0)); /* the server's turn */
    stream_expect(stream, 0, 10, 0, HAUL_PATH_SHM);
    assert_ok(haul_stream_close_send(stream));
    assert_status(haul_stream_close_send(stream), HAUL_END);
    assert_status(stream_act(stream, HAUL__TEST__ACT__ACT_ECHO, 0, 0), HAUL_INVALID);
    stream_finish(stream, GRPC_STATUS_OK);
    assert_status(pair.service.last, HAUL_END);
    stream_pair_close(&pair);
}

/* ---- Back-pressure ---- */

/* The server's handler stops receiving: the window fills, and no buffer beyond it is on its way. */
static void a_server_that_stops(void **state)
{
    (void)state;
    stream_pair pair;
    haul_payload_out out;
    haul_buf *buf;
    const haul_stream_opts opts = {.struct_size = sizeof(opts), .window = 5};
    stream_pair_open(&pair, &(stream_pair_opts){.n_buffers = 16});
    haul_stream *stream = stream_open(&pair, STREAM_UPLOAD, &opts);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_PAUSE, 0, 0));
    stream_wait_paused(&pair.service, 1);
    for (unsigned i = 0; i < 5; i++) {
        assert_ok(stream_send(stream, i, LEN, (uint8_t)i));
    }
    assert_ok(haul_stream_alloc(stream, LEN, NULL, &buf));
    assert_status(haul_stream_put(stream, buf, LEN, 0, &out), HAUL_TIMEOUT);
    assert_status(haul_stream_put(stream, buf, LEN, 50000000, &out), HAUL_TIMEOUT);
    assert_int_equal(test_class_info(pair.client_pool, 0).n_given, 5);
    stream_resume(&pair.service);
    assert_ok(haul_stream_put(stream, buf, LEN, -1, &out)); /* and goes back, unsent */
    stream_finish(stream, GRPC_STATUS_OK);
    stream_pair_close(&pair);
}

/* The other way: a client that does not receive. */
static void a_client_that_stops(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, &(stream_pair_opts){.n_buffers = 16, .window = 5});
    haul_stream *stream = stream_open(&pair, STREAM_DOWNLOAD, NULL);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_ECHO, 100, LEN));
    haul_class_info info;
    do { /* the server fills its window, and the buffer that it takes then waits with it */
        info = test_class_info(pair.client_pool, 0);
    } while (info.n_given < 5 || info.n_owned < 1);
    for (int i = 0; i < 20; i++) {
        info = test_class_info(pair.client_pool, 0);
        assert_int_equal(info.n_given, 5);
        assert_int_equal(info.n_owned, 1);
    }
    for (unsigned i = 0; i < 100; i++) {
        stream_expect(stream, i, LEN, (uint8_t)i, HAUL_PATH_SHM);
    }
    stream_finish(stream, GRPC_STATUS_OK);
    stream_pair_close(&pair);
}

/* Fewer buffers than the window: the sender waits for the pool instead. */
static void a_pool_smaller_than_the_window(void **state)
{
    (void)state;
    stream_pair pair;
    stream_pair_open(&pair, &(stream_pair_opts){.n_buffers = 3});
    haul_stream *stream = stream_open(&pair, STREAM_UPLOAD, NULL);
    for (unsigned i = 0; i < 200; i++) {
        assert_ok(stream_send(stream, i, LEN, (uint8_t)i));
    }
    assert_ok(haul_stream_close_send(stream));
    assert_ok(stream_drop(stream));
    stream_finish(stream, GRPC_STATUS_OK);
    stream_pair_close(&pair);
}

/* ---- Beside unary calls ---- */

static void a_unary_method_of_the_same_service(void **state)
{
    (void)state;
    stream_pair pair;
    Haul__Test__Frame request = HAUL__TEST__FRAME__INIT;
    stream_pair_open(&pair, NULL);
    request.number = 7;
    haul_reply *reply;
    assert_ok(haul_channel_call(pair.channel, &haul__test__stream_service__descriptor, STREAM_ONCE,
                                &request.base, NULL, &reply));
    const Haul__Test__Frame *answer = (const Haul__Test__Frame *)haul_reply_message(reply);
    assert_non_null(answer);
    assert_int_equal(answer->number, 8);
    haul_reply_free(reply);
    stream_pair_close(&pair);
}

static void what_cannot_be_served(void **state)
{
    (void)state;
    const ProtobufCServiceDescriptor *service = &haul__test__stream_service__descriptor;
    haul_server *server;
    const haul_stream_fn fn = (haul_stream_fn)(void (*)(void))haul_call_is_cancelled;
    stream_service s;
    stream_service_init(&s);
    assert_ok(haul_server_create(NULL, &server, NULL));
    assert_status(haul_server_add_stream(server, service, 99, fn, NULL, NULL), HAUL_INVALID);
    assert_status(haul_server_add_stream(server, service, 0, NULL, NULL, NULL), HAUL_INVALID);
    assert_ok(haul_server_add_stream(server, service, STREAM_CHAT, fn, NULL, NULL));
    assert_status(haul_server_add_stream(server, service, STREAM_CHAT, fn, NULL, NULL),
                  HAUL_INVALID);
    assert_ok(haul_server_add_service(server, (ProtobufCService *)&s, NULL));
    assert_status(haul_server_add_stream(server, service, STREAM_UPLOAD, fn, NULL, NULL),
                  HAUL_INVALID);
    haul_server_destroy(server);
    stream_service_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_streaming),
        cmocka_unit_test(server_streaming),
        cmocka_unit_test(both_ways),
        cmocka_unit_test(a_thread_each_way),
        cmocka_unit_test(several_payloads),
        cmocka_unit_test(a_shared_buffer),
        cmocka_unit_test(what_cannot_be_sent),
        cmocka_unit_test(a_server_that_stops),
        cmocka_unit_test(a_client_that_stops),
        cmocka_unit_test(a_pool_smaller_than_the_window),
        cmocka_unit_test(a_unary_method_of_the_same_service),
        cmocka_unit_test(what_cannot_be_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
