/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Gifts refused by their group: all that were given to this participant in it and are unclaimed, and
 * nothing else, whatever earlier lives of the buffers were given in.
 */

#include "pool_test.h"

#include <string.h>

#define GROUP 0x123456789abcdefull
#define OTHER 0xfedcba987654321ull

static haul_key give(haul_pool *pool, uint32_t to, uint64_t group)
{
    haul_key key;
    assert_ok(haul_buf_give_grouped(test_alloc(pool, 100), 100, to, UINT64_MAX, group, &key));
    return key;
}

static bool is_open(haul_pool *pool, const haul_key *key)
{
    return haul_pool_wait_claimed(pool, key, 0) == HAUL_TIMEOUT;
}

static void what_is_refused_and_what_is_not(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create_one("refuse", 4096, 16);
    haul_pool *giver;
    size_t n = 99;
    haul_buf *buf;
    assert_ok(haul_pool_open(haul_pool_name(pool), NULL, &giver, NULL));
    uint32_t me = haul_pool_participant(pool);
    haul_key unclaimed[] = {give(giver, me, GROUP), give(giver, me, GROUP)};
    haul_key claimed = give(giver, me, GROUP);
    haul_key kept[] = {give(giver, me, OTHER), give(giver, me, 0),
                       give(giver, haul_pool_participant(giver), GROUP)};
    assert_ok(haul_buf_claim(pool, &claimed, 100, &buf));
    assert_ok(haul_pool_refuse(pool, GROUP, &n));
    assert_int_equal(n, 2);
    for (size_t i = 0; i < 2; i++) {
        haul_buf *late;
        assert_status(haul_buf_claim(pool, &unclaimed[i], 100, &late), HAUL_STALE);
        assert_status(haul_pool_revoke(giver, &unclaimed[i]), HAUL_STALE);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_true(is_open(giver, &kept[i]));
        assert_ok(haul_pool_revoke(giver, &kept[i]));
    }
    haul_buf_release(buf);
    assert_ok(haul_pool_refuse(pool, GROUP, NULL));
    assert_all_free(pool);
    assert_audit_clean(pool);
    haul_pool_close(giver);
    test_pool_destroy(pool);
}

/* A buffer that once was a gift of the group is none when it is given again by somebody who says
 * nothing of groups. */
static void an_earlier_life_counts_for_nothing(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create_one("refuse", 4096, 1);
    uint32_t me = haul_pool_participant(pool);
    size_t n;
    haul_key key = give(pool, me, GROUP);
    assert_ok(haul_pool_revoke(pool, &key));
    key = give(pool, me, 0);
    assert_ok(haul_pool_refuse(pool, GROUP, &n));
    assert_int_equal(n, 0);
    assert_true(is_open(pool, &key));
    assert_ok(haul_pool_revoke(pool, &key));
    test_pool_destroy(pool);
}

static void who_may_refuse(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create_one("refuse", 4096, 1);
    haul_pool *observer;
    const haul_open_opts opts = {.struct_size = sizeof(opts), .observe = true};
    assert_ok(haul_pool_open(haul_pool_name(pool), &opts, &observer, NULL));
    assert_status(haul_pool_refuse(observer, GROUP, NULL), HAUL_INVALID);
    assert_status(haul_pool_refuse(pool, 0, NULL), HAUL_INVALID);
    assert_status(haul_pool_refuse(NULL, GROUP, NULL), HAUL_INVALID);
    haul_pool_close(observer);
    test_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_refused_and_what_is_not),
        cmocka_unit_test(an_earlier_life_counts_for_nothing),
        cmocka_unit_test(who_may_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
