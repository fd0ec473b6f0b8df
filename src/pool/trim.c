/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Growing ahead of time, and giving memory back.
 *
 * A trimmer takes a free buffer like an allocator does, only into TRIMMING, and then nobody else
 * can have it. The pages are given back by punching them out of the object before its name goes,
 * for other processes keep it mapped; they notice by the buffer's "born" generation when it is made
 * anew. Trimmer dies: the word names it, and the reaper does the rest.
 */

#include "base/error.h"
#include "pool/grow.h"
#include "pool/life.h"

haul_status haul_pool_grow(haul_pool *pool, uint32_t class_index, uint32_t n, haul_error *err)
{
    if (!pool || !pool->usable) {
        return haul__fail(err, HAUL_INVALID, "only a participant can grow a pool");
    }
    if (class_index >= pool->g.n_classes || haul__class_is_measured(pool, class_index)) {
        return haul__fail(err, HAUL_INVALID, "the pool has no class %u made ahead of time",
                          class_index);
    }
    return haul__grow_to(pool, class_index, n, err);
}

static bool trim_one(haul_pool *pool, uint32_t c, uint32_t index)
{
    haul__record *record = haul__record_of(pool, index);
    uint64_t word = haul__load64_acquire(&record->state);
    if (haul__word_phase(word) != HAUL__FREE) {
        return false;
    }
    uint64_t mine = haul__word_moved(word, HAUL__TRIMMING, pool->slot);
    if (!haul__cas64_seq(&record->state, &word, mine)) {
        return false;
    }
    HAUL__FAULT(TRIM_CLAIMED);
    haul__unmake(pool, c, index, mine);
    return true;
}

haul_status haul_pool_trim(haul_pool *pool, uint64_t *out_bytes, haul_error *err)
{
    if (!pool || !pool->usable) {
        return haul__fail(err, HAUL_INVALID, "only a participant can trim a pool");
    }
    uint64_t bytes = 0;
    for (uint32_t c = 0; c < pool->g.n_classes; c++) {
        const haul__class_place *place = &pool->g.classes[c];
        uint32_t have = haul__class_count(pool, c);
        for (uint32_t i = place->n_max; i > 0 && have > place->n_initial; i--) {
            if (trim_one(pool, c, place->first + i - 1)) {
                bytes += place->capacity_bytes;
                have--;
            }
        }
    }
    if (out_bytes) {
        *out_bytes = bytes;
    }
    return HAUL_OK;
}
