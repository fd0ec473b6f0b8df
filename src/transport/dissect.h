/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_DISSECT_H
#define SHORTHAUL_TRANSPORT_DISSECT_H

/* Taking the inline bytes of payloads out of a message on the wire. */

#include <grpc/slice.h>

#include "transport/plan.h"

/* Inline bytes of one payload: where in the message they are. */
typedef struct haul__piece {
    size_t at;
    size_t len;
} haul__piece;

/* What stands in a payload's inline field in place of its bytes: the piece's index, in the machine's
 * own byte order. */
#define HAUL__TOKEN_BYTES 8

/* A message without its payloads' inline bytes. */
typedef struct haul__dissection {
    uint8_t *rest; /* the message with a token in place of every piece */
    size_t n_rest;
    haul__piece *pieces; /* ascending */
    size_t n_pieces;
} haul__dissection;

/*
 * Take a message apart. Every inline field of a payload that @plan leads to becomes a piece, also an
 * empty one, so that what stands in such a field of the rest is a token always.
 *
 * Ownership:  haul__dissection_fini(), on HAUL_OK only.
 * Failures:   HAUL_PROTOCOL (not protobuf, or nested too deep), HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status haul__dissect(const haul__plan *plan, const grpc_slice_buffer *message,
                                          haul__dissection *out_cut);
void haul__dissection_fini(haul__dissection *cut);

#endif
