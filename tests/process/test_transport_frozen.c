/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A server that is frozen (SIGSTOP) in the middle of reading, so that gRPC is stuck writing to it:
 * calls end at their deadlines all the same, those that are stuck and those behind them, and when
 * it goes on it is as useful as before. A channel can be closed meanwhile, and no other one feels
 * it. The server is transport_peer, a process of its own.
 */

#include <stdlib.h>

#include <shorthaul/queue.h>

#include "transport/deadline.h"
#include "transport_process.h"
#include "transport_test.h"

#define LEN 20000000
#define MS  UINT64_C(1000000)

typedef struct scene {
    haul_pool *pool;
    transport_peer p;
    char address[128];
    haul_channel *channel;
    haul_key key;
    haul_buf *buf;
} scene;

/* A request with @len of the buffer's bytes, inline. */
static void ask(const scene *s, uint64_t len, haul_payload_out *out,
                Haul__Test__ExchangeRequest *request)
{
    haul__test__exchange_request__init(request);
    haul_payload_set_key(out, &s->key, len);
    request->data = len > 0 ? &out->payload : NULL;
}

static haul_call_opts options(int64_t timeout_ns)
{
    return (haul_call_opts){
        .struct_size = sizeof(haul_call_opts), .timeout_ns = timeout_ns, .inline_only = true};
}

static haul_reply *send(const scene *s, uint64_t len, int64_t timeout_ns)
{
    Haul__Test__ExchangeRequest request;
    const haul_call_opts opts = options(timeout_ns);
    haul_payload_out out;
    haul_reply *reply = NULL;
    ask(s, len, &out, &request);
    assert_ok(haul_channel_call(s->channel, &haul__test__test_service__descriptor, 1, &request.base,
                                &opts, &reply));
    return reply;
}

/* The call ends at its deadline; half a minute is how long a test may take at worst. */
static void assert_ends_in_time(const scene *s, uint64_t len, int64_t timeout_ns)
{
    uint64_t begun = haul__clock_ns();
    haul_reply *reply = send(s, len, timeout_ns);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_DEADLINE_EXCEEDED);
    assert_in_range(haul__clock_ns() - begun, timeout_ns, 30000 * MS);
    haul_reply_free(reply);
}

static void assert_works(const scene *s)
{
    haul_reply *reply = send(s, LEN, 0);
    assert_true(test_response(reply)->sums[0] == test_payload_sum(LEN, 1));
    haul_reply_free(reply);
}

static void set_up_with(scene *s, bool no_data_connections)
{
    *s = (scene){.pool = test_pool_create_large("frozen")};
    transport_peer_serve(&s->p, s->pool, "frozen", s->address);
    const haul_channel_opts opts = {
        .struct_size = sizeof(opts), .pool = s->pool, .no_data_connections = no_data_connections};
    assert_ok(haul_channel_open(s->address, &opts, &s->channel, NULL));
    s->buf = test_alloc(s->pool, LEN);
    test_fill(haul_buf_data(s->buf), LEN, 1);
    assert_ok(haul_buf_share(s->buf, LEN, &s->key));
    assert_works(s);
}

/* What is large is gRPC's to write. */
static void set_up(scene *s)
{
    set_up_with(s, true);
}

static void tear_down(scene *s)
{
    transport_peer_kill(&s->p);
    transport_peer_remove_socket(s->address);
    haul_buf_release(s->buf);
    assert_reaped(s->pool);
    test_pool_destroy(s->pool);
}

/* ---- Calls ---- */

static void calls_end_at_their_deadlines(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    transport_peer_freeze(&s.p);
    assert_ends_in_time(&s, LEN, 300 * MS);
    for (int i = 0; i < 20; i++) {
        assert_ends_in_time(&s, 0, 10 * MS); /* small ones, behind what is stuck */
    }
    assert_ends_in_time(&s, LEN, 100 * MS);
    transport_peer_thaw(&s.p);
    assert_works(&s);
    haul_channel_close(s.channel);
    tear_down(&s);
}

/* It is not gRPC that is stuck, but the calls themselves are. */
static void calls_on_data_connections_end_at_their_deadlines(void **state)
{
    (void)state;
    scene s;
    set_up_with(&s, false);
    transport_peer_freeze(&s.p);
    assert_ends_in_time(&s, LEN, 300 * MS);
    for (int i = 0; i < 5; i++) {
        assert_ends_in_time(&s, 0, 10 * MS);
        assert_ends_in_time(&s, LEN, 30 * MS);
    }
    transport_peer_thaw(&s.p);
    assert_works(&s);
    haul_channel_close(s.channel);
    tear_down(&s);
}

/* Nothing large: they fill the socket between them. */
static void many_small_calls_end_at_their_deadlines(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    transport_peer_freeze(&s.p);
    for (int i = 0; i < 300; i++) {
        assert_ends_in_time(&s, 3000, 5 * MS);
    }
    transport_peer_thaw(&s.p);
    assert_works(&s);
    haul_channel_close(s.channel);
    tear_down(&s);
}

static void calls_of_a_queue_end_at_their_deadlines(void **state)
{
    (void)state;
    enum {
        N = 4
    };
    scene s;
    haul_queue *queue;
    Haul__Test__ExchangeRequest requests[N];
    haul_payload_out outs[N];
    set_up(&s);
    assert_ok(haul_queue_create(&queue));
    transport_peer_freeze(&s.p);
    for (int i = 0; i < N; i++) {
        const haul_call_opts opts = options(300 * MS);
        ask(&s, i == 0 ? LEN : 0, &outs[i], &requests[i]);
        assert_ok(haul_channel_call_start(s.channel, queue, &haul__test__test_service__descriptor,
                                          1, &requests[i].base, &opts, NULL));
    }
    for (int i = 0; i < N; i++) {
        void *tag;
        haul_status status;
        haul_reply *reply;
        assert_ok(haul_queue_next(queue, 30000 * MS, &tag, &status, &reply));
        assert_ok(status);
        assert_int_equal(haul_reply_code(reply), GRPC_STATUS_DEADLINE_EXCEEDED);
        haul_reply_free(reply);
    }
    transport_peer_thaw(&s.p);
    haul_queue_destroy(queue);
    assert_works(&s);
    haul_channel_close(s.channel);
    tear_down(&s);
}

/* The call is over, but not what gRPC writes for it, of ordinary memory. */
static void a_queue_is_destroyed_behind_its_channel(void **state)
{
    (void)state;
    scene s;
    haul_queue *queue;
    void *tag;
    haul_status status;
    haul_reply *reply;
    haul_payload_out out;
    Haul__Test__ExchangeRequest request;
    set_up(&s);
    uint8_t *bytes = malloc(LEN);
    assert_non_null(bytes);
    test_fill(bytes, LEN, 1);
    assert_ok(haul_queue_create(&queue));
    transport_peer_freeze(&s.p);
    const haul_call_opts opts = options(300 * MS);
    ask(&s, LEN, &out, &request);
    haul_payload_set_inline(&out, bytes, LEN);
    assert_ok(haul_channel_call_start(s.channel, queue, &haul__test__test_service__descriptor, 1,
                                      &request.base, &opts, NULL));
    assert_ok(haul_queue_next(queue, 30000 * MS, &tag, &status, &reply));
    assert_ok(status);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_DEADLINE_EXCEEDED);
    haul_reply_free(reply);
    free(bytes);
    haul_channel_close(s.channel);
    haul_queue_destroy(queue);
    transport_peer_thaw(&s.p);
    tear_down(&s);
}

/* ---- The end of a channel ---- */

static void *wait_for_answer(void *scene_of_other)
{
    return send(scene_of_other, 0, 0);
}

/* The buffer is free afterwards, and another channel to the same server has not lost its call. */
static void a_channel_is_closed(void **state)
{
    (void)state;
    scene s;
    pthread_t thread;
    void *reply;
    set_up(&s);
    scene other = s;
    const haul_channel_opts opts = {.struct_size = sizeof(opts), .pool = s.pool};
    assert_ok(haul_channel_open(s.address, &opts, &other.channel, NULL));
    assert_works(&other);
    transport_peer_freeze(&s.p);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_answer, &other), 0);
    assert_ends_in_time(&s, LEN, 300 * MS);
    uint64_t begun = haul__clock_ns();
    haul_channel_close(s.channel);
    assert_in_range(haul__clock_ns() - begun, 0, 30000 * MS);
    haul_buf_release(s.buf);
    assert_int_equal(test_class_info(s.pool, 2).n_retired, 0); /* nobody holds it */
    transport_peer_thaw(&s.p);
    assert_int_equal(pthread_join(thread, &reply), 0);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
    haul_reply_free(reply);
    haul_channel_close(other.channel);
    s.buf = NULL;
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_end_at_their_deadlines),
        cmocka_unit_test(calls_on_data_connections_end_at_their_deadlines),
        cmocka_unit_test(many_small_calls_end_at_their_deadlines),
        cmocka_unit_test(calls_of_a_queue_end_at_their_deadlines),
        cmocka_unit_test(a_queue_is_destroyed_behind_its_channel),
        cmocka_unit_test(a_channel_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
