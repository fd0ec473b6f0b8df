/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Memory of one received message.
 *
 * protobuf-c asks for each struct, string and array by itself and nobody wants them back one by
 * one, so they are cut from chunks that grow with the message and go together with it. Large
 * chunks are in huge pages (large.c). One thread uses an arena at a time; it dies with its message.
 */

#include "transport/arena.h"

#include <stdbool.h>
#include <stdint.h>

#include "transport/large.h"

#define CHUNK_FIRST 1024
#define CHUNK_MAX   ((size_t)1 << 20)

struct haul__arena_chunk {
    haul__arena_chunk *next;
    size_t size; /* of the whole chunk */
    size_t used; /* this head and its padding included */
    bool lent;   /* the memory to begin with */
};

void haul__arena_init(haul__arena *arena, size_t alignment, void *first, size_t first_bytes)
{
    haul__arena_chunk *chunk = first;
    if (chunk) {
        *chunk = (haul__arena_chunk){.size = first_bytes, .used = sizeof(*chunk), .lent = true};
    }
    *arena = (haul__arena){.alignment = alignment, .chunks = chunk};
}

void haul__arena_fini(haul__arena *arena)
{
    while (arena->chunks) {
        haul__arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        if (!chunk->lent) {
            haul__large_free(chunk);
        }
    }
}

/* Offset in @chunk of the first aligned byte from @used on. */
static size_t aligned_after(const haul__arena_chunk *chunk, size_t used, size_t alignment)
{
    uintptr_t mask = alignment - 1;
    uintptr_t at = ((uintptr_t)chunk + used + mask) & ~mask;
    return (size_t)(at - (uintptr_t)chunk);
}

/* A chunk that has room for @size bytes, wherever it begins. */
static bool add_chunk(haul__arena *arena, size_t size, size_t alignment)
{
    size_t grown = CHUNK_FIRST;
    if (arena->chunks) {
        grown = arena->chunks->size < CHUNK_MAX ? 2 * arena->chunks->size : CHUNK_MAX;
    }
    size_t needed;
    if (__builtin_add_overflow(size, sizeof(haul__arena_chunk) + alignment, &needed)) {
        return false;
    }
    size_t chosen = needed > grown ? needed : grown;
    haul__arena_chunk *chunk = haul__large_alloc(chosen);
    if (!chunk) {
        return false;
    }
    *chunk = (haul__arena_chunk){.next = arena->chunks, .size = chosen, .used = sizeof(*chunk)};
    arena->chunks = chunk;
    return true;
}

static void *take_from(haul__arena_chunk *chunk, size_t size, size_t alignment)
{
    if (!chunk) {
        return NULL;
    }
    size_t at = aligned_after(chunk, chunk->used, alignment);
    if (at > chunk->size || chunk->size - at < size) {
        return NULL;
    }
    chunk->used = at + size;
    return (uint8_t *)chunk + at;
}

void *haul__arena_take(haul__arena *arena, size_t size, size_t alignment)
{
    void *taken = take_from(arena->chunks, size, alignment);
    if (!taken && add_chunk(arena, size, alignment)) {
        taken = take_from(arena->chunks, size, alignment);
    }
    return taken;
}

static void *allocate(void *allocator_data, size_t size)
{
    haul__arena *arena = allocator_data;
    return haul__arena_take(arena, size, arena->alignment);
}

static void release(void *allocator_data, void *memory)
{
    (void)allocator_data;
    (void)memory;
}

ProtobufCAllocator haul__arena_allocator(haul__arena *arena)
{
    return (ProtobufCAllocator){.alloc = allocate, .free = release, .allocator_data = arena};
}
