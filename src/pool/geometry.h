/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_GEOMETRY_H
#define SHORTHAUL_POOL_GEOMETRY_H

/*
 * Where each part of a control segment is: computed and checked once, from a configuration when a
 * pool is made and from its header when it is opened, and private to the process from then on. No
 * index and no offset is ever taken from shared memory.
 */

#include "pool/layout.h"

typedef struct haul__class_place {
    uint64_t size_bytes;     /* as configured; 0: made to measure */
    uint64_t capacity_bytes; /* in whole pages; 0: made to measure */
    uint32_t n_initial, n_max;
    uint32_t first; /* pool-wide index of its first buffer */
    uint32_t n_hint_words;
    uint64_t hints_offset;
} haul__class_place;

typedef struct haul__geometry {
    uint32_t n_slots;
    uint32_t n_classes;
    uint32_t n_buffers;
    uint32_t n_holder_words;
    uint32_t n_names;
    uint32_t mode;
    uint64_t budget_bytes;
    uint64_t quota_bytes;   /* 0: none */
    uint64_t largest_bytes; /* the largest class made ahead of time */
    uint64_t slots_offset;
    uint64_t classes_offset;
    uint64_t names_offset;
    uint64_t counters_offset;
    uint64_t records_offset;
    uint64_t record_bytes;
    uint64_t total_bytes;
    haul__class_place classes[HAUL_CLASSES_MAX];
} haul__geometry;

/* Failures: HAUL_INVALID, with the reason in @err. */
HAUL_MUST_CHECK haul_status haul__geometry_of_config(const haul_pool_config *config,
                                                     haul__geometry *out_geometry, haul_error *err);

/* @header: a private copy. Failures: HAUL_CORRUPT, HAUL_VERSION. */
HAUL_MUST_CHECK haul_status haul__geometry_of_header(const haul__header *header,
                                                     haul__geometry *out_geometry, haul_error *err);

/* Write what @geometry says into a new header (all but uuid and state). */
void haul__geometry_to_header(const haul__geometry *geometry, haul__header *header);

/* Over every offset and size of layout.h. */
uint64_t haul__layout_fingerprint(void);

/* The class of buffer @index, which is below n_buffers. */
static inline uint32_t haul__geometry_class_of(const haul__geometry *g, uint32_t index)
{
    uint32_t c = 0;
    while (c + 1 < g->n_classes && index >= g->classes[c + 1].first) {
        c++;
    }
    return c;
}

#endif
