/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_METADATA_H
#define SHORTHAUL_TRANSPORT_METADATA_H

/*
 * Metadata that Shorthaul's two sides tell each other, beside the messages. docs/wire.md describes
 * it for implementations in other languages.
 *
 *   shorthaul-accept   request   "<pool id, 16 hex digits>.<slot>": answers may be given to that
 *                                participant. Sent once the lane is proven.
 *   shorthaul-lend-bin request   a serialised Payload with the key of an empty buffer, given to the
 *                                server, and its length: room for a payload of the answer. Of the
 *                                pool of shorthaul-accept, without which it means nothing.
 *   shorthaul-stream   request   16 hex digits, not all 0, drawn for the stream: the group of what is
 *                                given on it, either way
 *   shorthaul-path     trailing  "request=<path> response=<path>"; none, shm, inline or mixed
 *   shorthaul-lane     trailing  16 hex digits drawn when the server was created: while it stays
 *                                the same, what was proven stays proven
 *   shorthaul-refused  trailing  "key": the request held a key that could not be attached, and no
 *                                handler has seen it
 */

#include <stdbool.h>
#include <stdint.h>

#include <grpc/slice.h>

#define HAUL__MD_ACCEPT  "shorthaul-accept"
#define HAUL__MD_LEND    "shorthaul-lend-bin"
#define HAUL__MD_STREAM  "shorthaul-stream"
#define HAUL__MD_PATH    "shorthaul-path"
#define HAUL__MD_LANE    "shorthaul-lane"
#define HAUL__MD_REFUSED "shorthaul-refused"

/* "<16 hex>.<10 digits>" and the terminator. */
#define HAUL__ACCEPT_TEXT_BYTES 28
#define HAUL__LANE_TEXT_BYTES   17
#define HAUL__STREAM_TEXT_BYTES 17

/* Read a value of shorthaul-accept, shorthaul-lane or shorthaul-stream. False: it is not exactly as written above,
 * and counts as not sent. */
bool haul__accept_parse(grpc_slice value, uint64_t *out_pool_id, uint32_t *out_slot);
bool haul__lane_parse(grpc_slice value, uint64_t *out_lane_id);
bool haul__stream_parse(grpc_slice value, uint64_t *out_group);

#endif
