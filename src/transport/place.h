/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_PLACE_H
#define SHORTHAUL_TRANSPORT_PLACE_H

/* Where large inline payloads are received: in buffers of a pool or in memory that is kept. */

#include <pthread.h>
#include <stdatomic.h>

#include <shorthaul/pool.h>

#define HAUL__SPARES 4

/* What small things are made of: calls, replies, what a message needs beside its payloads. */
#define HAUL__BLOCK_BYTES 2048
#define HAUL__BLOCKS      64

typedef struct haul__spare {
    void *memory;
    size_t size;
} haul__spare;

/* Of one server or channel, and of the messages that lie in it. */
typedef struct haul__place {
    atomic_uint refs;
    haul_pool *pool; /* NULL: none */
    pthread_mutex_t mutex;
    haul__spare spares[HAUL__SPARES]; /* memory nobody uses, under the mutex */
    void *blocks[HAUL__BLOCKS];       /* likewise */
    unsigned n_blocks;
} haul__place;

/* With one reference, for haul__place_unref(). NULL without memory. */
haul__place *haul__place_create(haul_pool *pool);
void haul__place_ref(haul__place *place);

/* The last one frees. NULL is allowed. */
void haul__place_unref(haul__place *place);

/* HAUL__BLOCK_BYTES of memory, whatever is in it; the heap's only where no block is kept. NULL
 * without memory. For haul__block_give_back(). */
void *haul__block_take(haul__place *place);

/* NULL is allowed. */
void haul__block_give_back(haul__place *place, void *block);

/* Room for one payload, at an address that is a multiple of HAUL__ALIGNMENT. */
typedef struct haul__room {
    uint8_t *data;
    haul_buf *buf;     /* NULL unless it is a pool's and still being filled */
    haul__spare spare; /* .memory is NULL unless it is not */
} haul__room;

/*
 * Take room for @len bytes: a free buffer of the pool that fits well, if @from_pool, else memory.
 * Ownership: haul__room_give_back(), also after haul__room_seal().   Failures: HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status haul__room_take(haul__place *place, size_t len, bool from_pool,
                                            haul__room *out_room);

/*
 * The room has been filled: if it is a pool's, make it readable like any other shared buffer.
 *
 * Ownership: @out_view is the caller's, haul_detach(); empty if the room is no pool's.
 * Failures:  HAUL_CORRUPT, HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status haul__room_seal(haul__room *room, size_t len, haul_view *out_view);

void haul__room_give_back(haul__place *place, haul__room *room);

#endif
