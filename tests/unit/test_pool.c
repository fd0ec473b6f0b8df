/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* The pool through its public header, in one process: the life of a buffer, policies, numbers. */

#include "pool_test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "pool/wait.h"

static int setup(void **state)
{
    *state = test_pool_create("pool");
    return 0;
}

/* ---- The life of a buffer ------------------------------------------------------------------ */

static void bytes_shared_are_the_bytes_attached(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_view view;
    haul_buf *buf = test_alloc(pool, 60000);
    uint8_t *data = haul_buf_data(buf);
    assert_int_equal((uintptr_t)data % 4096, 0);
    for (size_t i = 0; i < 60000; i++) {
        data[i] = (uint8_t)(i * 31);
    }
    assert_ok(haul_buf_share(buf, 60000, &key));
    assert_null(haul_buf_data(buf)); /* immutable from here on */
    assert_ok(haul_attach(pool, &key, 60000, &view));
    assert_int_equal(view.len, 60000);
    assert_ptr_not_equal(view.data, data);
    assert_memory_equal(view.data, data, 60000);
    haul_detach(&view);
    assert_null(view.data);
    haul_detach(&view); /* an empty view is allowed */
    haul_buf_release(buf);
}

static void a_reader_outlives_the_owner(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_view view;
    haul_view late;
    haul_buf *buf = test_share(pool, 4096, 0x5a, &key);
    assert_ok(haul_attach(pool, &key, 4096, &view));
    haul_buf_release(buf);
    assert_int_equal(test_class_info(pool, 0).n_retired, 1);
    assert_status(haul_attach(pool, &key, 4096, &late), HAUL_STALE);
    assert_int_equal(view.data[4095], 0x5a);
    haul_detach(&view);
    assert_int_equal(test_class_info(pool, 0).n_retired, 0);
}

static void views_of_one_process_are_counted(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_view views[3];
    haul_buf *buf = test_share(pool, 10, 1, &key);
    for (int i = 0; i < 3; i++) {
        assert_ok(haul_attach(pool, &key, 10, &views[i]));
    }
    haul_buf_release(buf);
    haul_detach(&views[1]);
    haul_detach(&views[0]);
    assert_int_equal(test_class_info(pool, 0).n_retired, 1);
    haul_detach(&views[2]);
}

static void an_old_key_is_stale(void **state)
{
    haul_pool *pool = *state;
    haul_key old;
    haul_key key;
    haul_view view;
    haul_buf_release(test_share(pool, 10, 1, &old));
    assert_status(haul_attach(pool, &old, 10, &view), HAUL_STALE);
    haul_buf *buf = test_share(pool, 10, 2, &key);
    assert_int_equal(key.index, old.index); /* the same buffer, another life */
    assert_int_not_equal(key.generation, old.generation);
    assert_true(key.ticket != old.ticket);
    assert_status(haul_attach(pool, &old, 10, &view), HAUL_STALE);
    haul_buf_release(buf);
}

static void a_key_that_is_wrong_in_any_number_opens_nothing(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_view view = {0};
    haul_buf *buf = test_share(pool, 1000, 1, &key);
    haul_key k = key;
    k.ticket ^= 1;
    assert_status(haul_attach(pool, &k, 1000, &view), HAUL_STALE);
    k = key;
    k.generation++;
    assert_status(haul_attach(pool, &k, 1000, &view), HAUL_STALE);
    k = key;
    k.index ^= 1;
    assert_status(haul_attach(pool, &k, 1000, &view), HAUL_STALE);
    k = key;
    k.index = UINT32_MAX;
    assert_status(haul_attach(pool, &k, 1000, &view), HAUL_INVALID);
    k = key;
    k.pool_id ^= 1;
    assert_status(haul_attach(pool, &k, 1000, &view), HAUL_INVALID);
    k = key;
    k.offset = 1;
    assert_status(haul_attach(pool, &k, 1000, &view), HAUL_INVALID);
    k.offset = UINT64_MAX;
    assert_status(haul_attach(pool, &k, 1000, &view), HAUL_INVALID);
    assert_status(haul_attach(pool, &key, 1001, &view), HAUL_INVALID);
    assert_status(haul_attach(pool, &key, UINT64_MAX, &view), HAUL_INVALID);
    assert_null(view.data);

    k = key;
    k.offset = 990;
    assert_ok(haul_attach(pool, &k, 10, &view));
    haul_detach(&view);
    haul_buf_release(buf);
}

static void misuse_is_invalid(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_key ignored;
    haul_buf *buf = test_alloc(pool, 100);
    assert_status(haul_buf_share(buf, haul_buf_capacity(buf) + 1, &key), HAUL_INVALID);
    assert_status(haul_buf_share(buf, UINT64_MAX, &key), HAUL_INVALID);
    assert_ok(haul_buf_share(buf, 100, &key));
    assert_status(haul_buf_share(buf, 100, &ignored), HAUL_INVALID);
    assert_status(haul_buf_give(buf, 100, 1, 0, &ignored), HAUL_INVALID);
    haul_buf_release(buf);
    haul_buf_release(NULL);
    haul_alloc_opts opts = {.struct_size = 1};
    assert_status(haul_buf_alloc(pool, 1, &opts, &buf), HAUL_INVALID);
    opts = (haul_alloc_opts){.struct_size = sizeof(opts), .policy = 1u << 9};
    assert_status(haul_buf_alloc(pool, 1, &opts, &buf), HAUL_INVALID);
    assert_status(haul_buf_alloc(NULL, 1, NULL, &buf), HAUL_INVALID);
}

static void release_keeps_errno(void **state)
{
    haul_buf *buf = test_alloc(*state, 200000); /* made to measure: system calls */
    errno = ERANGE;
    haul_buf_release(buf);
    assert_int_equal(errno, ERANGE);
}

/* ---- Giving -------------------------------------------------------------------------------- */

static void a_gift_is_claimed_once(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_view view;
    haul_buf *claimed = NULL;
    haul_buf *buf = test_alloc(pool, 100);
    memset(haul_buf_data(buf), 9, 100);
    assert_ok(haul_buf_give(buf, 100, haul_pool_participant(pool), UINT64_MAX, &key));
    assert_status(haul_attach(pool, &key, 100, &view), HAUL_STALE); /* not shared */
    assert_status(haul_buf_claim(pool, &key, 101, &claimed), HAUL_INVALID);
    assert_ok(haul_buf_claim(pool, &key, 100, &claimed));
    assert_status(haul_buf_claim(pool, &key, 100, &claimed), HAUL_STALE);
    assert_status(haul_pool_revoke(pool, &key), HAUL_STALE);
    assert_null(haul_buf_data(claimed)); /* its bytes are immutable */
    assert_ok(haul_buf_view(claimed, &view));
    assert_int_equal(view.data[99], 9);
    haul_buf_release(claimed);
    assert_int_equal(view.data[99], 9); /* a view outlives its buffer's release */
    haul_detach(&view);
}

static void a_revoked_gift_cannot_be_claimed(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_buf *claimed;
    haul_buf *buf = test_alloc(pool, 100);
    assert_ok(haul_buf_give(buf, 100, haul_pool_participant(pool), UINT64_MAX, &key));
    haul_key forged = key;
    forged.ticket++;
    assert_status(haul_pool_revoke(pool, &forged), HAUL_STALE);
    assert_ok(haul_pool_revoke(pool, &key));
    assert_status(haul_buf_claim(pool, &key, 100, &claimed), HAUL_STALE);
}

static void a_gift_to_nobody_stays_with_the_giver(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_buf *buf = test_alloc(pool, 100);
    assert_status(haul_buf_give(buf, 100, 9, UINT64_MAX, &key), HAUL_PEER_GONE);
    assert_status(haul_buf_give(buf, 100, 0, UINT64_MAX, &key), HAUL_INVALID);
    assert_status(haul_buf_give(buf, 100, 17, UINT64_MAX, &key), HAUL_INVALID);
    assert_non_null(haul_buf_data(buf));
    haul_buf_release(buf);
}

static void an_expired_gift_is_reaped_and_a_lasting_one_is_not(void **state)
{
    haul_pool *pool = *state;
    haul_key expired;
    haul_key lasting;
    haul_buf *claimed;
    size_t n = 99;
    uint32_t me = haul_pool_participant(pool);
    assert_ok(haul_buf_give(test_alloc(pool, 1), 1, me, haul__now_ns() - 1, &expired));
    assert_ok(haul_buf_give(test_alloc(pool, 1), 1, me, haul__now_ns() + 3600000000000u, &lasting));
    assert_ok(haul_pool_reap(pool, &n, NULL));
    assert_int_equal(n, 1);
    assert_int_equal(test_class_info(pool, 0).expirations, 1);
    assert_status(haul_buf_claim(pool, &expired, 1, &claimed), HAUL_STALE);
    assert_ok(haul_buf_claim(pool, &lasting, 1, &claimed));
    haul_buf_release(claimed);
}

/* ---- Policies ------------------------------------------------------------------------------ */

static haul_status alloc_with(haul_pool *pool, uint64_t len, uint32_t policy, int64_t wait_ns,
                              haul_buf **out_buf)
{
    haul_alloc_opts opts = {.struct_size = sizeof(opts), .policy = policy, .wait_ns = wait_ns};
    return haul_buf_alloc(pool, len, &opts, out_buf);
}

static void smallest_class_that_fits_or_nothing(void **state)
{
    haul_pool *pool = *state;
    haul_buf *bufs[4];
    haul_buf *more;
    for (int i = 0; i < 4; i++) {
        assert_ok(alloc_with(pool, 4096, 0, 0, &bufs[i]));
        assert_int_equal(haul_buf_capacity(bufs[i]), 4096);
    }
    assert_status(alloc_with(pool, 1, 0, 0, &more), HAUL_EXHAUSTED);
    assert_status(alloc_with(pool, 1, 0, 1000, &more), HAUL_TIMEOUT);
    assert_ok(alloc_with(pool, 4097, 0, 0, &more));
    assert_int_equal(haul_buf_capacity(more), 65536);
    haul_buf_release(more);
    for (int i = 0; i < 4; i++) {
        haul_buf_release(bufs[i]);
    }
    haul_class_info cls = test_class_info(pool, 0);
    assert_int_equal(cls.exhaustions, 2);
    assert_int_equal(cls.waits, 1);
    assert_int_equal(cls.spills, 0);
    assert_int_equal(cls.high_water, 4);
}

static void larger_class_then_growth_then_exhaustion(void **state)
{
    haul_pool *pool = *state;
    haul_buf *bufs[12];
    for (int i = 0; i < 6; i++) { /* 4 of the class, 2 of the larger one */
        assert_ok(alloc_with(pool, 1, HAUL_ALLOC_LARGER, 0, &bufs[i]));
    }
    assert_int_equal(haul_buf_capacity(bufs[5]), 65536);
    assert_status(alloc_with(pool, 1, HAUL_ALLOC_LARGER, 0, &bufs[6]), HAUL_EXHAUSTED);
    for (int i = 6; i < 12; i++) { /* 4 more of the class, then 2 more of the larger one */
        assert_ok(alloc_with(pool, 1, HAUL_ALLOC_LARGER | HAUL_ALLOC_GROW, 0, &bufs[i]));
    }
    haul_buf *more;
    assert_int_equal(haul_buf_capacity(bufs[9]), 4096);
    assert_int_equal(haul_buf_capacity(bufs[11]), 65536);
    assert_status(haul_buf_alloc(pool, 1, NULL, &more), HAUL_EXHAUSTED);
    assert_audit_clean(pool);
    for (int i = 0; i < 12; i++) {
        memset(haul_buf_data(bufs[i]), i, 4096);
        haul_buf_release(bufs[i]);
    }
    haul_class_info cls = test_class_info(pool, 0);
    assert_int_equal(cls.spills, 4);
    assert_int_equal(cls.grows, 4);
    assert_int_equal(cls.high_water, 8);
    assert_int_equal(test_class_info(pool, 1).grows, 2);
}

static void beyond_the_largest_class_is_made_to_measure(void **state)
{
    haul_pool *pool = *state;
    haul_buf *buf;
    haul_buf *second;
    haul_buf *third;
    assert_status(alloc_with(pool, 65537, HAUL_ALLOC_LARGER | HAUL_ALLOC_GROW, 0, &buf),
                  HAUL_EXHAUSTED);
    assert_ok(haul_buf_alloc(pool, 3000000, NULL, &buf));
    assert_true(haul_buf_capacity(buf) >= 3000000 && haul_buf_capacity(buf) < 3000000 + 4096);
    memset(haul_buf_data(buf), 1, 3000000);
    assert_ok(haul_buf_alloc(pool, 70000, NULL, &second));
    assert_status(haul_buf_alloc(pool, 70000, NULL, &third), HAUL_EXHAUSTED); /* two at most */
    assert_audit_clean(pool);
    haul_buf_release(buf);
    assert_int_equal(test_class_info(pool, 2).n_absent, 1);
    /* The budget is 8 MiB: what is left is less than this. */
    assert_status(haul_buf_alloc(pool, 8200000, NULL, &third), HAUL_EXHAUSTED);
    assert_status(haul_buf_alloc(pool, (8u << 20) + 1, NULL, &third), HAUL_TOO_BIG);
    assert_status(haul_buf_alloc(pool, UINT64_MAX, NULL, &third), HAUL_TOO_BIG);
    haul_buf_release(second);
}

static void a_measured_buffer_goes_when_its_last_reader_does(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_view view;
    haul_buf *buf = test_share(pool, 100000, 3, &key);
    assert_ok(haul_attach(pool, &key, 100000, &view));
    haul_buf_release(buf);
    assert_int_equal(test_class_info(pool, 2).n_retired, 1);
    assert_int_equal(view.data[99999], 3);
    haul_detach(&view);
    assert_int_equal(test_class_info(pool, 2).n_absent, 2);
    /* Made again with another size: the old mapping is not used for it. */
    buf = test_share(pool, 300000, 4, &key);
    assert_ok(haul_attach(pool, &key, 300000, &view));
    assert_int_equal(view.data[299999], 4);
    haul_detach(&view);
    haul_buf_release(buf);
}

static void trim_gives_back_what_growth_took(void **state)
{
    haul_pool *pool = *state;
    haul_buf *bufs[8];
    haul_key key;
    haul_view view;
    uint64_t bytes = 0;
    for (int i = 0; i < 8; i++) {
        assert_ok(alloc_with(pool, 1, HAUL_ALLOC_GROW, 0, &bufs[i]));
        memset(haul_buf_data(bufs[i]), 7, 4096);
    }
    for (int i = 0; i < 8; i++) {
        haul_buf_release(bufs[i]);
    }
    assert_ok(haul_pool_trim(pool, &bytes, NULL));
    assert_int_equal(bytes, 4 * 4096);
    assert_int_equal(test_class_info(pool, 0).n_free, 4);
    assert_ok(haul_pool_trim(pool, &bytes, NULL));
    assert_int_equal(bytes, 0);
    /* Grown anew, and mapped anew: a fresh object reads as zeros. */
    for (int i = 0; i < 8; i++) {
        assert_ok(alloc_with(pool, 1, HAUL_ALLOC_GROW, 0, &bufs[i]));
    }
    assert_ok(haul_buf_share(bufs[7], 4096, &key));
    assert_ok(haul_attach(pool, &key, 4096, &view));
    assert_int_equal(view.data[0], 0);
    haul_detach(&view);
    for (int i = 0; i < 8; i++) {
        haul_buf_release(bufs[i]);
    }
    assert_int_equal(test_class_info(pool, 0).high_water, 8);
    assert_ok(haul_pool_grow(pool, 1, 4, NULL));
    assert_int_equal(test_class_info(pool, 1).n_free, 4);
    assert_status(haul_pool_grow(pool, 1, 5, NULL), HAUL_EXHAUSTED);
    assert_status(haul_pool_grow(pool, 2, 1, NULL), HAUL_INVALID);
    assert_status(haul_pool_grow(pool, 99, 1, NULL), HAUL_INVALID);
}

/* ---- Waiting ------------------------------------------------------------------------------- */

static void *wait_without_end(void *arg)
{
    haul_buf *buf = NULL;
    haul_status s = alloc_with(arg, 1, 0, -1, &buf);
    return s == HAUL_OK ? buf : NULL;
}

/* The waiter has no deadline and nothing else wakes it: if a release did not, this would hang. */
static void a_release_wakes_who_waits(void **state)
{
    haul_pool *pool = *state;
    haul_buf *bufs[4];
    pthread_t waiter;
    void *got = NULL;
    for (int i = 0; i < 4; i++) {
        assert_ok(alloc_with(pool, 1, 0, 0, &bufs[i]));
    }
    assert_int_equal(pthread_create(&waiter, NULL, wait_without_end, pool), 0);
    while ((haul__load32_seq(&haul__header_of(pool)->wake) & 1) == 0) {
        (void)sched_yield();
    }
    haul_buf_release(bufs[2]);
    assert_int_equal(pthread_join(waiter, &got), 0);
    assert_ptr_equal(got, bufs[2]);
    for (int i = 0; i < 4; i++) {
        haul_buf_release(bufs[i]);
    }
}

/* ---- Numbers ------------------------------------------------------------------------------- */

static void counters_add_up(void **state)
{
    haul_pool *pool = *state;
    const uint64_t sizes[] = {0, 1, 2, 3, 4, 5, 1024, 1025, 4096};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        haul_buf_release(test_alloc(pool, sizes[i]));
    }
    haul_buf *held = test_alloc(pool, 1);
    haul_class_info cls = test_class_info(pool, 0);
    assert_int_equal(cls.allocations, 10);
    assert_int_equal(cls.releases, 9);
    assert_int_equal(cls.requested[0], 3); /* 0 and 1 bytes */
    assert_int_equal(cls.requested[1], 1);
    assert_int_equal(cls.requested[2], 2);
    assert_int_equal(cls.requested[3], 1);
    assert_int_equal(cls.requested[10], 1);
    assert_int_equal(cls.requested[11], 1);
    assert_int_equal(cls.requested[12], 1);
    assert_int_equal(cls.high_water, 1);
    haul_buf_release(held);
}

/* Requests of one size are counted in runs, which end by themselves after a thousand or so. */
static void counters_add_up_over_long_runs(void **state)
{
    haul_pool *pool = *state;
    for (int i = 0; i < 3000; i++) {
        haul_buf_release(test_alloc(pool, 10));
    }
    haul_class_info cls = test_class_info(pool, 0);
    assert_int_equal(cls.allocations, 3000);
    assert_int_equal(cls.releases, 3000);
    assert_int_equal(cls.requested[4], 3000);
    haul_buf_release(test_alloc(pool, 1));
    cls = test_class_info(pool, 0);
    assert_int_equal(cls.requested[4], 3000);
    assert_int_equal(cls.requested[0], 1);
}

static void info_says_who_has_what(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_view view;
    haul_pool_info *info;
    haul_buf *filling = test_alloc(pool, 5000);
    haul_buf *shared = test_share(pool, 10, 1, &key);
    assert_ok(haul_attach(pool, &key, 10, &view));
    assert_ok(haul_pool_get_info(pool, &info, NULL));
    assert_string_equal(info->name, haul_pool_name(pool));
    assert_true(info->id == haul_pool_id(pool) && info->id != 0);
    assert_int_equal(info->n_participants, 1);
    assert_int_equal(info->participants[0].slot, haul_pool_participant(pool));
    assert_true(info->participants[0].alive);
    assert_string_equal(info->participants[0].name, "test_pool");
    assert_int_equal(info->participants[0].n_owned, 2);
    assert_int_equal(info->participants[0].bytes_owned, 65536 + 4096);
    assert_int_equal(info->participants[0].n_held, 1);
    assert_int_equal(info->participants[0].bytes_held, 4096);
    assert_int_equal(info->classes[0].n_shared, 1);
    assert_int_equal(info->classes[1].n_owned, 1);
    assert_int_equal(info->bytes, 4 * 4096 + 2 * 65536);
    assert_int_equal(info->budget_bytes, 8u << 20);
    haul_pool_info_free(info);
    haul_detach(&view);
    haul_buf_release(filling);
    haul_buf_release(shared);
}

int main(void)
{
#define IN_A_POOL(f) cmocka_unit_test_setup_teardown(f, setup, test_pool_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_POOL(bytes_shared_are_the_bytes_attached),
        IN_A_POOL(a_reader_outlives_the_owner),
        IN_A_POOL(views_of_one_process_are_counted),
        IN_A_POOL(an_old_key_is_stale),
        IN_A_POOL(a_key_that_is_wrong_in_any_number_opens_nothing),
        IN_A_POOL(misuse_is_invalid),
        IN_A_POOL(release_keeps_errno),
        IN_A_POOL(a_gift_is_claimed_once),
        IN_A_POOL(a_revoked_gift_cannot_be_claimed),
        IN_A_POOL(a_gift_to_nobody_stays_with_the_giver),
        IN_A_POOL(an_expired_gift_is_reaped_and_a_lasting_one_is_not),
        IN_A_POOL(smallest_class_that_fits_or_nothing),
        IN_A_POOL(larger_class_then_growth_then_exhaustion),
        IN_A_POOL(beyond_the_largest_class_is_made_to_measure),
        IN_A_POOL(a_measured_buffer_goes_when_its_last_reader_does),
        IN_A_POOL(trim_gives_back_what_growth_took),
        IN_A_POOL(a_release_wakes_who_waits),
        IN_A_POOL(counters_add_up),
        IN_A_POOL(counters_add_up_over_long_runs),
        IN_A_POOL(info_says_who_has_what),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
