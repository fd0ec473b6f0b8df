/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_SIDECAR_POOLS_H
#define SHORTHAUL_SIDECAR_POOLS_H

/* The pools that this sidecar keeps. */

#include <pthread.h>

#include "sidecar/config.h"

typedef struct kept_pool {
    const pool_spec *spec;
    haul_pool *pool; /* by one thread at a time, under the lock */
    pthread_mutex_t lock;
    haul_status reaped; /* how the last reap went, so that a lasting fault is said once */
    int watch_fd;       /* the pool's; readable when somebody may have died. -1: there is none */
    unsigned n_looks;   /* that pools_look_again() has still to take */
    bool created;       /* by this process, and not found */
    bool lost;          /* somebody has removed it by force, and we have said so */
} kept_pool;

typedef struct kept_pools {
    kept_pool *pools;
    size_t n;
} kept_pools;

/*
 * Create the configured pools, or open those that exist, as their keeper, and reap them.
 *
 * Ownership:  borrows @config; @kept is the caller's, until pools_close().
 * Conditions: HAUL_BUSY, HAUL_EXHAUSTED, HAUL_AGAIN as haul_pool_create() and haul_pool_open();
 *             HAUL_EXISTS  a pool exists with another geometry than the configured one
 *             Pools that this call created are removed again.
 * Failures:   those of haul_pool_create() and haul_pool_open()
 */
HAUL_MUST_CHECK haul_status pools_open(const sidecar_config *config, kept_pools *kept,
                                       haul_error *err);

/* Reap each pool. Says what it took back. */
void pools_reap(kept_pools *kept);

/*
 * Somebody may have died in @pool: reap, unless that is about to happen, and expect looks to follow.
 * The kernel tells of a death a moment before it proves it, so the first look may come too early.
 */
void pools_look(kept_pool *pool);

/* Reap each pool that expects a look. False: none expects one more. */
bool pools_look_again(kept_pools *kept);

/* False once somebody has removed the pool by force. It is not made anew: who removes a pool that is
 * in use wants it gone. */
bool pools_keeps(const kept_pool *pool);

/* The pool of that name; NULL if it is not kept here. */
kept_pool *pools_find(kept_pools *kept, const char *name);

/* haul_pool_get_info(), from any thread. */
HAUL_MUST_CHECK haul_status pools_get_info(kept_pool *pool, haul_pool_info **out_info,
                                           haul_error *err);

/* Leave the pools, and remove those that are configured so, unless somebody still uses them. */
void pools_close(kept_pools *kept);

#endif
