/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* A /dev/shm of one mebibyte, in a mount namespace of this process's own: running out of memory is
 * a status where memory is reserved, and never a signal where it is used. */

#include "pool_test.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SKIPPED 77 /* to ctest: SKIP_RETURN_CODE */

static int write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    if (!file) {
        return -1;
    }
    int rc = fputs(text, file) < 0 ? -1 : 0;
    return fclose(file) == 0 ? rc : -1;
}

/* A user who is not root becomes root in a user namespace of his own, as which files are his. */
static int enter_user_namespace(void)
{
    char map[64];
    long uid = (long)getuid();
    long gid = (long)getgid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        return -1;
    }
    (void)snprintf(map, sizeof(map), "0 %ld 1", uid);
    if (write_file("/proc/self/uid_map", map) != 0 ||
        write_file("/proc/self/setgroups", "deny") != 0) {
        return -1;
    }
    (void)snprintf(map, sizeof(map), "0 %ld 1", gid);
    return write_file("/proc/self/gid_map", map);
}

static int enter_small_shm(void)
{
    if (unshare(CLONE_NEWNS) != 0 && enter_user_namespace() != 0) {
        return -1;
    }
    (void)mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    return mount("shorthaul-test", "/dev/shm", "tmpfs", 0, "size=1m");
}

static uint64_t free_bytes(void)
{
    struct statvfs vfs;
    assert_int_equal(statvfs("/dev/shm", &vfs), 0);
    return (uint64_t)vfs.f_bfree * vfs.f_bsize;
}

static void a_pool_that_does_not_fit_is_not_made(void **state)
{
    (void)state;
    const haul_class_config cls = {.size_bytes = 65536, .n_initial = 20, .n_max = 20};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = &cls, .n_classes = 1, .n_participants = 4};
    haul_pool *pool;
    haul_error err = {0};
    char **names;
    size_t n = 99;
    uint64_t before = free_bytes();
    assert_status(haul_pool_create("full", &config, NULL, &pool, &err), HAUL_EXHAUSTED);
    assert_non_null(strstr(err.text, "65536 bytes")); /* the figures */
    assert_ok(haul_pool_list(&names, &n, NULL));
    assert_int_equal(n, 0);
    free(names);
    assert_int_equal(free_bytes(), before); /* nothing is left behind */
}

static void growth_stops_where_memory_does(void **state)
{
    (void)state;
    const haul_class_config cls = {.size_bytes = 65536, .n_initial = 1, .n_max = 20};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = &cls, .n_classes = 1, .n_participants = 4};
    haul_pool *pool;
    haul_buf *bufs[20];
    uint32_t n = 0;
    haul_status s = HAUL_OK;
    assert_ok(haul_pool_create("growing", &config, NULL, &pool, NULL));
    while (n < 20 && (s = haul_buf_alloc(pool, 65536, NULL, &bufs[n])) == HAUL_OK) {
        memset(haul_buf_data(bufs[n]), 0xff, 65536); /* every page is there */
        n++;
    }
    assert_status(s, HAUL_EXHAUSTED);
    assert_true(n > 5 && n < 16);
    assert_audit_clean(pool);
    for (uint32_t i = 0; i < n; i++) {
        haul_buf_release(bufs[i]);
    }
    assert_ok(haul_pool_trim(pool, NULL, NULL));
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

static void a_made_to_measure_buffer_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    const haul_class_config cls = {.size_bytes = 4096, .n_initial = 1, .n_max = 1};
    const haul_pool_config config = {.struct_size = sizeof(config),
                                     .classes = &cls,
                                     .n_classes = 1,
                                     .n_measured_max = 1,
                                     .budget_bytes = 1u << 30,
                                     .n_participants = 4};
    haul_pool *pool;
    haul_buf *buf;
    assert_ok(haul_pool_create("measured", &config, NULL, &pool, NULL));
    uint64_t before = free_bytes();
    assert_status(haul_buf_alloc(pool, 64u << 20, NULL, &buf), HAUL_EXHAUSTED);
    assert_int_equal(free_bytes(), before);
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_that_does_not_fit_is_not_made),
        cmocka_unit_test(growth_stops_where_memory_does),
        cmocka_unit_test(a_made_to_measure_buffer_that_does_not_fit_is_refused),
    };
    if (enter_small_shm() != 0) {
        (void)printf("skipped: no mount namespace to be had here\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
