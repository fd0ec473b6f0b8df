/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Buffers of 4 GiB and more.
 *
 * Sums are tested without a page: objects are planted sparse where the pool's would be, and records
 * forged, so that offsets and lengths around 2^32 and 2^40 go the whole way to an address. With the
 * argument --real one buffer of 4 GiB and a page is made, reserved, and touched here and there; that
 * takes memory and some seconds, and is left to whoever asks for it.
 */

#include "limits.h"
#include "pool_test.h"
#include "sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "pool/impl.h"
#include "pool/object.h"

#define GIB4 (UINT64_C(1) << 32)
#define TIB  (UINT64_C(1) << 40)

static haul_pool *create(const haul_class_config *classes, uint32_t n_classes, uint64_t budget)
{
    const haul_pool_config config = {.struct_size = sizeof(config),
                                     .classes = classes,
                                     .n_classes = n_classes,
                                     .n_measured_max = 2,
                                     .budget_bytes = budget,
                                     .n_participants = 4};
    haul_pool *pool = NULL;
    (void)!haul_pool_remove(test_pool_name("giant"), true, NULL);
    assert_ok(haul_pool_create(test_pool_name("giant"), &config, NULL, &pool, NULL));
    return pool;
}

/* A shared buffer of this participant's, of @bytes, without pages. */
static haul_key forge(haul_pool *pool, uint32_t index, uint64_t bytes)
{
    char object[HAUL__OBJECT_NAME_BYTES];
    haul__record *record = haul__record_of(pool, index);
    haul__buffer_name(pool->name, pool->id, index, object);
    int fd = shm_open(object, O_CREAT | O_EXCL | O_RDWR, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    for (uint64_t at = 0; at < bytes; at += bytes - 1) { /* the first byte and the last */
        assert_int_equal(pwrite(fd, at == 0 ? "F" : "L", 1, (off_t)at), 1);
    }
    if (bytes > GIB4) {
        assert_int_equal(pwrite(fd, "\x01\x02\x03", 3, (off_t)(GIB4 - 1)), 3);
    }
    assert_int_equal(close(fd), 0);
    haul__store64_relaxed(&record->ticket, 42);
    haul__store64_relaxed(&record->length, bytes);
    haul__store64_relaxed(&record->capacity, bytes);
    haul__store32_relaxed(&record->born, 1);
    haul__store64_seq(&record->state, haul__word(1, pool->slot, HAUL__SHARED, HAUL__FLAG_USED));
    return (haul_key){.pool_id = pool->id, .ticket = 42, .index = index, .generation = 1};
}

static uint8_t byte_at(haul_pool *pool, haul_key key, uint64_t offset, uint64_t len)
{
    haul_view view;
    key.offset = offset;
    assert_ok(haul_attach(pool, &key, len, &view));
    assert_true(view.len == len);
    uint8_t byte = view.data[0];
    haul_detach(&view);
    return byte;
}

static void assert_refused(haul_pool *pool, haul_key key, uint64_t offset, uint64_t len)
{
    haul_view view = {0};
    key.offset = offset;
    assert_status(haul_attach(pool, &key, len, &view), HAUL_INVALID);
    assert_null(view.data);
}

static void look_around(haul_pool *pool, haul_key key, uint64_t bytes)
{
    assert_int_equal(byte_at(pool, key, 0, bytes), 'F');
    assert_int_equal(byte_at(pool, key, bytes - 1, 1), 'L');
    assert_int_equal(byte_at(pool, key, GIB4 - 1, 2), 1);
    assert_int_equal(byte_at(pool, key, GIB4, 1), 2);
    assert_int_equal(byte_at(pool, key, GIB4 + 1, bytes - GIB4 - 1), 3);
    assert_int_equal(byte_at(pool, key, bytes - GIB4, GIB4), bytes == 2 * GIB4 ? 2 : 0);
    assert_refused(pool, key, 0, bytes + 1);
    assert_refused(pool, key, 1, bytes);
    assert_refused(pool, key, bytes, 1);
    assert_refused(pool, key, GIB4, bytes);
    assert_refused(pool, key, UINT64_MAX, 2);
    assert_refused(pool, key, UINT64_MAX - GIB4 + 1, GIB4);
    assert_refused(pool, key, 1, UINT64_MAX);
}

static void offsets_beyond_4_gib_lead_where_they_should(void **state)
{
    (void)state;
    static const haul_class_config classes[] = {
        {.size_bytes = GIB4 + 4096, .n_max = 4},
        {.size_bytes = TEST_SANITIZED ? 5 * GIB4 : TIB + 4096, .n_max = 4}};
    haul_pool *pool = create(classes, 2, 64 * TIB);
    haul_key four = forge(pool, 0, GIB4 + 4096);
    look_around(pool, four, GIB4 + 4096);
    uint64_t tera_bytes = TEST_SANITIZED ? 5 * GIB4 : TIB + 4096; /* they have no room for it */
    haul_key tera = forge(pool, 4, tera_bytes);
    look_around(pool, tera, tera_bytes);
    haul_key measured = forge(pool, 9, 3 * GIB4);
    look_around(pool, measured, 3 * GIB4);

    haul_pool_info *info;
    assert_ok(haul_pool_get_info(pool, &info, NULL));
    assert_true(info->bytes == GIB4 + 4096 + tera_bytes + 3 * GIB4);
    assert_true(info->classes[1].bytes == tera_bytes);
    assert_true(info->participants[0].bytes_owned == info->bytes);
    haul_pool_info_free(info);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

/* A claim, too: its length is compared with 64 bits. */
static void a_gift_beyond_4_gib_is_claimed_with_its_length(void **state)
{
    (void)state;
    static const haul_class_config cls = {.size_bytes = 2 * GIB4, .n_max = 1};
    haul_pool *pool = create(&cls, 1, 8 * GIB4);
    haul_key key = forge(pool, 0, 2 * GIB4);
    haul_buf *buf;
    haul_view view;
    haul__a64 *word = &haul__record_of(pool, 0)->state;
    haul__store64_relaxed(&haul__record_of(pool, 0)->deadline_ns, UINT64_MAX);
    haul__store64_seq(word, haul__word(1, pool->slot, HAUL__GIVEN, HAUL__FLAG_USED));
    assert_status(haul_buf_claim(pool, &key, 2 * GIB4 + 1, &buf), HAUL_INVALID);
    key.offset = GIB4;
    assert_status(haul_buf_claim(pool, &key, GIB4 + 1, &buf), HAUL_INVALID);
    key.offset = 0;
    assert_ok(haul_buf_claim(pool, &key, 2 * GIB4, &buf));
    assert_true(haul_buf_capacity(buf) == 2 * GIB4);
    assert_ok(haul_buf_view(buf, &view));
    assert_true(view.len == 2 * GIB4);
    assert_int_equal(view.data[2 * GIB4 - 1], 'L');
    haul_detach(&view);
    haul_buf_release(buf);
    assert_all_free(pool);
    test_pool_destroy(pool);
}

static uint64_t free_shm_bytes(void)
{
    struct statvfs vfs;
    assert_int_equal(statvfs("/dev/shm", &vfs), 0);
    return (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

/* fallocate() as the pool calls it in this program (--wrap). While @watching it gives nothing, and
 * counts who asks for less than the whole. */
static struct {
    bool watching;
    uint64_t whole;
    unsigned n_parts;
} reserve;

int __real_fallocate(int fd, int mode, off_t offset, off_t bytes);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes);

int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    if (!reserve.watching || mode != 0) {
        return __real_fallocate(fd, mode, offset, bytes);
    }
    reserve.n_parts += (uint64_t)bytes < reserve.whole;
    errno = ENOSPC;
    return -1;
}

/* What cannot be had is refused as a whole. Taking as much as there is before finding out would
 * starve everybody else on the way. */
static void a_request_beyond_all_memory_takes_nothing(void **state)
{
    (void)state;
    static const haul_class_config cls = {.size_bytes = 4096, .n_max = 1};
    static const uint64_t sizes[] = {TIB, 64 * TIB, UINT64_C(1) << 49, UINT64_C(1) << 62};
    haul_pool *pool = create(&cls, 1, INT64_MAX);
    haul_buf *buf;
    assert_true(haul_pool_max_bytes(pool) > UINT64_C(1) << 62);
    reserve.watching = true;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        reserve.whole = sizes[i];
        assert_status(haul_buf_alloc(pool, sizes[i], NULL, &buf), HAUL_EXHAUSTED);
    }
    reserve.watching = false;
    assert_int_equal(reserve.n_parts, 0);
    assert_status(haul_buf_alloc(pool, UINT64_MAX, NULL, &buf), HAUL_TOO_BIG);
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

/* ---- With pages ---------------------------------------------------------------------------- */

static void a_real_buffer_of_4_gib_and_a_page(void **state)
{
    (void)state;
    static const haul_class_config cls = {.size_bytes = 4096, .n_max = 1};
    const uint64_t bytes = GIB4 + 4096;
    haul_pool *pool = create(&cls, 1, 8 * GIB4);
    haul_key key;
    haul_buf *buf;
    assert_ok(haul_buf_alloc(pool, bytes, NULL, &buf));
    assert_true(haul_buf_capacity(buf) == bytes);
    uint8_t *data = haul_buf_data(buf);
    data[0] = 'F';
    data[GIB4 - 1] = 1;
    data[GIB4] = 2;
    data[GIB4 + 1] = 3;
    data[bytes - 1] = 'L';
    assert_ok(haul_buf_share(buf, bytes, &key));
    look_around(pool, key, bytes);
    haul_buf_release(buf);
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_beyond_4_gib_lead_where_they_should),
        cmocka_unit_test(a_gift_beyond_4_gib_is_claimed_with_its_length),
        cmocka_unit_test(a_request_beyond_all_memory_takes_nothing),
    };
    const struct CMUnitTest real[] = {cmocka_unit_test(a_real_buffer_of_4_gib_and_a_page)};
    if (argc < 2 || strcmp(argv[1], "--real") != 0) {
        return cmocka_run_group_tests(tests, NULL, NULL);
    }
    uint64_t available = limits_proc_bytes("/proc/meminfo", "MemAvailable:");
    if (available < 2 * GIB4 || free_shm_bytes() < 2 * GIB4) {
        (void)printf("skipped: 8 GiB of free memory are not there\n");
        return LIMITS_SKIPPED;
    }
    return cmocka_run_group_tests(real, NULL, NULL);
}
