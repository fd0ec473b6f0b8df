/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * From a pool's few numbers to the place of each part.
 *
 * Pure functions: no process can die here in a way that another would notice. The numbers may come
 * from a hostile header, so each is bounded before it is used and each sum is checked.
 */

#include "pool/geometry.h"

#include <inttypes.h>

#include "base/checked.h"
#include "base/error.h"
#include "pool/word.h"

/* Far above any machine, far below where sums of a few of them overflow. */
#define SIZE_BYTES_MAX (UINT64_C(1) << 50)

static uint64_t fnv1a(uint64_t hash, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        hash = (hash ^ (value & 0xff)) * UINT64_C(0x100000001b3);
        value >>= 8;
    }
    return hash;
}

/* Not haul__record.group, which a participant need not know. */
uint64_t haul__layout_fingerprint(void)
{
    static const uint64_t facts[] = {
        HAUL__LAYOUT_VERSION,
        HAUL__LINE,
        HAUL_CLASSES_MAX,
        HAUL_HISTOGRAM_BUCKETS,
        HAUL__LOCK_KEEPER,
        HAUL__N_PHASES,
        sizeof(haul__header),
        offsetof(haul__header, fingerprint),
        offsetof(haul__header, uuid),
        offsetof(haul__header, total_bytes),
        offsetof(haul__header, budget_bytes),
        offsetof(haul__header, quota_bytes),
        offsetof(haul__header, n_slots),
        offsetof(haul__header, n_classes),
        offsetof(haul__header, n_names),
        offsetof(haul__header, mode),
        offsetof(haul__header, classes),
        offsetof(haul__header, state),
        offsetof(haul__header, wake),
        offsetof(haul__header, next_ticket),
        offsetof(haul__header, waiters),
        sizeof(haul__class_geometry),
        sizeof(haul__slot),
        offsetof(haul__slot, joins),
        offsetof(haul__slot, joined_ns),
        offsetof(haul__slot, name),
        sizeof(haul__class),
        offsetof(haul__class, n_used),
        offsetof(haul__class, high_water),
        sizeof(haul__name),
        offsetof(haul__name, name),
        sizeof(haul__counters),
        offsetof(haul__counters, requested),
        sizeof(haul__record),
        offsetof(haul__record, ticket),
        offsetof(haul__record, length),
        offsetof(haul__record, deadline_ns),
        offsetof(haul__record, capacity),
        offsetof(haul__record, born),
        offsetof(haul__record, run),
        offsetof(haul__record, holders),
    };
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        hash = fnv1a(hash, facts[i]);
    }
    return hash;
}

/* ---- Parts --------------------------------------------------------------------------------- */

/* Append a part of @n times @unit bytes, starting on a line. */
static bool place(uint64_t *end, uint64_t n, uint64_t unit, uint64_t *out_offset)
{
    uint64_t start;
    uint64_t bytes;
    if (!haul__round_up_u64(*end, HAUL__LINE, &start) || !haul__mul_u64(n, unit, &bytes) ||
        !haul__add_u64(start, bytes, end)) {
        return false;
    }
    *out_offset = start;
    return true;
}

static bool place_all(haul__geometry *g)
{
    uint64_t end = sizeof(haul__header);
    if (!place(&end, (uint64_t)g->n_slots + 1, sizeof(haul__slot), &g->slots_offset) ||
        !place(&end, g->n_classes, sizeof(haul__class), &g->classes_offset)) {
        return false;
    }
    g->n_buffers = 0;
    for (uint32_t c = 0; c < g->n_classes; c++) {
        haul__class_place *cls = &g->classes[c];
        cls->first = g->n_buffers;
        cls->n_hint_words = (cls->n_max + 63) / 64;
        g->n_buffers += cls->n_max;
        if (!place(&end, cls->n_hint_words, sizeof(haul__a64), &cls->hints_offset)) {
            return false;
        }
    }
    g->n_holder_words = g->n_slots / 64 + 1;
    uint64_t holder_bytes;
    if (!haul__round_up_u64((uint64_t)g->n_holder_words * sizeof(haul__a64), HAUL__LINE,
                            &holder_bytes)) {
        return false;
    }
    g->record_bytes = sizeof(haul__record) + holder_bytes;
    return place(&end, g->n_names, sizeof(haul__name), &g->names_offset) &&
           place(&end, ((uint64_t)g->n_slots + 1) * g->n_classes, sizeof(haul__counters),
                 &g->counters_offset) &&
           place(&end, g->n_buffers, g->record_bytes, &g->records_offset) &&
           haul__round_up_u64(end, HAUL__PAGE_BYTES, &g->total_bytes);
}

/* ---- Checks, the same for a configuration and for a header --------------------------------- */

static haul_status check_class(const haul__geometry *g, uint32_t c, haul_error *err)
{
    const haul__class_place *cls = &g->classes[c];
    if (cls->n_max == 0 || cls->n_max > HAUL_CLASS_BUFFERS_MAX) {
        return haul__fail(err, HAUL_INVALID, "class %" PRIu32 ": maximum is %" PRIu32 ", not 1..%d",
                          c, cls->n_max, HAUL_CLASS_BUFFERS_MAX);
    }
    if (cls->n_initial > cls->n_max) {
        return haul__fail(err, HAUL_INVALID,
                          "class %" PRIu32 ": initial count %" PRIu32
                          " exceeds its maximum %" PRIu32,
                          c, cls->n_initial, cls->n_max);
    }
    if (cls->size_bytes == 0) { /* made to measure: the last one, made on demand only */
        if (c + 1 != g->n_classes || cls->n_initial != 0) {
            return haul__fail(err, HAUL_INVALID, "class %" PRIu32 ": its size is 0", c);
        }
        return HAUL_OK;
    }
    if (cls->size_bytes > SIZE_BYTES_MAX) {
        return haul__fail(err, HAUL_INVALID, "class %" PRIu32 ": size exceeds %" PRIu64 " bytes", c,
                          SIZE_BYTES_MAX);
    }
    if (c > 0 && cls->size_bytes <= g->classes[c - 1].size_bytes) {
        return haul__fail(err, HAUL_INVALID,
                          "class %" PRIu32 ": sizes must ascend, %" PRIu64 " follows %" PRIu64, c,
                          cls->size_bytes, g->classes[c - 1].size_bytes);
    }
    if (cls->capacity_bytes > g->budget_bytes) {
        return haul__fail(err, HAUL_INVALID,
                          "class %" PRIu32 ": one buffer of %" PRIu64
                          " bytes exceeds the budget of %" PRIu64,
                          c, cls->capacity_bytes, g->budget_bytes);
    }
    return HAUL_OK;
}

static haul_status check_numbers(const haul__geometry *g, haul_error *err)
{
    if (g->n_slots == 0 || g->n_slots > HAUL_PARTICIPANTS_MAX) {
        return haul__fail(err, HAUL_INVALID, "%" PRIu32 " participants, not 1..%d", g->n_slots,
                          HAUL_PARTICIPANTS_MAX);
    }
    if (g->n_names == 0 || g->n_names > HAUL_NAMES_MAX) {
        return haul__fail(err, HAUL_INVALID, "%" PRIu32 " names, not 1..%d", g->n_names,
                          HAUL_NAMES_MAX);
    }
    if (g->mode != 0600 && g->mode != 0660) {
        return haul__fail(err, HAUL_INVALID, "mode %04o is neither 0600 nor 0660", g->mode);
    }
    uint64_t initial_bytes = 0;
    for (uint32_t c = 0; c < g->n_classes; c++) {
        haul_status s = check_class(g, c, err);
        if (s != HAUL_OK) {
            return s;
        }
        /* At most 2^16 buffers of 2^50 bytes in each of 32 classes: can overflow, is checked. */
        uint64_t bytes;
        if (!haul__mul_u64(g->classes[c].capacity_bytes, g->classes[c].n_initial, &bytes) ||
            !haul__add_u64(initial_bytes, bytes, &initial_bytes)) {
            return haul__fail(err, HAUL_INVALID, "the initial buffers exceed 2^64 bytes");
        }
    }
    if (initial_bytes > g->budget_bytes) {
        return haul__fail(err, HAUL_INVALID,
                          "the initial buffers need %" PRIu64 " bytes, the budget is %" PRIu64,
                          initial_bytes, g->budget_bytes);
    }
    return HAUL_OK;
}

static haul_status finish(haul__geometry *g, haul_error *err)
{
    for (uint32_t c = 0; c < g->n_classes; c++) {
        haul__class_place *cls = &g->classes[c];
        if (!haul__round_up_u64(cls->size_bytes, HAUL__PAGE_BYTES, &cls->capacity_bytes)) {
            return haul__fail(err, HAUL_INVALID, "class %" PRIu32 ": size exceeds 2^64 bytes", c);
        }
        if (cls->size_bytes != 0) {
            g->largest_bytes = cls->capacity_bytes;
        }
    }
    haul_status s = check_numbers(g, err);
    if (s != HAUL_OK) {
        return s;
    }
    return place_all(g) ? HAUL_OK
                        : haul__fail(err, HAUL_INVALID, "the control segment exceeds 2^64 bytes");
}

/* ---- From a configuration ------------------------------------------------------------------ */

/* What the classes may grow to, the default budget. */
static bool sum_of_maxima(const haul__geometry *g, uint64_t *out_bytes)
{
    uint64_t sum = 0;
    for (uint32_t c = 0; c < g->n_classes; c++) {
        uint64_t capacity;
        uint64_t bytes;
        if (!haul__round_up_u64(g->classes[c].size_bytes, HAUL__PAGE_BYTES, &capacity) ||
            !haul__mul_u64(capacity, g->classes[c].n_max, &bytes) ||
            !haul__add_u64(sum, bytes, &sum)) {
            return false;
        }
    }
    *out_bytes = sum;
    return true;
}

haul_status haul__geometry_of_config(const haul_pool_config *config, haul__geometry *out_geometry,
                                     haul_error *err)
{
    haul__geometry g = {0};
    uint32_t n_measured_classes = config->n_measured_max > 0 ? 1 : 0;

    if (config->struct_size != sizeof(*config)) {
        return haul__fail(err, HAUL_INVALID, "haul_pool_config.struct_size is not set");
    }
    if (!config->classes || config->n_classes == 0 ||
        config->n_classes > HAUL_CLASSES_MAX - n_measured_classes) {
        return haul__fail(err, HAUL_INVALID, "%" PRIu32 " classes, not 1..%d", config->n_classes,
                          HAUL_CLASSES_MAX - (int)n_measured_classes);
    }
    for (uint32_t c = 0; c < config->n_classes; c++) {
        const haul_class_config *from = &config->classes[c];
        if (from->size_bytes == 0) {
            return haul__fail(err, HAUL_INVALID, "class %" PRIu32 ": its size is 0", c);
        }
        g.classes[c] = (haul__class_place){
            .size_bytes = from->size_bytes, .n_initial = from->n_initial, .n_max = from->n_max};
    }
    g.n_classes = config->n_classes;
    g.budget_bytes = config->budget_bytes;
    if (g.budget_bytes == 0) {
        if (n_measured_classes > 0) {
            return haul__fail(err, HAUL_INVALID, "buffers made to measure need a budget");
        }
        if (!sum_of_maxima(&g, &g.budget_bytes)) {
            return haul__fail(err, HAUL_INVALID, "the classes together exceed 2^64 bytes");
        }
    }
    if (n_measured_classes > 0) {
        g.classes[g.n_classes++].n_max = config->n_measured_max;
    }
    g.n_slots = config->n_participants ? config->n_participants : HAUL_PARTICIPANTS_DEFAULT;
    g.n_names = config->n_names ? config->n_names : HAUL_NAMES_DEFAULT;
    g.quota_bytes = config->quota_bytes;
    g.mode = config->mode ? config->mode : 0600;

    haul_status s = finish(&g, err);
    if (s == HAUL_OK) {
        *out_geometry = g;
    }
    return s;
}

/* ---- From and to a header ------------------------------------------------------------------ */

haul_status haul__geometry_of_header(const haul__header *header, haul__geometry *out_geometry,
                                     haul_error *err)
{
    haul__geometry g = {0};
    if (header->magic != HAUL__MAGIC) {
        return haul__fail(err, HAUL_CORRUPT, "this is not a pool: its first bytes are wrong");
    }
    if (header->layout_version != HAUL__LAYOUT_VERSION ||
        header->header_bytes != sizeof(haul__header) ||
        header->fingerprint != haul__layout_fingerprint()) {
        return haul__fail(err, HAUL_VERSION,
                          "the pool has layout %" PRIu32 " (%016" PRIx64
                          "), this program knows layout %u (%016" PRIx64 ") only",
                          header->layout_version, header->fingerprint, HAUL__LAYOUT_VERSION,
                          haul__layout_fingerprint());
    }
    if (header->n_classes == 0 || header->n_classes > HAUL_CLASSES_MAX) {
        return haul__fail(err, HAUL_CORRUPT, "the pool says it has %" PRIu32 " classes",
                          header->n_classes);
    }
    g.n_slots = header->n_slots;
    g.n_classes = header->n_classes;
    g.n_names = header->n_names;
    g.quota_bytes = header->quota_bytes;
    g.mode = header->mode;
    g.budget_bytes = header->budget_bytes;
    for (uint32_t c = 0; c < g.n_classes; c++) {
        g.classes[c] = (haul__class_place){.size_bytes = header->classes[c].size_bytes,
                                           .n_initial = header->classes[c].n_initial,
                                           .n_max = header->classes[c].n_max};
    }
    haul_status s = finish(&g, err);
    if (s != HAUL_OK || g.total_bytes != header->total_bytes) {
        return haul__fail(err, HAUL_CORRUPT, "the pool's geometry makes no sense");
    }
    *out_geometry = g;
    return HAUL_OK;
}

void haul__geometry_to_header(const haul__geometry *geometry, haul__header *header)
{
    header->magic = HAUL__MAGIC;
    header->layout_version = HAUL__LAYOUT_VERSION;
    header->header_bytes = sizeof(haul__header);
    header->fingerprint = haul__layout_fingerprint();
    header->total_bytes = geometry->total_bytes;
    header->budget_bytes = geometry->budget_bytes;
    header->n_slots = geometry->n_slots;
    header->n_classes = geometry->n_classes;
    header->n_names = geometry->n_names;
    header->quota_bytes = geometry->quota_bytes;
    header->mode = geometry->mode;
    for (uint32_t c = 0; c < geometry->n_classes; c++) {
        header->classes[c] = (haul__class_geometry){.size_bytes = geometry->classes[c].size_bytes,
                                                    .n_initial = geometry->classes[c].n_initial,
                                                    .n_max = geometry->classes[c].n_max};
    }
}
