/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_WAIT_H
#define SHORTHAUL_POOL_WAIT_H

/* Waiting for a release. See wait.c. */

#include "pool/impl.h"

/* Wake whoever waits. A load and nothing more if nobody does. */
static inline void haul__wake(haul_pool *pool);
void haul__wake_waiters(haul_pool *pool);

/* Announce that this thread is going to wait; returns what to pass to haul__wait(). The caller
 * looks for a buffer once more in between. */
uint32_t haul__wait_prepare(haul_pool *pool);

/* Sleep until somebody wakes, @timeout_ns has passed, or for no reason at all. */
void haul__wait(haul_pool *pool, uint32_t prepared, uint64_t timeout_ns);

uint64_t haul__now_ns(void);

/* Waiters look for the dead by themselves this often, in case no sidecar does: a lock test per slot
 * in use is a few microseconds. */
#define HAUL__NAP_NS UINT64_C(20000000)

/* How long to sleep at a time when waiting since @start for @wait_ns (<0: without end); 0: the time is
 * up. */
uint64_t haul__nap_ns(uint64_t start, int64_t wait_ns);

/* Whether somebody waits. */
static inline bool haul__is_awaited(const haul_pool *pool)
{
    return (haul__load32_seq(&haul__header_of(pool)->wake) & 1) != 0;
}

static inline void haul__wake(haul_pool *pool)
{
    if (haul__is_awaited(pool)) {
        haul__wake_waiters(pool);
    }
}

#endif
