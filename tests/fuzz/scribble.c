/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The hostile neighbour's pen.
 *
 * Every write is one atomic access of a word, as a member's would be, so that ThreadSanitizer sees
 * words and not races of ours. Values are chosen (edges of sizes and counts, states that almost make
 * sense, what stands there plus or minus one, a copy of another word) or random. Used by the fuzzer,
 * where it runs between the steps of an operation, and by tests/hostile, where it runs at the same
 * time as others' work.
 */

#include "scribble.h"

#include "pool/layout.h"
#include "pool/word.h"

static const uint64_t edges[] = {
    0,
    1,
    2,
    63,
    64,
    4095,
    4096,
    4097,
    8192,
    0xffff,
    0x10000,
    0x7fffffff,
    0xffffffff,
    UINT64_C(1) << 32,
    (UINT64_C(1) << 32) + 4096,
    UINT64_C(1) << 40,
    UINT64_C(1) << 50,
    INT64_MAX,
    UINT64_C(1) << 63,
    UINT64_MAX - 4095,
    UINT64_MAX,
};

uint64_t scribble_value(dice *d, uint64_t now)
{
    switch (dice_roll(d, 6)) {
    case 0:
    case 1:
        return edges[dice_roll(d, sizeof(edges) / sizeof(edges[0]))];
    case 2:
        return now + 1;
    case 3:
        return now - 1;
    case 4:
        return now ^ UINT64_C(1) << dice_roll(d, 64);
    default:
        return dice_roll(d, 0);
    }
}

static void put64(void *word, dice *d)
{
    haul__a64 *w = word;
    haul__store64_relaxed(w, scribble_value(d, haul__load64_relaxed(w)));
}

static void put32(void *word, dice *d)
{
    haul__a32 *w = word;
    haul__store32_relaxed(w, (uint32_t)scribble_value(d, haul__load32_relaxed(w)));
}

static haul__record *some_record(uint8_t *base, const haul__geometry *g, dice *d)
{
    uint64_t index = dice_roll(d, g->n_buffers);
    return (haul__record *)(void *)(base + g->records_offset + index * g->record_bytes);
}

/* A state that a member could have written, more or less. */
static void put_state(uint8_t *base, const haul__geometry *g, dice *d)
{
    haul__record *record = some_record(base, g, d);
    uint64_t now = haul__load64_relaxed(&record->state);
    uint32_t generation = haul__word_generation(now);
    if (dice_roll(d, 4) == 0) {
        generation = (uint32_t)scribble_value(d, generation);
    }
    uint32_t who = (uint32_t)dice_roll(d, 4) == 0 ? 0 : (uint32_t)dice_roll(d, g->n_slots + 2ull);
    uint32_t phase = (uint32_t)dice_roll(d, HAUL__N_PHASES + 1);
    uint32_t flags = (uint32_t)dice_roll(d, 5);
    haul__store64_seq(&record->state, haul__word(generation, who, (enum haul__phase)phase, flags));
}

static void put_payload_fact(uint8_t *base, const haul__geometry *g, dice *d)
{
    haul__record *record = some_record(base, g, d);
    switch (dice_roll(d, 5)) {
    case 0:
        put64(&record->ticket, d);
        break;
    case 1:
        put64(&record->length, d);
        break;
    case 2:
        put64(&record->deadline_ns, d);
        break;
    case 3:
        put64(&record->capacity, d);
        break;
    default:
        put32(&record->born, d);
        break;
    }
}

static void put_holders(uint8_t *base, const haul__geometry *g, dice *d)
{
    haul__record *record = some_record(base, g, d);
    put64(&record->holders[dice_roll(d, g->n_holder_words)], d);
}

static void put_hint(uint8_t *base, const haul__geometry *g, dice *d)
{
    uint64_t c = dice_roll(d, g->n_classes);
    haul__class *cls = (haul__class *)(void *)(base + g->classes_offset) + c;
    switch (dice_roll(d, 4)) {
    case 0:
        put32(&cls->fresh, d);
        break;
    case 1:
        put32(&cls->n_used, d);
        break;
    case 2:
        put32(&cls->high_water, d);
        break;
    default:
        put64(base + g->classes[c].hints_offset + 8 * dice_roll(d, g->classes[c].n_hint_words), d);
        break;
    }
}

static void put_slot(uint8_t *base, const haul__geometry *g, dice *d)
{
    uint8_t *slot = base + g->slots_offset + dice_roll(d, g->n_slots + 1ull) * sizeof(haul__slot);
    put32(slot + 4 * dice_roll(d, sizeof(haul__slot) / 4), d);
}

static void put_counter(uint8_t *base, const haul__geometry *g, dice *d)
{
    uint64_t row = dice_roll(d, (g->n_slots + 1ull) * g->n_classes);
    uint64_t field = dice_roll(d, sizeof(haul__counters) / 8);
    put64(base + g->counters_offset + row * sizeof(haul__counters) + 8 * field, d);
}

static void put_name(uint8_t *base, const haul__geometry *g, dice *d)
{
    uint8_t *name = base + g->names_offset + dice_roll(d, g->n_names) * sizeof(haul__name);
    if (dice_roll(d, 2)) {
        uint64_t word = haul__word((uint32_t)dice_roll(d, 4), (uint32_t)dice_roll(d, 4),
                                   (enum haul__phase)dice_roll(d, 4), (uint32_t)dice_roll(d, 2));
        haul__store64_seq((haul__a64 *)(void *)name, word);
    } else {
        put64(name + 8 * dice_roll(d, sizeof(haul__name) / 8), d);
    }
}

static void put_waiter(uint8_t *base, const haul__geometry *g, dice *d)
{
    (void)g;
    haul__header *header = (haul__header *)(void *)base;
    if (dice_roll(d, 4) == 0) {
        put64(&header->next_ticket, d);
    } else {
        put64(&header->waiters[dice_roll(d, HAUL__WAITERS)], d);
    }
}

/* Make a buffer look like another one. */
static void copy_record(uint8_t *base, const haul__geometry *g, dice *d)
{
    haul__a64 *from = (haul__a64 *)(void *)some_record(base, g, d);
    haul__a64 *to = (haul__a64 *)(void *)some_record(base, g, d);
    for (uint64_t i = 0; i < g->record_bytes / 8; i++) {
        haul__store64_relaxed(&to[i], haul__load64_relaxed(&from[i]));
    }
}

bool scribble(uint8_t *base, const haul__geometry *g, dice *d)
{
    static void (*const puts[])(uint8_t *, const haul__geometry *, dice *) = {
        put_state, put_state, put_state,   put_payload_fact, put_payload_fact, put_holders,
        put_hint,  put_slot,  put_counter, copy_record,      put_name,         put_waiter};
    const uint64_t n_puts = sizeof(puts) / sizeof(puts[0]);
    uint64_t offset = 0;
    uint64_t kind = dice_roll(d, n_puts + 4);
    if (kind < n_puts) {
        puts[kind](base, g, d);
        return false;
    }
    switch (kind - n_puts) {
    case 0:
        put32(base + offsetof(haul__header, wake), d);
        return false;
    case 1:
        haul__store32_seq((haul__a32 *)(void *)(base + offsetof(haul__header, state)),
                          (uint32_t)dice_roll(d, 5));
        return true;
    case 2:
        put32(base + 4 * dice_roll(d, offsetof(haul__header, state) / 4), d);
        return true;
    default:
        offset = 8 * dice_roll(d, g->total_bytes / 8);
        put64(base + offset, d);
        return offset < offsetof(haul__header, wake);
    }
}
