/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_SENDING_H
#define SHORTHAUL_TRANSPORT_SENDING_H

/* The sending half of a stream, of either side, as far as it is not gRPC's. */

#include <grpc/byte_buffer.h>

#include "transport/gifts.h"
#include "transport/received.h"
#include "transport/rewrite.h"
#include "transport/stats.h"
#include "transport/threshold.h"

/* Its address is what gRPC hands back when operations of a stream are over. */
typedef struct haul__mark {
    char unused;
} haul__mark;

/* Starts zeroed but for what the owner fills in. */
typedef struct haul__sending {
    const haul__plans *plans;
    haul__pins *pins;
    haul__place *place;
    size_t max_bytes;             /* of a message; 0 = what gRPC can */
    uint64_t key_threshold_bytes; /* of what is put: smaller payloads go inline */
    haul__threshold *threshold;   /* of what lies in ordinary memory: larger ones are moved */
    haul_alloc_opts alloc;        /* how buffers are taken for those */
    bool fails_if_exhausted;      /* and whether a message fails for which there are none */
    haul__counters *counters;
    bool by_key;           /* the peer opens keys of gifts.pool */
    haul__pool_fn pool_of; /* of keys that must go inline */
    const void *owner;
    bool (*is_over)(void *stream); /* whether the stream is; looks, and does not wait */
    void *stream;
    haul__gifts gifts; /* what @by_key needs is filled in by the owner */

    haul__views put_views; /* of payloads put inline, until the next message */
    haul__tally tally;
} haul__sending;

/*
 * Wait for room in the window, if @len bytes of @buf's pool need it.
 * Conditions: HAUL_TIMEOUT, HAUL_END
 */
HAUL_MUST_CHECK haul_status haul__sending_room(haul__sending *sending, const haul_buf *buf,
                                               uint64_t len, int64_t wait_ns);

/*
 * Make @out->payload say: the first @len bytes of @buf. Takes @buf, whatever it returns.
 * Failures: HAUL_INVALID, HAUL_CORRUPT, HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status haul__sending_put(haul__sending *sending, haul_buf *buf, uint64_t len,
                                              haul_payload_out *out);

/*
 * Serialise the next message. What was put and is not in it is taken back, all of it on failure.
 * Blocking:   where bytes in ordinary memory are to go by key: while the window is full, and as the
 *             options say that it waits for a buffer.
 * Conditions: HAUL_TOO_BIG; HAUL_END; HAUL_EXHAUSTED  no buffer, and the message fails then
 * Failures:   HAUL_INVALID, HAUL_CORRUPT, HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status haul__sending_pack(haul__sending *sending,
                                               const ProtobufCMessage *message,
                                               grpc_byte_buffer **out_bytes);

/* Wait for room in the window. Conditions: HAUL_TIMEOUT, HAUL_END. */
HAUL_MUST_CHECK haul_status haul__sending_wait_room(haul__sending *sending, int64_t wait_ns);

/* haul_buf_alloc(), but no longer than the stream lives. Conditions: HAUL_END as well. */
HAUL_MUST_CHECK haul_status haul__sending_alloc(haul__sending *sending, haul_pool *pool,
                                                uint64_t len, const haul_alloc_opts *opts,
                                                haul_buf **out_buf);

/* ---- sending_move.c ---- */

/* Whether a payload's bytes lie in ordinary memory and are worth a buffer. */
bool haul__sending_moves(const haul__sending *sending, const haul_payload *payload);

/*
 * Give away a buffer with the bytes of such a payload, as if it had been put, and make @copy say so. Where
 * none can be had @copy stays as it is, unless the message fails then.
 *
 * @copy: lives in @rewrite.   @n_gifts: as for haul__gifts_use().   @tally: what has been counted.
 * Conditions: HAUL_END, HAUL_EXHAUSTED   Failures: HAUL_CORRUPT, HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status haul__sending_move(haul__sending *sending, haul__rewrite *rewrite,
                                               const haul_payload *original, haul_payload *copy,
                                               size_t *n_gifts, haul__tally *tally);

/* ---- sending.c ---- */

/* Wait until everything that was sent has been claimed, or the stream is over. */
void haul__sending_settle(haul__sending *sending);

/* Take back whatever is unclaimed, and free. */
void haul__sending_fini(haul__sending *sending);

#endif
