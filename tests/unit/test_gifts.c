/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* A giver that waits for its gift to be claimed: who ends the wait, and how soon. */

#include "pool_test.h"

#include <pthread.h>
#include <semaphore.h>

#define LEN      100
#define N_GIFTS  1000
#define FAR_OFF  UINT64_MAX
#define A_MOMENT 30000000 /* a wait that is meant to pass: longer than a nap */

/* Two participants of one pool, and a thread that claims for the second. */
typedef struct pair {
    haul_pool *giver;
    haul_pool *taker;
    sem_t given;
    haul_key keys[N_GIFTS]; /* one each: the two sides meet in memory that is mapped twice */
    unsigned n_claimed;
} pair;

static int setup(void **state)
{
    static pair p;
    p = (pair){.giver = test_pool_create_one("gifts", 4096, 4)};
    assert_ok(haul_pool_open(haul_pool_name(p.giver), NULL, &p.taker, NULL));
    assert_int_equal(sem_init(&p.given, 0, 0), 0);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    pair *p = *state;
    haul_pool_close(p->taker);
    assert_all_free(p->giver);
    assert_audit_clean(p->giver);
    test_pool_destroy(p->giver);
    (void)sem_destroy(&p->given);
    return 0;
}

static void give(pair *p, haul_key *out_key)
{
    haul_buf *buf = test_alloc(p->giver, LEN);
    assert_ok(haul_buf_give(buf, LEN, haul_pool_participant(p->taker), FAR_OFF, out_key));
}

static void a_gift_that_nobody_claims(void **state)
{
    pair *p = *state;
    give(p, &p->keys[0]);
    assert_status(haul_pool_wait_claimed(p->giver, &p->keys[0], 0), HAUL_TIMEOUT);
    assert_status(haul_pool_wait_claimed(p->giver, &p->keys[0], A_MOMENT), HAUL_TIMEOUT);
    assert_ok(haul_pool_revoke(p->giver, &p->keys[0]));
    assert_ok(haul_pool_wait_claimed(p->giver, &p->keys[0], -1));
    haul_key other = p->keys[0];
    other.pool_id++;
    assert_status(haul_pool_wait_claimed(p->giver, &other, -1), HAUL_INVALID);
}

static void *claim_all(void *arg)
{
    pair *p = arg;
    haul_buf *kept = NULL; /* so that it is never the release that wakes */
    for (int i = 0; i < N_GIFTS; i++) {
        while (sem_wait(&p->given) != 0) {
        }
        haul_buf_release(kept);
        kept = NULL;
        p->n_claimed += haul_buf_claim(p->taker, &p->keys[i], LEN, &kept) == HAUL_OK;
    }
    haul_buf_release(kept);
    return NULL;
}

/* In place of haul__wait(): without a wake-up it sleeps for longer than the test may run. */
void __wrap_haul__wait(haul_pool *pool, uint32_t prepared, uint64_t timeout_ns);
void __real_haul__wait(haul_pool *pool, uint32_t prepared, uint64_t timeout_ns);

static _Atomic bool sleeps_on;

void __wrap_haul__wait(haul_pool *pool, uint32_t prepared, uint64_t timeout_ns)
{
    __real_haul__wait(pool, prepared, sleeps_on ? UINT64_C(3600000000000) : timeout_ns);
}

/* The claim wakes; that the giver looks now and then by itself does not help it here. */
static void a_claim_wakes_the_giver(void **state)
{
    pair *p = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, claim_all, p), 0);
    sleeps_on = true;
    for (int i = 0; i < N_GIFTS; i++) {
        give(p, &p->keys[i]);
        assert_int_equal(sem_post(&p->given), 0);
        assert_ok(haul_pool_wait_claimed(p->giver, &p->keys[i], -1));
    }
    sleeps_on = false;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(p->n_claimed, N_GIFTS);
}

static void *leave(void *arg)
{
    pair *p = arg;
    while (sem_wait(&p->given) != 0) {
    }
    haul_pool_close(p->taker);
    p->taker = NULL;
    return NULL;
}

/* A recipient that has gone takes nothing any more, and the giver need not wait for it. */
static void a_recipient_that_leaves(void **state)
{
    pair *p = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, leave, p), 0);
    give(p, &p->keys[0]);
    assert_int_equal(sem_post(&p->given), 0);
    assert_ok(haul_pool_wait_claimed(p->giver, &p->keys[0], -1));
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
#define IN_A_POOL(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_A_POOL(a_gift_that_nobody_claims),
        IN_A_POOL(a_claim_wakes_the_giver),
        IN_A_POOL(a_recipient_that_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
