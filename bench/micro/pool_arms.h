/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef POOL_ARMS_H
#define POOL_ARMS_H

/* The operations that bench_pool times: see pool_arms.c. */

#include <stdatomic.h>

#include <shorthaul/pool.h>

#include "bench.h"
#include "boost_arm.h"

#define SMALL_BYTES (64 * BENCH_KIB)
#define LARGE_BYTES (64 * BENCH_MIB)

#define N_WIDE     65536
#define N_CROWD    200
#define TINY_BYTES 4096

typedef struct fixture {
    const char *pool_name;
    uint32_t n_wide;    /* buffers of the wide pool */
    haul_pool *pool;    /* the allocating participant */
    haul_pool *reader;  /* a second participant, in this process too */
    haul_pool *cold;    /* a third, that is new for each sample of a cold arm */
    haul_pool *wide;    /* a pool of n_wide buffers */
    haul_pool *crowded; /* a pool with N_CROWD participants, all in this process */
    haul_pool *crowd[N_CROWD];
    boost_arm *boost;
    bench_peer victim;       /* about to be killed */
    haul_buf *small, *large; /* shared, for the readers */
    haul_key small_key, large_key;
    uint8_t *source, *target; /* private, LARGE_BYTES each */
    atomic_uint_fast64_t word;
    uint64_t sum;
} fixture;

/* Each does its operation @n_ops times; those on large buffers do it once, whatever @n_ops. */
bool run_alloc_release(fixture *f, size_t n_ops);
bool run_full_cycle(fixture *f, size_t n_ops);
bool run_alloc_release_wide(fixture *f, size_t n_ops);
bool run_full_cycle_wide(fixture *f, size_t n_ops);
bool run_alloc_release_crowd(fixture *f, size_t n_ops);
bool run_full_cycle_crowd(fixture *f, size_t n_ops);
bool run_boost(fixture *f, size_t n_ops);
bool run_attach_warm(fixture *f, size_t n_ops);
bool run_attach_cold(fixture *f, size_t n_ops);
bool run_attach_cold_map(fixture *f, size_t n_ops);
bool run_fill(fixture *f, size_t n_ops);
bool run_memcpy(fixture *f, size_t n_ops);
bool run_read(fixture *f, size_t n_ops);
bool run_read_cold(fixture *f, size_t n_ops);
bool run_read_attached(fixture *f, size_t n_ops);
bool run_cas(fixture *f, size_t n_ops);
bool run_death(fixture *f, size_t n_ops);

/* Around a sample, outside of the time that is taken: a new participant, a process that owns a
 * buffer and is going to be killed. */
bool open_cold(fixture *f);
void close_cold(fixture *f);
bool start_victim(fixture *f);
void bury_victim(fixture *f);

/* The victim's part: take a buffer, say so, and wait for what comes. */
int be_victim(const char *pool_name);

/* ---- pool_fixture.c ------------------------------------------------------------------------ */

/* Make the pools and what is in them. Says why not on stderr. */
bool fixture_init(fixture *f);

/* True if the pools are sound after all that, and gone. */
bool fixture_fini(fixture *f);

#endif
