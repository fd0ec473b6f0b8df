/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * haul_pool_wait_claimed(): the giver waits until a gift is no longer one.
 *
 * It sleeps on the pool's wake word, like an allocation that waits (alloc.c): a claim wakes, as does
 * whatever else ends a gift, for that frees the buffer. The giver's thread may be any thread of the
 * process that gave; nothing is held while it waits, and it may die at any instruction.
 *
 * It looks for a recipient that has died by itself every few milliseconds: a sidecar is not needed for
 * the giver to go on, and a neighbour that wakes it without end does not keep it from looking.
 */

#include "pool/life.h"
#include "pool/reap.h"
#include "pool/wait.h"

/* Whether the gift is still waiting for its recipient. */
static haul_status look(haul_pool *pool, const haul_key *key, bool *out_waits)
{
    uint64_t word;
    haul_status s = haul__look_up_gift(pool, key, &word);
    *out_waits = s == HAUL_OK;
    return s == HAUL_STALE ? HAUL_OK : s;
}

haul_status haul_pool_wait_claimed(haul_pool *pool, const haul_key *key, int64_t wait_ns)
{
    bool waits;
    haul_status s = look(pool, key, &waits);
    if (s != HAUL_OK || !waits) {
        return s;
    }
    uint64_t start = haul__now_ns();
    uint64_t looked = start;
    while (wait_ns != 0) {
        uint32_t prepared = haul__wait_prepare(pool);
        s = look(pool, key, &waits);
        if (s != HAUL_OK || !waits) {
            return s;
        }
        uint64_t nap = haul__nap_ns(start, wait_ns);
        if (nap == 0) {
            break;
        }
        haul__wait(pool, prepared, nap);
        if (haul__now_ns() - looked >= HAUL__NAP_NS) {
            (void)haul__reap_dead(pool);
            looked = haul__now_ns();
        }
    }
    return HAUL_TIMEOUT;
}
