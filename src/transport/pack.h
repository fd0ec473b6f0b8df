/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_PACK_H
#define SHORTHAUL_TRANSPORT_PACK_H

/* Messages to gRPC's byte buffers and back. */

#include <grpc/byte_buffer.h>

#include "transport/place.h"
#include "transport/plan.h"
#include "transport/views.h"

/* Where large bytes of a message may lie that need no copy. */
typedef struct haul__pack_from {
    haul__views *views[2]; /* either may be NULL */
    haul__pins *pins;
    haul__place *place;     /* for copies of large bytes; may be NULL */
    size_t max_bytes;       /* of the whole message; 0 = what gRPC can */
    const haul__plan *plan; /* of its type; may be NULL */
} haul__pack_from;

/*
 * Serialise @message. The result refers to nothing of the caller's.
 *
 * Ownership:  @out_bytes is the caller's, until grpc_byte_buffer_destroy().
 * Conditions: HAUL_TOO_BIG  more than @from allows, or than a gRPC message can be (4 GiB - 1)
 * Failures:   HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status haul__pack(const ProtobufCMessage *message, const haul__pack_from *from,
                                       grpc_byte_buffer **out_bytes);

/*
 * Parse a message. Inline bytes of payloads are copied once, to an address that is a multiple of
 * HAUL__ALIGNMENT; large ones to a room of @place.
 *
 * @place: may be NULL; outlives the message.
 * @bytes: may be NULL, which is no message.
 * Ownership: @out_message is the caller's, until haul__unpacked_free().
 * Failures:  HAUL_PROTOCOL, HAUL_NOMEM, HAUL_CORRUPT, HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status haul__unpack_into(const haul__plans *plans, grpc_byte_buffer *bytes,
                                              haul__place *place, ProtobufCMessage **out_message);

/* The same without a place. */
HAUL_MUST_CHECK haul_status haul__unpack(const haul__plans *plans, grpc_byte_buffer *bytes,
                                         ProtobufCMessage **out_message);

/*
 * The inline bytes of @payload, a payload of @message.
 *
 * Ownership: where they lie in a pool's buffer the view is the caller's, the first time; the payload
 *            must not be read after haul_detach(). Elsewhere they are the message's.
 */
void haul__unpacked_view(ProtobufCMessage *message, const haul_payload *payload,
                         haul_view *out_view);

/* NULL is allowed. */
void haul__unpacked_free(ProtobufCMessage *message);

#endif
