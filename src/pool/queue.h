/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_QUEUE_H
#define SHORTHAUL_POOL_QUEUE_H

/* Who waits for a buffer, in which order. See queue.c. */

#include "pool/impl.h"

/* A place in the queue of one class. */
typedef struct haul__place {
    uint32_t cell; /* HAUL__WAITERS: there was no free one */
    uint64_t word;
} haul__place;

/* Line up for class @c. */
haul__place haul__queue_join(haul_pool *pool, uint32_t c);

/* Leave the queue; the caller wakes the others. */
void haul__queue_leave(haul_pool *pool, const haul__place *place);

/* Whether nobody who waits for the same class came earlier. */
bool haul__queue_is_first(const haul_pool *pool, const haul__place *place);

/* Threads that wait for class @c. */
uint32_t haul__queue_length(const haul_pool *pool, uint32_t c);

/* Take away the places of dead @slot. Under its lock. */
void haul__queue_reap_slot(haul_pool *pool, uint32_t slot);

#endif
