/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_PACK_H
#define SHORTHAUL_TRANSPORT_PACK_H

/* Messages to gRPC's byte buffers and back. */

#include <grpc/byte_buffer.h>

#include "transport/plan.h"
#include "transport/views.h"

/* Where large bytes of a message may lie that need no copy. */
typedef struct haul__pack_from {
    haul__views *views[2]; /* either may be NULL */
    haul__pins *pins;
    size_t max_bytes; /* of the whole message; 0 = what gRPC can */
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
 * Parse a message.
 *
 * @bytes: may be NULL, which is no message.
 * Ownership: @out_message is the caller's, until haul__unpacked_free().
 * Failures:  HAUL_PROTOCOL, HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status haul__unpack(const haul__plans *plans, grpc_byte_buffer *bytes,
                                         ProtobufCMessage **out_message);

/* NULL is allowed. */
void haul__unpacked_free(ProtobufCMessage *message);

#endif
