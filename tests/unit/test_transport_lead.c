/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Leader and followers: there is never more than one leader and, but for moments, never none; a
 * leader that does not come back is replaced. The threads meet at conditions, not at times.
 */

#include <sched.h>

#include "pool_test.h"
#include "transport/lead.h"

static atomic_uint n_leaders;

typedef struct follower {
    pthread_t thread;
    haul__lead *lead;
    atomic_bool leads;
    bool result;
} follower;

static void *follow(void *arg)
{
    follower *f = arg;
    f->result = haul__lead_take(f->lead);
    atomic_store(&f->leads, true);
    return NULL;
}

static void start(follower *f, haul__lead *lead)
{
    f->lead = lead;
    atomic_init(&f->leads, false);
    assert_int_equal(pthread_create(&f->thread, NULL, follow, f), 0);
}

static bool join(follower *f)
{
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    return f->result;
}

static void a_short_run_keeps_the_lead(void **state)
{
    (void)state;
    haul__lead lead;
    assert_true(haul__lead_init(&lead));
    assert_true(haul__lead_take(&lead));
    for (int i = 0; i < 3; i++) {
        assert_true(haul__lead_end_run(&lead, haul__lead_begin_run(&lead)));
    }
    haul__lead_fini(&lead);
}

static void passing_lets_a_follower_lead(void **state)
{
    (void)state;
    haul__lead lead;
    follower f;
    assert_true(haul__lead_init(&lead));
    assert_true(haul__lead_take(&lead));
    start(&f, &lead);
    assert_false(atomic_load(&f.leads));
    haul__lead_pass(&lead);
    assert_true(join(&f));
    haul__lead_pass(&lead);
    assert_true(haul__lead_take(&lead));
    haul__lead_fini(&lead);
}

/* The leader is in a handler that waits for what only another leader can bring about. */
static void a_leader_that_is_stuck_is_replaced(void **state)
{
    (void)state;
    haul__lead lead;
    assert_true(haul__lead_init(&lead));
    for (int i = 0; i < 5; i++) {
        follower f;
        assert_true(haul__lead_take(&lead));
        start(&f, &lead);
        uint64_t run = haul__lead_begin_run(&lead);
        assert_true(join(&f)); /* would wait for ever */
        assert_false(haul__lead_end_run(&lead, run));
        haul__lead_pass(&lead); /* in the follower's name */
    }
    haul__lead_fini(&lead);
}

/* The run had begun before there was anybody to look after it. */
static void a_follower_that_comes_late(void **state)
{
    (void)state;
    haul__lead lead;
    follower f;
    assert_true(haul__lead_init(&lead));
    assert_true(haul__lead_take(&lead));
    uint64_t run = haul__lead_begin_run(&lead);
    start(&f, &lead);
    assert_true(join(&f));
    assert_false(haul__lead_end_run(&lead, run));
    haul__lead_fini(&lead);
}

static void the_end_lets_all_go(void **state)
{
    (void)state;
    haul__lead lead;
    follower f[3];
    assert_true(haul__lead_init(&lead));
    assert_true(haul__lead_take(&lead));
    for (int i = 0; i < 3; i++) {
        start(&f[i], &lead);
    }
    haul__lead_end(&lead);
    for (int i = 0; i < 3; i++) {
        assert_false(join(&f[i]));
    }
    assert_false(haul__lead_take(&lead));
    haul__lead_fini(&lead);
}

/* ---- All at once ---- */

enum {
    THREADS = 4,
    ROUNDS = 3000
};

typedef struct crew {
    haul__lead lead;
    atomic_uint n_rounds;
    atomic_uint n_failures;
    atomic_uint n_stuck;
    atomic_uint n_lost;
} crew;

/* What a server's thread does, with events that are always there. */
static void *work(void *arg)
{
    crew *c = arg;
    while (haul__lead_take(&c->lead)) {
        bool leads = true;
        while (leads) {
            if (atomic_fetch_add(&n_leaders, 1) != 0) {
                atomic_fetch_add(&c->n_failures, 1);
            }
            unsigned round = atomic_fetch_add(&c->n_rounds, 1);
            if (round >= ROUNDS) {
                atomic_fetch_sub(&n_leaders, 1);
                haul__lead_end(&c->lead);
                return NULL;
            }
            atomic_fetch_sub(&n_leaders, 1);
            if (round % 3 == 0) {
                haul__lead_pass(&c->lead);
                leads = false;
                continue;
            }
            uint64_t run = haul__lead_begin_run(&c->lead);
            /* Every so often a handler that waits until somebody else leads. */
            bool stuck = round % 100 == 1;
            atomic_fetch_add(&c->n_stuck, stuck);
            while (stuck && atomic_load(&c->n_rounds) == round + 1) {
                (void)sched_yield();
            }
            leads = haul__lead_end_run(&c->lead, run);
            atomic_fetch_add(&c->n_lost, !leads);
        }
    }
    return NULL;
}

static void one_leader_at_a_time(void **state)
{
    (void)state;
    crew c = {0};
    pthread_t threads[THREADS];
    assert_true(haul__lead_init(&c.lead));
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, &c), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(c.n_failures, 0);
    assert_in_range(c.n_stuck, 1, ROUNDS);
    assert_in_range(c.n_lost, c.n_stuck, ROUNDS);
    haul__lead_fini(&c.lead);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_run_keeps_the_lead),
        cmocka_unit_test(passing_lets_a_follower_lead),
        cmocka_unit_test(a_leader_that_is_stuck_is_replaced),
        cmocka_unit_test(a_follower_that_comes_late),
        cmocka_unit_test(the_end_lets_all_go),
        cmocka_unit_test(one_leader_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
