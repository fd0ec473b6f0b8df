/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Fuzz target: geometry from numbers that nobody has checked.
 *
 * A configuration is made of the input and, where it is accepted, written to a header and read back,
 * which must give the same geometry. Then the rest of the input is written over the header. Whatever
 * is accepted must lie within the control segment, in order, and nothing may overlap or overflow;
 * the sums are done here again with twice the bits. Touches no shared memory.
 */

#include <string.h>

#include "dice.h"
#include "fuzz_pool.h"
#include "scribble.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

__extension__ typedef unsigned __int128 u128;

/* A part of the segment: on a line of its own, after what came before it, and within the whole. */
static void check_part(const haul__geometry *g, uint64_t offset, u128 bytes, uint64_t *end)
{
    FUZZ_REQUIRE(offset % HAUL__LINE == 0);
    FUZZ_REQUIRE(offset >= *end);
    FUZZ_REQUIRE((u128)offset + bytes <= g->total_bytes);
    *end = (uint64_t)(offset + bytes);
}

static void check_class(const haul__geometry *g, uint32_t c, uint64_t *n_buffers)
{
    const haul__class_place *cls = &g->classes[c];
    FUZZ_REQUIRE(cls->n_max >= 1 && cls->n_max <= HAUL_CLASS_BUFFERS_MAX);
    FUZZ_REQUIRE(cls->n_initial <= cls->n_max);
    FUZZ_REQUIRE(cls->first == *n_buffers);
    FUZZ_REQUIRE(cls->n_hint_words * 64ull >= cls->n_max);
    FUZZ_REQUIRE(cls->capacity_bytes % HAUL__PAGE_BYTES == 0);
    FUZZ_REQUIRE(cls->capacity_bytes >= cls->size_bytes);
    FUZZ_REQUIRE(cls->capacity_bytes - cls->size_bytes < HAUL__PAGE_BYTES);
    FUZZ_REQUIRE(cls->size_bytes > 0 || (c + 1 == g->n_classes && cls->n_initial == 0));
    FUZZ_REQUIRE(cls->size_bytes == 0 || c == 0 || cls->size_bytes > cls[-1].size_bytes);
    FUZZ_REQUIRE(cls->capacity_bytes <= g->budget_bytes);
    FUZZ_REQUIRE(haul__geometry_class_of(g, cls->first) == c);
    FUZZ_REQUIRE(haul__geometry_class_of(g, cls->first + cls->n_max - 1) == c);
    *n_buffers += cls->n_max;
}

static void check(const haul__geometry *g)
{
    uint64_t end = sizeof(haul__header);
    uint64_t n_buffers = 0;
    u128 initial_bytes = 0;
    FUZZ_REQUIRE(g->n_slots >= 1 && g->n_slots <= HAUL_PARTICIPANTS_MAX);
    FUZZ_REQUIRE(g->n_classes >= 1 && g->n_classes <= HAUL_CLASSES_MAX);
    FUZZ_REQUIRE(g->mode == 0600 || g->mode == 0660);
    FUZZ_REQUIRE(g->n_holder_words * 64ull > g->n_slots);
    FUZZ_REQUIRE(g->record_bytes >= sizeof(haul__record) + g->n_holder_words * sizeof(haul__a64));
    FUZZ_REQUIRE(g->record_bytes % HAUL__LINE == 0);
    check_part(g, g->slots_offset, (u128)(g->n_slots + 1ull) * sizeof(haul__slot), &end);
    check_part(g, g->classes_offset, (u128)g->n_classes * sizeof(haul__class), &end);
    for (uint32_t c = 0; c < g->n_classes; c++) {
        const haul__class_place *cls = &g->classes[c];
        check_class(g, c, &n_buffers);
        check_part(g, cls->hints_offset, (u128)cls->n_hint_words * sizeof(haul__a64), &end);
        initial_bytes += (u128)cls->capacity_bytes * cls->n_initial;
    }
    FUZZ_REQUIRE(initial_bytes <= g->budget_bytes);
    FUZZ_REQUIRE(n_buffers == g->n_buffers);
    check_part(g, g->counters_offset,
               (g->n_slots + (u128)1) * g->n_classes * sizeof(haul__counters), &end);
    check_part(g, g->records_offset, (u128)g->n_buffers * g->record_bytes, &end);
    FUZZ_REQUIRE(g->total_bytes % HAUL__PAGE_BYTES == 0);
}

/* ---- Inputs -------------------------------------------------------------------------------- */

static haul_status geometry_of_input(dice *d, haul__geometry *out_geometry)
{
    haul_class_config classes[HAUL_CLASSES_MAX + 1] = {0};
    haul_pool_config config = {.struct_size = sizeof(config), .classes = classes};
    config.n_classes = (uint32_t)dice_roll(d, HAUL_CLASSES_MAX + 2);
    config.n_measured_max = dice_roll(d, 2) ? (uint32_t)scribble_value(d, 4) : 0;
    config.budget_bytes = dice_roll(d, 2) ? scribble_value(d, UINT64_C(1) << 40) : 0;
    config.n_participants = dice_roll(d, 2) ? (uint32_t)scribble_value(d, 4096) : 0;
    config.mode = dice_roll(d, 4) ? 0 : (uint32_t)scribble_value(d, 0660);
    uint64_t size = 0;
    for (uint32_t c = 0; c < config.n_classes && c <= HAUL_CLASSES_MAX; c++) {
        size = dice_roll(d, 2) ? size + 1 + dice_roll(d, 65536) : scribble_value(d, size);
        classes[c].size_bytes = size;
        classes[c].n_max = dice_roll(d, 2) ? 8 : (uint32_t)scribble_value(d, 65536);
        classes[c].n_initial = dice_roll(d, 2) ? 0 : (uint32_t)scribble_value(d, 1);
    }
    return haul__geometry_of_config(&config, out_geometry, NULL);
}

static void spoil(haul__header *header, dice *d)
{
    uint8_t *base = (uint8_t *)header;
    while (dice_more(d)) {
        uint32_t word;
        size_t at = 4 * dice_roll(d, sizeof(*header) / 4);
        memcpy(&word, base + at, sizeof(word));
        word = (uint32_t)scribble_value(d, word);
        memcpy(base + at, &word, sizeof(word));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    dice d = {.at = bytes, .left = n};
    haul__geometry g = {0};
    haul__geometry again;
    haul__header header = {0};
    haul_error err;
    if (n == 0) {
        return 0;
    }
    if (geometry_of_input(&d, &g) == HAUL_OK) {
        check(&g);
        haul__geometry_to_header(&g, &header);
        FUZZ_REQUIRE(haul__geometry_of_header(&header, &again, &err) == HAUL_OK);
        haul__header header_again = {0};
        haul__geometry_to_header(&again, &header_again);
        FUZZ_REQUIRE(memcmp(&header, &header_again, sizeof(header)) == 0);
    }
    spoil(&header, &d);
    haul_status s = haul__geometry_of_header(&header, &again, &err);
    FUZZ_REQUIRE(s == HAUL_OK || s == HAUL_CORRUPT || s == HAUL_VERSION);
    if (s == HAUL_OK) {
        check(&again);
    }
    return 0;
}
