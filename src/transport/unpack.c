/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Unpacking messages.
 *
 * A message lives in an arena of its own. A short one is parsed as it came. From a longer one that
 * may hold payloads their inline bytes are cut out first (dissect.c) and copied from gRPC's slices
 * straight to where they stay: large ones into a pool's buffer or kept memory (place.c), so that a
 * handler finds one aligned piece however the bytes came.
 *
 * Each call unpacks for itself, in whatever thread it runs. If the process dies the pool's buffers
 * are reaped.
 */

#include <stddef.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>

#include "transport/arena.h"
#include "transport/bulk.h"
#include "transport/container.h"
#include "transport/cursor.h"
#include "transport/dissect.h"
#include "transport/keyed.h"
#include "transport/large.h"
#include "transport/nesting.h"
#include "transport/pack.h"

/* Messages from here on are cut: below, all pieces are cheap to copy once more. */
#define CUT_MIN 8192

/* Up to so many bytes are put together on the stack. */
#define SMALL_BYTES 1024

/* Pieces from here on get a room. */
#define ROOM_MIN ((size_t)64 << 10)

/* Pool buffers that one message may take up. */
#define POOL_ROOMS_MAX 8

/* A room that is kept until the message is freed. */
typedef struct kept {
    struct kept *next;
    haul__room room;
} kept;

/* What is around a message. */
typedef struct unpacked {
    haul__arena arena;
    void *first; /* what the arena began with, if there is a place */
    haul__place *place;
    kept *rooms;
    haul_view views[POOL_ROOMS_MAX];
    unsigned n_views;
    ProtobufCMessage root; /* and the rest of it */
} unpacked;

static void release(unpacked *u)
{
    for (unsigned i = 0; i < u->n_views; i++) {
        haul_detach(&u->views[i]);
    }
    for (kept *k = u->rooms; k; k = k->next) {
        haul__room_give_back(u->place, &k->room);
    }
    const unpacked last = *u; /* *u is in the arena */
    haul__arena arena = last.arena;
    haul__arena_fini(&arena);
    if (last.place) {
        haul__block_give_back(last.place, last.first);
        haul__place_unref(last.place);
    }
}

/* Give the message its place in the struct that is around it, in the arena. */
static haul_status wrap(unpacked *u, const ProtobufCMessage *message,
                        ProtobufCMessage **out_message)
{
    size_t size = message->descriptor->sizeof_message;
    unpacked *whole =
        haul__arena_take(&u->arena, offsetof(unpacked, root) + size, _Alignof(max_align_t));
    if (!whole) {
        return HAUL_NOMEM;
    }
    *whole = *u;
    memcpy(&whole->root, message, size);
    *out_message = &whole->root;
    return HAUL_OK;
}

static ProtobufCMessage *parse(unpacked *u, const haul__plans *plans, const uint8_t *data,
                               size_t len)
{
    ProtobufCMessage *keyed = haul__keyed_unpack(plans, &u->arena, data, len);
    if (keyed) {
        return keyed;
    }
    if (plans->recursive && !haul__nesting_ok(plans->type, data, len)) {
        return NULL;
    }
    ProtobufCAllocator allocator = haul__arena_allocator(&u->arena);
    return protobuf_c_message_unpack(plans->type, &allocator, len, data);
}

/* ---- A message that is parsed as it came --------------------------------------------------- */

static haul_status unpack_whole(unpacked *u, const haul__plans *plans,
                                const grpc_slice_buffer *slices, ProtobufCMessage **out_message)
{
    uint8_t small[SMALL_BYTES];
    uint8_t *large = NULL;
    const uint8_t *data = small;
    if (slices->count == 1) {
        data = GRPC_SLICE_START_PTR(slices->slices[0]);
    } else {
        if (slices->length > sizeof(small)) {
            large = haul__large_alloc(slices->length);
            if (!large) {
                return HAUL_NOMEM;
            }
            data = large;
        }
        haul__cursor cursor = haul__cursor_of(slices);
        haul__bulk_take(&cursor, slices->length, large ? large : small);
    }
    ProtobufCMessage *message = parse(u, plans, data, slices->length);
    haul__large_free(large);
    return message ? wrap(u, message, out_message) : HAUL_PROTOCOL;
}

/* ---- A message whose payloads are cut out -------------------------------------------------- */

/* Where one piece came to lie. */
typedef struct placed {
    const uint8_t *data;
    size_t len;
} placed;

typedef struct splicing {
    const placed *pieces;
    size_t n_pieces;
} splicing;

/* Put a payload's bytes back in the place of its token. */
static haul_status splice(void *ctx, const haul_payload *payload)
{
    const splicing *s = ctx;
    if (payload->source_case != SHORTHAUL__V1__PAYLOAD__SOURCE_INLINE) {
        return HAUL_OK;
    }
    uint64_t token;
    if (payload->inline_.len != sizeof(token)) {
        return HAUL_PROTOCOL;
    }
    memcpy(&token, payload->inline_.data, sizeof(token));
    if (token >= s->n_pieces) {
        return HAUL_PROTOCOL;
    }
    haul_payload *ours = (haul_payload *)payload; /* the walk is for readers, the message is ours */
    ours->inline_.data = (uint8_t *)s->pieces[token].data;
    ours->inline_.len = s->pieces[token].len;
    return HAUL_OK;
}

/* Copy a piece to a room, which @u keeps from then on. */
static haul_status fill_room(unpacked *u, haul__cursor *cursor, size_t len,
                             const uint8_t **out_data)
{
    kept *k = haul__arena_take(&u->arena, sizeof(*k), _Alignof(max_align_t));
    if (!k) {
        return HAUL_NOMEM;
    }
    bool pool = u->n_views < POOL_ROOMS_MAX;
    haul_status status = haul__room_take(u->place, len, pool, &k->room);
    if (status != HAUL_OK) {
        return status;
    }
    k->next = u->rooms;
    u->rooms = k;
    haul__bulk_take(cursor, len, k->room.data);
    haul_view view;
    status = haul__room_seal(&k->room, len, &view);
    if (status == HAUL_OK && view.data) {
        u->views[u->n_views++] = view;
        *out_data = view.data;
    } else {
        *out_data = k->room.data;
    }
    return status;
}

static haul_status fill(unpacked *u, haul__cursor *cursor, size_t len, const uint8_t **out_data)
{
    if (len >= ROOM_MIN && u->place) {
        return fill_room(u, cursor, len, out_data);
    }
    uint8_t *data = haul__arena_take(&u->arena, len, HAUL__ALIGNMENT);
    if (!data) {
        return HAUL_NOMEM;
    }
    haul__cursor_take(cursor, len, data);
    *out_data = data;
    return HAUL_OK;
}

static haul_status fill_all(unpacked *u, const grpc_slice_buffer *slices,
                            const haul__dissection *cut, placed *pieces)
{
    haul__cursor cursor = haul__cursor_of(slices);
    haul_status status = HAUL_OK;
    for (size_t i = 0; i < cut->n_pieces && status == HAUL_OK; i++) {
        const haul__piece *piece = &cut->pieces[i];
        haul__cursor_take(&cursor, piece->at - cursor.at, NULL);
        pieces[i] = (placed){.len = piece->len};
        if (piece->len > 0) {
            status = fill(u, &cursor, piece->len, &pieces[i].data);
        }
    }
    return status;
}

static haul_status unpack_cut(unpacked *u, const haul__plans *plans,
                              const grpc_slice_buffer *slices, ProtobufCMessage **out_message)
{
    haul__dissection cut;
    haul_status status = haul__dissect(plans->root, slices, &cut);
    if (status != HAUL_OK) {
        return status;
    }
    placed *pieces =
        haul__arena_take(&u->arena, cut.n_pieces * sizeof(*pieces), _Alignof(max_align_t));
    status = pieces ? HAUL_OK : HAUL_NOMEM;
    ProtobufCMessage *message = NULL;
    if (status == HAUL_OK) {
        message = parse(u, plans, cut.rest, cut.n_rest);
        status = message ? HAUL_OK : HAUL_PROTOCOL;
    }
    if (status == HAUL_OK) {
        status = fill_all(u, slices, &cut, pieces);
    }
    if (status == HAUL_OK) {
        splicing s = {.pieces = pieces, .n_pieces = cut.n_pieces};
        status = haul__plan_walk(plans->root, message, splice, &s);
    }
    haul__dissection_fini(&cut);
    return status == HAUL_OK ? wrap(u, message, out_message) : status;
}

/* ---- Either -------------------------------------------------------------------------------- */

haul_status haul__unpack_into(const haul__plans *plans, grpc_byte_buffer *bytes, haul__place *place,
                              ProtobufCMessage **out_message)
{
    grpc_byte_buffer_reader reader;
    if (!bytes || !grpc_byte_buffer_reader_init(&reader, bytes)) {
        return HAUL_PROTOCOL;
    }
    const grpc_slice_buffer *slices = &reader.buffer_out->data.raw.slice_buffer;
    bool cut = plans->root && slices->length >= CUT_MIN;
    unpacked u = {.place = place};
    if (place) {
        haul__place_ref(place);
        u.first = haul__block_take(place);
    }
    haul__arena_init(&u.arena, plans->root && !cut ? HAUL__ALIGNMENT : _Alignof(max_align_t),
                     u.first, HAUL__BLOCK_BYTES);
    haul_status status = cut ? unpack_cut(&u, plans, slices, out_message)
                             : unpack_whole(&u, plans, slices, out_message);
    if (status != HAUL_OK) {
        release(&u);
    }
    grpc_byte_buffer_reader_destroy(&reader);
    return status;
}

haul_status haul__unpack(const haul__plans *plans, grpc_byte_buffer *bytes,
                         ProtobufCMessage **out_message)
{
    return haul__unpack_into(plans, bytes, NULL, out_message);
}

void haul__unpacked_view(ProtobufCMessage *message, const haul_payload *payload,
                         haul_view *out_view)
{
    unpacked *u = HAUL__CONTAINER_OF(message, unpacked, root);
    *out_view = (haul_view){.data = payload->inline_.data, .len = payload->inline_.len};
    for (unsigned i = 0; i < u->n_views; i++) {
        haul_view *view = &u->views[i];
        if (view->pool && view->data == payload->inline_.data) {
            *out_view = *view;
            *view = (haul_view){0};
            return;
        }
    }
}

void haul__unpacked_free(ProtobufCMessage *message)
{
    if (message) {
        release(HAUL__CONTAINER_OF(message, unpacked, root));
    }
}
