/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* The pool through its public header, in one process: the life of a buffer, gifts, numbers. */

#include "pool_test.h"

#include <errno.h>
#include <string.h>

#include "pool/wait.h"

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
    assert_int_equal(info->participants[0].n_held, 0); /* what it owns is not told twice */
    assert_int_equal(info->classes[0].n_shared, 1);
    assert_int_equal(info->classes[1].n_owned, 1);
    assert_int_equal(info->bytes, 4 * 4096 + 2 * 65536);
    assert_int_equal(info->budget_bytes, 8u << 20);
    haul_pool_info_free(info);
    haul_buf_release(shared);
    assert_ok(haul_pool_get_info(pool, &info, NULL));
    assert_int_equal(info->participants[0].n_owned, 1);
    assert_int_equal(info->participants[0].n_held, 1);
    assert_int_equal(info->participants[0].bytes_held, 4096);
    assert_int_equal(info->classes[0].n_retired, 1);
    haul_pool_info_free(info);
    haul_detach(&view);
    haul_buf_release(filling);
}

int main(void)
{
#define IN_A_POOL(f) cmocka_unit_test_setup_teardown(f, test_pool_setup, test_pool_teardown)
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
        IN_A_POOL(counters_add_up),
        IN_A_POOL(counters_add_up_over_long_runs),
        IN_A_POOL(info_says_who_has_what),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
