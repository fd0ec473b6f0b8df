/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Calls that do not block: their replies are those of blocking calls, each comes once and with its
 * tag, and whatever ends a call ends its wait.
 */

#include "transport_test.h"

#include <shorthaul/queue.h>

#include <string.h>

#include "transport/server.h"

#define LEN     50000
#define SHORT   1000000000 /* a deadline that is meant to pass */
#define FOREVER 60000000000

static haul_queue *new_queue(void)
{
    haul_queue *queue = NULL;
    assert_ok(haul_queue_create(&queue));
    return queue;
}

/* A request that stays where it is until its reply has come. */
typedef struct question {
    Haul__Test__ExchangeRequest request;
    haul_call_opts opts;
} question;

static void start(test_pair *pair, haul_queue *queue, question *q)
{
    assert_ok(haul_channel_call_start(pair->channel, queue, &haul__test__test_service__descriptor,
                                      1, &q->request.base, &q->opts, q));
}

static void ask_with(test_pair *pair, haul_queue *queue, question *q, Haul__Test__Mode mode,
                     haul_cancel *cancel)
{
    haul__test__exchange_request__init(&q->request);
    q->request.mode = mode;
    q->request.size = 3000;
    q->opts = (haul_call_opts){.struct_size = sizeof(q->opts), .cancel = cancel};
    start(pair, queue, q);
}

static void ask(test_pair *pair, haul_queue *queue, question *q, Haul__Test__Mode mode,
                haul_payload *data, int64_t timeout_ns)
{
    haul__test__exchange_request__init(&q->request);
    q->request.mode = mode;
    q->request.size = 3000;
    q->request.data = data;
    q->opts = (haul_call_opts){.struct_size = sizeof(q->opts), .timeout_ns = timeout_ns};
    start(pair, queue, q);
}

/* The next reply, which must be that of @q if it is not NULL. */
static haul_reply *answer(haul_queue *queue, const question *q)
{
    void *tag = NULL;
    haul_status status = HAUL_CORRUPT;
    haul_reply *reply = NULL;
    assert_ok(haul_queue_next(queue, -1, &tag, &status, &reply));
    assert_ok(status);
    assert_non_null(reply);
    if (q) {
        assert_ptr_equal(tag, q);
    }
    return reply;
}

static void assert_code(haul_queue *queue, const question *q, grpc_status_code code)
{
    haul_reply *reply = answer(queue, q);
    assert_int_equal(haul_reply_code(reply), code);
    haul_reply_free(reply);
}

static void assert_none(haul_queue *queue, haul_status expected)
{
    void *tag;
    haul_status status;
    haul_reply *reply;
    assert_status(haul_queue_next(queue, 0, &tag, &status, &reply), expected);
}

/* ---- Many ---- */

/* Four in flight at a time, from one thread, with payloads by key both ways. */
static void many_from_one_thread(void **state)
{
    (void)state;
    enum {
        IN_FLIGHT = 4,
        N = 400
    };
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_queue *queue = new_queue();
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    question questions[IN_FLIGHT];
    for (int i = 0; i < IN_FLIGHT; i++) {
        ask(&pair, queue, &questions[i], HAUL__TEST__MODE__MODE_PUT, &out.payload, 0);
    }
    for (int i = 0; i < N; i++) {
        void *tag;
        haul_status status;
        haul_reply *reply;
        haul_view view;
        assert_ok(haul_queue_next(queue, -1, &tag, &status, &reply));
        assert_ok(status);
        const Haul__Test__ExchangeResponse *response = test_response(reply);
        assert_true(response->sums[0] == test_payload_sum(LEN, 1));
        assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_SHM);
        assert_int_equal(haul_reply_path(reply), HAUL_PATH_SHM);
        assert_ok(haul_reply_view(reply, response->data, &view));
        assert_true(test_sum(view.data, view.len) == test_payload_sum(3000, 7));
        haul_reply_free(reply);
        if (i + IN_FLIGHT < N) {
            ask(&pair, queue, tag, HAUL__TEST__MODE__MODE_PUT, &out.payload, 0);
        }
    }
    assert_none(queue, HAUL_TIMEOUT);
    haul_queue_destroy(queue);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

typedef struct fetcher {
    pthread_t thread;
    haul_queue *queue;
    unsigned n;
} fetcher;

static void *fetch(void *arg)
{
    fetcher *f = arg;
    void *tag;
    haul_status status;
    haul_reply *reply;
    while (haul_queue_next(f->queue, -1, &tag, &status, &reply) == HAUL_OK) {
        f->n += status == HAUL_OK && haul_reply_code(reply) == GRPC_STATUS_OK;
        haul_reply_free(reply);
    }
    return NULL;
}

/* Started by one thread and fetched by two others, which end when the queue is shut down. */
static void fetched_by_several_threads(void **state)
{
    (void)state;
    enum {
        N = 200
    };
    static question questions[N];
    test_pair pair;
    test_pair_open(&pair, NULL);
    fetcher fetchers[2] = {{0}};
    haul_queue *queue = new_queue();
    for (int i = 0; i < 2; i++) {
        fetchers[i].queue = queue;
        assert_int_equal(pthread_create(&fetchers[i].thread, NULL, fetch, &fetchers[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        ask(&pair, queue, &questions[i], HAUL__TEST__MODE__MODE_SUM, NULL, 0);
    }
    haul_queue_shutdown(queue);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(fetchers[i].thread, NULL), 0);
    }
    assert_int_equal(fetchers[0].n + fetchers[1].n, N);
    assert_none(queue, HAUL_END);
    const Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    assert_status(haul_channel_call_start(pair.channel, queue,
                                          &haul__test__test_service__descriptor, 1, &request.base,
                                          NULL, NULL),
                  HAUL_INVALID);
    haul_queue_destroy(queue);
    test_pair_close(&pair);
}

/* ---- The same journey as a blocking call's ---- */

/* Forged: no key can be attached any more. */
__attribute__((no_sanitize("thread"))) static void set_pools(test_pair *pair, size_t n)
{
    pair->server->n_pools = n;
}

/* A refused key is sent again inline, and one good reply comes. */
static void a_key_that_is_refused(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    question q;
    haul_queue *queue = new_queue();
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    ask(&pair, queue, &q, HAUL__TEST__MODE__MODE_SUM, &out.payload, 0);
    haul_reply *reply = answer(queue, &q);
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_SHM);
    haul_reply_free(reply);
    set_pools(&pair, 0);
    ask(&pair, queue, &q, HAUL__TEST__MODE__MODE_SUM, &out.payload, 0);
    reply = answer(queue, &q);
    assert_true(test_response(reply)->sums[0] == test_payload_sum(LEN, 1));
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_INLINE);
    assert_true(haul_reply_was_resent(reply));
    haul_reply_free(reply);
    set_pools(&pair, 1);
    haul_queue_destroy(queue);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

static void what_cannot_be_started(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_queue *queue = new_queue();
    const ProtobufCServiceDescriptor *service = &haul__test__test_service__descriptor;
    const Haul__Test__EmptyRequest other = HAUL__TEST__EMPTY_REQUEST__INIT;
    const haul_call_opts odd = {.struct_size = 1};
    assert_status(haul_channel_call_start(pair.channel, queue, service, 1, &other.base, NULL, NULL),
                  HAUL_INVALID);
    assert_status(haul_channel_call_start(pair.channel, queue, service, 9, &other.base, NULL, NULL),
                  HAUL_INVALID);
    assert_status(haul_channel_call_start(pair.channel, queue, service, 0, &other.base, &odd, NULL),
                  HAUL_INVALID);
    assert_none(queue, HAUL_TIMEOUT);
    haul_queue_destroy(queue);
    test_pair_close(&pair);
}

/* ---- Calls that end otherwise ---- */

static void cancelled_by_tag(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    question held;
    question other;
    haul_queue *queue = new_queue();
    ask(&pair, queue, &held, HAUL__TEST__MODE__MODE_HOLD, NULL, 0);
    test_service_wait_held(&pair.service);
    assert_none(queue, HAUL_TIMEOUT);
    haul_queue_cancel(queue, &other); /* none of that tag */
    ask(&pair, queue, &other, HAUL__TEST__MODE__MODE_SUM, NULL, 0);
    assert_code(queue, &other, GRPC_STATUS_OK);
    haul_queue_cancel(queue, &held);
    assert_code(queue, &held, GRPC_STATUS_CANCELLED);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    haul_queue_destroy(queue);
    test_pair_close(&pair);
}

/* By the token of their options: one that is under way, and one that is started later, which comes
 * to nothing and comes back all the same. Who started them may let go of it at once. */
static void cancelled_by_token(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    question held;
    question other;
    haul_cancel *cancel;
    haul_queue *queue = new_queue();
    assert_ok(haul_cancel_create(&cancel));
    ask_with(&pair, queue, &held, HAUL__TEST__MODE__MODE_PUT_HOLD, cancel);
    test_service_wait_held(&pair.service);
    assert_none(queue, HAUL_TIMEOUT);
    haul_cancel_trigger(cancel);
    assert_code(queue, &held, GRPC_STATUS_CANCELLED);
    ask_with(&pair, queue, &other, HAUL__TEST__MODE__MODE_PUT, cancel);
    haul_cancel_destroy(cancel);
    assert_code(queue, &other, GRPC_STATUS_CANCELLED);
    assert_int_equal(test_service_entered(&pair.service), 1);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    haul_queue_destroy(queue);
    test_pair_close(&pair);
}

static void out_of_time(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    question q;
    haul_queue *queue = new_queue();
    ask(&pair, queue, &q, HAUL__TEST__MODE__MODE_PUT_HOLD, NULL, SHORT);
    test_service_wait_held(&pair.service);
    assert_code(queue, &q, GRPC_STATUS_DEADLINE_EXCEEDED);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    haul_queue_destroy(queue);
    test_pair_close(&pair);
}

static void a_queue_destroyed_with_calls(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    question q;
    haul_queue *queue = new_queue();
    ask(&pair, queue, &q, HAUL__TEST__MODE__MODE_PUT_HOLD, NULL, 0);
    test_service_wait_held(&pair.service);
    haul_queue_destroy(queue);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    haul_queue_destroy(NULL);
    test_pair_close(&pair);
}

/* Closing the channel cancels its calls, whose replies another thread fetches. */
static void a_channel_closed_with_calls(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    question q;
    fetcher f = {.queue = new_queue()};
    ask(&pair, f.queue, &q, HAUL__TEST__MODE__MODE_HOLD, NULL, 0);
    test_service_wait_held(&pair.service);
    assert_int_equal(pthread_create(&f.thread, NULL, fetch, &f), 0);
    haul_channel_close(pair.channel);
    pair.channel = NULL;
    haul_queue_shutdown(f.queue);
    assert_int_equal(pthread_join(f.thread, NULL), 0);
    assert_int_equal(f.n, 0);
    haul_queue_destroy(f.queue);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_from_one_thread),
        cmocka_unit_test(fetched_by_several_threads),
        cmocka_unit_test(a_key_that_is_refused),
        cmocka_unit_test(what_cannot_be_started),
        cmocka_unit_test(cancelled_by_tag),
        cmocka_unit_test(cancelled_by_token),
        cmocka_unit_test(out_of_time),
        cmocka_unit_test(a_queue_destroyed_with_calls),
        cmocka_unit_test(a_channel_closed_with_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
