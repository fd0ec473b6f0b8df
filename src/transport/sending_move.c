/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Payloads of a stream's message that lie in ordinary memory, and are worth a buffer.
 *
 * As in unary calls, either way: from the threshold on the bytes are copied to a buffer, which is
 * given to the peer as if the application had put it. So it counts for the window, and a sender
 * that finds the window full waits, as it would if it put buffers; sent inline the bytes would wait
 * for gRPC's flow control instead, and be copied three times more. Where the pool has no buffer
 * they go inline, or the message fails, as it was told. Bytes that lie in a buffer already because
 * they were put go inline from where they are. The application's message is only read.
 *
 * Runs in the thread that sends. If the process dies the buffers are the receiver's or the
 * reaper's, like those that were put.
 */

#include <stddef.h>

#include "transport/sending.h"

#include "transport/bulk.h"

bool haul__sending_moves(const haul__sending *s, const haul_payload *payload)
{
    return s->by_key && s->gifts.pool &&
           payload->source_case == SHORTHAUL__V1__PAYLOAD__SOURCE_INLINE && payload->length > 0 &&
           haul__threshold_passed(s->threshold, s->gifts.pool, payload->length) &&
           !haul__views_cover(&s->put_views, payload->inline_.data, payload->length);
}

static haul_status give(haul__sending *s, haul_buf *buf, const haul_payload *original,
                        haul_key *out_key)
{
    haul__bulk_copy(haul_buf_data(buf), original->inline_.data, original->length);
    haul_status status = haul__gifts_add(&s->gifts, buf, original->length, out_key);
    if (status != HAUL_OK) {
        haul_buf_release(buf);
    }
    return status;
}

haul_status haul__sending_move(haul__sending *s, haul__rewrite *rewrite,
                               const haul_payload *original, haul_payload *copy, size_t *n_gifts,
                               haul__tally *tally)
{
    haul_buf *buf;
    haul_key key;
    haul_status status = haul__sending_alloc(s, s->gifts.pool, original->length, &s->alloc, &buf);
    if (status > 0 && status != HAUL_END) {
        haul__count(&s->counters->n_exhausted);
        return s->fails_if_exhausted ? HAUL_EXHAUSTED : HAUL_OK;
    }
    if (status != HAUL_OK) {
        return status;
    }
    haul_payload_out *out = haul__arena_take(&rewrite->arena, sizeof(*out), _Alignof(max_align_t));
    if (!out) {
        haul_buf_release(buf);
        return HAUL_NOMEM;
    }
    status = give(s, buf, original, &key);
    if (status == HAUL_PEER_GONE || status == HAUL_INVALID) {
        return HAUL_OK; /* nobody in that slot, or no slot of the pool's: inline */
    }
    if (status != HAUL_OK) {
        return status;
    }
    (void)haul__gifts_use(&s->gifts, &key, n_gifts);
    haul__count(&s->counters->n_copied);
    tally->n_inline--;
    tally->inline_bytes -= original->length;
    haul__tally_add(tally, HAUL__PAYLOAD_KEY, original->length);
    haul_payload_set_key(out, &key, original->length);
    out->payload.base = copy->base; /* with what is unknown in it */
    *copy = out->payload;
    return HAUL_OK;
}
