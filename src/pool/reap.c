/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Taking back what the dead left.
 *
 * To reap slot k, take its lock: that proves that k is dead (a stopped process keeps its lock),
 * makes this process the only reaper of k, and keeps the slot from being joined meanwhile. The
 * kernel drops the lock if the reaper dies, and since every step is one word and can be done again,
 * the next reaper starts from the top.
 *
 * What names k is the pool's own records: the slot table only says where to look first, so a
 * scribbled table loses nothing (haul_pool_reap() looks at every name in every word).
 *
 * Expired gifts are the one thing taken back by time, and the recipient's claim and this are the
 * same compare-and-swap, so that one of them wins.
 */

#include "pool/reap.h"

#include <string.h>

#include "base/error.h"
#include "pool/life.h"
#include "pool/lock.h"
#include "pool/names.h"
#include "pool/queue.h"
#include "pool/wait.h"
#include "pool/watch.h"

/* Take back a buffer that dead @slot owns, or has on its way. False for one that nobody had taken:
 * being made, or removed. */
static bool take_back_owned(haul_pool *pool, uint32_t c, uint32_t index, uint32_t slot)
{
    haul__record *record = haul__record_of(pool, index);
    uint64_t word = haul__load64_seq(&record->state);
    if (haul__word_who(word) != slot) {
        return false;
    }
    switch (haul__word_phase(word)) {
    case HAUL__CREATING:
    case HAUL__TRIMMING:
        haul__unmake(pool, c, index, word);
        return false;
    case HAUL__OWNED:
    case HAUL__SHARED:
    case HAUL__RETIRING:
    case HAUL__GIVEN: /* a giver may call it off at the same moment: then it is RETIRED already */
        if (!haul__retire(pool, index, word)) {
            return false;
        }
        HAUL__FAULT(REAP_RETIRED);
        haul__finish(&pool->bufs[index]);
        return true;
    default:
        return false;
    }
}

static bool take_back_hold(haul_pool *pool, uint32_t index, uint32_t slot)
{
    haul__record *record = haul__record_of(pool, index);
    haul__a64 *holders = &record->holders[slot / 64];
    uint64_t bit = haul__holder_bit(slot);
    bool held = (haul__load64_seq(holders) & bit) != 0;
    if (held) {
        (void)haul__and64_seq(holders, ~bit);
        HAUL__FAULT(REAP_BIT_CLEARED);
    }
    return held;
}

/* What nobody is named for: a retirement that its finisher did not live to finish, a hint that was
 * lost. */
static void mend(haul_pool *pool, uint32_t c, uint32_t index)
{
    uint64_t word = haul__load64_seq(&haul__record_of(pool, index)->state);
    if (haul__word_phase(word) == HAUL__RETIRED) {
        haul__finish(&pool->bufs[index]);
    } else if (haul__word_phase(word) == HAUL__KEPT &&
               !haul__names_have(pool, index, haul__word_generation(word))) {
        /* Its entry comes before KEPT and goes after it, so only a scribbler can have taken it. */
        if (haul__retire(pool, index, word)) {
            haul__finish(&pool->bufs[index]);
        }
    } else if (haul__word_phase(word) == HAUL__FREE) {
        if (haul__word_flags(word) & HAUL__FLAG_USED) {
            haul__hint_set(pool, c, index);
        } else {
            haul__fresh_lower(pool, c, index);
        }
    }
}

size_t haul__reap_slot(haul_pool *pool, uint32_t slot)
{
    bool is_leaving = slot == pool->slot && pool->usable;
    size_t n_total = 0;
    for (uint32_t c = 0; c < pool->g.n_classes; c++) {
        const haul__class_place *place = &pool->g.classes[c];
        size_t n_buffers = 0;
        size_t n_holds = 0;
        for (uint32_t i = place->first; i < place->first + place->n_max; i++) {
            n_buffers += take_back_owned(pool, c, i, slot);
            n_holds += take_back_hold(pool, i, slot);
            mend(pool, c, i);
        }
        if (n_buffers + n_holds > 0 && !is_leaving) {
            (void)haul__add64_relaxed(&pool->my_counters[c].reaped_buffers, n_buffers);
            (void)haul__add64_relaxed(&pool->my_counters[c].reaped_holds, n_holds);
        }
        n_total += n_buffers + n_holds;
    }
    haul__names_reap_slot(pool, slot);
    haul__queue_reap_slot(pool, slot);
    return n_total;
}

/* ---- Who is dead --------------------------------------------------------------------------- */

typedef struct slot_set {
    uint64_t words[HAUL_PARTICIPANTS_MAX / 64 + 1];
} slot_set;

static void slot_set_add(slot_set *set, uint32_t slot)
{
    set->words[slot / 64] |= haul__holder_bit(slot);
}

/* Every slot that the table, a state word or a holder bit speaks of. */
static void collect_named(const haul_pool *pool, slot_set *out_set)
{
    for (uint32_t s = 1; s <= pool->g.n_slots; s++) {
        if (haul__load32_acquire(&haul__slot_of(pool, s)->pid) != 0) {
            slot_set_add(out_set, s);
        }
    }
    for (uint32_t i = 0; i < pool->g.n_buffers; i++) {
        const haul__record *record = haul__record_of(pool, i);
        uint32_t who = haul__word_who(haul__load64_relaxed(&record->state));
        if (who >= 1 && who <= pool->g.n_slots) {
            slot_set_add(out_set, who);
        }
        for (uint32_t w = 0; w < pool->g.n_holder_words; w++) {
            out_set->words[w] |= haul__load64_relaxed(&record->holders[w]);
        }
    }
}

static size_t reap_if_dead(haul_pool *pool, uint32_t slot)
{
    if (haul__lock_try(pool->lock_fd, slot) != HAUL_OK) {
        return 0;
    }
    HAUL__FAULT(REAP_LOCKED);
    size_t n = haul__reap_slot(pool, slot);
    HAUL__FAULT(REAP_CLEARED);
    haul__store32_release(&haul__slot_of(pool, slot)->pid, 0);
    haul__unlock(pool->lock_fd, slot);
    return n;
}

/* Gifts past their deadline, and retirements that nobody finished. */
static size_t reap_expired(haul_pool *pool)
{
    uint64_t now = haul__now_ns();
    size_t n = 0;
    for (uint32_t c = 0; c < pool->g.n_classes; c++) {
        const haul__class_place *place = &pool->g.classes[c];
        for (uint32_t i = place->first; i < place->first + place->n_max; i++) {
            haul__record *record = haul__record_of(pool, i);
            uint64_t word = haul__load64_seq(&record->state);
            if (haul__word_phase(word) == HAUL__GIVEN &&
                haul__load64_relaxed(&record->deadline_ns) < now && haul__retire(pool, i, word)) {
                haul__finish(&pool->bufs[i]);
                (void)haul__add64_relaxed(&pool->my_counters[c].expirations, 1);
                n++;
            } else {
                mend(pool, c, i);
            }
        }
    }
    return n;
}

size_t haul__reap_dead(haul_pool *pool)
{
    slot_set named;
    size_t n = 0;
    memset(&named, 0, sizeof(named));
    (void)pthread_mutex_lock(&pool->reap_mutex);
    haul__watch_drain(pool);
    collect_named(pool, &named);
    for (uint32_t s = 1; s <= pool->g.n_slots; s++) {
        if (s != pool->slot && (named.words[s / 64] & haul__holder_bit(s)) != 0) {
            n += reap_if_dead(pool, s);
        }
    }
    n += reap_expired(pool);
    haul__names_mend(pool);
    (void)pthread_mutex_unlock(&pool->reap_mutex);
    return n;
}

haul_status haul_pool_reap(haul_pool *pool, size_t *out_n, haul_error *err)
{
    if (!pool || !pool->usable) {
        return haul__fail(err, HAUL_INVALID, "only a participant can reap");
    }
    size_t n = haul__reap_dead(pool);
    if (out_n) {
        *out_n = n;
    }
    return HAUL_OK;
}
