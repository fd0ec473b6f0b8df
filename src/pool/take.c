/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Finding a free buffer of one class.
 *
 * The state word is the truth, everything else says where to look first:
 *
 *   last    private: what this process freed last. It hits nearly always, is warm in this core's
 *           cache, and keeps processes on buffers of their own without their agreeing on it.
 *   hints   shared bits over buffers that have been used before. A bit is set on release if it is
 *           not, and cleared by whoever finds it wrong, so that a process which takes and frees the
 *           same buffers again and again writes no hint at all.
 *   fresh   shared: below it every buffer has been used, or is not there.
 *
 * Used buffers come first, for their pages are warm and mapped. A buffer is used for the first time
 * only when every one used before is taken, so the number of buffers ever used is the most that
 * were in use at once: the high-water mark, for one addition per buffer instead of two per
 * allocation.
 *
 * Whoever dies here owns either nothing or a buffer that names it. A hint lost on the way (cleared,
 * its clearer dead before it looked again) is mended by the sweep that comes before any allocation
 * fails (reap.c).
 */

#include "pool/take.h"

#include "pool/life.h"

void haul__count_first_use(haul_pool *pool, uint32_t c)
{
    haul__class *cls = haul__class_of(pool, c);
    uint32_t used = haul__add32_relaxed(&cls->n_used, 1) + 1;
    uint32_t high = haul__load32_relaxed(&cls->high_water);
    while (used > high && used <= pool->g.classes[c].n_max) {
        if (haul__cas32_acqrel(&cls->high_water, &high, used)) {
            break;
        }
    }
    HAUL__FAULT(ALLOC_COUNTED);
}

/* The hint for @i led to nothing: clear it, unless the buffer became free meanwhile. */
static void drop_hint(haul_pool *pool, uint32_t c, uint32_t i)
{
    uint64_t bit = UINT64_C(1) << (i % 64);
    uint32_t index = pool->g.classes[c].first + i;
    (void)haul__and64_seq(&haul__hints_of(pool, c)[i / 64], ~bit);
    uint64_t word = haul__load64_seq(&haul__record_of(pool, index)->state);
    /* RETIRING: its owner may have looked at the hint before we cleared it. */
    if (haul__word_phase(word) == HAUL__FREE || haul__word_phase(word) == HAUL__RETIRING) {
        haul__hint_set(pool, c, index);
    }
}

static haul_buf *take_used(haul_pool *pool, uint32_t c, uint32_t start)
{
    const haul__class_place *place = &pool->g.classes[c];
    haul__a64 *hints = haul__hints_of(pool, c);
    for (uint32_t n = 0; n < place->n_hint_words; n++) {
        uint32_t w = start / 64 + n;
        w = w < place->n_hint_words ? w : w - place->n_hint_words;
        uint64_t bits = haul__load64_relaxed(&hints[w]);
        for (; bits != 0; bits &= bits - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(bits);
            if (i >= place->n_max) {
                break; /* no member sets these */
            }
            haul_buf *buf = &pool->bufs[place->first + i];
            if (haul__try_take(buf)) {
                return buf;
            }
            drop_hint(pool, c, i);
        }
    }
    return NULL;
}

static haul_buf *take_fresh(haul_pool *pool, uint32_t c)
{
    haul__a32 *fresh = &haul__class_of(pool, c)->fresh;
    const haul__class_place *place = &pool->g.classes[c];
    uint32_t i = haul__load32_acquire(fresh);
    /* Bounded, for a neighbour may set the word back as often as it likes. */
    for (uint32_t n = 0; n < place->n_max && i < place->n_max; n++) {
        haul_buf *buf = &pool->bufs[place->first + i];
        bool taken = haul__try_take(buf);
        if (haul__cas32_acqrel(fresh, &i, i + 1)) {
            i = i + 1;
        }
        if (taken) {
            return buf;
        }
    }
    return NULL;
}

haul_buf *haul__take_hinted(haul_pool *pool, uint32_t c)
{
    uint32_t last = haul__load32_relaxed(&pool->classes[c].last) - pool->g.classes[c].first;
    haul_buf *buf = take_used(pool, c, last);
    return buf ? buf : take_fresh(pool, c);
}
