/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A buffer of the application's own, lent to the server call after call. Whatever ends a call, the
 * application then has a buffer again, and knows whether it has; calls that block and calls of a
 * queue alike. Every test ends with a free pool and a clean audit.
 */

#include <string.h>

#include <shorthaul/queue.h>

#include "transport_process.h"
#include "transport_test.h"

#include "transport/server.h"

#define LEN     50000
#define SHORT   1000000000 /* a deadline that is meant to pass */
#define FOREVER 60000000000

/* ---- Calls ---- */

typedef struct question {
    Haul__Test__ExchangeRequest request;
    haul_call_opts opts;
    haul_buf *buf; /* that is lent */
} question;

static void ask(question *q, Haul__Test__Mode mode, uint64_t size, int64_t timeout_ns)
{
    haul__test__exchange_request__init(&q->request);
    q->request.mode = mode;
    q->request.size = size;
    q->opts = (haul_call_opts){
        .struct_size = sizeof(q->opts), .timeout_ns = timeout_ns, .lend_buf = &q->buf};
}

static haul_reply *call(test_pair *pair, question *q, Haul__Test__Mode mode, uint64_t size)
{
    ask(q, mode, size, FOREVER);
    return test_exchange(pair, &q->request, &q->opts);
}

static void start(test_pair *pair, haul_queue *queue, question *q, Haul__Test__Mode mode,
                  int64_t timeout_ns)
{
    ask(q, mode, LEN, timeout_ns);
    assert_ok(haul_channel_call_start(pair->channel, queue, &haul__test__test_service__descriptor,
                                      1, &q->request.base, &q->opts, q));
}

static haul_reply *next(haul_queue *queue, question **out_q)
{
    void *tag = NULL;
    haul_status status = HAUL_CORRUPT;
    haul_reply *reply = NULL;
    assert_ok(haul_queue_next(queue, -1, &tag, &status, &reply));
    assert_ok(status);
    *out_q = tag;
    return reply;
}

/* Answered in the buffer that was lent, which is the caller's again. */
static void assert_answered_in(const haul_reply *reply, haul_buf *lent, haul_buf *now)
{
    haul_view view;
    const Haul__Test__ExchangeResponse *response = test_response(reply);
    assert_int_equal(haul_reply_path(reply), HAUL_PATH_SHM);
    assert_ok(haul_reply_view(reply, response->data, &view));
    assert_int_equal(view.len, LEN);
    assert_true(test_sum(view.data, view.len) == test_payload_sum(LEN, 7));
    assert_ptr_equal(now, lent);
    assert_ptr_equal(view.data, haul_buf_data(now));
}

/* ---- Used ---- */

static void one_buffer_for_many_answers(void **state)
{
    (void)state;
    test_pair pair;
    question q;
    test_pair_open(&pair, NULL);
    haul_buf *buf = q.buf = test_alloc(pair.client_pool, LEN);
    haul_reply_free(call(&pair, &q, HAUL__TEST__MODE__MODE_PUT, LEN)); /* proves the lane */
    test_hoard h = test_hoard_take(pair.client_pool, LEN, 0);
    uint64_t allocations = test_class_info(pair.client_pool, 1).allocations;
    for (int i = 0; i < 20; i++) {
        haul_reply *reply = call(&pair, &q, HAUL__TEST__MODE__MODE_PUT, LEN);
        assert_answered_in(reply, buf, q.buf);
        memset(haul_buf_data(q.buf), i, LEN); /* it is ours to write */
        haul_reply_free(reply);
    }
    assert_int_equal(test_class_info(pair.client_pool, 1).allocations, allocations);
    haul_buf_release(q.buf);
    test_hoard_release(&h);
    test_pair_close(&pair);
}

static void a_buffer_for_each_call_of_a_queue(void **state)
{
    (void)state;
    enum {
        IN_FLIGHT = 3,
        N = 100
    };
    test_pair pair;
    haul_queue *queue;
    question questions[IN_FLIGHT];
    haul_buf *bufs[IN_FLIGHT];
    question *q;
    test_pair_open(&pair, NULL);
    assert_ok(haul_queue_create(&queue));
    for (int i = 0; i < IN_FLIGHT; i++) {
        bufs[i] = questions[i].buf = test_alloc(pair.client_pool, LEN);
        start(&pair, queue, &questions[i], HAUL__TEST__MODE__MODE_PUT, 0);
        assert_null(questions[i].buf);
    }
    for (int i = 0; i < N; i++) {
        haul_reply *reply = next(queue, &q);
        assert_answered_in(reply, bufs[q - questions], q->buf);
        haul_reply_free(reply);
        if (i + IN_FLIGHT < N) {
            start(&pair, queue, q, HAUL__TEST__MODE__MODE_PUT, 0);
        }
    }
    for (int i = 0; i < IN_FLIGHT; i++) {
        haul_buf_release(questions[i].buf);
    }
    haul_queue_destroy(queue);
    test_pair_close(&pair);
}

/* Room of the library's, by a queue: the server has nothing else to answer in. */
static void room_for_calls_of_a_queue(void **state)
{
    (void)state;
    test_pair pair;
    haul_queue *queue;
    question q;
    question *done;
    test_pair_open(&pair, NULL);
    assert_ok(haul_queue_create(&queue));
    q.buf = test_alloc(pair.client_pool, LEN);
    test_hoard h = test_hoard_take(pair.client_pool, LEN, 0);
    haul_buf_release(q.buf);
    for (int i = 0; i < 10; i++) {
        ask(&q, HAUL__TEST__MODE__MODE_PUT, LEN, 0);
        q.opts.lend_buf = NULL;
        q.opts.lend_bytes = LEN;
        assert_ok(haul_channel_call_start(pair.channel, queue,
                                          &haul__test__test_service__descriptor, 1, &q.request.base,
                                          &q.opts, &q));
        haul_reply *reply = next(queue, &done);
        assert_int_equal(haul_reply_path(reply), HAUL_PATH_SHM);
        haul_reply_free(reply);
    }
    test_hoard_release(&h);
    haul_queue_destroy(queue);
    test_pair_close(&pair);
}

static void a_buffer_that_is_taken_for_the_first_call(void **state)
{
    (void)state;
    test_pair pair;
    question q = {0};
    test_pair_open(&pair, NULL);
    ask(&q, HAUL__TEST__MODE__MODE_PUT, LEN, FOREVER);
    q.opts.lend_bytes = LEN;
    haul_reply *reply = test_exchange(&pair, &q.request, &q.opts);
    assert_non_null(q.buf);
    assert_answered_in(reply, q.buf, q.buf);
    haul_reply_free(reply);
    haul_buf_release(q.buf);
    test_pair_close(&pair);
}

/* ---- Not used ---- */

/* Unclaimed, it is the same buffer again, and was nobody else's in between. */
static void a_server_that_does_not_want_it(void **state)
{
    (void)state;
    static const Haul__Test__Mode modes[] = {
        HAUL__TEST__MODE__MODE_SUM, HAUL__TEST__MODE__MODE_FAIL, HAUL__TEST__MODE__MODE_NOTHING,
        HAUL__TEST__MODE__MODE_FORGE};
    test_pair pair;
    question q;
    test_pair_open(&pair, NULL);
    haul_buf *buf = q.buf = test_alloc(pair.client_pool, LEN);
    test_hoard h = test_hoard_take(pair.client_pool, LEN, 0);
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        haul_reply_free(call(&pair, &q, modes[i], 0));
        assert_ptr_equal(q.buf, buf);
        assert_non_null(haul_buf_data(buf));
    }
    haul_buf_release(q.buf);
    test_hoard_release(&h);
    test_pair_close(&pair);
}

/* Claimed and dropped by the handler: another one, or the same, but a buffer. */
static void a_server_that_drops_it(void **state)
{
    (void)state;
    static const Haul__Test__Mode modes[] = {HAUL__TEST__MODE__MODE_PUT_FAIL,
                                             HAUL__TEST__MODE__MODE_PUT_DROP};
    test_pair pair;
    question q;
    test_pair_open(&pair, NULL);
    q.buf = test_alloc(pair.client_pool, LEN);
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        haul_reply_free(call(&pair, &q, modes[i], LEN));
        assert_non_null(q.buf);
        assert_true(haul_buf_capacity(q.buf) >= LEN);
    }
    haul_buf_release(q.buf);
    haul_server_stop(pair.server, 0); /* what it gave back late it has given back by now */
    test_pair_close(&pair);
}

static void calls_that_do_not_lend(void **state)
{
    (void)state;
    const test_pair_opts apart = {.server_without_pool = true};
    test_pair pair;
    question q;
    test_pair_open(&pair, &apart);
    haul_buf *buf = q.buf = test_alloc(pair.client_pool, LEN);
    haul_reply_free(call(&pair, &q, HAUL__TEST__MODE__MODE_SUM, 0));
    assert_ptr_equal(q.buf, buf);
    haul_buf_release(buf);
    test_pair_close(&pair);

    test_pair_open(&pair, NULL);
    buf = q.buf = test_alloc(pair.client_pool, LEN);
    ask(&q, HAUL__TEST__MODE__MODE_SUM, 0, FOREVER);
    q.opts.inline_only = true;
    haul_reply_free(test_exchange(&pair, &q.request, &q.opts));
    assert_ptr_equal(q.buf, buf);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

/* Shared already, or of a pool that is not the channel's: it stays where it is. */
static void what_cannot_be_lent(void **state)
{
    (void)state;
    test_pair pair;
    question q;
    haul_key key;
    haul_reply *reply = NULL;
    test_pair_open(&pair, NULL);
    haul_buf *bufs[] = {test_alloc(pair.client_pool, LEN), test_alloc(pair.server_pool, LEN)};
    assert_ok(haul_buf_share(bufs[0], LEN, &key));
    for (int i = 0; i < 2; i++) {
        q.buf = bufs[i];
        ask(&q, HAUL__TEST__MODE__MODE_PUT, LEN, FOREVER);
        assert_status(haul_channel_call(pair.channel, &haul__test__test_service__descriptor, 1,
                                        &q.request.base, &q.opts, &reply),
                      HAUL_INVALID);
        assert_ptr_equal(q.buf, bufs[i]);
        haul_buf_release(bufs[i]);
    }
    test_pair_close(&pair);
}

/* Forged: no key can be attached any more. */
__attribute__((no_sanitize("thread"))) static void set_pools(test_pair *pair, size_t n)
{
    pair->server->n_pools = n;
}

/* The call is sent again, inline and without the buffer. */
static void a_call_that_is_sent_again(void **state)
{
    (void)state;
    test_pair pair;
    question q;
    haul_payload_out out;
    test_pair_open(&pair, NULL);
    haul_buf *buf = q.buf = test_alloc(pair.client_pool, LEN);
    haul_reply_free(call(&pair, &q, HAUL__TEST__MODE__MODE_PUT, LEN));
    haul_buf *sent = test_payload(pair.client_pool, LEN, 1, &out);
    set_pools(&pair, 0);
    ask(&q, HAUL__TEST__MODE__MODE_SUM, 0, FOREVER);
    q.request.data = &out.payload;
    haul_reply *reply = test_exchange(&pair, &q.request, &q.opts);
    assert_true(haul_reply_was_resent(reply));
    assert_true(test_response(reply)->sums[0] == test_payload_sum(LEN, 1));
    assert_ptr_equal(q.buf, buf);
    haul_reply_free(reply);
    set_pools(&pair, 1);
    haul_buf_release(sent);
    haul_buf_release(q.buf);
    test_pair_close(&pair);
}

/* ---- Calls that end early ---- */

static void end_early(Haul__Test__Mode mode, bool by_deadline, bool spare, bool expect_same)
{
    test_pair pair;
    haul_queue *queue;
    question q;
    question *done;
    test_hoard h = {0};
    test_pair_open(&pair, NULL);
    assert_ok(haul_queue_create(&queue));
    haul_buf *buf = q.buf = test_alloc(pair.client_pool, LEN);
    if (!spare) {
        h = test_hoard_take(pair.client_pool, LEN, 0);
    }
    start(&pair, queue, &q, mode, by_deadline ? SHORT : 0);
    test_service_wait_held(&pair.service);
    if (!by_deadline) {
        haul_queue_cancel(queue, &q);
    }
    haul_reply *reply = next(queue, &done);
    assert_int_equal(haul_reply_code(reply),
                     by_deadline ? GRPC_STATUS_DEADLINE_EXCEEDED : GRPC_STATUS_CANCELLED);
    haul_reply_free(reply);
    if (expect_same) {
        assert_ptr_equal(q.buf, buf);
    } else {
        assert_int_equal(q.buf != NULL, spare);
        assert_true(q.buf != buf); /* the handler may be writing that */
    }
    haul_buf_release(q.buf);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    haul_queue_destroy(queue);
    test_hoard_release(&h);
    haul_server_stop(pair.server, 0);
    test_pair_close(&pair);
}

static void a_call_that_ends_before_the_claim(void **state)
{
    (void)state;
    end_early(HAUL__TEST__MODE__MODE_HOLD, true, false, true);
    end_early(HAUL__TEST__MODE__MODE_HOLD, false, false, true);
}

static void a_call_that_ends_while_it_is_written(void **state)
{
    (void)state;
    end_early(HAUL__TEST__MODE__MODE_TAKE_HOLD, true, true, false);
    end_early(HAUL__TEST__MODE__MODE_TAKE_HOLD, false, false, false);
}

/* ---- Death ---- */

/* A server of its own process is killed while it has not asked for the buffer, is writing it, or has
 * given it back with an answer that it did not send. With one buffer in the pool it is that one that
 * comes back, but for the last case: there it waits for its deadline, so there is another. */
static void the_server_dies(void **state)
{
    (void)state;
    static const Haul__Test__Mode modes[] = {HAUL__TEST__MODE__MODE_HOLD,
                                             HAUL__TEST__MODE__MODE_TAKE_HOLD,
                                             HAUL__TEST__MODE__MODE_PUT_HOLD};
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        bool given_back = modes[i] == HAUL__TEST__MODE__MODE_PUT_HOLD;
        haul_pool *pool = test_pool_create_one("loanown", 65536, given_back ? 2 : 1);
        transport_peer p;
        haul_queue *queue;
        question q;
        question *done;
        test_pair pair = {.client_pool = pool};
        transport_peer_serve(&p, pool, "loanown", pair.address);
        const haul_channel_opts opts = {.struct_size = sizeof(opts), .pool = pool};
        assert_ok(haul_channel_open(pair.address, &opts, &pair.channel, NULL));
        assert_ok(haul_queue_create(&queue));
        q.buf = NULL; /* the probe needs one before */
        ask(&q, modes[i], LEN, SHORT);
        q.opts.lend_bytes = LEN;
        assert_ok(haul_channel_call_start(pair.channel, queue,
                                          &haul__test__test_service__descriptor, 1, &q.request.base,
                                          &q.opts, &q));
        transport_peer_expect(&p, "held");
        transport_peer_kill(&p);
        haul_reply *reply = next(queue, &done);
        assert_true(haul_reply_code(reply) == GRPC_STATUS_UNAVAILABLE ||
                    haul_reply_code(reply) == GRPC_STATUS_DEADLINE_EXCEEDED);
        haul_reply_free(reply);
        assert_non_null(q.buf);
        memset(haul_buf_data(q.buf), 1, LEN);
        haul_buf_release(q.buf);
        haul_queue_destroy(queue);
        haul_channel_close(pair.channel);
        do {
            assert_ok(haul_pool_reap(pool, NULL, NULL));
        } while (test_class_info(pool, 0).n_given > 0); /* until the deadline, a second at most */
        assert_all_free(pool);
        assert_audit_clean(pool);
        test_pool_destroy(pool);
        transport_peer_remove_socket(pair.address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_buffer_for_many_answers),
        cmocka_unit_test(a_buffer_for_each_call_of_a_queue),
        cmocka_unit_test(room_for_calls_of_a_queue),
        cmocka_unit_test(a_buffer_that_is_taken_for_the_first_call),
        cmocka_unit_test(a_server_that_does_not_want_it),
        cmocka_unit_test(a_server_that_drops_it),
        cmocka_unit_test(calls_that_do_not_lend),
        cmocka_unit_test(what_cannot_be_lent),
        cmocka_unit_test(a_call_that_is_sent_again),
        cmocka_unit_test(a_call_that_ends_before_the_claim),
        cmocka_unit_test(a_call_that_ends_while_it_is_written),
        cmocka_unit_test(the_server_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
