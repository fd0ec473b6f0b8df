/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_LIFE_H
#define SHORTHAUL_POOL_LIFE_H

/* The end of a buffer's life, which owners, attachers and reapers share. See life.c. Inline is what
 * releases run through. */

#include "pool/impl.h"
#include "pool/wait.h"

/*
 * Move a buffer that others may move at the same time to RETIRED: a gift, or one of the dead. False
 * if it is no longer at @word. The caller calls haul__finish() next.
 */
static inline bool haul__retire(haul_pool *pool, uint32_t index, uint64_t word)
{
    return haul__cas64_seq(&haul__record_of(pool, index)->state, &word,
                           haul__word_moved(word, HAUL__RETIRED, HAUL__NOBODY));
}

/*
 * The word of a given buffer that @key fits.
 * Conditions: HAUL_STALE   Failures: HAUL_INVALID, HAUL_CORRUPT
 */
haul_status haul__look_up_gift(const haul_pool *pool, const haul_key *key, uint64_t *out_word);

/* Set a buffer's hint bit if it is not set. */
static inline void haul__hint_set(haul_pool *pool, uint32_t c, uint32_t index)
{
    uint32_t i = index - pool->g.classes[c].first;
    haul__a64 *hint = &haul__hints_of(pool, c)[i / 64];
    uint64_t bit = UINT64_C(1) << (i % 64);
    /* seq: pairs with take.c's clearing. Either it sees FREE after clearing, or I see it cleared.
     */
    if ((haul__load64_seq(hint) & bit) == 0) {
        (void)haul__or64_seq(hint, bit);
    }
}

/* Let allocators find a free buffer that has never been used. */
static inline void haul__fresh_lower(haul_pool *pool, uint32_t c, uint32_t index)
{
    haul__a32 *fresh = &haul__class_of(pool, c)->fresh;
    uint32_t i = index - pool->g.classes[c].first;
    uint32_t seen = haul__load32_acquire(fresh);
    /* Bounded, for a neighbour may set the word as often as it likes; the next sweep lowers it. */
    for (int n = 0; n < 64 && seen > i && !haul__cas32_acqrel(fresh, &seen, i); n++) {
    }
}

/* After -> FREE: let allocators find it, and wake those who wait. */
static inline void haul__announce_free(const haul_buf *buf)
{
    haul_pool *pool = buf->pool;
    haul__store32_relaxed(&pool->classes[buf->class_index].last, buf->index);
    haul__hint_set(pool, buf->class_index, buf->index);
    haul__wake(pool);
}

static inline bool haul__is_held(const haul_buf *buf)
{
    for (uint32_t i = 0; i < buf->pool->g.n_holder_words; i++) {
        if (haul__load64_seq(&buf->record->holders[i]) != 0) {
            return true;
        }
    }
    return false;
}

/* A buffer made to measure that is RETIRED at @word and not held goes. */
void haul__finish_measured(haul_buf *buf, uint64_t word);

/* If the buffer is RETIRED and nobody holds it, move it on: free, or gone if it was made to
 * measure. Anybody may try at any time. */
static inline void haul__finish(haul_buf *buf)
{
    haul__a64 *state = &buf->record->state;
    uint64_t word = haul__load64_seq(state);
    if (haul__word_phase(word) != HAUL__RETIRED || haul__is_held(buf)) {
        return;
    }
    if (haul__class_is_measured(buf->pool, buf->class_index)) {
        haul__finish_measured(buf, word);
        return;
    }
    if (haul__cas64_seq(state, &word, haul__word_next_life(word, HAUL__FREE, HAUL__NOBODY))) {
        HAUL__FAULT(RELEASE_FREED);
        haul__announce_free(buf);
    }
}

/*
 * Remove the object of a buffer whose word is CREATING or TRIMMING, @word, in this process's name
 * or in that of a slot whose lock this process has, and store ABSENT.
 */
void haul__unmake(haul_pool *pool, uint32_t c, uint32_t index, uint64_t word);

#endif
