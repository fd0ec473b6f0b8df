/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_BASE_CHECKED_H
#define SHORTHAUL_BASE_CHECKED_H

/* Sums that say when they overflow, for sizes that come from files, the wire and shared memory. */

#include <stdbool.h>
#include <stdint.h>

static inline bool haul__add_u64(uint64_t a, uint64_t b, uint64_t *out_sum)
{
    return !__builtin_add_overflow(a, b, out_sum);
}

static inline bool haul__mul_u64(uint64_t a, uint64_t b, uint64_t *out_product)
{
    return !__builtin_mul_overflow(a, b, out_product);
}

/* Round up to a multiple of @unit, a power of two. */
static inline bool haul__round_up_u64(uint64_t a, uint64_t unit, uint64_t *out_rounded)
{
    uint64_t sum;
    if (!haul__add_u64(a, unit - 1, &sum)) {
        return false;
    }
    *out_rounded = sum & ~(unit - 1);
    return true;
}

#endif
