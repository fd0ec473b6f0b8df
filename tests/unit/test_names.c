/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Published buffers: found by name, kept past their owner, and half-written entries. */

#include "pool_test.h"

#include <stdio.h>
#include <string.h>

#include "pool/impl.h"

#define DEAD 7u

static void assert_reads(haul_pool *pool, const char *name, uint8_t byte)
{
    haul_key key;
    uint64_t len = 0;
    haul_view view;
    assert_ok(haul_pool_find(pool, name, &key, &len));
    assert_ok(haul_attach(pool, &key, len, &view));
    assert_int_equal(view.data[len - 1], byte);
    haul_detach(&view);
}

static void a_published_buffer_is_found_until_it_is_released(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    uint64_t len;
    haul_buf *buf = test_share(pool, 100, 3, &key);
    assert_status(haul_pool_find(pool, "frame", &key, &len), HAUL_NOT_FOUND);
    assert_ok(haul_buf_publish(buf, "frame", false));
    assert_reads(pool, "frame", 3);
    assert_audit_clean(pool);
    haul_buf_release(buf);
    assert_status(haul_pool_find(pool, "frame", &key, &len), HAUL_NOT_FOUND);
    /* The handle's next life has no name. */
    haul_buf_release(test_share(pool, 100, 4, &key));
    assert_audit_clean(pool);
}

static void a_persistent_one_is_found_until_it_is_withdrawn(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_key found;
    uint64_t len = 0;
    haul_view view;
    haul_buf *buf = test_share(pool, 100, 5, &key);
    assert_ok(haul_buf_publish(buf, "weights", true));
    haul_buf_release(buf); /* nothing: the buffer is the pool's */
    assert_reads(pool, "weights", 5);
    assert_audit_clean(pool);
    assert_ok(haul_pool_find(pool, "weights", &found, &len));
    assert_memory_equal(&found, &key, sizeof(key));
    assert_int_equal(len, 100);
    assert_ok(haul_attach(pool, &found, len, &view));
    assert_ok(haul_pool_withdraw(pool, "weights"));
    assert_int_equal(view.data[99], 5); /* readers finish */
    assert_status(haul_pool_withdraw(pool, "weights"), HAUL_NOT_FOUND);
    assert_status(haul_attach(pool, &found, len, &view), HAUL_STALE);
    haul_detach(&view);
}

static void one_buffer_to_a_name(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_buf *first = test_share(pool, 10, 1, &key);
    haul_buf *second = test_share(pool, 10, 2, &key);
    assert_ok(haul_buf_publish(first, "a", false));
    assert_status(haul_buf_publish(second, "a", false), HAUL_EXISTS);
    assert_status(haul_buf_publish(second, "a", true), HAUL_EXISTS);
    assert_reads(pool, "a", 1);
    assert_ok(haul_pool_withdraw(pool, "a"));
    assert_ok(haul_buf_publish(second, "a", false));
    assert_reads(pool, "a", 2);
    haul_buf_release(first); /* does not take the name, which is not its any more */
    assert_reads(pool, "a", 2);
    haul_buf_release(second);
}

static void bad_names_and_buffers_are_refused(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    uint64_t len;
    char longest[HAUL_BUF_NAME_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[HAUL_BUF_NAME_MAX + 1] = '\0';
    const char *const bad[] = {"", "a b", "a\n", "\xc3\xa9", longest, NULL};
    haul_buf *buf = test_share(pool, 10, 1, &key);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_status(haul_buf_publish(buf, bad[i], false), HAUL_INVALID);
        assert_status(haul_pool_find(pool, bad[i], &key, &len), HAUL_INVALID);
        assert_status(haul_pool_withdraw(pool, bad[i]), HAUL_INVALID);
    }
    longest[HAUL_BUF_NAME_MAX] = '\0';
    assert_ok(haul_buf_publish(buf, longest, false));
    assert_reads(pool, longest, 1);
    haul_buf *filling = test_alloc(pool, 10);
    assert_status(haul_buf_publish(filling, "x", false), HAUL_INVALID);
    haul_buf_release(filling);
    haul_buf_release(buf);
}

static void names_run_out(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_buf *buf = test_share(pool, 10, 1, &key);
    char name[16];
    for (int i = 0; i < HAUL_NAMES_DEFAULT; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        assert_ok(haul_buf_publish(buf, name, false));
    }
    assert_status(haul_buf_publish(buf, "one-more", false), HAUL_EXHAUSTED);
    haul_pool_info *info;
    assert_ok(haul_pool_get_info(pool, &info, NULL));
    assert_int_equal(info->n_names, HAUL_NAMES_DEFAULT);
    assert_string_equal(info->names[3].name, "n3");
    assert_false(info->names[3].persistent);
    assert_int_equal(info->names[3].owner, haul_pool_participant(pool));
    assert_int_equal(info->names[3].len, 10);
    haul_pool_info_free(info);
    haul_buf_release(buf); /* takes all of its names with it */
    assert_ok(haul_pool_get_info(pool, &info, NULL));
    assert_int_equal(info->n_names, 0);
    haul_pool_info_free(info);
}

/* ---- Half-written -------------------------------------------------------------------------- */

static void what_a_dead_publisher_left_is_swept(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    uint64_t len;
    haul__store32_release(&haul__slot_of(pool, DEAD)->pid, 4242);
    haul__store64_seq(&haul__name_of(pool, 0)->state,
                      haul__word(9, DEAD, (enum haul__phase)HAUL__NAME_WRITING, 0));
    haul_buf *buf = test_share(pool, 10, 1, &key);
    assert_ok(haul_buf_publish(buf, "x", false));
    haul__a64 *state_of_1 = &haul__name_of(pool, 1)->state;
    haul__store64_seq(state_of_1, haul__word_moved(haul__load64_seq(state_of_1),
                                                   (enum haul__phase)HAUL__NAME_PUBLISHED, DEAD));
    assert_ok(haul_pool_reap(pool, NULL, NULL));
    assert_status(haul_pool_find(pool, "x", &key, &len), HAUL_NOT_FOUND);
    assert_int_equal(haul__word_phase(haul__load64_seq(&haul__name_of(pool, 0)->state)),
                     HAUL__NAME_FREE);
    haul_buf_release(buf);
}

static void an_entry_that_leads_nowhere_is_not_found_and_swept(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    uint64_t len;
    haul_buf *buf = test_share(pool, 10, 1, &key);
    assert_ok(haul_buf_publish(buf, "x", true));
    haul__store32_release(&haul__name_of(pool, 0)->index, UINT32_MAX);
    assert_status(haul_pool_find(pool, "x", &key, &len), HAUL_NOT_FOUND);
    assert_ok(haul_pool_reap(pool, NULL, NULL)); /* takes the entry, and the buffer it kept */
}

static void of_two_publishers_one_has_the_name(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    uint64_t len;
    haul_buf *first = test_share(pool, 10, 1, &key);
    haul_buf *second = test_share(pool, 10, 2, &key);
    /* Both announced before either looked: forged by hiding the first from the second's first look. */
    assert_ok(haul_buf_publish(first, "x", false));
    haul__a64 *entry = &haul__name_of(pool, 0)->state;
    uint64_t published = haul__load64_seq(entry);
    haul__store64_seq(entry, haul__word_moved(published, (enum haul__phase)HAUL__NAME_WRITING,
                                              haul__word_who(published)));
    assert_ok(haul_buf_publish(second, "x", false));
    haul__store64_seq(entry, published);
    assert_ok(haul_pool_find(pool, "x", &key, &len));
    assert_reads(pool, "x", 1); /* every finder takes the lower entry */
    haul_buf_release(first);
    assert_reads(pool, "x", 2);
    haul_buf_release(second);
}

int main(void)
{
#define IN_A_POOL(f) cmocka_unit_test_setup_teardown(f, test_pool_setup, test_pool_teardown_reaped)
    const struct CMUnitTest tests[] = {
        IN_A_POOL(a_published_buffer_is_found_until_it_is_released),
        IN_A_POOL(a_persistent_one_is_found_until_it_is_withdrawn),
        IN_A_POOL(one_buffer_to_a_name),
        IN_A_POOL(bad_names_and_buffers_are_refused),
        IN_A_POOL(names_run_out),
        IN_A_POOL(what_a_dead_publisher_left_is_swept),
        IN_A_POOL(an_entry_that_leads_nowhere_is_not_found_and_swept),
        IN_A_POOL(of_two_publishers_one_has_the_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
