/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * How a buffer's life ends.
 *
 * An owner that lets go of what nobody reads frees it by itself (release_unread() in buf.c). This is
 * about all others.
 *
 * RETIRED belongs to nobody: whoever sees that no holder bit is set moves the buffer on. The owner
 * looks after it retires, every attacher looks after it clears its bit, a reaper looks after each
 * thing it takes back. Between "retired" and "moved on" anybody may die; the buffer then waits,
 * RETIRED without a bit, until the next one looks, at the latest when the dead one is reaped.
 *
 * That two look at once does no harm: the compare-and-swap lets one of them through, and the
 * generation in the word sees to it that it is still the same life.
 */

#include "pool/life.h"

#include "pool/object.h"

void haul__unmake(haul_pool *pool, uint32_t c, uint32_t index, uint64_t word)
{
    haul__record *record = haul__record_of(pool, index);
    char object[HAUL__OBJECT_NAME_BYTES];
    haul__buffer_name(pool->name, pool->id, index, object);
    (void)haul__object_destroy(object); /* a name that stays is used again, see grow.c */
    HAUL__FAULT(TRIM_OBJECT);
    if (haul__word_flags(word) & HAUL__FLAG_USED) {
        (void)haul__add32_relaxed(&haul__class_of(pool, c)->n_used, UINT32_MAX);
    }
    haul__store64_relaxed(&record->capacity, 0);
    haul__store32_relaxed(&record->born, 0);
    (void)haul__cas64_seq(&record->state, &word,
                          haul__word(haul__word_generation(word), HAUL__NOBODY, HAUL__ABSENT, 0));
    haul__wake(pool); /* there is budget again */
}

void haul__finish_measured(haul_buf *buf, uint64_t word)
{
    haul_pool *pool = buf->pool;
    uint64_t trimming = haul__word_moved(word, HAUL__TRIMMING, pool->slot);
    if (haul__cas64_seq(&buf->record->state, &word, trimming)) {
        HAUL__FAULT(MEASURED_TRIMMING);
        haul__unmake(pool, buf->class_index, buf->index, trimming);
    }
}
