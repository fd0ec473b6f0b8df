/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Room for an answer, lent to the server with the call. Whether the server used it is told by leaving
 * it nothing else to use. Every test ends with a free pool and a clean audit, whoever was to give
 * back what; where a side dies it is a process of its own that is killed.
 */

#include "transport_process.h"
#include "transport_test.h"

#define LEN     50000
#define SHORT   1000000000 /* a deadline that is meant to pass */
#define FOREVER 60000000000

/* ---- Calls ---- */

static haul_reply *ask(test_pair *pair, Haul__Test__Mode mode, uint64_t size, uint64_t lend_bytes,
                       int64_t timeout_ns)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = mode;
    request.size = size;
    const haul_call_opts opts = {
        .struct_size = sizeof(opts), .timeout_ns = timeout_ns, .lend_bytes = lend_bytes};
    return test_exchange(pair, &request, &opts);
}

static void assert_answered_by_key(const haul_reply *reply, uint64_t size)
{
    haul_view view;
    const Haul__Test__ExchangeResponse *response = test_response(reply);
    assert_int_equal(haul_reply_path(reply), HAUL_PATH_SHM);
    assert_ok(haul_reply_view(reply, response->data, &view));
    assert_int_equal(view.len, size);
    assert_true(test_sum(view.data, view.len) == test_payload_sum(size, 7));
}

typedef struct caller {
    pthread_t thread;
    test_pair *pair;
    Haul__Test__Mode mode;
    int64_t timeout_ns;
    haul_reply *reply;
} caller;

static void *call(void *arg)
{
    caller *c = arg;
    c->reply = ask(c->pair, c->mode, LEN, LEN, c->timeout_ns);
    return NULL;
}

static void start(caller *c, test_pair *pair, Haul__Test__Mode mode, int64_t timeout_ns)
{
    *c = (caller){.pair = pair, .mode = mode, .timeout_ns = timeout_ns};
    assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

static haul_reply *finish(caller *c, grpc_status_code expected)
{
    assert_int_equal(pthread_join(c->thread, NULL), 0);
    assert_int_equal(haul_reply_code(c->reply), expected);
    return c->reply;
}

/* ---- Used, and not used ---- */

static void the_answer_comes_in_the_callers_room(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    test_hoard h = test_hoard_take(pair.client_pool, LEN, 1);
    for (int i = 0; i < 10; i++) {
        haul_reply *reply = ask(&pair, HAUL__TEST__MODE__MODE_PUT, LEN, LEN, FOREVER);
        assert_answered_by_key(reply, LEN);
        haul_reply_free(reply);
    }
    haul_reply *reply = ask(&pair, HAUL__TEST__MODE__MODE_PUT, LEN, LEN, 0);
    assert_answered_by_key(reply, LEN);
    haul_reply_free(reply);
    test_hoard_release(&h);
    test_pair_close(&pair);
}

/* While it is lent nobody else has it: the same server finds nothing for a second buffer. */
static void a_second_buffer_is_the_servers_own(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    test_hoard h = test_hoard_take(pair.client_pool, LEN, 1);
    haul_reply *reply = ask(&pair, HAUL__TEST__MODE__MODE_PUT_TWO, LEN, LEN, FOREVER);
    assert_int_equal(haul_reply_code(reply), haul_status_to_grpc(HAUL_EXHAUSTED));
    haul_reply_free(reply);
    test_hoard_release(&h);
    h = test_hoard_take(pair.client_pool, LEN, 2);
    reply = ask(&pair, HAUL__TEST__MODE__MODE_PUT_TWO, LEN, LEN, FOREVER);
    assert_answered_by_key(reply, LEN);
    haul_reply_free(reply);
    test_hoard_release(&h);
    test_pair_close(&pair);
}

static void room_that_is_too_small_is_not_used(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    test_hoard h = test_hoard_take(pair.client_pool, LEN, 1);
    haul_reply *reply = ask(&pair, HAUL__TEST__MODE__MODE_PUT, LEN, 100, FOREVER);
    assert_answered_by_key(reply, LEN);
    haul_reply_free(reply);
    test_hoard_release(&h);
    test_pair_close(&pair);
}

/* Whatever the handler does instead, the room is there again when the call is over. */
static void room_that_is_not_wanted_comes_back(void **state)
{
    (void)state;
    static const Haul__Test__Mode modes[] = {
        HAUL__TEST__MODE__MODE_SUM,      HAUL__TEST__MODE__MODE_FAIL,
        HAUL__TEST__MODE__MODE_NOTHING,  HAUL__TEST__MODE__MODE_FORGE,
        HAUL__TEST__MODE__MODE_PUT_FAIL, HAUL__TEST__MODE__MODE_PUT_DROP};
    test_pair pair;
    test_pair_open(&pair, NULL);
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        haul_reply *reply = ask(&pair, modes[i], LEN, LEN, FOREVER);
        haul_reply_free(reply);
    }
    haul_server_stop(pair.server, 0); /* what the server gave back late it has given back by now */
    assert_all_free(pair.client_pool);
    test_pair_close(&pair);
}

/* Nothing to lend, or nobody to lend to: the call goes on without. */
static void calls_without_room(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    test_hoard h = test_hoard_take(pair.client_pool, LEN, 0);
    haul_reply *reply = ask(&pair, HAUL__TEST__MODE__MODE_SUM, 0, LEN, FOREVER);
    (void)test_response(reply);
    haul_reply_free(reply);
    reply = ask(&pair, HAUL__TEST__MODE__MODE_PUT, 100, UINT64_MAX, FOREVER);
    assert_answered_by_key(reply, 100);
    haul_reply_free(reply);
    test_hoard_release(&h);
    test_pair_close(&pair);

    const test_pair_opts without = {.server_without_pool = true};
    test_pair_open(&pair, &without);
    reply = ask(&pair, HAUL__TEST__MODE__MODE_SUM, 0, LEN, FOREVER);
    (void)test_response(reply);
    haul_reply_free(reply);
    test_pair_close(&pair);
    const test_pair_opts none = {.client_without_pool = true};
    test_pair_open(&pair, &none);
    reply = ask(&pair, HAUL__TEST__MODE__MODE_PUT, LEN, LEN, FOREVER);
    assert_int_equal(haul_reply_path(reply), HAUL_PATH_INLINE);
    haul_reply_free(reply);
    test_pair_close(&pair);
}

/* A server that stops and one that starts: whichever a call meets, its room comes back. */
static void calls_around_a_restart(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_reply_free(ask(&pair, HAUL__TEST__MODE__MODE_PUT, LEN, LEN, FOREVER));
    test_pair_restart_server(&pair, &(test_pair_opts){0});
    for (int i = 0; i < 3; i++) {
        Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        request.mode = HAUL__TEST__MODE__MODE_PUT;
        request.size = LEN;
        const haul_call_opts opts = {.struct_size = sizeof(opts),
                                     .timeout_ns = FOREVER,
                                     .wait_for_ready = true,
                                     .lend_bytes = LEN};
        haul_reply *reply = test_exchange(&pair, &request, &opts);
        haul_reply_free(reply);
    }
    test_pair_close(&pair);
}

/* ---- Deadlines ---- */

static void a_deadline_before_the_claim(void **state)
{
    (void)state;
    test_pair pair;
    caller c;
    test_pair_open(&pair, NULL);
    start(&c, &pair, HAUL__TEST__MODE__MODE_HOLD, SHORT);
    test_service_wait_held(&pair.service);
    assert_int_equal(test_class_info(pair.client_pool, 1).n_given, 1);
    haul_reply_free(finish(&c, GRPC_STATUS_DEADLINE_EXCEEDED));
    assert_all_free(pair.client_pool); /* the handler has not ended, and the room is back */
    test_service_wait_cancelled(&pair.service);
    haul_buf *buf;
    assert_ok(haul_call_alloc(pair.service.held, LEN, NULL, &buf)); /* its own, then */
    haul_buf_release(buf);
    test_service_let_go(&pair.service);
    test_pair_close(&pair);
}

static void a_deadline_after_the_claim(void **state)
{
    (void)state;
    test_pair pair;
    caller c;
    test_pair_open(&pair, NULL);
    start(&c, &pair, HAUL__TEST__MODE__MODE_TAKE_HOLD, SHORT);
    test_service_wait_held(&pair.service);
    assert_int_equal(test_class_info(pair.client_pool, 1).n_owned, 1);
    haul_reply_free(finish(&c, GRPC_STATUS_DEADLINE_EXCEEDED));
    test_service_wait_cancelled(&pair.service);
    assert_ok(haul_pool_reap(pair.client_pool, NULL, NULL));
    assert_int_equal(test_class_info(pair.client_pool, 1).n_owned,
                     1); /* it is still being filled */
    test_fill(haul_buf_data(pair.service.held_buf), LEN, 1);
    test_service_let_go(&pair.service);
    test_pair_close(&pair);
}

static void a_deadline_after_it_was_given_back(void **state)
{
    (void)state;
    test_pair pair;
    caller c;
    test_pair_open(&pair, NULL);
    start(&c, &pair, HAUL__TEST__MODE__MODE_PUT_HOLD, SHORT);
    test_service_wait_held(&pair.service);
    assert_true(pair.service.held_has_out);
    haul_reply_free(finish(&c, GRPC_STATUS_DEADLINE_EXCEEDED));
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    test_pair_close(&pair);
}

static void a_late_answer_in_time(void **state)
{
    (void)state;
    test_pair pair;
    caller c;
    test_pair_open(&pair, NULL);
    test_hoard h = test_hoard_take(pair.client_pool, LEN, 1);
    start(&c, &pair, HAUL__TEST__MODE__MODE_TAKE_HOLD, FOREVER);
    test_service_wait_held(&pair.service);
    assert_non_null(pair.service.held_buf);
    test_service_let_go(&pair.service);
    haul_reply *reply = finish(&c, GRPC_STATUS_OK);
    assert_answered_by_key(reply, LEN);
    haul_reply_free(reply);
    test_hoard_release(&h);
    test_pair_close(&pair);
}

/* ---- Death ---- */

static void client_dies(const char *role, Haul__Test__Mode mode)
{
    test_pair pair;
    transport_peer p;
    test_pair_open(&pair, NULL);
    transport_peer_call(&p, role, &pair, mode);
    test_service_wait_held(&pair.service);
    transport_peer_kill(&p);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    haul_server_stop(pair.server, 0); /* returns when the call is over */
    assert_reaped(pair.server_pool);
    test_pair_close(&pair);
}

/* The client is killed while the handler has not asked for the room, has it, or has given it back;
 * room of the library's making, and a buffer of the client's own. */
static void the_client_dies(void **state)
{
    (void)state;
    static const char *const roles[] = {"lend", "lend-own"};
    for (unsigned i = 0; i < 2; i++) {
        client_dies(roles[i], HAUL__TEST__MODE__MODE_HOLD);
        client_dies(roles[i], HAUL__TEST__MODE__MODE_TAKE_HOLD);
        client_dies(roles[i], HAUL__TEST__MODE__MODE_PUT_HOLD);
    }
}

/* The server is killed: the call fails, and the room is the client's, or the reaper's, again. */
static void the_server_dies(void **state)
{
    (void)state;
    static const Haul__Test__Mode modes[] = {HAUL__TEST__MODE__MODE_HOLD,
                                             HAUL__TEST__MODE__MODE_TAKE_HOLD};
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        haul_pool *pool = test_pool_create("loandeath");
        test_pair pair = {.client_pool = pool};
        transport_peer p;
        caller c;
        transport_peer_serve(&p, pool, "loan", pair.address);
        const haul_channel_opts opts = {.struct_size = sizeof(opts), .pool = pool};
        assert_ok(haul_channel_open(pair.address, &opts, &pair.channel, NULL));
        start(&c, &pair, modes[i], 0);
        transport_peer_expect(&p, "held");
        haul_class_info info = test_class_info(pool, 1);
        assert_int_equal(modes[i] == HAUL__TEST__MODE__MODE_HOLD ? info.n_given : info.n_owned, 1);
        transport_peer_kill(&p);
        haul_reply_free(finish(&c, GRPC_STATUS_UNAVAILABLE));
        haul_channel_close(pair.channel);
        assert_reaped(pool);
        test_pool_destroy(pool);
        transport_peer_remove_socket(pair.address);
    }
}

/* ---- Many at once ---- */

static void *call_often(void *arg)
{
    for (int i = 0; i < 50; i++) {
        haul_reply *reply = ask(arg, HAUL__TEST__MODE__MODE_PUT, 3000, 3000, FOREVER);
        assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
        haul_reply_free(reply);
    }
    return NULL;
}

static void many_callers_lend(void **state)
{
    (void)state;
    test_pair pair;
    pthread_t threads[3];
    test_pair_open(&pair, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &pair), 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_comes_in_the_callers_room),
        cmocka_unit_test(a_second_buffer_is_the_servers_own),
        cmocka_unit_test(room_that_is_too_small_is_not_used),
        cmocka_unit_test(room_that_is_not_wanted_comes_back),
        cmocka_unit_test(calls_without_room),
        cmocka_unit_test(calls_around_a_restart),
        cmocka_unit_test(a_deadline_before_the_claim),
        cmocka_unit_test(a_deadline_after_the_claim),
        cmocka_unit_test(a_deadline_after_it_was_given_back),
        cmocka_unit_test(a_late_answer_in_time),
        cmocka_unit_test(the_client_dies),
        cmocka_unit_test(the_server_dies),
        cmocka_unit_test(many_callers_lend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
