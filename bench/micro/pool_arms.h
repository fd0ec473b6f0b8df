/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef POOL_ARMS_H
#define POOL_ARMS_H

/* The operations that bench_pool times: see pool_arms.c. */

#include <stdatomic.h>

#include <shorthaul/pool.h>

#include "bench.h"

#define SMALL_BYTES (64 * BENCH_KIB)
#define LARGE_BYTES (64 * BENCH_MIB)

typedef struct fixture {
    const char *pool_name;
    haul_pool *pool;         /* the allocating participant */
    haul_pool *reader;       /* a second participant, in this process too */
    haul_pool *cold;         /* a third, that is new for each sample of a cold arm */
    haul_buf *small, *large; /* shared, for the readers */
    haul_key small_key, large_key;
    uint8_t *source, *target; /* private, LARGE_BYTES each */
    atomic_uint_fast64_t word;
    uint64_t sum;
} fixture;

/* Each does its operation @n_ops times; those on large buffers do it once, whatever @n_ops. */
bool run_alloc_release(fixture *f, size_t n_ops);
bool run_full_cycle(fixture *f, size_t n_ops);
bool run_attach_warm(fixture *f, size_t n_ops);
bool run_attach_cold(fixture *f, size_t n_ops);
bool run_attach_cold_map(fixture *f, size_t n_ops);
bool run_fill(fixture *f, size_t n_ops);
bool run_memcpy(fixture *f, size_t n_ops);
bool run_read(fixture *f, size_t n_ops);
bool run_cas(fixture *f, size_t n_ops);

#endif
