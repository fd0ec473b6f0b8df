/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Packing messages.
 *
 * A message mostly becomes one slice. One that holds large bytes of a pool's buffer becomes
 * several: protobuf-c hands `bytes` fields to a buffer's append function as they are, so those that
 * lie in a pinned view are not copied but referred to. All other bytes are copied, however many
 * they are: a call can be over (cancelled, past its deadline) while gRPC has its message still in a
 * queue, and then its author may do with his memory what he likes. The copy of many bytes is made to
 * memory that is kept (place.c), for fresh memory costs more than the copy.
 *
 * Each call packs for itself, in whatever thread it runs.
 */

#include "transport/pack.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "transport/bulk.h"
#include "transport/keyed.h"
#include "transport/large.h"

#define MESSAGE_MAX UINT32_MAX

/* gRPC's own allocator ends the process where there is no memory; up to here that is theirs. */
#define GRPC_ALLOC_MAX 65536

/* Bytes from here on are copied to memory that is kept for the next ones. */
#define ROOM_MIN GRPC_ALLOC_MAX

/* Fewer bytes than these are cheaper to copy than to send as a piece of their own. */
#define PIN_MIN_BYTES 8192

#define CHUNK_BYTES  4096
#define SMALL_SLICES 8

typedef struct packer {
    ProtobufCBuffer base; /* first: the append function is given its address */
    const haul__pack_from *from;
    haul_status status; /* the first failure; nothing more is appended after it */
    grpc_slice small[SMALL_SLICES];
    grpc_slice *slices;
    size_t n;
    size_t capacity;
    uint8_t *chunk; /* copied bytes that are not a slice yet */
    size_t chunk_used;
    size_t chunk_bytes;
} packer;

static bool add_slice(packer *p, grpc_slice slice)
{
    if (p->n == p->capacity) {
        size_t capacity = 4 * p->capacity;
        grpc_slice *old = p->slices == p->small ? NULL : p->slices;
        grpc_slice *grown = realloc(old, capacity * sizeof(*grown));
        if (!grown) {
            grpc_slice_unref(slice);
            return false;
        }
        if (!old) {
            memcpy(grown, p->small, sizeof(p->small));
        }
        p->slices = grown;
        p->capacity = capacity;
    }
    p->slices[p->n++] = slice;
    return true;
}

static bool end_chunk(packer *p)
{
    if (!p->chunk) {
        return true;
    }
    grpc_slice slice = grpc_slice_new(p->chunk, p->chunk_used, haul__large_free);
    p->chunk = NULL;
    return add_slice(p, slice);
}

static haul_status append_copy(packer *p, const uint8_t *data, size_t len)
{
    if (p->chunk && p->chunk_bytes - p->chunk_used < len && !end_chunk(p)) {
        return HAUL_NOMEM;
    }
    if (!p->chunk) {
        p->chunk_bytes = len > CHUNK_BYTES ? len : CHUNK_BYTES;
        p->chunk_used = 0;
        p->chunk = haul__large_alloc(p->chunk_bytes);
        if (!p->chunk) {
            return HAUL_NOMEM;
        }
    }
    memcpy(p->chunk + p->chunk_used, data, len);
    p->chunk_used += len;
    return HAUL_OK;
}

/* A copy of large bytes, until gRPC has written it. Made by one thread and undone by whichever of
 * gRPC's lets go last: @posted is to ThreadSanitizer what it is in pin.c. */
typedef struct copied {
    haul__place *place;
    haul__room room;
    atomic_bool posted;
} copied;

static void let_go(void *user_data)
{
    copied *c = user_data;
    (void)atomic_load_explicit(&c->posted, memory_order_acquire);
    haul__room_give_back(c->place, &c->room);
    haul__place_unref(c->place);
    free(c);
}

static haul_status append_room(packer *p, const uint8_t *data, size_t len)
{
    copied *c = malloc(sizeof(*c));
    if (!c || haul__room_take(p->from->place, len, false, &c->room) != HAUL_OK) {
        free(c);
        return HAUL_NOMEM;
    }
    c->place = p->from->place;
    haul__place_ref(c->place);
    haul__bulk_copy(c->room.data, data, len);
    atomic_store_explicit(&c->posted, true, memory_order_release);
    grpc_slice slice = grpc_slice_new_with_user_data(c->room.data, len, let_go, c);
    if (!end_chunk(p)) {
        grpc_slice_unref(slice);
        return HAUL_NOMEM;
    }
    return add_slice(p, slice) ? HAUL_OK : HAUL_NOMEM;
}

static haul_status append_pinned(packer *p, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < 2; i++) {
        grpc_slice slice;
        haul_status status = HAUL_NOT_FOUND;
        if (p->from->views[i]) {
            status = haul__views_slice(p->from->views[i], p->from->pins, data, len, &slice);
        }
        if (status == HAUL_OK) {
            return end_chunk(p) && add_slice(p, slice) ? HAUL_OK : HAUL_NOMEM;
        }
        if (status != HAUL_NOT_FOUND) {
            return status;
        }
    }
    return HAUL_NOT_FOUND;
}

static void append(ProtobufCBuffer *buffer, size_t len, const uint8_t *data)
{
    packer *p = (packer *)buffer;
    if (p->status != HAUL_OK || len == 0) {
        return;
    }
    p->status = len < PIN_MIN_BYTES ? HAUL_NOT_FOUND : append_pinned(p, data, len);
    if (p->status == HAUL_NOT_FOUND) {
        bool large = len >= ROOM_MIN && p->from->place;
        p->status = large ? append_room(p, data, len) : append_copy(p, data, len);
    }
}

static haul_status pack_in_pieces(const ProtobufCMessage *message, const haul__pack_from *from,
                                  grpc_byte_buffer **out_bytes)
{
    packer p = {.base.append = append, .from = from, .slices = p.small, .capacity = SMALL_SLICES};
    (void)protobuf_c_message_pack_to_buffer(message, &p.base);
    if (p.status == HAUL_OK && !end_chunk(&p)) {
        p.status = HAUL_NOMEM;
    }
    if (p.status == HAUL_OK) {
        *out_bytes = grpc_raw_byte_buffer_create(p.slices, p.n);
    }
    for (size_t i = 0; i < p.n; i++) {
        grpc_slice_unref(p.slices[i]);
    }
    if (p.slices != p.small) {
        free(p.slices);
    }
    haul__large_free(p.chunk);
    return p.status;
}

static void pack_in_one(const ProtobufCMessage *message, size_t size, grpc_byte_buffer **out_bytes)
{
    grpc_slice slice = grpc_slice_malloc(size);
    (void)protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    *out_bytes = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
}

/* Whether the message was one with payloads by key, and short. */
static bool pack_keyed(const ProtobufCMessage *message, const haul__pack_from *from,
                       grpc_byte_buffer **out_bytes)
{
    uint8_t bytes[HAUL__KEYED_MAX];
    size_t n = haul__keyed_pack(from->plan, message, bytes);
    if (n == 0 || (from->max_bytes != 0 && n > from->max_bytes)) {
        return false;
    }
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes, n);
    *out_bytes = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return true;
}

haul_status haul__pack(const ProtobufCMessage *message, const haul__pack_from *from,
                       grpc_byte_buffer **out_bytes)
{
    if (pack_keyed(message, from, out_bytes)) {
        return HAUL_OK;
    }
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > MESSAGE_MAX || (from->max_bytes != 0 && size > from->max_bytes)) {
        return HAUL_TOO_BIG;
    }
    if (size >= ROOM_MIN) {
        return pack_in_pieces(message, from, out_bytes);
    }
    for (size_t i = 0; i < 2 && size >= PIN_MIN_BYTES; i++) {
        if (from->views[i] && haul__views_hold_pool_memory(from->views[i])) {
            return pack_in_pieces(message, from, out_bytes);
        }
    }
    pack_in_one(message, size, out_bytes);
    return HAUL_OK;
}
