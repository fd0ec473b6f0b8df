/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Gifts that their recipient will never be told of.
 *
 * A giver that dies leaves its gifts open, for their keys may still be on the way to the recipient:
 * only he can know that none will come any more, and only which of them: a state word does not say
 * who gave, or by which way the key travels. So gifts of which the keys travel together carry a
 * number, and the recipient, when that way has come to its end, refuses what is left with it. That
 * is the same swap as taking back past the deadline, so a claim in another thread, the giver and a
 * reaper may come first.
 *
 * The number is read between two looks at the word, and was written by the giver before GIVEN. If
 * this process dies in between the reaper takes back what was given to it.
 */

#include "pool/life.h"

static bool is_of_group(const haul__record *record, uint64_t group)
{
    return (haul__load64_relaxed(&record->group) ^ haul__load64_relaxed(&record->ticket)) == group;
}

haul_status haul_pool_refuse(haul_pool *pool, uint64_t group, size_t *out_n)
{
    if (!pool || !pool->usable || group == 0) {
        return HAUL_INVALID;
    }
    size_t n = 0;
    for (uint32_t i = 0; i < pool->g.n_buffers; i++) {
        const haul__record *record = haul__record_of(pool, i);
        uint64_t word = haul__load64_seq(&record->state);
        if (haul__word_phase(word) == HAUL__GIVEN && haul__word_who(word) == pool->slot &&
            is_of_group(record, group) && haul__retire(pool, i, word)) {
            HAUL__FAULT(REVOKE_RETIRED);
            haul__finish(&pool->bufs[i]);
            n++;
        }
    }
    if (out_n) {
        *out_n = n;
    }
    return HAUL_OK;
}
