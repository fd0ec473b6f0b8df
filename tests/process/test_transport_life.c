/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Calls, channels and servers that end: deadlines, cancellation, shutdown with calls in flight. No
 * test waits for time to pass except for the deadlines that it has set itself; where something must
 * have happened first, the test service says so.
 */

#include "transport_test.h"

#include <stdlib.h>
#include <string.h>

#include "transport/server.h"

#define LEN     50000
#define SHORT   1000000000 /* a deadline that is meant to pass */
#define FOREVER 60000000000

/* A call made by a thread of its own. */
typedef struct caller {
    pthread_t thread;
    test_pair *pair;
    Haul__Test__Mode mode;
    int64_t timeout_ns;
    haul_payload *data;
    haul_status status;
    haul_reply *reply;
} caller;

static void *call(void *arg)
{
    caller *c = arg;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = c->mode;
    request.size = LEN;
    request.data = c->data;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .timeout_ns = c->timeout_ns};
    c->status = haul_channel_call(c->pair->channel, &haul__test__test_service__descriptor, 1,
                                  &request.base, &opts, &c->reply);
    return NULL;
}

static void start(caller *c, test_pair *pair, Haul__Test__Mode mode)
{
    c->pair = pair;
    c->mode = mode;
    assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

static void finish(caller *c, grpc_status_code expected)
{
    assert_int_equal(pthread_join(c->thread, NULL), 0);
    assert_ok(c->status);
    assert_int_equal(haul_reply_code(c->reply), expected);
    haul_reply_free(c->reply);
}

/* The deadline passes while the server reads: the caller may release, the reader goes on. */
static void a_deadline_that_passes(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    caller c = {.timeout_ns = SHORT, .data = &out.payload};
    start(&c, &pair, HAUL__TEST__MODE__MODE_HOLD);
    test_service_wait_held(&pair.service);
    finish(&c, GRPC_STATUS_DEADLINE_EXCEEDED);
    haul_buf_release(buf);
    test_service_wait_cancelled(&pair.service);
    const haul_view *view = &pair.service.held_view;
    assert_true(test_sum(view->data, view->len) == test_payload_sum(LEN, 1));
    assert_true(haul_call_deadline_ns(pair.service.held) != UINT64_MAX);
    assert_int_equal(test_class_info(pair.client_pool, 1).n_retired, 1);
    test_service_let_go(&pair.service);
    test_pair_close(&pair);
}

/*
 * Megabytes on their way to a server that does not read them, when the deadline passes: the caller
 * is free at once, gRPC holds on to the pool's memory for as long as it needs to, and closing the
 * channel waits for that.
 */
static void a_deadline_in_the_middle_of_sending(void **state)
{
    (void)state;
    const test_pair_opts opts = {.n_threads = 1};
    test_pair pair;
    test_pair_open(&pair, &opts);
    caller blocker = {0};
    start(&blocker, &pair, HAUL__TEST__MODE__MODE_BLOCK);
    test_service_wait_held(&pair.service);
    const uint64_t len = 6u << 20;
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, len, 1, &out);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    const haul_call_opts co = {
        .struct_size = sizeof(co), .timeout_ns = SHORT / 5, .inline_only = true};
    haul_reply *reply = test_exchange(&pair, &request, &co);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_DEADLINE_EXCEEDED);
    assert_in_range(haul_reply_request_bytes(reply), len, len + 100);
    haul_reply_free(reply);
    haul_buf_release(buf);
    test_service_let_go(&pair.service);
    finish(&blocker, GRPC_STATUS_OK);
    haul_channel_close(pair.channel);
    pair.channel = NULL;
    assert_all_free(pair.client_pool);
    test_pair_close(&pair);
}

/* An answer given too late is taken back, deadline or not. */
static void a_gift_too_late(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    caller c = {.timeout_ns = SHORT};
    start(&c, &pair, HAUL__TEST__MODE__MODE_PUT_HOLD);
    test_service_wait_held(&pair.service);
    assert_true(pair.service.held_has_out);
    finish(&c, GRPC_STATUS_DEADLINE_EXCEEDED);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    test_pair_close(&pair);
}

/* In time it arrives, though another thread answers. */
static void a_gift_in_time(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    caller c = {.timeout_ns = FOREVER};
    start(&c, &pair, HAUL__TEST__MODE__MODE_PUT_HOLD);
    test_service_wait_held(&pair.service);
    assert_false(haul_call_is_cancelled(pair.service.held));
    test_service_let_go(&pair.service);
    assert_int_equal(pthread_join(c.thread, NULL), 0);
    assert_int_equal(haul_reply_path(c.reply), HAUL_PATH_SHM);
    haul_view view;
    assert_ok(haul_reply_view(c.reply, test_response(c.reply)->data, &view));
    assert_true(test_sum(view.data, view.len) == test_payload_sum(LEN, 7));
    haul_reply_free(c.reply);
    test_pair_close(&pair);
}

static void closing_the_channel_cancels(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    caller c = {.data = &out.payload};
    start(&c, &pair, HAUL__TEST__MODE__MODE_HOLD);
    test_service_wait_held(&pair.service);
    haul_channel_close(pair.channel);
    pair.channel = NULL;
    finish(&c, GRPC_STATUS_CANCELLED);
    haul_buf_release(buf);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    test_pair_close(&pair);
}

static void *stop_now(void *arg)
{
    haul_server_stop(((test_pair *)arg)->server, 0);
    return NULL;
}

static void *stop_with_grace(void *arg)
{
    haul_server_stop(((test_pair *)arg)->server, FOREVER);
    return NULL;
}

/* Without grace the caller hears at once, and the stop waits for the handler. */
static void stopping_the_server_cancels(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    caller c = {.data = &out.payload};
    start(&c, &pair, HAUL__TEST__MODE__MODE_HOLD);
    test_service_wait_held(&pair.service);
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_now, &pair), 0);
    finish(&c, GRPC_STATUS_UNAVAILABLE);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

static bool is_stopping(const test_pair *pair)
{
    haul_server *server = pair->server;
    (void)pthread_mutex_lock(&server->mutex);
    bool stopping = server->phase == HAUL__SERVER_STOPPED;
    (void)pthread_mutex_unlock(&server->mutex);
    return stopping;
}

/* With grace the call in flight is answered. */
static void stopping_the_server_with_grace(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    caller c = {0};
    start(&c, &pair, HAUL__TEST__MODE__MODE_PUT_HOLD);
    test_service_wait_held(&pair.service);
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_with_grace, &pair), 0);
    while (!is_stopping(&pair)) {
        (void)sched_yield();
    }
    test_service_let_go(&pair.service);
    finish(&c, GRPC_STATUS_OK);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    test_pair_close(&pair);
}

/* A method that has always been quick, until its handler waits for another call. The server has two
 * threads, so that call must be served. */
static void a_handler_that_waits_for_another_call(void **state)
{
    (void)state;
    const test_pair_opts opts = {.n_threads = 2};
    const Haul__Test__ExchangeRequest quick = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    test_pair pair;
    test_pair_open(&pair, &opts);
    for (int i = 0; i < 200; i++) {
        haul_reply_free(test_exchange(&pair, &quick, NULL));
    }
    caller blocker = {0};
    start(&blocker, &pair, HAUL__TEST__MODE__MODE_BLOCK);
    test_service_wait_held(&pair.service);
    for (int i = 0; i < 20; i++) {
        haul_reply *reply = test_exchange(&pair, &quick, NULL);
        (void)test_response(reply);
        haul_reply_free(reply);
    }
    test_service_let_go(&pair.service);
    finish(&blocker, GRPC_STATUS_OK);
    test_pair_close(&pair);
}

static void a_server_that_is_not_there(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_server_stop(pair.server, 0);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    haul_reply *reply = test_exchange(&pair, &request, NULL);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_UNAVAILABLE);
    assert_string_not_equal(haul_reply_text(reply), "");
    assert_null(haul_reply_message(reply));
    haul_reply_free(reply);
    const haul_call_opts patient = {
        .struct_size = sizeof(patient), .wait_for_ready = true, .timeout_ns = SHORT};
    reply = test_exchange(&pair, &request, &patient);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_DEADLINE_EXCEEDED);
    haul_reply_free(reply);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

/* ---- Many at once ---- */

enum {
    THREADS = 8,
    CALLS = 100
};

typedef struct crowd {
    test_pair *pair;
    haul_payload *data;
    unsigned n_shm;
} crowd;

static void *call_many(void *arg)
{
    crowd *c = arg;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_PUT;
    request.size = 3000;
    request.data = c->data;
    for (int i = 0; i < CALLS; i++) {
        haul_reply *reply = NULL;
        if (haul_channel_call(c->pair->channel, &haul__test__test_service__descriptor, 1,
                              &request.base, NULL, &reply) == HAUL_OK &&
            haul_reply_code(reply) == GRPC_STATUS_OK) {
            const Haul__Test__ExchangeResponse *r =
                (const Haul__Test__ExchangeResponse *)haul_reply_message(reply);
            haul_view view;
            c->n_shm += haul_reply_request_path(reply) == HAUL_PATH_SHM &&
                        haul_reply_path(reply) == HAUL_PATH_SHM &&
                        haul_reply_view(reply, r->data, &view) == HAUL_OK && view.len == 3000 &&
                        view.data[0] == 7 && r->sums[0] == test_payload_sum(LEN, 1);
        }
        haul_reply_free(reply);
    }
    return NULL;
}

/* One request, sent by many threads from the first moment on: they share one probe. */
static void many_callers(void **state)
{
    (void)state;
    const test_pair_opts opts = {.n_threads = 4};
    test_pair pair;
    test_pair_open(&pair, &opts);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    crowd crowds[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        crowds[i] = (crowd){.pair = &pair, .data = &out.payload};
        assert_int_equal(pthread_create(&threads[i], NULL, call_many, &crowds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(crowds[i].n_shm, CALLS);
    }
    haul_buf_release(buf);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_that_passes),
        cmocka_unit_test(a_deadline_in_the_middle_of_sending),
        cmocka_unit_test(a_gift_too_late),
        cmocka_unit_test(a_gift_in_time),
        cmocka_unit_test(closing_the_channel_cancels),
        cmocka_unit_test(stopping_the_server_cancels),
        cmocka_unit_test(stopping_the_server_with_grace),
        cmocka_unit_test(a_handler_that_waits_for_another_call),
        cmocka_unit_test(a_server_that_is_not_there),
        cmocka_unit_test(many_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
