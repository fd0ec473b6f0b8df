/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * As many buffers as a class may have: 65,536 of 4 KiB, all made, all taken, all given back. The
 * kernel lets a process have about as many mappings (vm.max_map_count), so a participant cannot keep
 * every buffer of such a pool mapped at once.
 */

#include "limits.h"
#include "pool_test.h"
#include "sanitized.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define N     HAUL_CLASS_BUFFERS_MAX
#define BYTES 4096u

static haul_pool *create(uint32_t n_initial)
{
    const haul_class_config cls = {.size_bytes = BYTES, .n_initial = n_initial, .n_max = N};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = &cls, .n_classes = 1, .n_participants = 4};
    haul_pool *pool = NULL;
    haul_error err = {0};
    (void)!haul_pool_remove(test_pool_name("many"), true, NULL);
    if (haul_pool_create(test_pool_name("many"), &config, NULL, &pool, &err) != HAUL_OK) {
        fail_msg("%s", err.text);
    }
    return pool;
}

static void all_of_a_full_class_can_be_made_and_counted(void **state)
{
    (void)state;
    haul_pool *pool = create(N);
    haul_class_info cls = test_class_info(pool, 0);
    assert_int_equal(cls.n_free, N);
    assert_true(cls.bytes == (uint64_t)N * BYTES);
    assert_status(haul_pool_grow(pool, 0, N + 1u, NULL), HAUL_EXHAUSTED);
    test_pool_destroy(pool);
    assert_int_equal(limits_objects(test_pool_name("many")), 0);
}

/* Each is taken once, has its own memory, and is free afterwards, whoever made it. */
static void all_of_a_full_class_can_be_taken_and_given_back(void **state)
{
    (void)state;
    const haul_open_opts opts = {.struct_size = sizeof(opts),
                                 .map_bytes_max = (uint64_t)(N - N / 8) * BYTES};
    const haul_alloc_opts strict = {.struct_size = sizeof(strict)};
    if (TEST_SANITIZED) {
        skip(); /* minutes, for nothing that the first test does not touch */
    }
    haul_buf **bufs = calloc(N, sizeof(haul_buf *));
    haul_key key;
    haul_view view;
    haul_pool *maker = create(N);
    haul_pool *pool;
    haul_buf *more;
    assert_non_null(bufs);
    assert_ok(haul_pool_open(haul_pool_name(maker), &opts, &pool, NULL));
    haul_pool_close(maker);
    for (uint32_t i = 0; i < N; i++) {
        assert_ok(haul_buf_alloc(pool, BYTES, &strict, &bufs[i]));
        memcpy(haul_buf_data(bufs[i]), &i, sizeof(i));
        /* Once shared it need not stay mapped, so all of them can be owned at once. */
        assert_ok(haul_buf_share(bufs[i], sizeof(i), &key));
    }
    assert_status(haul_buf_alloc(pool, BYTES, &strict, &more), HAUL_EXHAUSTED);
    assert_int_equal(test_class_info(pool, 0).n_shared, N);
    assert_int_equal(test_class_info(pool, 0).high_water, N);
    for (uint32_t i = 0; i < N; i += N / 64) {
        uint32_t read;
        assert_ok(haul_buf_view(bufs[i], &view));
        memcpy(&read, view.data, sizeof(read));
        assert_int_equal(read, i);
        haul_detach(&view);
    }
    for (uint32_t i = 0; i < N; i++) {
        haul_buf_release(bufs[i]);
    }
    free(bufs);
    assert_int_equal(test_free_count(pool, 0), N);
    assert_int_equal(test_class_info(pool, 0).releases, N);
    test_pool_destroy(pool);
    assert_int_equal(limits_objects(test_pool_name("many")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_a_full_class_can_be_made_and_counted),
        cmocka_unit_test(all_of_a_full_class_can_be_taken_and_given_back),
    };
    struct statvfs vfs;
    if (statvfs("/dev/shm", &vfs) != 0 ||
        (uint64_t)vfs.f_bavail * vfs.f_frsize < (uint64_t)2 * N * BYTES ||
        (vfs.f_files != 0 && vfs.f_favail < 2 * N)) {
        (void)printf("skipped: 512 MiB and 131,072 names in /dev/shm are not to be had\n");
        return LIMITS_SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
