/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A received message of a stream.
 *
 * What came by key is claimed at once, which is what makes room in the sender's window; from then on
 * the message holds it, until haul_received_free(). A key that nobody gave may be one of the sender's
 * shared buffers, which any number of receivers may be sent: it is attached. A message whose keys
 * cannot all be opened is not shown to anybody; what was opened of it is let go of.
 *
 * The receiving application owns it. If this process dies the reaper clears its holds.
 */

#include "transport/received.h"

#include <stdlib.h>

#include "transport/pack.h"

typedef struct opening {
    haul_received *received;
    haul__pool_fn pool_of;
    const void *owner;
} opening;

/* Of a whole buffer, the part that the key means. It was checked when the buffer was claimed; what
 * has become of the length since then was not. */
static haul_status narrow(haul_view *view, uint64_t offset, uint64_t len)
{
    if (offset > view->len || len > view->len - offset) {
        haul_detach(view);
        return HAUL_CORRUPT;
    }
    view->data += offset;
    view->len = len;
    return HAUL_OK;
}

haul_status haul__claim_view(haul_pool *pool, const haul_payload *payload, haul_view *out_view)
{
    haul_key key = haul__key_of(payload->key);
    haul_buf *buf;
    haul_status status = haul_buf_claim(pool, &key, payload->length, &buf);
    if (status != HAUL_OK) {
        return status;
    }
    haul_view view;
    status = haul_buf_view(buf, &view);
    haul_buf_release(buf);
    if (status == HAUL_OK) {
        status = narrow(&view, key.offset, payload->length);
    }
    if (status == HAUL_OK) {
        *out_view = view;
    }
    return status;
}

static haul_status open_key(const opening *o, const haul_payload *payload, haul_view *out_view)
{
    haul_key key = haul__key_of(payload->key);
    haul_pool *pool = o->pool_of(o->owner, key.pool_id);
    if (!pool) {
        return HAUL_STALE;
    }
    haul_status status = haul__claim_view(pool, payload, out_view);
    if (status == HAUL_STALE) {
        status = haul_attach(pool, &key, payload->length, out_view);
    }
    /* Out of bounds, or of a pool that has been removed: as useless as one that has moved on. */
    return status == HAUL_INVALID || status == HAUL_NOT_FOUND ? HAUL_STALE : status;
}

static haul_status open_payload(void *ctx, const haul_payload *payload)
{
    const opening *o = ctx;
    haul_view view = {0};
    haul__payload_kind kind;
    haul_status status = haul__payload_inspect(payload, &kind);
    if (status == HAUL_OK && kind == HAUL__PAYLOAD_KEY) {
        status = open_key(o, payload, &view);
    } else if (status == HAUL_OK && kind == HAUL__PAYLOAD_INLINE) {
        haul__unpacked_view(o->received->message, payload, &view);
    }
    if (status != HAUL_OK) {
        return status;
    }
    haul__tally_add(&o->received->tally, kind, payload->length);
    return haul__views_add(&o->received->views, payload, &view);
}

haul_status haul__received_open(const haul__plans *plans, grpc_byte_buffer *bytes,
                                haul__place *place, haul__pool_fn pool_of, const void *owner,
                                haul_received **out_received)
{
    haul_received *received = calloc(1, sizeof(*received));
    if (!received) {
        return HAUL_NOMEM;
    }
    haul_status status = haul__unpack_into(plans, bytes, place, &received->message);
    if (status == HAUL_OK && plans->root) {
        opening o = {.received = received, .pool_of = pool_of, .owner = owner};
        status = haul__plan_walk(plans->root, received->message, open_payload, &o);
        haul__views_seal(&received->views);
    }
    if (status != HAUL_OK) {
        haul_received_free(received);
        return status;
    }
    *out_received = received;
    return HAUL_OK;
}

const ProtobufCMessage *haul_received_message(const haul_received *received)
{
    return received->message;
}

haul_status haul_received_view(const haul_received *received, const haul_payload *payload,
                               haul_view *out_view)
{
    return haul__views_find(&received->views, payload, out_view);
}

haul_path haul_received_path(const haul_received *received)
{
    return haul__tally_path(&received->tally);
}

void haul_received_free(haul_received *received)
{
    if (received) {
        haul__views_fini(&received->views);
        haul__unpacked_free(received->message);
        free(received);
    }
}
