/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Cancellation at any moment. Another thread triggers a call's token after some rounds of nothing,
 * a few more for each call, so that it comes in all the steps of a call in turn, and between them:
 * before the probe, in it, in the first attempt, in the second one, and when all is over. Wherever
 * it comes the call ends OK, with the right answer, or CANCELLED.
 */

#include "transport_test.h"

#include "transport/channel.h"
#include "transport/server.h"

#define LEN 50000

/* What the thread that triggers is told. */
typedef struct trigger {
    pthread_t thread;
    pthread_barrier_t barrier;
    haul_cancel *cancel; /* NULL: it is to end */
    unsigned spin;
} trigger;

static void *trigger_in_time(void *arg)
{
    trigger *t = arg;
    for (;;) {
        (void)pthread_barrier_wait(&t->barrier);
        if (!t->cancel) {
            return NULL;
        }
        for (unsigned i = 0; i < t->spin; i++) {
            __asm__ volatile("");
        }
        haul_cancel_trigger(t->cancel);
        (void)pthread_barrier_wait(&t->barrier);
    }
}

static void trigger_start(trigger *t)
{
    *t = (trigger){.cancel = NULL};
    assert_int_equal(pthread_barrier_init(&t->barrier, NULL, 2), 0);
    assert_int_equal(pthread_create(&t->thread, NULL, trigger_in_time, t), 0);
}

static void trigger_end(trigger *t)
{
    t->cancel = NULL;
    (void)pthread_barrier_wait(&t->barrier);
    assert_int_equal(pthread_join(t->thread, NULL), 0);
    (void)pthread_barrier_destroy(&t->barrier);
}

/* Forged: no key can be attached any more, while the lane is still taken to be shared. */
__attribute__((no_sanitize("thread"))) static void set_pools(test_pair *pair, size_t n)
{
    pair->server->n_pools = n;
}

/* One call that takes every step there is, probe, refused key and second attempt, and is cancelled
 * after @spin rounds of nothing. Whether it ended first. */
static bool race(test_pair *pair, trigger *t, haul_payload *data, bool proven)
{
    haul_call_opts opts = {.struct_size = sizeof(opts)};
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = data;
    set_pools(pair, 1);
    haul__lane_distrust(pair->channel);
    if (proven) {
        haul_reply_free(test_exchange(pair, &request, NULL));
        set_pools(pair, 0);
    }
    assert_ok(haul_cancel_create(&opts.cancel));
    t->cancel = opts.cancel;
    (void)pthread_barrier_wait(&t->barrier);
    haul_reply *reply = test_exchange(pair, &request, &opts);
    (void)pthread_barrier_wait(&t->barrier);
    haul_cancel_destroy(t->cancel);
    bool ended = haul_reply_code(reply) == GRPC_STATUS_OK;
    if (ended) {
        assert_true(test_response(reply)->sums[0] == test_payload_sum(LEN, 1));
        assert_true(haul_reply_was_resent(reply) == proven);
    } else {
        assert_int_equal(haul_reply_code(reply), GRPC_STATUS_CANCELLED);
        assert_true(haul_reply_request_bytes(reply) > 0 || !haul_reply_was_resent(reply));
    }
    haul_reply_free(reply);
    return ended;
}

/* The trigger comes later and later, until calls have ended before it a few times. */
static void sweep(test_pair *pair, trigger *t, haul_payload *data, bool proven)
{
    unsigned n_ended = 0;
    unsigned n_cancelled = 0;
    for (t->spin = 0; n_ended < 10; t->spin += t->spin / 32 + 500) {
        bool ended = race(pair, t, data, proven);
        n_ended += ended;
        n_cancelled += !ended;
    }
    assert_true(n_cancelled > 0);
}

static void at_any_moment(void **state)
{
    (void)state;
    test_pair pair;
    trigger t;
    test_pair_open(&pair, NULL);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    trigger_start(&t);
    sweep(&pair, &t, &out.payload, false);
    sweep(&pair, &t, &out.payload, true);
    trigger_end(&t);
    set_pools(&pair, 1);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

/* The call ends by itself, and its channel is closed, while the trigger is still at it. */
static void while_the_channel_is_closed(void **state)
{
    (void)state;
    test_pair pair;
    trigger t;
    test_pair_open(&pair, NULL);
    haul_channel *first = pair.channel;
    trigger_start(&t);
    for (t.spin = 0; t.spin < 200000; t.spin += 1000) {
        haul_call_opts opts = {.struct_size = sizeof(opts)};
        const Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        assert_ok(haul_channel_open(pair.address, NULL, &pair.channel, NULL));
        assert_ok(haul_cancel_create(&opts.cancel));
        t.cancel = opts.cancel;
        (void)pthread_barrier_wait(&t.barrier);
        haul_reply_free(test_exchange(&pair, &request, &opts));
        haul_channel_close(pair.channel);
        (void)pthread_barrier_wait(&t.barrier);
        haul_cancel_destroy(t.cancel);
    }
    pair.channel = first;
    trigger_end(&t);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_any_moment),
        cmocka_unit_test(while_the_channel_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
