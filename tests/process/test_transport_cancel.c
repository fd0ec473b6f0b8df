/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Cancellation tokens: calls of every kind that another thread ends, before they begin, wherever
 * they are, and after they have ended; many by one token; and tokens that are let go first. Streams
 * have test_transport_stream_cancel.c, and the moments in between test_transport_cancel_race.c.
 */

#include "transport_test.h"

#include <shorthaul/queue.h>

#include <sched.h>

#include "transport/channel.h"

#define LEN 50000

static haul_cancel *new_cancel(void)
{
    haul_cancel *cancel = NULL;
    assert_ok(haul_cancel_create(&cancel));
    assert_false(haul_cancel_is_triggered(cancel));
    return cancel;
}

/* A call made by a thread of its own. */
typedef struct caller {
    pthread_t thread;
    haul_channel *channel;
    Haul__Test__ExchangeRequest request;
    haul_call_opts opts;
    haul_status status;
    haul_reply *reply;
} caller;

static void caller_init(caller *c, haul_channel *channel, Haul__Test__Mode mode,
                        haul_cancel *cancel)
{
    *c = (caller){.channel = channel, .opts = {.struct_size = sizeof(c->opts), .cancel = cancel}};
    haul__test__exchange_request__init(&c->request);
    c->request.mode = mode;
    c->request.size = LEN;
}

static void *call(void *arg)
{
    caller *c = arg;
    c->status = haul_channel_call(c->channel, &haul__test__test_service__descriptor, 1,
                                  &c->request.base, &c->opts, &c->reply);
    return NULL;
}

static void start(caller *c)
{
    assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

static void assert_ended(const caller *c, grpc_status_code expected)
{
    assert_ok(c->status);
    assert_int_equal(haul_reply_code(c->reply), expected);
    assert_true((haul_reply_message(c->reply) != NULL) == (expected == GRPC_STATUS_OK));
    haul_reply_free(c->reply);
}

static void finish(caller *c, grpc_status_code expected)
{
    assert_int_equal(pthread_join(c->thread, NULL), 0);
    assert_ended(c, expected);
}

static void call_here(caller *c, grpc_status_code expected)
{
    (void)call(c);
    assert_ended(c, expected);
}

/* ---- One call ------------------------------------------------------------------------------ */

static void during(void **state)
{
    (void)state;
    test_pair pair;
    caller c;
    test_pair_open(&pair, NULL);
    haul_cancel *cancel = new_cancel();
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    caller_init(&c, pair.channel, HAUL__TEST__MODE__MODE_PUT_HOLD, cancel);
    c.request.data = &out.payload;
    start(&c);
    test_service_wait_held(&pair.service);
    haul_cancel_trigger(cancel);
    assert_true(haul_cancel_is_triggered(cancel));
    finish(&c, GRPC_STATUS_CANCELLED);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    haul_cancel_destroy(cancel);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

/* Again and again: each time the server hears of it, though no other call follows. */
static void the_server_is_told(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    for (unsigned i = 0; i < 100; i++) {
        caller c;
        haul_cancel *cancel = new_cancel();
        caller_init(&c, pair.channel, HAUL__TEST__MODE__MODE_HOLD, cancel);
        start(&c);
        test_service_wait_held(&pair.service);
        haul_cancel_trigger(cancel);
        test_service_wait_cancelled(&pair.service);
        test_service_let_go(&pair.service);
        finish(&c, GRPC_STATUS_CANCELLED);
        haul_cancel_destroy(cancel);
    }
    test_pair_close(&pair);
}

/* Neither a probe nor the call itself, and no buffer is taken; nor is there a connection to wait
 * for. What is called without the token goes on as ever. */
static void before(void **state)
{
    (void)state;
    static uint8_t bytes[LEN];
    const test_pair_opts opts = {.key_threshold_bytes = HAUL_KEY_ALWAYS};
    haul_server_stats served = {.struct_size = sizeof(served)};
    haul_channel_stats called = {.struct_size = sizeof(called)};
    test_pair pair;
    caller c;
    test_pair_open(&pair, &opts);
    haul_cancel *cancel = new_cancel();
    haul_cancel_trigger(cancel);
    haul_cancel_trigger(cancel);
    haul_payload_out out;
    haul_payload_set_inline(&out, bytes, LEN);
    for (int i = 0; i < 2; i++) {
        caller_init(&c, pair.channel, HAUL__TEST__MODE__MODE_PUT, cancel);
        c.request.data = &out.payload;
        c.opts.lend_bytes = LEN;
        call_here(&c, GRPC_STATUS_CANCELLED);
        assert_ok(haul_server_get_stats(pair.server, &served));
        assert_ok(haul_channel_get_stats(pair.channel, &called));
        assert_true(i > 0 || served.n_calls == 0); /* a probe would be one */
        assert_int_equal(test_service_entered(&pair.service), i);
        assert_int_equal(called.n_copied, i);
        assert_int_equal(pair.channel->lane, i == 0 ? HAUL__LANE_UNPROVEN : HAUL__LANE_SHARED);
        c.opts.cancel = NULL;
        call_here(&c, GRPC_STATUS_OK);
    }
    haul_server_stop(pair.server, 0);
    caller_init(&c, pair.channel, HAUL__TEST__MODE__MODE_SUM, cancel);
    c.opts.wait_for_ready = true;
    call_here(&c, GRPC_STATUS_CANCELLED);
    haul_cancel_destroy(cancel);
    test_pair_close(&pair);
}

static void after(void **state)
{
    (void)state;
    test_pair pair;
    caller c;
    haul_view view;
    test_pair_open(&pair, NULL);
    haul_cancel *cancel = new_cancel();
    caller_init(&c, pair.channel, HAUL__TEST__MODE__MODE_PUT, cancel);
    (void)call(&c);
    haul_cancel_trigger(cancel);
    haul_cancel_destroy(cancel);
    assert_int_equal(haul_reply_path(c.reply), HAUL_PATH_SHM);
    assert_ok(haul_reply_view(c.reply, test_response(c.reply)->data, &view));
    assert_true(test_sum(view.data, view.len) == test_payload_sum(LEN, 7));
    assert_ended(&c, GRPC_STATUS_OK);
    test_pair_close(&pair);
}

/* ---- Where calls wait ---------------------------------------------------------------------- */

static haul__lane_state lane_of(haul_channel *channel)
{
    (void)pthread_mutex_lock(&channel->mutex);
    haul__lane_state lane = channel->lane;
    (void)pthread_mutex_unlock(&channel->mutex);
    return lane;
}

static size_t flights_of(haul_channel *channel)
{
    (void)pthread_mutex_lock(&channel->mutex);
    size_t n = channel->n_flights;
    (void)pthread_mutex_unlock(&channel->mutex);
    return n;
}

/* The server's only thread is busy, so a probe lasts. One call makes it and others wait for it: any
 * of them can be cancelled, and then the probe itself, after which the next one probes. */
static void in_the_probe(void **state)
{
    (void)state;
    const test_pair_opts opts = {.n_threads = 1};
    haul_channel *other;
    test_pair pair;
    caller blocker;
    caller prober;
    caller waiting[2];
    test_pair_open(&pair, &opts);
    assert_ok(haul_channel_open(pair.address, NULL, &other, NULL));
    haul_cancel *cancel[] = {new_cancel(), new_cancel()};
    caller_init(&blocker, other, HAUL__TEST__MODE__MODE_BLOCK, NULL);
    start(&blocker);
    test_service_wait_held(&pair.service);
    caller_init(&prober, pair.channel, HAUL__TEST__MODE__MODE_PUT, cancel[0]);
    start(&prober);
    while (lane_of(pair.channel) != HAUL__LANE_PROBING) {
        (void)sched_yield();
    }
    for (int i = 0; i < 2; i++) {
        caller_init(&waiting[i], pair.channel, HAUL__TEST__MODE__MODE_PUT, i ? cancel[1] : NULL);
        start(&waiting[i]);
    }
    while (flights_of(pair.channel) < 3) {
        (void)sched_yield();
    }
    haul_cancel_trigger(cancel[1]);
    finish(&waiting[1], GRPC_STATUS_CANCELLED);
    assert_int_equal(lane_of(pair.channel), HAUL__LANE_PROBING);
    haul_cancel_trigger(cancel[0]);
    finish(&prober, GRPC_STATUS_CANCELLED);
    test_service_let_go(&pair.service);
    finish(&blocker, GRPC_STATUS_OK);
    finish(&waiting[0], GRPC_STATUS_OK);
    assert_int_equal(lane_of(pair.channel), HAUL__LANE_SHARED);
    haul_cancel_destroy(cancel[0]);
    haul_cancel_destroy(cancel[1]);
    haul_channel_close(other);
    test_pair_close(&pair);
}

/* It would wait without end, and is told to fail if there is no buffer. */
static void while_it_waits_for_a_buffer(void **state)
{
    (void)state;
    enum {
        N_MAX = 64
    };
    static uint8_t bytes[LEN];
    const haul_alloc_opts patient = {.struct_size = sizeof(patient), .wait_ns = -1};
    const test_pair_opts opts = {.key_threshold_bytes = HAUL_KEY_ALWAYS};
    haul_buf *bufs[N_MAX];
    size_t n = 0;
    test_pair pair;
    caller c;
    test_pair_open(&pair, &opts);
    haul_cancel *cancel = new_cancel();
    caller_init(&c, pair.channel, HAUL__TEST__MODE__MODE_SUM, NULL);
    haul_payload_out out;
    haul_payload_set_inline(&out, bytes, LEN);
    c.request.data = &out.payload;
    call_here(&c, GRPC_STATUS_OK); /* the lane is proven */
    while (n < N_MAX && haul_buf_alloc(pair.client_pool, LEN, NULL, &bufs[n]) == HAUL_OK) {
        n++;
    }
    c.opts.cancel = cancel;
    c.opts.alloc = &patient;
    c.opts.if_exhausted = HAUL_EXHAUSTED_FAIL;
    start(&c);
    while (test_class_info(pair.client_pool, 1).n_waiting == 0) {
        (void)sched_yield();
    }
    haul_cancel_trigger(cancel);
    finish(&c, GRPC_STATUS_CANCELLED);
    assert_int_equal(test_service_entered(&pair.service), 1);
    while (n > 0) {
        haul_buf_release(bufs[--n]);
    }
    haul_cancel_destroy(cancel);
    test_pair_close(&pair);
}

/* ---- Many calls ---------------------------------------------------------------------------- */

/* Calls of several threads, on two channels, one of which does not block, by one token; others on
 * the same channels go on. */
static void many_by_one_token(void **state)
{
    (void)state;
    enum {
        N = 6
    };
    test_pair pair;
    caller callers[N];
    caller pending;
    haul_channel *channels[2];
    haul_queue *queue;
    void *tag;
    test_pair_open(&pair, NULL);
    haul_server_stop(pair.server, 0); /* so that they all wait for a connection */
    channels[0] = pair.channel;
    assert_ok(haul_channel_open(pair.address, NULL, &channels[1], NULL));
    assert_ok(haul_queue_create(&queue));
    haul_cancel *cancel = new_cancel();
    for (int i = 0; i < N; i++) {
        caller_init(&callers[i], channels[i % 2], HAUL__TEST__MODE__MODE_SUM, i ? cancel : NULL);
        callers[i].opts.wait_for_ready = true;
        start(&callers[i]);
    }
    caller_init(&pending, channels[1], HAUL__TEST__MODE__MODE_SUM, cancel);
    pending.opts.wait_for_ready = true;
    assert_ok(haul_channel_call_start(channels[1], queue, &haul__test__test_service__descriptor, 1,
                                      &pending.request.base, &pending.opts, &pending));
    while (flights_of(channels[0]) + flights_of(channels[1]) < N + 1) {
        (void)sched_yield();
    }
    haul_cancel_trigger(cancel);
    for (int i = 1; i < N; i++) {
        finish(&callers[i], GRPC_STATUS_CANCELLED);
    }
    assert_ok(haul_queue_next(queue, -1, &tag, &pending.status, &pending.reply));
    assert_ended(&pending, GRPC_STATUS_CANCELLED);
    test_pair_restart_server(&pair, &(test_pair_opts){0});
    finish(&callers[0], GRPC_STATUS_OK);
    haul_cancel_destroy(cancel);
    haul_queue_destroy(queue);
    haul_channel_close(channels[1]);
    test_pair_close(&pair);
}

/* A token that is let go while calls use it: they end as if there were none. */
static void a_token_let_go(void **state)
{
    (void)state;
    test_pair pair;
    caller c;
    test_pair_open(&pair, NULL);
    haul_cancel *cancel = new_cancel();
    caller_init(&c, pair.channel, HAUL__TEST__MODE__MODE_HOLD, cancel);
    start(&c);
    test_service_wait_held(&pair.service);
    haul_cancel_destroy(cancel);
    test_service_let_go(&pair.service);
    finish(&c, GRPC_STATUS_OK);
    haul_cancel_destroy(NULL);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(during),
        cmocka_unit_test(the_server_is_told),
        cmocka_unit_test(before),
        cmocka_unit_test(after),
        cmocka_unit_test(in_the_probe),
        cmocka_unit_test(while_it_waits_for_a_buffer),
        cmocka_unit_test(many_by_one_token),
        cmocka_unit_test(a_token_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
