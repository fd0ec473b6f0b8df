/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Which buffer an allocation gets, in one process: by the policies, by growing, by waiting. */

#include "pool_test.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "pool/wait.h"

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

int main(void)
{
#define IN_A_POOL(f) cmocka_unit_test_setup_teardown(f, test_pool_setup, test_pool_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_POOL(smallest_class_that_fits_or_nothing),
        IN_A_POOL(larger_class_then_growth_then_exhaustion),
        IN_A_POOL(beyond_the_largest_class_is_made_to_measure),
        IN_A_POOL(a_measured_buffer_goes_when_its_last_reader_does),
        IN_A_POOL(trim_gives_back_what_growth_took),
        IN_A_POOL(a_release_wakes_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
