/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The operations that bench_pool times, one function each. bench_pool.c says what they stand for.
 *
 * They run in the caller's thread and keep nothing but what is in the fixture, which the caller
 * owns. A false answer means that the pool refused something it should not have.
 */
#include "pool_arms.h"

#include <string.h>

#define PAGE_BYTES 4096

static bool alloc_release(haul_pool *pool, uint64_t len, size_t n_ops)
{
    for (size_t i = 0; i < n_ops; i++) {
        haul_buf *buf = NULL;
        if (haul_buf_alloc(pool, len, NULL, &buf) != HAUL_OK) {
            return false;
        }
        haul_buf_release(buf);
    }
    return true;
}

static bool full_cycle(haul_pool *pool, uint64_t len, size_t n_ops)
{
    for (size_t i = 0; i < n_ops; i++) {
        haul_buf *buf = NULL;
        haul_key key;
        haul_view view;
        if (haul_buf_alloc(pool, len, NULL, &buf) != HAUL_OK) {
            return false;
        }
        if (haul_buf_share(buf, len, &key) != HAUL_OK ||
            haul_attach(pool, &key, len, &view) != HAUL_OK) {
            haul_buf_release(buf);
            return false;
        }
        haul_detach(&view);
        haul_buf_release(buf);
    }
    return true;
}

bool run_alloc_release(fixture *f, size_t n_ops)
{
    return alloc_release(f->pool, SMALL_BYTES, n_ops);
}

bool run_full_cycle(fixture *f, size_t n_ops)
{
    return full_cycle(f->pool, SMALL_BYTES, n_ops);
}

bool run_alloc_release_wide(fixture *f, size_t n_ops)
{
    return alloc_release(f->wide, TINY_BYTES, n_ops);
}

bool run_full_cycle_wide(fixture *f, size_t n_ops)
{
    return full_cycle(f->wide, TINY_BYTES, n_ops);
}

bool run_alloc_release_crowd(fixture *f, size_t n_ops)
{
    return alloc_release(f->crowded, TINY_BYTES, n_ops);
}

bool run_full_cycle_crowd(fixture *f, size_t n_ops)
{
    return full_cycle(f->crowded, TINY_BYTES, n_ops);
}

bool run_boost(fixture *f, size_t n_ops)
{
    return boost_arm_run(f->boost, SMALL_BYTES, n_ops);
}

bool run_attach_warm(fixture *f, size_t n_ops)
{
    for (size_t i = 0; i < n_ops; i++) {
        haul_view view;
        if (haul_attach(f->reader, &f->small_key, SMALL_BYTES, &view) != HAUL_OK) {
            return false;
        }
        haul_detach(&view);
    }
    return true;
}

static bool attach_cold(fixture *f, size_t stride)
{
    haul_view view;
    if (haul_attach(f->cold, &f->large_key, LARGE_BYTES, &view) != HAUL_OK) {
        return false;
    }
    for (size_t at = 0; at < view.len; at += stride) {
        f->sum += view.data[at];
    }
    haul_detach(&view);
    return true;
}

static bool read_whole(haul_pool *pool, const haul_key *key, uint64_t *sum)
{
    haul_view view;
    if (haul_attach(pool, key, LARGE_BYTES, &view) != HAUL_OK) {
        return false;
    }
    *sum += bench_touch(view.data, view.len, true);
    haul_detach(&view);
    return true;
}

bool run_read_cold(fixture *f, size_t n_ops)
{
    (void)n_ops;
    return read_whole(f->cold, &f->large_key, &f->sum);
}

bool run_read_attached(fixture *f, size_t n_ops)
{
    (void)n_ops;
    return read_whole(f->reader, &f->large_key, &f->sum);
}

bool run_attach_cold(fixture *f, size_t n_ops)
{
    (void)n_ops;
    return attach_cold(f, PAGE_BYTES);
}

bool run_attach_cold_map(fixture *f, size_t n_ops)
{
    (void)n_ops;
    return attach_cold(f, LARGE_BYTES);
}

bool run_fill(fixture *f, size_t n_ops)
{
    (void)n_ops;
    haul_buf *buf = NULL;
    if (haul_buf_alloc(f->pool, LARGE_BYTES, NULL, &buf) != HAUL_OK) {
        return false;
    }
    memcpy(haul_buf_data(buf), f->source, LARGE_BYTES);
    haul_buf_release(buf);
    return true;
}

bool run_memcpy(fixture *f, size_t n_ops)
{
    (void)n_ops;
    memcpy(f->target, f->source, LARGE_BYTES);
    f->sum += f->target[LARGE_BYTES / 2];
    return true;
}

bool run_read(fixture *f, size_t n_ops)
{
    (void)n_ops;
    f->sum += bench_touch(f->source, LARGE_BYTES, true);
    return true;
}

bool run_cas(fixture *f, size_t n_ops)
{
    for (size_t i = 0; i < n_ops; i++) {
        uint_fast64_t seen = atomic_load_explicit(&f->word, memory_order_relaxed);
        if (!atomic_compare_exchange_strong(&f->word, &seen, seen + 1)) {
            return false;
        }
    }
    return true;
}
