/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A process that may map no more, or open no more: every call says so with a status, leaves nothing
 * behind, and works again when the limit is gone. Others are not disturbed.
 */

#include "limits.h"
#include "pool_test.h"
#include "sanitized.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define BIG (UINT64_C(8) << 20)

typedef struct two {
    haul_pool *first; /* has mapped what there is */
    haul_pool *other; /* has mapped nothing yet */
} two;

static two pools;

/* One class of 8 MiB, two buffers of it made and room for another; one made to measure. */
static int setup(void **state)
{
    static const haul_class_config cls = {.size_bytes = BIG, .n_initial = 2, .n_max = 3};
    const haul_pool_config config = {.struct_size = sizeof(config),
                                     .classes = &cls,
                                     .n_classes = 1,
                                     .n_measured_max = 1,
                                     .budget_bytes = 8 * BIG,
                                     .n_participants = 4};
    const char *name = test_pool_name("rlimits");
    (void)!haul_pool_remove(name, true, NULL);
    assert_ok(haul_pool_create(name, &config, NULL, &pools.first, NULL));
    assert_ok(haul_pool_open(name, NULL, &pools.other, NULL));
    *state = &pools;
    return 0;
}

static int teardown(void **state)
{
    two *p = *state;
    haul_pool_close(p->other);
    assert_all_free(p->first);
    assert_audit_clean(p->first);
    test_pool_destroy(p->first);
    assert_int_equal(limits_objects(test_pool_name("rlimits")), 0);
    return 0;
}

/* ---- Limits -------------------------------------------------------------------------------- */

static struct rlimit lower(int resource, rlim_t value)
{
    struct rlimit old;
    assert_int_equal(getrlimit(resource, &old), 0);
    const struct rlimit low = {.rlim_cur = value, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(resource, &low), 0);
    return old;
}

static void restore(int resource, const struct rlimit *old)
{
    assert_int_equal(setrlimit(resource, old), 0);
}

static struct rlimit no_more_addresses(void)
{
    return lower(RLIMIT_AS, limits_proc_bytes("/proc/self/status", "VmSize:") + BIG / 8);
}

static struct rlimit few_descriptors(rlim_t n)
{
    int next = dup(STDIN_FILENO);
    assert_true(next >= 0);
    assert_int_equal(close(next), 0);
    return lower(RLIMIT_NOFILE, (rlim_t)next + n);
}

/* ---- Addresses ----------------------------------------------------------------------------- */

/* What @other is told, which has mapped no buffer, with a key of @first's. Nothing is left behind. */
static void every_use_is_refused(two *p, const haul_key *key, haul_status status)
{
    haul_buf *buf;
    haul_view view = {0};
    const haul_alloc_opts strict = {.struct_size = sizeof(strict)};
    const haul_alloc_opts measured = {.struct_size = sizeof(measured),
                                      .policy = HAUL_ALLOC_MEASURED};
    size_t n_objects = limits_objects(haul_pool_name(p->first));
    assert_status(haul_attach(p->other, key, 100, &view), status);
    assert_null(view.data);
    assert_status(haul_buf_alloc(p->other, BIG, &strict, &buf), status);
    assert_status(haul_buf_alloc(p->other, BIG + 1, &measured, &buf), status);
    assert_int_equal(limits_objects(haul_pool_name(p->first)), n_objects);
}

/* And with the limit gone, everything works. */
static void every_call_works(two *p, const haul_key *key)
{
    haul_buf *buf;
    haul_view view;
    assert_ok(haul_attach(p->other, key, 100, &view));
    assert_int_equal(view.data[99], 7);
    haul_detach(&view);
    assert_ok(haul_buf_alloc(p->other, BIG, NULL, &buf));
    memset(haul_buf_data(buf), 1, BIG);
    haul_buf_release(buf);
    assert_ok(haul_pool_trim(p->other, NULL, NULL));
    assert_audit_clean(p->other);
}

static void no_address_left_is_nomem(void **state)
{
    two *p = *state;
    haul_key key;
    if (TEST_SANITIZED) {
        skip();
    }
    haul_buf *buf = test_share(p->first, 100, 7, &key);
    struct rlimit old = no_more_addresses();
    every_use_is_refused(p, &key, HAUL_NOMEM);
    restore(RLIMIT_AS, &old);
    every_call_works(p, &key);
    haul_buf_release(buf);
}

static void no_address_left_at_open_or_create_is_nomem(void **state)
{
    two *p = *state;
    haul_pool *pool;
    haul_error err;
    char name[HAUL_POOL_NAME_MAX + 1];
    const haul_class_config cls = {.size_bytes = BIG, .n_initial = 1, .n_max = 65536};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = &cls, .n_classes = 1, .budget_bytes = BIG};
    if (TEST_SANITIZED) {
        skip();
    }
    (void)p;
    (void)snprintf(name, sizeof(name), "%s", test_pool_name("rlimits-new"));
    struct rlimit old = no_more_addresses();
    assert_status(haul_pool_create(name, &config, NULL, &pool, &err), HAUL_NOMEM);
    restore(RLIMIT_AS, &old);
    (void)!haul_pool_remove(name, false, NULL); /* a pool without a buffer may be there */
    assert_int_equal(limits_objects(name), 0);
    assert_ok(haul_pool_create(name, &config, NULL, &pool, &err));
    old = no_more_addresses();
    haul_pool *again;
    assert_status(haul_pool_open(name, NULL, &again, &err), HAUL_NOMEM);
    restore(RLIMIT_AS, &old);
    test_pool_destroy(pool);
    assert_int_equal(limits_objects(name), 0);
}

/* ---- Descriptors --------------------------------------------------------------------------- */

static void no_descriptor_left_is_a_status(void **state)
{
    two *p = *state;
    haul_key key;
    haul_buf *buf = test_share(p->first, 100, 7, &key);
    struct rlimit old = few_descriptors(0);
    every_use_is_refused(p, &key, HAUL_EXHAUSTED);
    assert_status(haul_pool_grow(p->other, 0, 3, NULL), HAUL_EXHAUSTED);
    restore(RLIMIT_NOFILE, &old);
    every_call_works(p, &key);
    haul_buf_release(buf);
}

static void no_descriptor_left_at_open_or_create_is_a_status(void **state)
{
    two *p = *state;
    haul_pool *pool;
    haul_error err = {0};
    char name[HAUL_POOL_NAME_MAX + 1];
    const haul_class_config cls = {.size_bytes = 4096, .n_initial = 1, .n_max = 1};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = &cls, .n_classes = 1};
    (void)snprintf(name, sizeof(name), "%s", test_pool_name("rlimits-new"));
    for (rlim_t n = 0; n < 6; n++) { /* it gets a little further each time */
        haul_pool *other;
        struct rlimit old = few_descriptors(n);
        haul_status s = haul_pool_create(name, &config, NULL, &pool, &err);
        assert_true(s == HAUL_OK || (s == HAUL_EXHAUSTED && err.sys_errno == EMFILE));
        haul_status t = haul_pool_open(haul_pool_name(p->first), NULL, &other, &err);
        assert_true(t == HAUL_OK || (t == HAUL_EXHAUSTED && err.sys_errno == EMFILE));
        restore(RLIMIT_NOFILE, &old);
        if (s == HAUL_OK) {
            haul_pool_close(pool);
        }
        if (t == HAUL_OK) {
            haul_pool_close(other);
        }
        (void)!haul_pool_remove(name, false, NULL); /* a pool without a buffer may be there */
        assert_int_equal(limits_objects(name), 0);
    }
}

/* Releasing and leaving need none, and remove what is to be removed. */
static void giving_back_needs_no_descriptor(void **state)
{
    two *p = *state;
    haul_buf *buf;
    assert_ok(haul_buf_alloc(p->first, BIG + 1, NULL, &buf)); /* made to measure */
    assert_ok(haul_pool_grow(p->first, 0, 3, NULL));
    struct rlimit old = few_descriptors(0);
    haul_buf_release(buf);
    assert_ok(haul_pool_trim(p->first, NULL, NULL));
    haul_pool_close(p->other);
    restore(RLIMIT_NOFILE, &old);
    p->other = NULL;
    assert_int_equal(limits_objects(haul_pool_name(p->first)), 3); /* control, two buffers */
}

int main(void)
{
#define IN_TWO_POOLS(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_TWO_POOLS(no_address_left_is_nomem),
        IN_TWO_POOLS(no_address_left_at_open_or_create_is_nomem),
        IN_TWO_POOLS(no_descriptor_left_is_a_status),
        IN_TWO_POOLS(no_descriptor_left_at_open_or_create_is_a_status),
        IN_TWO_POOLS(giving_back_needs_no_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
