/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_POOL_TEST_H
#define SHORTHAUL_TESTS_POOL_TEST_H

/* What the tests of the pool share: cmocka, pools with names of their own, and audits. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <shorthaul/pool.h>

/* Compare statuses by name, so that a failure says more than a number. */
#define assert_status(call, expected)                                                              \
    assert_string_equal(haul_status_name(call), haul_status_name(expected))
#define assert_ok(call) assert_status(call, HAUL_OK)

/* The name of this test process's pool; another one for each @tag. */
const char *test_pool_name(const char *tag);

/* Two small classes, 4 KiB x 4..8 and 64 KiB x 2..4, and two buffers made to measure. */
haul_pool *test_pool_create(const char *tag);

/* One class of @size bytes, @n buffers, nothing else. */
haul_pool *test_pool_create_one(const char *tag, uint64_t size, uint32_t n);

/* Four classes, for payloads of up to 4 KiB, 1 MiB, 20 MB and 64 MiB, two buffers of each and room
 * for two more. */
haul_pool *test_pool_create_large(const char *tag);

/* Many buffers of 64 KiB and some of 20 MB, for streams. All are there from the start: participants
 * in Python make none. */
haul_pool *test_pool_create_streams(const char *tag);

/* Close, and remove the pool for good. */
void test_pool_destroy(haul_pool *pool);

/* The audit finds nothing; what it does find is printed. */
void assert_audit_clean(haul_pool *pool);

/* Every buffer that exists is free. */
void assert_all_free(haul_pool *pool);

/* After a reap every buffer is free and the audit finds nothing. */
void assert_reaped(haul_pool *pool);

/* Buffers of class @c that are free. */
uint32_t test_free_count(haul_pool *pool, uint32_t c);

/* The information on class @c. */
haul_class_info test_class_info(haul_pool *pool, uint32_t c);

/* Allocate @len bytes with the default policy, or fail the test. */
haul_buf *test_alloc(haul_pool *pool, uint64_t len);

/* Allocate, fill with @byte and share, or fail the test. */
haul_buf *test_share(haul_pool *pool, uint64_t len, uint8_t byte, haul_key *out_key);

/* ---- Of a test that has a pool as its state ---- */

/* The pool is that of test_pool_create(). */
int test_pool_setup(void **state);

/* Everything is free and the audit finds nothing; and destroy it. */
int test_pool_teardown(void **state);

/* The same after a reap: of pools whose members have died. */
int test_pool_teardown_reaped(void **state);

/* ---- A pool that has nothing to give ---- */

typedef struct test_hoard {
    haul_buf *bufs[64];
    unsigned n;
} test_hoard;

/* Take every buffer that can be had for @len bytes, and what can be made to measure, but for
 * @n_left of them. */
test_hoard test_hoard_take(haul_pool *pool, uint64_t len, unsigned n_left);

void test_hoard_release(test_hoard *hoard);

#endif
