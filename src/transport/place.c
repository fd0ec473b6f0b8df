/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Room for large payloads that come inline, and for what a call is made of.
 *
 * What costs most about fresh memory is that the kernel makes and clears its pages: of 64 MiB, as
 * long as it takes to copy half of them. A buffer of the pool has its pages already, so the bytes go
 * there if one is free; nobody waits for one, none is made, and one that is much too large is left
 * to those who need it. Otherwise memory is mapped and kept for the next payload, a few blocks of
 * it. What is kept is marked so that the kernel may take the pages when it is short of them.
 *
 * Small things of a call are kept likewise, so that one that follows another of its kind takes
 * nothing from the heap.
 *
 * A server or channel has a place, which lasts until its last message is freed: an answer may outlive
 * its channel. Any thread may take and give back. If the process dies the buffers are reaped: they
 * are owned, or held, by its participant.
 */

#include "transport/place.h"

#include <stdlib.h>

#include "transport/arena.h"
#include "transport/large.h"

/* Less than this is not worth a buffer that others may need. */
#define POOL_MIN ((size_t)64 << 10)
/* How many times larger than the payload a buffer may be. */
#define POOL_WASTE 4

/* Less than this is malloc()'s business, which keeps what it is given back. */
#define SPARE_MIN ((size_t)1 << 20)
/* More than this is not kept. */
#define SPARE_MAX (((size_t)256 << 20) + HAUL__ALIGNMENT)

haul__place *haul__place_create(haul_pool *pool)
{
    haul__place *place = calloc(1, sizeof(*place));
    if (!place) {
        return NULL;
    }
    if (pthread_mutex_init(&place->mutex, NULL) != 0) {
        free(place);
        return NULL;
    }
    atomic_init(&place->refs, 1);
    place->pool = pool;
    return place;
}

void haul__place_ref(haul__place *place)
{
    atomic_fetch_add(&place->refs, 1);
}

void haul__place_unref(haul__place *place)
{
    if (!place || atomic_fetch_sub(&place->refs, 1) != 1) {
        return;
    }
    for (unsigned i = 0; i < HAUL__SPARES; i++) {
        haul__large_free(place->spares[i].memory);
    }
    for (unsigned i = 0; i < place->n_blocks; i++) {
        free(place->blocks[i]);
    }
    (void)pthread_mutex_destroy(&place->mutex);
    free(place);
}

void *haul__block_take(haul__place *place)
{
    void *block = NULL;
    (void)pthread_mutex_lock(&place->mutex);
    if (place->n_blocks > 0) {
        block = place->blocks[--place->n_blocks];
    }
    (void)pthread_mutex_unlock(&place->mutex);
    return block ? block : malloc(HAUL__BLOCK_BYTES);
}

void haul__block_give_back(haul__place *place, void *block)
{
    (void)pthread_mutex_lock(&place->mutex);
    if (block && place->n_blocks < HAUL__BLOCKS) {
        place->blocks[place->n_blocks++] = block;
        block = NULL;
    }
    (void)pthread_mutex_unlock(&place->mutex);
    free(block);
}

/* A buffer that is free and fits, or NULL. */
static haul_buf *take_buf(const haul__place *place, size_t len)
{
    const haul_alloc_opts opts = {.struct_size = sizeof(opts)};
    haul_buf *buf;
    if (!place->pool || len < POOL_MIN ||
        haul_buf_alloc(place->pool, len, &opts, &buf) != HAUL_OK) {
        return NULL;
    }
    if (haul_buf_capacity(buf) / POOL_WASTE > len) {
        haul_buf_release(buf);
        return NULL;
    }
    return buf;
}

/* The smallest spare of at least @size bytes; .memory is NULL if there is none. */
static haul__spare take_spare(haul__place *place, size_t size)
{
    haul__spare *found = NULL;
    haul__spare taken = {0};
    (void)pthread_mutex_lock(&place->mutex);
    for (unsigned i = 0; i < HAUL__SPARES; i++) {
        haul__spare *s = &place->spares[i];
        if (s->memory && s->size >= size && (!found || s->size < found->size)) {
            found = s;
        }
    }
    if (found) {
        taken = *found;
        *found = (haul__spare){0};
    }
    (void)pthread_mutex_unlock(&place->mutex);
    return taken;
}

haul_status haul__room_take(haul__place *place, size_t len, bool from_pool, haul__room *out_room)
{
    haul_buf *buf = from_pool ? take_buf(place, len) : NULL;
    if (buf) {
        *out_room = (haul__room){.data = haul_buf_data(buf), .buf = buf};
        return HAUL_OK;
    }
    size_t size;
    if (__builtin_add_overflow(len, HAUL__ALIGNMENT, &size)) {
        return HAUL_NOMEM;
    }
    haul__spare spare = {0};
    if (size >= SPARE_MIN) {
        spare = take_spare(place, size);
    }
    if (!spare.memory) {
        spare = (haul__spare){.memory = haul__large_alloc(size), .size = size};
    }
    if (!spare.memory) {
        return HAUL_NOMEM;
    }
    size_t ahead = -(uintptr_t)spare.memory & (HAUL__ALIGNMENT - 1);
    *out_room = (haul__room){.data = (uint8_t *)spare.memory + ahead, .spare = spare};
    return HAUL_OK;
}

haul_status haul__room_seal(haul__room *room, size_t len, haul_view *out_view)
{
    *out_view = (haul_view){0};
    if (!room->buf) {
        return HAUL_OK;
    }
    haul_key key;
    haul_status status = haul_buf_share(room->buf, len, &key);
    if (status == HAUL_OK) {
        status = haul_buf_view(room->buf, out_view);
    }
    haul_buf_release(room->buf); /* the view keeps it */
    room->buf = NULL;
    return status;
}

/* Keep a block in place of none or of a smaller one; what to free instead. */
static void *keep(haul__place *place, haul__spare spare)
{
    haul__spare *least = &place->spares[0];
    for (unsigned i = 1; i < HAUL__SPARES && least->memory; i++) {
        haul__spare *s = &place->spares[i];
        least = !s->memory || s->size < least->size ? s : least;
    }
    size_t kept = spare.size;
    for (unsigned i = 0; i < HAUL__SPARES; i++) {
        kept += &place->spares[i] == least ? 0 : place->spares[i].size;
    }
    if (kept > SPARE_MAX || (least->memory && least->size >= spare.size)) {
        return spare.memory;
    }
    void *displaced = least->memory;
    *least = spare;
    return displaced;
}

void haul__room_give_back(haul__place *place, haul__room *room)
{
    haul__spare spare = room->spare;
    haul_buf_release(room->buf);
    *room = (haul__room){0};
    if (spare.size >= SPARE_MIN && spare.size <= SPARE_MAX) {
        haul__large_relax(spare.memory);
        (void)pthread_mutex_lock(&place->mutex);
        spare.memory = keep(place, spare);
        (void)pthread_mutex_unlock(&place->mutex);
    }
    haul__large_free(spare.memory);
}
