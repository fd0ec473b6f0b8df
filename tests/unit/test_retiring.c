/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Waiting for a buffer whose owner is between RETIRING and FREE: nobody may wake the waiter then, so it
 * naps for short. The owner is this test, as a second participant, and moves the word on at the
 * moments that are asked about; the waiter never sleeps, for its naps are the test's, too.
 */

#include "pool_test.h"

#include <string.h>

#include "pool/life.h"
#include "pool/wait.h"

#define NAPS_MAX 12

/* What the owner does, and when. */
static struct {
    haul_pool *owner;
    uint32_t index;
    unsigned free_at_nap;   /* counted from 1 */
    bool free_after_a_look; /* the first one */
    unsigned held_at_nap;   /* somebody reads after all; it is retired again at the next one */
    haul_buf *buf;
    unsigned n_naps;
    uint64_t naps_ns[NAPS_MAX];
} owner;

static haul__a64 *state_word(void)
{
    return &haul__record_of(owner.owner, owner.index)->state;
}

static void set_phase(enum haul__phase phase)
{
    uint64_t word = haul__load64_seq(state_word());
    haul__store64_seq(state_word(), haul__word_moved(word, phase, owner.owner->slot));
}

/* As release_unread() does, which has seen that nobody waits. */
static void set_free(void)
{
    uint64_t word = haul__load64_seq(state_word());
    haul__hint_set(owner.owner, 0, owner.index);
    haul__store64_release(state_word(), haul__word_next_life(word, HAUL__FREE, HAUL__NOBODY));
}

uint64_t __real_haul__nap_ns(uint64_t start, int64_t wait_ns);
uint64_t __wrap_haul__nap_ns(uint64_t start, int64_t wait_ns);
void __wrap_haul__wait(haul_pool *pool, uint32_t prepared, uint64_t timeout_ns);

/* Called right after a look that has found nothing. */
uint64_t __wrap_haul__nap_ns(uint64_t start, int64_t wait_ns)
{
    if (owner.free_after_a_look) {
        owner.free_after_a_look = false;
        set_free();
    }
    return __real_haul__nap_ns(start, wait_ns);
}

void __wrap_haul__wait(haul_pool *pool, uint32_t prepared, uint64_t timeout_ns)
{
    (void)pool;
    (void)prepared;
    assert_true(owner.n_naps < NAPS_MAX);
    owner.naps_ns[owner.n_naps++] = timeout_ns;
    if (owner.n_naps == owner.held_at_nap) {
        set_phase(HAUL__SHARED);
    } else if (owner.n_naps == owner.held_at_nap + 1 && owner.held_at_nap != 0) {
        set_phase(HAUL__RETIRING);
    }
    if (owner.n_naps != owner.free_at_nap) {
        return;
    }
    if (owner.buf) {
        haul_buf_release(owner.buf);
    } else {
        set_free();
    }
}

/* A pool of one buffer, which the second participant has shared. */
static haul_pool *begin(void)
{
    haul_pool *pool = test_pool_create_one("retiring", 4096, 1);
    haul_key key;
    memset(&owner, 0, sizeof(owner));
    assert_ok(haul_pool_open(haul_pool_name(pool), NULL, &owner.owner, NULL));
    owner.buf = test_share(owner.owner, 100, 1, &key);
    owner.index = key.index;
    return pool;
}

/* What is RETIRING is moved on by the test, and not by its handle. */
static void retire(void)
{
    set_phase(HAUL__RETIRING);
    owner.buf->word = 0;
    haul__store32_relaxed(&owner.buf->mine, 0);
    owner.buf = NULL;
}

static void wait_for_it(haul_pool *pool)
{
    const haul_alloc_opts wait = {.struct_size = sizeof(wait), .wait_ns = -1};
    haul_buf *buf;
    assert_ok(haul_buf_alloc(pool, 100, &wait, &buf));
    haul_buf_release(buf);
}

static void end(haul_pool *pool)
{
    haul_pool_close(owner.owner);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

static void who_waits_for_a_reader_naps_as_ever(void **state)
{
    (void)state;
    haul_pool *pool = begin();
    owner.free_at_nap = 2;
    wait_for_it(pool);
    assert_int_equal(owner.n_naps, 2);
    assert_true(owner.naps_ns[0] == HAUL__NAP_NS && owner.naps_ns[1] == HAUL__NAP_NS);
    end(pool);
}

/* An owner that lost its core, or was stopped: the naps get longer. */
static void naps_are_short_and_double(void **state)
{
    (void)state;
    haul_pool *pool = begin();
    owner.free_at_nap = NAPS_MAX;
    retire();
    wait_for_it(pool);
    assert_true(owner.naps_ns[0] <= 50000);
    for (unsigned i = 1; i < NAPS_MAX; i++) {
        uint64_t twice = 2 * owner.naps_ns[i - 1];
        assert_true(owner.naps_ns[i] == (twice < HAUL__NAP_NS ? twice : HAUL__NAP_NS));
    }
    assert_true(owner.naps_ns[NAPS_MAX - 1] == HAUL__NAP_NS);
    end(pool);
}

static void each_one_begins_with_a_short_nap(void **state)
{
    (void)state;
    haul_pool *pool = begin();
    owner.held_at_nap = 3;
    owner.free_at_nap = 5;
    retire();
    wait_for_it(pool);
    assert_true(owner.naps_ns[2] == 4 * owner.naps_ns[0]);
    assert_true(owner.naps_ns[3] == HAUL__NAP_NS);
    assert_true(owner.naps_ns[4] == owner.naps_ns[0]);
    end(pool);
}

static void what_is_free_after_the_look_is_missed_for_a_short_nap(void **state)
{
    (void)state;
    haul_pool *pool = begin();
    owner.free_after_a_look = true;
    retire();
    wait_for_it(pool);
    assert_int_equal(owner.n_naps, 1);
    assert_true(owner.naps_ns[0] <= 50000);
    end(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_for_a_reader_naps_as_ever),
        cmocka_unit_test(naps_are_short_and_double),
        cmocka_unit_test(each_one_begins_with_a_short_nap),
        cmocka_unit_test(what_is_free_after_the_look_is_missed_for_a_short_nap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
