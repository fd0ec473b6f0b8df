/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Half-written shared words, forged instead of raced for: what a process leaves that dies between
 * two steps, and what no process of ours would write. The dead participant is slot 7, whose byte
 * nobody has locked.
 */

#include "pool_test.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool/impl.h"
#include "pool/object.h"
#include "pool/wait.h"

#define DEAD 7u

static int setup(void **state)
{
    haul_pool *pool = test_pool_create("forged");
    haul__store32_release(&haul__slot_of(pool, DEAD)->pid, 4242);
    *state = pool;
    return 0;
}

static int teardown(void **state)
{
    haul_pool *pool = *state;
    size_t n;
    assert_ok(haul_pool_reap(pool, &n, NULL));
    assert_int_equal(haul__load32_acquire(&haul__slot_of(pool, DEAD)->pid), 0);
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
    return 0;
}

static haul__record *record_of(haul_pool *pool, uint32_t index)
{
    return haul__record_of(pool, index);
}

static void forge(haul_pool *pool, uint32_t index, enum haul__phase phase, uint32_t who)
{
    haul__a64 *state = &record_of(pool, index)->state;
    haul__store64_seq(state, haul__word_moved(haul__load64_seq(state), phase, who));
}

static void hold_bit(haul_pool *pool, uint32_t index, uint32_t slot)
{
    (void)haul__or64_seq(&record_of(pool, index)->holders[slot / 64], haul__holder_bit(slot));
}

static uint32_t phase_of(haul_pool *pool, uint32_t index)
{
    return haul__word_phase(haul__load64_seq(&record_of(pool, index)->state));
}

static size_t reap(haul_pool *pool)
{
    size_t n = 0;
    assert_ok(haul_pool_reap(pool, &n, NULL));
    return n;
}

static void what_the_dead_owned_is_free_again(void **state)
{
    haul_pool *pool = *state;
    forge(pool, 0, HAUL__OWNED, DEAD);
    forge(pool, 1, HAUL__SHARED, DEAD);
    forge(pool, 2, HAUL__GIVEN, DEAD);
    haul__store64_relaxed(&record_of(pool, 2)->deadline_ns, UINT64_MAX);
    forge(pool, 3, HAUL__RETIRING, DEAD);
    assert_int_equal(reap(pool), 4);
    assert_int_equal(test_class_info(pool, 0).n_free, 4);
    assert_int_equal(test_class_info(pool, 0).reaps, 4);
}

static void what_the_dead_held_is_let_go(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_buf *buf = test_share(pool, 10, 1, &key);
    hold_bit(pool, key.index, DEAD);
    haul_buf_release(buf);
    assert_int_equal(phase_of(pool, key.index), HAUL__RETIRED);
    assert_int_equal(reap(pool), 1);
    assert_int_equal(phase_of(pool, key.index), HAUL__FREE);
}

static void a_living_holder_keeps_what_a_dead_owner_shared(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_view view;
    haul_buf *buf = test_share(pool, 10, 0x77, &key);
    forge(pool, key.index, HAUL__SHARED, DEAD); /* as if another process had shared it */
    buf->word = 0;
    haul__store32_relaxed(&buf->mine, 0);
    assert_ok(haul_attach(pool, &key, 10, &view));
    assert_int_equal(reap(pool), 1);
    assert_int_equal(phase_of(pool, key.index), HAUL__RETIRED);
    assert_int_equal(view.data[9], 0x77);
    haul_detach(&view);
    assert_int_equal(phase_of(pool, key.index), HAUL__FREE);
}

static void half_made_and_half_removed_buffers_are_absent(void **state)
{
    haul_pool *pool = *state;
    /* 4: claimed, no object. 1: being removed, object there. 2: being removed, object gone. */
    forge(pool, 4, HAUL__CREATING, DEAD);
    haul__store64_relaxed(&record_of(pool, 4)->capacity, 4096);
    forge(pool, 1, HAUL__TRIMMING, DEAD);
    forge(pool, 2, HAUL__TRIMMING, DEAD);
    char object[HAUL__OBJECT_NAME_BYTES];
    haul__buffer_name(pool->name, pool->id, 2, object);
    assert_int_equal(shm_unlink(object), 0);
    reap(pool);
    haul_class_info cls = test_class_info(pool, 0);
    assert_int_equal(cls.n_absent, 6);
    assert_int_equal(cls.n_free, 2);
    assert_audit_clean(pool);
    assert_ok(haul_pool_grow(pool, 0, 8, NULL));
}

static void a_retirement_that_nobody_finished_is_finished(void **state)
{
    haul_pool *pool = *state;
    forge(pool, 3, HAUL__RETIRED, HAUL__NOBODY);
    reap(pool);
    assert_int_equal(phase_of(pool, 3), HAUL__FREE);
}

static void exhaustion_reaps_before_it_gives_up(void **state)
{
    haul_pool *pool = *state;
    const haul_alloc_opts no_growth = {.struct_size = sizeof(no_growth)};
    haul_buf *bufs[4];
    for (uint32_t i = 0; i < 3; i++) {
        forge(pool, i, HAUL__OWNED, DEAD);
    }
    for (int i = 0; i < 4; i++) {
        assert_ok(haul_buf_alloc(pool, 1, &no_growth, &bufs[i]));
    }
    for (int i = 0; i < 4; i++) {
        haul_buf_release(bufs[i]);
    }
}

static void a_lost_hint_costs_a_search_and_no_buffer(void **state)
{
    haul_pool *pool = *state;
    reap(pool);
    const haul_alloc_opts no_growth = {.struct_size = sizeof(no_growth)};
    haul_buf *bufs[4];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            assert_ok(haul_buf_alloc(pool, 1, &no_growth, &bufs[i]));
        }
        for (int i = 0; i < 4; i++) {
            haul_buf_release(bufs[i]);
        }
        haul__store64_seq(&haul__hints_of(pool, 0)[0], 0);
        size_t n = 0;
        assert_ok(haul_pool_audit(pool, NULL, NULL, &n, NULL));
        assert_int_equal(n, 4); /* the audit sees each of them */
    }
}

/* A bit that an attacher set on its way to finding out that its key is stale. */
static void a_passing_bit_does_not_lose_the_buffer(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    hold_bit(pool, 0, DEAD);
    haul_buf *buf = test_share(pool, 10, 1, &key);
    assert_int_equal(key.index, 0);
    haul_buf_release(buf);
    assert_int_equal(phase_of(pool, 0), HAUL__RETIRED);
    reap(pool);
    assert_int_equal(phase_of(pool, 0), HAUL__FREE);
}

static void a_name_that_the_slot_table_forgot_is_reaped_all_the_same(void **state)
{
    haul_pool *pool = *state;
    forge(pool, 0, HAUL__OWNED, DEAD + 1);
    hold_bit(pool, 1, DEAD + 2);
    assert_int_equal(reap(pool), 2);
}

static void the_living_are_not_reaped(void **state)
{
    haul_pool *pool = *state;
    haul_pool *other = NULL;
    haul_key key;
    haul_view view;
    assert_ok(haul_pool_open(haul_pool_name(pool), NULL, &other, NULL));
    haul_buf *owned = test_alloc(other, 10);
    haul_buf *shared = test_share(pool, 10, 1, &key);
    assert_ok(haul_attach(other, &key, 10, &view));
    assert_int_equal(reap(pool), 0);
    assert_int_equal(haul_pool_participant(other), 2);
    haul_detach(&view);
    haul_buf_release(owned);
    haul_buf_release(shared);
    haul_pool_close(other);
}

static void joining_cleans_the_slot_it_takes(void **state)
{
    haul_pool *pool = *state;
    haul_pool *other = NULL;
    forge(pool, 0, HAUL__OWNED, 2);
    hold_bit(pool, 1, 2);
    assert_ok(haul_pool_open(haul_pool_name(pool), NULL, &other, NULL));
    assert_int_equal(haul_pool_participant(other), 2);
    assert_int_equal(phase_of(pool, 0), HAUL__FREE);
    assert_int_equal(haul__load64_seq(&record_of(pool, 1)->holders[0]), 0);
    haul_pool_close(other);
}

/* ---- What no process of ours would write --------------------------------------------------- */

static void garbage_in_a_state_word_is_corrupt_and_nothing_else(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_view view;
    haul_pool_info *info;
    size_t n = 0;
    haul_buf *buf = test_share(pool, 10, 1, &key);
    haul__a64 *word = &record_of(pool, key.index)->state;
    uint64_t good = haul__load64_seq(word);
    const uint64_t bad[] = {UINT64_MAX, good | 0xff00, haul__word_moved(good, HAUL__OWNED, 99),
                            haul__word_moved(good, HAUL__FREE, 3)};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        haul__store64_seq(word, bad[i]);
        assert_status(haul_attach(pool, &key, 10, &view), HAUL_CORRUPT);
        assert_status(haul_pool_get_info(pool, &info, NULL), HAUL_CORRUPT);
        assert_ok(haul_pool_audit(pool, NULL, NULL, &n, NULL));
        assert_true(n > 0);
    }
    haul__store64_seq(word, good);
    haul_buf_release(buf);
}

/* A length that the neighbour enlarged leads to no byte outside the mapping. */
static void a_forged_length_is_corrupt(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_view view;
    haul_buf *buf = test_share(pool, 10, 1, &key);
    haul__store64_seq(&record_of(pool, key.index)->length, UINT64_MAX);
    assert_ok(haul_attach(pool, &key, 4096, &view));
    haul_detach(&view);
    assert_status(haul_attach(pool, &key, 4097, &view), HAUL_CORRUPT);
    assert_status(haul_attach(pool, &key, UINT64_MAX, &view), HAUL_CORRUPT);
    haul_buf_release(buf);
}

static void garbage_in_hints_misleads_nobody(void **state)
{
    haul_pool *pool = *state;
    haul__store64_seq(&haul__hints_of(pool, 0)[0], UINT64_MAX);
    haul__store32_release(&haul__class_of(pool, 0)->fresh, UINT32_MAX);
    haul_buf *bufs[8];
    for (int i = 0; i < 8; i++) {
        bufs[i] = test_alloc(pool, 1);
        memset(haul_buf_data(bufs[i]), 1, 4096);
    }
    for (int i = 0; i < 8; i++) {
        haul_buf_release(bufs[i]);
    }
    haul__store32_release(&haul__class_of(pool, 0)->fresh, 8);
}

static void an_object_that_is_too_short_is_not_mapped(void **state)
{
    haul_pool *pool = *state;
    haul_pool *other = NULL;
    haul_key key;
    haul_view view;
    char object[HAUL__OBJECT_NAME_BYTES];
    haul_buf *buf = test_share(pool, 10, 1, &key);
    assert_ok(haul_pool_open(haul_pool_name(pool), NULL, &other, NULL));
    haul__buffer_name(pool->name, pool->id, key.index, object);
    int fd = shm_open(object, O_RDWR, 0);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 100), 0);
    assert_status(haul_attach(other, &key, 10, &view), HAUL_CORRUPT);
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(close(fd), 0);
    haul_pool_close(other);
    haul_buf_release(buf);
}

int main(void)
{
#define IN_A_POOL(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_A_POOL(what_the_dead_owned_is_free_again),
        IN_A_POOL(what_the_dead_held_is_let_go),
        IN_A_POOL(a_living_holder_keeps_what_a_dead_owner_shared),
        IN_A_POOL(half_made_and_half_removed_buffers_are_absent),
        IN_A_POOL(a_retirement_that_nobody_finished_is_finished),
        IN_A_POOL(exhaustion_reaps_before_it_gives_up),
        IN_A_POOL(a_lost_hint_costs_a_search_and_no_buffer),
        IN_A_POOL(a_passing_bit_does_not_lose_the_buffer),
        IN_A_POOL(a_name_that_the_slot_table_forgot_is_reaped_all_the_same),
        IN_A_POOL(the_living_are_not_reaped),
        IN_A_POOL(joining_cleans_the_slot_it_takes),
        IN_A_POOL(garbage_in_a_state_word_is_corrupt_and_nothing_else),
        IN_A_POOL(a_forged_length_is_corrupt),
        IN_A_POOL(garbage_in_hints_misleads_nobody),
        IN_A_POOL(an_object_that_is_too_short_is_not_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
