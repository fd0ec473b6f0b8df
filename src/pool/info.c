/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A picture of the pool, for people and for the admin service.
 *
 * Reading only, so observers may be here, and nobody is asked: it works as well when every other
 * process is stopped or dead. Each word is read once and checked; what makes no sense is CORRUPT.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "pool/impl.h"
#include "pool/lock.h"
#include "pool/names.h"
#include "pool/queue.h"

/* What is counted per slot while the buffers are walked; slot s at index s. */
typedef struct tally {
    uint32_t n_owned, n_held;
    uint64_t bytes_owned, bytes_held;
} tally;

/* After the phases have been counted, for releases are what is left (layout.h). The bounds of a
 * scribbled histogram or counter do not matter: they are numbers to show. */
static void add_counters(const haul_pool *pool, uint32_t c, haul_class_info *info)
{
    uint64_t n_reaped = 0;
    for (uint32_t slot = 0; slot <= pool->g.n_slots; slot++) {
        const haul__counters *row = &haul__counters_of(pool, slot)[c];
        info->spills += haul__load64_relaxed(&row->spills);
        info->grows += haul__load64_relaxed(&row->grows);
        info->waits += haul__load64_relaxed(&row->waits);
        info->waited_ns += haul__load64_relaxed(&row->waited_ns);
        info->exhaustions += haul__load64_relaxed(&row->exhaustions);
        n_reaped += haul__load64_relaxed(&row->reaped_buffers);
        info->reaps += haul__load64_relaxed(&row->reaped_holds);
        info->expirations += haul__load64_relaxed(&row->expirations);
        for (uint32_t b = 0; b < HAUL_HISTOGRAM_BUCKETS; b++) {
            uint64_t n = haul__load64_relaxed(&row->requested[b]);
            info->requested[b] += n;
            info->allocations += n;
        }
    }
    info->reaps += n_reaped;
    uint64_t not_released =
        n_reaped + info->expirations + info->n_owned + info->n_shared + info->n_given;
    info->releases = info->allocations > not_released ? info->allocations - not_released : 0;
}

static uint32_t *counter_of_phase(haul_class_info *info, uint32_t phase)
{
    switch (phase) {
    case HAUL__ABSENT:
        return &info->n_absent;
    case HAUL__FREE:
        return &info->n_free;
    case HAUL__OWNED:
        return &info->n_owned;
    case HAUL__SHARED:
    case HAUL__KEPT:
        return &info->n_shared;
    case HAUL__GIVEN:
        return &info->n_given;
    case HAUL__RETIRED:
    case HAUL__RETIRING:
        return &info->n_retired;
    default:
        return &info->n_changing;
    }
}

static void tally_holders(const haul_pool *pool, const haul__record *record, uint64_t bytes,
                          tally *tallies)
{
    for (uint32_t w = 0; w < pool->g.n_holder_words; w++) {
        uint64_t bits = haul__load64_relaxed(&record->holders[w]);
        for (; bits != 0; bits &= bits - 1) {
            uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(bits);
            if (slot <= pool->g.n_slots) {
                tallies[slot].n_held++;
                tallies[slot].bytes_held += bytes;
            }
        }
    }
}

/* Requests that are not in anybody's histogram yet (layout.h). */
static void add_run(const haul__record *record, haul_class_info *info)
{
    uint64_t run = haul__load64_relaxed(&record->run);
    uint64_t bucket = run & HAUL__RUN_BUCKET;
    if (bucket < HAUL_HISTOGRAM_BUCKETS) {
        info->requested[bucket] += run / HAUL__RUN_ONE;
        info->allocations += run / HAUL__RUN_ONE;
    }
}

static haul_status fill_class(const haul_pool *pool, uint32_t c, haul_class_info *info,
                              tally *tallies)
{
    const haul__class_place *place = &pool->g.classes[c];
    info->size_bytes = place->size_bytes;
    info->n_initial = place->n_initial;
    info->n_max = place->n_max;
    info->high_water = haul__load32_relaxed(&haul__class_of(pool, c)->high_water);
    for (uint32_t i = place->first; i < place->first + place->n_max; i++) {
        const haul__record *record = haul__record_of(pool, i);
        uint64_t word = haul__load64_acquire(&record->state);
        uint32_t phase = haul__word_phase(word);
        if (!haul__word_is_valid(word, pool->g.n_slots)) {
            return HAUL_CORRUPT;
        }
        uint64_t bytes = phase == HAUL__ABSENT ? 0 : haul__capacity_of(pool, c, i);
        ++*counter_of_phase(info, phase);
        info->bytes += bytes;
        info->n_huge += (haul__word_flags(word) & HAUL__FLAG_HUGE) != 0;
        tallies[haul__word_who(word)].n_owned++;
        tallies[haul__word_who(word)].bytes_owned += bytes;
        tally_holders(pool, record, bytes, tallies);
        add_run(record, info);
    }
    add_counters(pool, c, info);
    info->n_waiting = haul__queue_length(pool, c);
    return HAUL_OK;
}

static void fill_participant(const haul_pool *pool, uint32_t slot, uint32_t pid, const tally *t,
                             haul_participant_info *info)
{
    const haul__slot *from = haul__slot_of(pool, slot);
    info->slot = slot;
    info->pid = pid;
    info->alive = slot == pool->slot || haul__lock_is_held(pool->lock_fd, slot);
    memcpy(info->name, from->name, sizeof(info->name) - 1);
    info->n_owned = t->n_owned;
    info->n_held = t->n_held;
    info->bytes_owned = t->bytes_owned;
    info->bytes_held = t->bytes_held;
}

static void fill_names(const haul_pool *pool, haul_pool_info *info)
{
    haul__name_copy copy;
    for (uint32_t i = 0; i < pool->g.n_names; i++) {
        if (!haul__name_read(pool, i, &copy) || !haul__name_leads_somewhere(pool, &copy)) {
            continue;
        }
        haul_name_info *name = &info->names[info->n_names++];
        memcpy(name->name, copy.name, sizeof(name->name));
        name->persistent = (haul__word_flags(copy.word) & HAUL__NAME_PERSISTENT) != 0;
        name->owner = name->persistent ? 0 : haul__word_who(copy.word);
        name->index = copy.key.index;
        name->len = copy.len;
    }
}

static haul_status fill(const haul_pool *pool, haul_pool_info *info, tally *tallies)
{
    (void)snprintf(info->name, sizeof(info->name), "%s", pool->name);
    memcpy(info->uuid, pool->uuid, sizeof(info->uuid));
    info->id = pool->id;
    info->mode = pool->g.mode;
    info->n_slots = pool->g.n_slots;
    info->quota_bytes = pool->g.quota_bytes;
    info->n_names_max = pool->g.n_names;
    info->budget_bytes = pool->g.budget_bytes;
    info->control_bytes = pool->g.total_bytes;
    info->n_classes = pool->g.n_classes;
    for (uint32_t c = 0; c < pool->g.n_classes; c++) {
        haul_status s = fill_class(pool, c, &info->classes[c], tallies);
        if (s != HAUL_OK) {
            return s;
        }
        info->bytes += info->classes[c].bytes;
    }
    for (uint32_t slot = 1; slot <= pool->g.n_slots; slot++) {
        uint32_t pid = haul__load32_acquire(&haul__slot_of(pool, slot)->pid);
        if (pid != 0) {
            fill_participant(pool, slot, pid, &tallies[slot],
                             &info->participants[info->n_participants++]);
        }
    }
    fill_names(pool, info);
    return HAUL_OK;
}

haul_status haul_pool_get_info(haul_pool *pool, haul_pool_info **out_info, haul_error *err)
{
    if (!pool || pool->forked) {
        return haul__fail(err, HAUL_INVALID, "the pool was opened before fork()");
    }
    haul_pool_info *info = calloc(1, sizeof(*info));
    tally *tallies = calloc((size_t)pool->g.n_slots + 1, sizeof(*tallies));
    haul_status s = HAUL_NOMEM;
    if (info && tallies) {
        info->classes = calloc(pool->g.n_classes, sizeof(*info->classes));
        info->participants = calloc(pool->g.n_slots, sizeof(*info->participants));
        info->names = calloc(pool->g.n_names, sizeof(*info->names));
        if (info->classes && info->participants && info->names) {
            s = fill(pool, info, tallies);
        }
    }
    free(tallies);
    if (s != HAUL_OK) {
        haul_pool_info_free(info);
        return haul__fail(err, s, "%s",
                          s == HAUL_NOMEM ? "no memory" : "a buffer's state makes no sense");
    }
    *out_info = info;
    return HAUL_OK;
}

void haul_pool_info_free(haul_pool_info *info)
{
    if (info) {
        free(info->classes);
        free(info->participants);
        free(info->names);
        free(info);
    }
}
