/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_GROW_H
#define SHORTHAUL_POOL_GROW_H

/* Making buffers. See grow.c. */

#include "pool/impl.h"

/*
 * Make one buffer of @bytes in class @c, owned by this process.
 *
 * Conditions: HAUL_EXHAUSTED  class full, budget, /dev/shm or memory limit
 *             HAUL_NOT_FOUND  the pool has been removed
 */
HAUL_MUST_CHECK haul_status haul__grow_owned(haul_pool *pool, uint32_t c, uint64_t bytes,
                                             haul_buf **out_buf, haul_error *err);

/* Make free buffers until class @c has @n. Conditions: as above; those made stay. */
HAUL_MUST_CHECK haul_status haul__grow_to(haul_pool *pool, uint32_t c, uint32_t n, haul_error *err);

/* Buffers of class @c that exist or are being made. */
uint32_t haul__class_count(const haul_pool *pool, uint32_t c);

#endif
