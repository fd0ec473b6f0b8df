/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_TAKE_H
#define SHORTHAUL_POOL_TAKE_H

/* Finding a free buffer of one class. See take.c. Inline is what nearly every allocation is. */

#include "pool/impl.h"

/* A buffer was used for the first time since it was made. */
void haul__count_first_use(haul_pool *pool, uint32_t c);

/* Take @buf if it is free: OWNED by this process, buf->word set. */
static inline bool haul__try_take(haul_buf *buf)
{
    haul__a64 *state = &buf->record->state;
    uint64_t word = haul__load64_acquire(state);
    if (haul__word_phase(word) != HAUL__FREE ||
        haul__load32_relaxed(&buf->mine) != 0) { /* ours already: a forged word */
        return false;
    }
    uint32_t flags = haul__word_flags(word) & HAUL__FLAGS_ALL;
    uint64_t mine = haul__word(haul__word_generation(word), buf->pool->slot, HAUL__OWNED,
                               flags | HAUL__FLAG_USED);
    if (!haul__cas64_acqrel(state, &word, mine)) {
        return false;
    }
    haul__store32_relaxed(&buf->mine, 1);
    HAUL__FAULT(ALLOC_OWNED);
    if ((flags & HAUL__FLAG_USED) == 0) {
        haul__count_first_use(buf->pool, buf->class_index);
    }
    buf->word = mine;
    return true;
}

/* Where the hints say; NULL if they lead to nothing. */
haul_buf *haul__take_hinted(haul_pool *pool, uint32_t c);

/* A free buffer of class @c, now OWNED by this process, or NULL. */
static inline haul_buf *haul__take(haul_pool *pool, uint32_t c)
{
    haul_buf *last = &pool->bufs[haul__load32_relaxed(&pool->classes[c].last)];
    return haul__try_take(last) ? last : haul__take_hinted(pool, c);
}

#endif
