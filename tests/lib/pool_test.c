/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Pools for tests. Names hold the process id, so that tests run side by side; a name left by an
 * earlier process with the same id is taken away first. */

#include "pool_test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOARD_MAX      (sizeof(((test_hoard *)0)->bufs) / sizeof(haul_buf *))
#define MEASURED_BYTES 200000 /* more than the classes of test_pool_create() have */

const char *test_pool_name(const char *tag)
{
    static char name[HAUL_POOL_NAME_MAX + 1];
    (void)snprintf(name, sizeof(name), "test-%s-%ld", tag, (long)getpid());
    return name;
}

static haul_pool *create(const char *tag, const haul_pool_config *config)
{
    haul_pool *pool = NULL;
    haul_error err = {0};
    (void)!haul_pool_remove(test_pool_name(tag), true, NULL);
    haul_status s = haul_pool_create(test_pool_name(tag), config, NULL, &pool, &err);
    if (s != HAUL_OK) {
        fail_msg("cannot create a pool: %s: %s", haul_status_name(s), err.text);
    }
    return pool;
}

haul_pool *test_pool_create(const char *tag)
{
    static const haul_class_config classes[] = {{.size_bytes = 4096, .n_initial = 4, .n_max = 8},
                                                {.size_bytes = 65536, .n_initial = 2, .n_max = 4}};
    const haul_pool_config config = {.struct_size = sizeof(config),
                                     .classes = classes,
                                     .n_classes = 2,
                                     .n_measured_max = 2,
                                     .budget_bytes = 8u << 20,
                                     .n_participants = 16};
    return create(tag, &config);
}

haul_pool *test_pool_create_one(const char *tag, uint64_t size, uint32_t n)
{
    const haul_class_config cls = {.size_bytes = size, .n_initial = n, .n_max = n};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = &cls, .n_classes = 1, .n_participants = 16};
    return create(tag, &config);
}

haul_pool *test_pool_create_large(const char *tag)
{
    static const haul_class_config classes[] = {
        {.size_bytes = 4096, .n_initial = 2, .n_max = 4},
        {.size_bytes = 1u << 20, .n_initial = 2, .n_max = 4},
        {.size_bytes = 20000000, .n_initial = 2, .n_max = 4},
        {.size_bytes = 64u << 20, .n_initial = 2, .n_max = 4}};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = classes, .n_classes = 4, .n_participants = 16};
    return create(tag, &config);
}

haul_pool *test_pool_create_streams(const char *tag)
{
    static const haul_class_config classes[] = {
        {.size_bytes = 65536, .n_initial = 64, .n_max = 64},
        {.size_bytes = 20000000, .n_initial = 8, .n_max = 8}};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = classes, .n_classes = 2, .n_participants = 16};
    return create(tag, &config);
}

void test_pool_destroy(haul_pool *pool)
{
    char name[HAUL_POOL_NAME_MAX + 1];
    (void)snprintf(name, sizeof(name), "%s", haul_pool_name(pool));
    haul_pool_close(pool);
    assert_ok(haul_pool_remove(name, true, NULL));
}

static void print_finding(void *ctx, const char *finding)
{
    (void)ctx;
    print_error("audit: %s\n", finding);
}

void assert_audit_clean(haul_pool *pool)
{
    size_t n = 0;
    assert_ok(haul_pool_audit(pool, print_finding, NULL, &n, NULL));
    assert_int_equal(n, 0);
}

haul_class_info test_class_info(haul_pool *pool, uint32_t c)
{
    haul_pool_info *info = NULL;
    assert_ok(haul_pool_get_info(pool, &info, NULL));
    assert_true(c < info->n_classes);
    haul_class_info cls = info->classes[c];
    haul_pool_info_free(info);
    return cls;
}

uint32_t test_free_count(haul_pool *pool, uint32_t c)
{
    return test_class_info(pool, c).n_free;
}

void assert_all_free(haul_pool *pool)
{
    haul_pool_info *info = NULL;
    assert_ok(haul_pool_get_info(pool, &info, NULL));
    for (uint32_t c = 0; c < info->n_classes; c++) {
        const haul_class_info *cls = &info->classes[c];
        assert_int_equal(cls->n_free + cls->n_absent, cls->n_max);
    }
    haul_pool_info_free(info);
}

haul_buf *test_alloc(haul_pool *pool, uint64_t len)
{
    haul_buf *buf = NULL;
    assert_ok(haul_buf_alloc(pool, len, NULL, &buf));
    return buf;
}

haul_buf *test_share(haul_pool *pool, uint64_t len, uint8_t byte, haul_key *out_key)
{
    haul_buf *buf = test_alloc(pool, len);
    memset(haul_buf_data(buf), byte, len);
    assert_ok(haul_buf_share(buf, len, out_key));
    return buf;
}

void assert_reaped(haul_pool *pool)
{
    assert_ok(haul_pool_reap(pool, NULL, NULL));
    assert_all_free(pool);
    assert_audit_clean(pool);
}

int test_pool_setup(void **state)
{
    *state = test_pool_create("state");
    return 0;
}

int test_pool_teardown(void **state)
{
    assert_all_free(*state);
    assert_audit_clean(*state);
    test_pool_destroy(*state);
    return 0;
}

int test_pool_teardown_reaped(void **state)
{
    assert_reaped(*state);
    test_pool_destroy(*state);
    return 0;
}

static void hoard_more(test_hoard *hoard, haul_pool *pool, uint64_t len)
{
    while (hoard->n < HOARD_MAX &&
           haul_buf_alloc(pool, len, NULL, &hoard->bufs[hoard->n]) == HAUL_OK) {
        hoard->n++;
    }
}

test_hoard test_hoard_take(haul_pool *pool, uint64_t len, unsigned n_left)
{
    test_hoard hoard = {0};
    hoard_more(&hoard, pool, len);
    hoard_more(&hoard, pool, MEASURED_BYTES);
    assert_in_range(hoard.n, n_left + 1, HOARD_MAX - 1);
    for (unsigned i = 0; i < n_left; i++) {
        haul_buf_release(hoard.bufs[i]);
        hoard.bufs[i] = NULL;
    }
    return hoard;
}

void test_hoard_release(test_hoard *hoard)
{
    while (hoard->n > 0) {
        haul_buf_release(hoard->bufs[--hoard->n]);
    }
}
