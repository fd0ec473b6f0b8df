/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_RECEIVED_H
#define SHORTHAUL_TRANSPORT_RECEIVED_H

/* Messages of streams as they come in. */

#include <grpc/byte_buffer.h>

#include <shorthaul/stream.h>

#include "transport/path.h"
#include "transport/place.h"
#include "transport/plan.h"
#include "transport/views.h"

/* The pool of that id, if @owner has joined it; else NULL. */
typedef haul_pool *(*haul__pool_fn)(const void *owner, uint64_t pool_id);

struct haul_received {
    ProtobufCMessage *message;
    haul__views views;
    haul__tally tally;
};

/*
 * Unpack a message, claim what was given with it and attach what was shared.
 *
 * @place: for what came inline.
 * Conditions: HAUL_STALE  a key that cannot be opened
 * Failures:   HAUL_PROTOCOL, HAUL_NOMEM, HAUL_CORRUPT, HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status haul__received_open(const haul__plans *plans, grpc_byte_buffer *bytes,
                                                haul__place *place, haul__pool_fn pool_of,
                                                const void *owner, haul_received **out_received);

/*
 * Own and see the bytes of a key that was given to this process; the view is what keeps them.
 * Conditions: HAUL_STALE   Failures: those of haul_buf_claim() and haul_buf_view()
 */
HAUL_MUST_CHECK haul_status haul__claim_view(haul_pool *pool, const haul_payload *payload,
                                             haul_view *out_view);

#endif
