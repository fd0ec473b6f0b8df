/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_TAKE_H
#define SHORTHAUL_POOL_TAKE_H

/* Finding a free buffer of one class. See take.c. */

#include "pool/impl.h"

/* A buffer that is now OWNED by this process. */
typedef struct haul__taken {
    uint32_t index;
    uint32_t class_index;
    uint64_t word;
} haul__taken;

/* Where the hints say. False: they lead to nothing. */
bool haul__take(haul_pool *pool, uint32_t c, haul__taken *out_taken);

/* A buffer was used for the first time since it was made. */
void haul__count_first_use(haul_pool *pool, uint32_t c);

#endif
