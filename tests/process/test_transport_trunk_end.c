/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Calls on a trunk that end before their answers: by a token, by a deadline, with the channel. The
 * server is told, the others on the trunk go on, and what was given to callers that have left goes
 * back to the pool.
 */

#include <sched.h>

#include "many_calls.h"
#include "transport/deadline.h"

#define MS UINT64_C(1000000)

static many_scene scene;

static haul_cancel *new_cancel(void)
{
    haul_cancel *cancel = NULL;
    assert_ok(haul_cancel_create(&cancel));
    return cancel;
}

/* Hold call @number, with or without a token. */
static void hold(many_caller *c, unsigned number, haul_cancel *cancel)
{
    const haul_call_opts opts = {.cancel = cancel};
    *c = (many_caller){.scene = &scene, .number = number, .mode = HAUL__TEST__MODE__MODE_HOLD};
    many_call_with(c, &opts);
    many_wait_held(&scene, number);
}

/* The one that is cancelled is the first, which polls for all, or the last, for which another one
 * does. */
static void cancel_one_of(unsigned n, unsigned which)
{
    many_caller callers[3];
    many_open(&scene, NULL);
    haul_cancel *cancel = new_cancel();
    for (unsigned i = 0; i < n; i++) {
        hold(&callers[i], i, i == which ? cancel : NULL);
    }
    haul_cancel_trigger(cancel);
    many_join(&callers[which], GRPC_STATUS_CANCELLED);
    many_wait_cancelled(&scene, which);
    for (unsigned i = 0; i < n; i++) {
        assert_true(i == which || !haul_call_is_cancelled(scene.held[i]));
        many_let_go(&scene, i);
        if (i != which) {
            many_join(&callers[i], GRPC_STATUS_OK);
        }
    }
    assert_int_equal(many_call_here(&scene, 100, NULL), GRPC_STATUS_OK);
    haul_cancel_destroy(cancel);
    many_close(&scene);
}

static void whoever_polls_can_be_cancelled(void **state)
{
    (void)state;
    cancel_one_of(1, 0);
    cancel_one_of(3, 0);
}

static void whoever_waits_can_be_cancelled(void **state)
{
    (void)state;
    cancel_one_of(3, 1);
    cancel_one_of(3, 2);
}

/* The deadline of the one comes while the other one polls, and the other way round. */
static void a_deadline_ends_one_call_only(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 2; which++) {
        many_caller callers[2];
        many_open(&scene, NULL);
        for (unsigned i = 0; i < 2; i++) {
            const haul_call_opts opts = {.timeout_ns = i == which ? 200 * (int64_t)MS : 0};
            callers[i] =
                (many_caller){.scene = &scene, .number = i, .mode = HAUL__TEST__MODE__MODE_HOLD};
            many_call_with(&callers[i], &opts);
            many_wait_held(&scene, i);
        }
        many_join(&callers[which], GRPC_STATUS_DEADLINE_EXCEEDED);
        many_wait_cancelled(&scene, which);
        assert_false(haul_call_is_cancelled(scene.held[1 - which]));
        many_let_go(&scene, 1 - which);
        many_join(&callers[1 - which], GRPC_STATUS_OK);
        many_let_go(&scene, which);
        many_close(&scene);
    }
}

static void closing_the_channel_ends_all(void **state)
{
    (void)state;
    many_caller callers[4];
    many_open(&scene, NULL);
    for (unsigned i = 0; i < 4; i++) {
        hold(&callers[i], i, NULL);
    }
    haul_channel_close(scene.pair.channel);
    scene.pair.channel = NULL;
    for (unsigned i = 0; i < 4; i++) {
        many_join(&callers[i], GRPC_STATUS_CANCELLED);
        many_wait_cancelled(&scene, i);
        many_let_go(&scene, i);
    }
    many_close(&scene);
}

/* A handler that does not return holds up nobody else's call, though they came in one message. */
static void assert_one_blocks_nobody(uint32_t n_threads)
{
    const test_pair_opts opts = {.n_threads = n_threads};
    many_caller blocked;
    many_caller others[16];
    many_open(&scene, &opts);
    assert_int_equal(many_call_here(&scene, 200, NULL), GRPC_STATUS_OK);
    many_call(&blocked, &scene, 100, HAUL__TEST__MODE__MODE_BLOCK);
    for (unsigned i = 0; i < 16; i++) {
        many_call(&others[i], &scene, i, HAUL__TEST__MODE__MODE_SUM);
    }
    many_wait_held(&scene, 100);
    for (unsigned i = 0; i < 16; i++) {
        many_join(&others[i], GRPC_STATUS_OK);
    }
    many_let_go(&scene, 100);
    many_join(&blocked, GRPC_STATUS_OK);
    many_close(&scene);
}

static void a_handler_that_blocks_holds_up_nobody(void **state)
{
    (void)state;
    assert_one_blocks_nobody(2);
    assert_one_blocks_nobody(4);
}

/* ---- Gifts --------------------------------------------------------------------------------- */

static void *trigger_when_entered(void *arg)
{
    haul_cancel *cancel = arg;
    while (test_service_entered(&scene.pair.service) == 0) {
        (void)sched_yield();
    }
    haul_cancel_trigger(cancel);
    return NULL;
}

/* The caller gives up while an answer with a buffer is being made, or is on its way. The next call
 * takes in what has come meanwhile. */
static void gifts_that_come_too_late_go_back(void **state)
{
    (void)state;
    test_pair *pair = &scene.pair;
    const haul_call_opts plain = {.struct_size = sizeof(plain)};
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    test_pair_open(pair, NULL);
    for (int i = 0; i < 200; i++) {
        haul_cancel *cancel = new_cancel();
        const haul_call_opts opts = {.struct_size = sizeof(opts), .cancel = cancel};
        pthread_t thread;
        (void)pthread_mutex_lock(&pair->service.mutex);
        pair->service.n_entered = 0;
        (void)pthread_mutex_unlock(&pair->service.mutex);
        assert_int_equal(pthread_create(&thread, NULL, trigger_when_entered, cancel), 0);
        request.mode = HAUL__TEST__MODE__MODE_PUT;
        request.size = 50000;
        haul_reply_free(test_exchange(pair, &request, &opts));
        assert_int_equal(pthread_join(thread, NULL), 0);
        haul_cancel_destroy(cancel);
    }
    request.mode = HAUL__TEST__MODE__MODE_SUM;
    haul_reply_free(test_exchange(pair, &request, &plain));
    test_pair_close(pair);
}

/* The channel is closed while the answer is held; it is given to nobody. */
static void a_gift_after_the_end_of_the_channel_goes_back(void **state)
{
    (void)state;
    test_pair *pair = &scene.pair;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .timeout_ns = 200 * (int64_t)MS};
    test_pair_open(pair, NULL);
    request.mode = HAUL__TEST__MODE__MODE_PUT_HOLD;
    request.size = 50000;
    haul_reply *reply = test_exchange(pair, &request, &opts);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_DEADLINE_EXCEEDED);
    haul_reply_free(reply);
    haul_channel_close(pair->channel);
    pair->channel = NULL;
    test_service_let_go(&pair->service);
    test_pair_close(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_polls_can_be_cancelled),
        cmocka_unit_test(whoever_waits_can_be_cancelled),
        cmocka_unit_test(a_deadline_ends_one_call_only),
        cmocka_unit_test(closing_the_channel_ends_all),
        cmocka_unit_test(a_handler_that_blocks_holds_up_nobody),
        cmocka_unit_test(gifts_that_come_too_late_go_back),
        cmocka_unit_test(a_gift_after_the_end_of_the_channel_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
