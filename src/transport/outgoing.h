/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_OUTGOING_H
#define SHORTHAUL_TRANSPORT_OUTGOING_H

/* A request on its way out: which of its payloads go by key, and which inline. */

#include <grpc/byte_buffer.h>

#include "transport/channel_data.h"
#include "transport/rewrite.h"

typedef struct haul__group {
    size_t n;
    uint64_t bytes;
} haul__group;

/* A payload's bytes in a buffer that was taken for them. */
typedef struct haul__moved {
    struct haul__moved *next;
    haul_buf *buf;
    haul_payload_out out;
} haul__moved;

/* The caller fills in the first part; the rest starts zeroed. */
typedef struct haul__outgoing {
    haul_channel *channel;
    const haul__plans *plans;
    const ProtobufCMessage *message;
    haul__flight *flight;
    const haul_call_opts *opts;
    uint64_t deadline_ns;
    bool transfers; /* what is large and inline may be sent ahead of the message */

    haul__group keys;       /* payloads that carry a key worth keeping */
    haul__group small_keys; /* payloads that carry a key and may as well go inline */
    haul__group large;      /* payloads in ordinary memory that are worth a buffer */
    haul__group small;      /* and those that are not */
    size_t n_bulky;         /* of @small_keys and @small: worth a transfer */
    size_t n_bulky_keys;    /* of @keys and @large, where they go inline */
    bool by_key;            /* of the message that is being packed */
    bool transferring;      /* and of the one that is being packed, so far */
    haul__group moved;      /* those of @large that got a buffer */
    haul__data_link *link;  /* NULL: none has been needed */
    size_t n_transfers;     /* of the message that was packed last, as are these */
    size_t transfer_bytes;
    bool claimed; /* the server has claimed them */
    haul__moved *bufs;
    haul__views views;
    haul__rewrite rewrite;
    void *block; /* what @rewrite began with */
} haul__outgoing;

/*
 * Look at every payload.
 * Failures: HAUL_INVALID (another type, not well-formed, a key of another pool)
 */
HAUL_MUST_CHECK haul_status haul__outgoing_survey(haul__outgoing *outgoing);

/* Whether any payload would go by key if the lane were shared. */
bool haul__outgoing_wants_lane(const haul__outgoing *outgoing);

/*
 * Serialise the message, by key if @by_key, else inline, and say how its payloads go. Then send it
 * and call haul__outgoing_release(); both may be done again with the same message.
 *
 * Ownership:  @out_bytes is the caller's, until grpc_byte_buffer_destroy().
 * Blocking:   as the options say that it waits for a buffer.
 * Conditions: HAUL_TOO_BIG, as for haul__pack()
 *             HAUL_EXHAUSTED  no buffer, and the options say that the call fails then
 *             HAUL_TIMEOUT    no buffer until the deadline
 * Failures:   HAUL_INVALID (a stale key that would have to go inline), HAUL_CORRUPT, HAUL_NOMEM,
 *             HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status haul__outgoing_pack(haul__outgoing *outgoing, bool by_key,
                                                grpc_byte_buffer **out_bytes,
                                                haul__tally *out_tally);

/* The call is over, or was not made: let go of what was taken for it. */
void haul__outgoing_release(haul__outgoing *outgoing);

#endif
