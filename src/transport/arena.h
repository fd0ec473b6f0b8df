/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_ARENA_H
#define SHORTHAUL_TRANSPORT_ARENA_H

/* Memory that is taken piece by piece and given back all at once. */

#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

/* Where payloads start, so that whoever computes with them may load whole vectors. */
#define HAUL__ALIGNMENT 64

typedef struct haul__arena_chunk haul__arena_chunk;

typedef struct haul__arena {
    haul__arena_chunk *chunks; /* the newest first; pieces come from that one */
    size_t alignment;          /* of what the allocator gives */
} haul__arena;

/*
 * Takes no memory yet.
 *
 * @alignment: of what the allocator gives, a power of two.
 * @first: memory to begin with, aligned as malloc()'s; may be NULL. The caller's, after
 *         haul__arena_fini().
 */
void haul__arena_init(haul__arena *arena, size_t alignment, void *first, size_t first_bytes);

/* Give everything back. */
void haul__arena_fini(haul__arena *arena);

/* NULL without memory. Lives until haul__arena_fini(). */
void *haul__arena_take(haul__arena *arena, size_t size, size_t alignment);

/* The same for protobuf-c. What it frees stays taken. */
ProtobufCAllocator haul__arena_allocator(haul__arena *arena);

#endif
