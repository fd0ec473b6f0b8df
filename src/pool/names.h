/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_NAMES_H
#define SHORTHAUL_POOL_NAMES_H

/* Published buffers. See names.c. */

#include "pool/impl.h"

/* An entry as it was at one moment. */
typedef struct haul__name_copy {
    uint64_t word; /* of the entry */
    haul_key key;
    uint64_t len;
    char name[HAUL_BUF_NAME_MAX + 1];
} haul__name_copy;

/* Entry @i, if it is published and could be read in one piece. */
bool haul__name_read(const haul_pool *pool, uint32_t i, haul__name_copy *out_copy);

/* Whether the buffer that an entry names can still be attached. */
bool haul__name_leads_somewhere(const haul_pool *pool, const haul__name_copy *copy);

/* Take the names of this owner's buffer away, before it is released. */
void haul__names_forget(haul_pool *pool, uint32_t index);

/* Take away what dead @slot was writing, or had published for its lifetime. Under its lock. */
void haul__names_reap_slot(haul_pool *pool, uint32_t slot);

/* Take away entries that lead nowhere. */
void haul__names_mend(haul_pool *pool);

/* Whether an entry leads to buffer @index in its life of @generation. */
bool haul__names_have(const haul_pool *pool, uint32_t index, uint32_t generation);

#endif
