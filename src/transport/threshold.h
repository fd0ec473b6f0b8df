/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_THRESHOLD_H
#define SHORTHAUL_TRANSPORT_THRESHOLD_H

/* From how many bytes on a payload is better copied to a buffer than to a socket. */

#include <stdatomic.h>

#include <shorthaul/transport.h>

/* Of one channel or server. */
typedef struct haul__threshold {
    uint64_t chosen;           /* what the application asked for; 0: to be measured */
    _Atomic uint64_t measured; /* 0: not yet */
} haul__threshold;

void haul__threshold_init(haul__threshold *threshold, uint64_t chosen);

/* Whether a payload of @len bytes in ordinary memory is worth a buffer of @pool. Measures, the first
 * time it matters. */
bool haul__threshold_passed(haul__threshold *threshold, haul_pool *pool, uint64_t len);

/* Whether a payload of @len bytes that lies in a buffer already goes by its key. */
bool haul__threshold_keeps_key(const haul__threshold *threshold, uint64_t len);

/* Bytes; 0 as long as they have not been measured. */
uint64_t haul__threshold_bytes(const haul__threshold *threshold);

/* Measure on this host, which takes less than a millisecond. 0 if it could not be done. */
uint64_t haul__threshold_measure(haul_pool *pool);

#endif
