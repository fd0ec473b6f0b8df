/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Payload messages: making one, and reading one that came from somewhere.
 *
 * A payload owns nothing; key, bytes and buffer belong to whoever made it. Stateless, any thread.
 * Nothing here believes a received number: keys are checked by the pool when they are attached.
 */

#include "transport/payload.h"

haul_key haul__key_of(const Shorthaul__V1__Key *key)
{
    return (haul_key){
        .pool_id = key->pool_id,
        .ticket = key->ticket,
        .offset = key->offset,
        .index = key->index,
        .generation = key->generation,
    };
}

void haul_payload_set_key(haul_payload_out *out, const haul_key *key, uint64_t len)
{
    shorthaul__v1__key__init(&out->key);
    out->key.pool_id = key->pool_id;
    out->key.ticket = key->ticket;
    out->key.offset = key->offset;
    out->key.index = key->index;
    out->key.generation = key->generation;
    shorthaul__v1__payload__init(&out->payload);
    out->payload.length = len;
    out->payload.source_case = SHORTHAUL__V1__PAYLOAD__SOURCE_KEY;
    out->payload.key = &out->key;
}

void haul__payload_become_inline(haul_payload *payload, const uint8_t *data, size_t len)
{
    payload->length = len;
    payload->source_case = SHORTHAUL__V1__PAYLOAD__SOURCE_INLINE;
    payload->inline_.len = len;
    payload->inline_.data = (uint8_t *)data; /* protobuf-c has no const bytes */
}

void haul_payload_set_inline(haul_payload_out *out, const void *data, size_t len)
{
    shorthaul__v1__payload__init(&out->payload);
    haul__payload_become_inline(&out->payload, data, len);
}

haul_status haul_payload_set_buf(haul_payload_out *out, haul_buf *buf, uint64_t len)
{
    haul_key key;
    haul_status status = haul_buf_share(buf, len, &key);
    if (status != HAUL_OK) {
        return status;
    }
    haul_payload_set_key(out, &key, len);
    return HAUL_OK;
}

haul_status haul_payload_get_key(const haul_payload *payload, haul_key *out_key)
{
    if (payload->source_case != SHORTHAUL__V1__PAYLOAD__SOURCE_KEY || payload->key == NULL) {
        return HAUL_NOT_FOUND;
    }
    *out_key = haul__key_of(payload->key);
    return HAUL_OK;
}

haul_status haul__payload_inspect(const haul_payload *payload, haul__payload_kind *out_kind)
{
    switch (payload->source_case) {
    case SHORTHAUL__V1__PAYLOAD__SOURCE__NOT_SET:
        if (payload->length != 0) {
            return HAUL_PROTOCOL;
        }
        *out_kind = HAUL__PAYLOAD_EMPTY;
        return HAUL_OK;
    case SHORTHAUL__V1__PAYLOAD__SOURCE_INLINE:
        if (payload->length != payload->inline_.len) {
            return HAUL_PROTOCOL;
        }
        *out_kind = HAUL__PAYLOAD_INLINE;
        return HAUL_OK;
    case SHORTHAUL__V1__PAYLOAD__SOURCE_KEY:
        if (payload->key == NULL) {
            return HAUL_PROTOCOL;
        }
        *out_kind = HAUL__PAYLOAD_KEY;
        return HAUL_OK;
    default:
        return HAUL_PROTOCOL;
    }
}
