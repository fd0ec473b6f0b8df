/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Copies of every size and alignment, from one piece and from many, whether or not a second thread
 * can be had: the bytes arrive, and none beside them is touched.
 */

#include "transport_test.h"

#include <errno.h>
#include <stdlib.h>

#include <grpc/slice_buffer.h>

#include "transport/bulk.h"

#define MIB   ((size_t)1 << 20)
#define GUARD 128

static bool without_threads;
static unsigned n_threads;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    n_threads++;
    return without_threads ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}

/* Around the sizes from which on it is done otherwise, in bulk.c. */
static const size_t sizes[] = {
    0,       1,           63,          64,      65,          4095,         4 * MIB - 1,
    4 * MIB, 4 * MIB + 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 9 * MIB + 77, 20000000,
};

static const size_t offsets[] = {0, 1, 9, 31, 32, 63};

typedef struct memory {
    uint8_t *from;
    uint8_t *to;
    size_t n;
} memory;

static memory memory_of(size_t n)
{
    memory m = {.from = malloc(n + GUARD), .to = malloc(n + 2 * (size_t)GUARD), .n = n};
    assert_true(m.from && m.to);
    test_fill(m.from, n + GUARD, 3);
    return m;
}

static void memory_free(memory *m)
{
    free(m->from);
    free(m->to);
}

static bool is_untouched(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != 0xa5) {
            return false;
        }
    }
    return true;
}

static void assert_copied(const memory *m, size_t from, size_t to)
{
    assert_memory_equal(m->to + GUARD + to, m->from + from, m->n);
    assert_true(is_untouched(m->to, GUARD + to));
    assert_true(is_untouched(m->to + GUARD + to + m->n, GUARD - to));
}

static void one_piece(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        memory m = memory_of(sizes[s]);
        for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
            size_t from = offsets[i];
            size_t to = offsets[(i + s) % (sizeof(offsets) / sizeof(offsets[0]))];
            memset(m.to, 0xa5, m.n + 2 * (size_t)GUARD);
            haul__bulk_copy(m.to + GUARD + to, m.from + from, m.n);
            assert_copied(&m, from, to);
        }
        memory_free(&m);
    }
}

/* As gRPC receives them: pieces of many lengths, with something before and behind. */
static void many_pieces(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 65536, 8183, 64, 0, 3, 65527, 16384};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        memory m = memory_of(sizes[s]);
        grpc_slice_buffer slices;
        grpc_slice_buffer_init(&slices);
        for (size_t at = 0, i = 0; at < m.n + GUARD; i++) {
            size_t len = lengths[i % (sizeof(lengths) / sizeof(lengths[0]))];
            len = len < m.n + GUARD - at ? len : m.n + GUARD - at;
            grpc_slice_buffer_add_indexed(&slices, grpc_slice_from_static_buffer(m.from + at, len));
            at += len;
        }
        memset(m.to, 0xa5, m.n + 2 * (size_t)GUARD);
        haul__cursor cursor = haul__cursor_of(&slices);
        haul__cursor_take(&cursor, 9, NULL);
        haul__bulk_take(&cursor, m.n, m.to + GUARD + 31);
        assert_copied(&m, 9, 31);
        assert_int_equal(cursor.at, m.n + 9);
        uint8_t next;
        haul__cursor_take(&cursor, 1, &next);
        assert_int_equal(next, m.from[m.n + 9]);
        grpc_slice_buffer_destroy(&slices);
        memory_free(&m);
    }
}

static void without_a_second_thread(void **state)
{
    without_threads = true;
    one_piece(state);
    many_pieces(state);
    without_threads = false;
}

static void small_ones_take_no_thread(void **state)
{
    (void)state;
    memory m = memory_of(8 * MIB - 1);
    n_threads = 0;
    haul__bulk_copy(m.to, m.from, m.n);
    assert_int_equal(n_threads, 0);
    memory_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_piece),
        cmocka_unit_test(many_pieces),
        cmocka_unit_test(without_a_second_thread),
        cmocka_unit_test(small_ones_take_no_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
