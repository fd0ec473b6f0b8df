/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Checking every invariant of a quiet pool.
 *
 * The tests of death end here: after the reap, whatever happened, an audit must find nothing. It
 * reads only, so observers may run it, and it believes nothing: each finding is a line of text with
 * the numbers that contradict each other. It never prints a ticket.
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "pool/impl.h"
#include "pool/lock.h"
#include "pool/names.h"
#include "pool/object.h"

typedef struct audit {
    haul_pool *pool;
    haul_finding_fn fn;
    void *ctx;
    size_t n_findings;
    uint64_t bytes;
    uint64_t alive[HAUL_PARTICIPANTS_MAX / 64 + 1];
} audit;

static void found(audit *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void found(audit *a, const char *fmt, ...)
{
    char line[HAUL_ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    a->n_findings++;
    if (a->fn) {
        a->fn(a->ctx, line);
    }
}

static const char *phase_name(uint32_t phase)
{
    static const char *const names[HAUL__N_PHASES] = {"ABSENT", "CREATING", "FREE",    "OWNED",
                                                      "SHARED", "GIVEN",    "RETIRED", "TRIMMING",
                                                      "KEPT",   "RETIRING"};
    return phase < HAUL__N_PHASES ? names[phase] : "no phase";
}

static bool is_alive(const audit *a, uint32_t slot)
{
    return (a->alive[slot / 64] & haul__holder_bit(slot)) != 0;
}

/* ---- Slots --------------------------------------------------------------------------------- */

static void check_slots(audit *a)
{
    for (uint32_t slot = 1; slot <= a->pool->g.n_slots; slot++) {
        uint32_t pid = haul__load32_acquire(&haul__slot_of(a->pool, slot)->pid);
        if (slot == a->pool->slot || haul__lock_is_held(a->pool->lock_fd, slot)) {
            a->alive[slot / 64] |= haul__holder_bit(slot);
        } else if (pid != 0) {
            found(a, "slot %" PRIu32 ": process %" PRIu32 " is dead and not reaped", slot, pid);
        }
    }
}

/* ---- Buffers ------------------------------------------------------------------------------- */

static uint64_t any_holder(const haul_pool *pool, const haul__record *record)
{
    uint64_t any = 0;
    for (uint32_t w = 0; w < pool->g.n_holder_words; w++) {
        any |= haul__load64_seq(&record->holders[w]);
    }
    return any;
}

static void check_holders(audit *a, uint32_t index, uint32_t phase)
{
    const haul__record *record = haul__record_of(a->pool, index);
    for (uint32_t w = 0; w < a->pool->g.n_holder_words; w++) {
        uint64_t bits = haul__load64_seq(&record->holders[w]);
        for (; bits != 0; bits &= bits - 1) {
            uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(bits);
            if (slot == 0 || slot > a->pool->g.n_slots) {
                found(a, "buffer %" PRIu32 ": held by slot %" PRIu32 ", which does not exist",
                      index, slot);
            } else if (!is_alive(a, slot)) {
                found(a, "buffer %" PRIu32 ": held by slot %" PRIu32 ", which is dead", index,
                      slot);
            }
        }
    }
    bool held = any_holder(a->pool, record) != 0;
    if (phase == HAUL__RETIRED && !held) {
        found(a, "buffer %" PRIu32 ": RETIRED, and nobody holds it", index);
    }
    if (held && phase != HAUL__SHARED && phase != HAUL__RETIRED && phase != HAUL__KEPT) {
        found(a, "buffer %" PRIu32 ": held, and %s", index, phase_name(phase));
    }
}

static void check_object(audit *a, uint32_t c, uint32_t index, uint32_t phase)
{
    char object[HAUL__OBJECT_NAME_BYTES];
    uint64_t bytes = 0;
    const haul__record *record = haul__record_of(a->pool, index);
    haul__buffer_name(a->pool->name, a->pool->id, index, object);
    bool exists = haul__object_exists(object, a->pool->gid, &bytes);
    uint64_t capacity = haul__capacity_of(a->pool, c, index);
    if (phase == HAUL__ABSENT) {
        if (exists) {
            found(a, "buffer %" PRIu32 ": ABSENT, and its object exists", index);
        }
        return;
    }
    a->bytes += capacity;
    if (!exists) {
        found(a, "buffer %" PRIu32 ": %s, and its object does not exist", index, phase_name(phase));
    } else if (bytes != capacity || haul__load64_relaxed(&record->capacity) != capacity) {
        found(a, "buffer %" PRIu32 ": its object has %" PRIu64 " bytes instead of %" PRIu64, index,
              bytes, capacity);
    }
}

/* Reachable by hint: used before and bit set, or not used and at or above the class's cursor. */
static void check_hint(audit *a, uint32_t c, uint32_t index, uint64_t word)
{
    uint32_t i = index - a->pool->g.classes[c].first;
    bool hinted = (haul__load64_relaxed(&haul__hints_of(a->pool, c)[i / 64]) >> (i % 64) & 1) != 0;
    bool fresh = i >= haul__load32_relaxed(&haul__class_of(a->pool, c)->fresh);
    if (haul__word_phase(word) == HAUL__FREE && !hinted && !fresh) {
        found(a, "buffer %" PRIu32 ": FREE, and no hint leads to it", index);
    }
}

static void check_buffer(audit *a, uint32_t c, uint32_t index)
{
    const haul__record *record = haul__record_of(a->pool, index);
    uint64_t word = haul__load64_seq(&record->state);
    uint32_t phase = haul__word_phase(word);
    uint32_t who = haul__word_who(word);
    if (!haul__word_is_valid(word, a->pool->g.n_slots)) {
        found(a,
              "buffer %" PRIu32 ": its state makes no sense (phase %" PRIu32 ", slot %" PRIu32 ")",
              index, phase, who);
        return;
    }
    if (phase == HAUL__CREATING || phase == HAUL__TRIMMING || phase == HAUL__RETIRING) {
        found(a, "buffer %" PRIu32 ": %s by slot %" PRIu32, index, phase_name(phase), who);
        return;
    }
    if (haul__phase_is_named(phase) && !is_alive(a, who)) {
        found(a, "buffer %" PRIu32 ": %s by slot %" PRIu32 ", which is dead", index,
              phase_name(phase), who);
    }
    if (phase == HAUL__KEPT && !haul__names_have(a->pool, index, haul__word_generation(word))) {
        found(a, "buffer %" PRIu32 ": KEPT, and no name leads to it", index);
    }
    if ((phase == HAUL__SHARED || phase == HAUL__GIVEN || phase == HAUL__KEPT) &&
        haul__load64_relaxed(&record->length) > haul__capacity_of(a->pool, c, index)) {
        found(a, "buffer %" PRIu32 ": its payload is longer than it", index);
    }
    check_holders(a, index, phase);
    check_object(a, c, index, phase);
    check_hint(a, c, index, word);
}

/* ---- Names and the queue ------------------------------------------------------------------- */

static void check_names(audit *a)
{
    haul__name_copy copy;
    for (uint32_t i = 0; i < a->pool->g.n_names; i++) {
        uint64_t word = haul__load64_seq(&haul__name_of(a->pool, i)->state);
        uint32_t phase = haul__word_phase(word);
        bool read = haul__name_read(a->pool, i, &copy);
        if (phase == HAUL__NAME_WRITING || phase > HAUL__NAME_PUBLISHED) {
            found(a, "name %" PRIu32 ": being written, or scribbled on", i);
        } else if (phase == HAUL__NAME_PUBLISHED &&
                   (!read || !haul__name_leads_somewhere(a->pool, &copy))) {
            found(a, "name %" PRIu32 ": it leads nowhere", i);
        } else if (read && (haul__word_flags(word) & HAUL__NAME_PERSISTENT) == 0 &&
                   !is_alive(a, haul__word_who(word) % (a->pool->g.n_slots + 1))) {
            found(a, "name %" PRIu32 ": its publisher is dead", i);
        }
    }
}

/* ---- The whole ----------------------------------------------------------------------------- */

haul_status haul_pool_audit(haul_pool *pool, haul_finding_fn fn, void *ctx, size_t *out_n_findings,
                            haul_error *err)
{
    if (!pool || pool->forked) {
        return haul__fail(err, HAUL_INVALID, "the pool was opened before fork()");
    }
    audit a = {.pool = pool, .fn = fn, .ctx = ctx};
    if (haul__load32_seq(&haul__header_of(pool)->state) != HAUL__POOL_READY) {
        found(&a, "the pool is not ready: being removed, or scribbled on");
    }
    check_slots(&a);
    for (uint32_t c = 0; c < pool->g.n_classes; c++) {
        const haul__class_place *place = &pool->g.classes[c];
        for (uint32_t i = place->first; i < place->first + place->n_max; i++) {
            check_buffer(&a, c, i);
        }
    }
    check_names(&a);
    if (a.bytes > pool->g.budget_bytes) {
        found(&a, "the buffers have %" PRIu64 " bytes, the budget is %" PRIu64, a.bytes,
              pool->g.budget_bytes);
    }
    *out_n_findings = a.n_findings;
    return HAUL_OK;
}
