/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Sending payloads on a stream: by key within the window, inline where there is no other way.
 *
 * Both sides of a stream have one and use it in the thread that sends. It waits in the pool, for a
 * claim or for a free buffer, and the pool cannot tell it that the stream has ended meanwhile; so
 * it looks for that by itself every few milliseconds. What it waits for wakes it at once.
 *
 * What was put for one message and not sent with it is taken back with that message: nothing
 * outlives the message it was meant for but what the receiver has yet to claim.
 */

#include "transport/sending.h"

#include <stddef.h>

#include "transport/deadline.h"
#include "transport/pack.h"

#define LOOK_NS UINT64_C(20000000)

/* More seldom while waiting for a buffer, because each look costs the place in the queue. */
#define LOOK_ALLOC_NS UINT64_C(200000000)

typedef struct packing {
    haul__sending *sending;
    size_t n_gifts;       /* of those put, in the message */
    size_t n_keys_inline; /* keys that the peer could not open */
    size_t n_moves;       /* payloads in ordinary memory that are worth a buffer */
    haul__tally tally;
    haul__views views;
    haul__rewrite rewrite;
} packing;

static bool goes_by_key(const haul__sending *s, const haul_buf *buf, uint64_t len)
{
    return s->by_key && s->gifts.pool && haul_buf_pool(buf) == s->gifts.pool && len > 0 &&
           len >= s->key_threshold_bytes;
}

/* How long to wait this time; 0 = the time is up. */
static uint64_t slice_ns(uint64_t until_ns, uint64_t look_ns)
{
    uint64_t now = haul__clock_ns();
    uint64_t left = now < until_ns ? until_ns - now : 0;
    return left < look_ns ? left : look_ns;
}

static uint64_t until_ns(int64_t wait_ns)
{
    return wait_ns < 0 ? HAUL__NEVER : haul__after_ns((uint64_t)wait_ns);
}

haul_status haul__sending_wait_room(haul__sending *s, int64_t wait_ns)
{
    haul_status status = haul__gifts_room(&s->gifts, 0);
    uint64_t until = status == HAUL_OK ? 0 : until_ns(wait_ns);
    while (status == HAUL_TIMEOUT) {
        uint64_t slice = slice_ns(until, LOOK_NS);
        if (s->is_over(s->stream)) {
            return HAUL_END;
        }
        if (slice == 0) {
            return HAUL_TIMEOUT;
        }
        status = haul__gifts_room(&s->gifts, (int64_t)slice);
        /* At the deadline what is unclaimed runs out, which makes room for nothing any more. */
        if (status == HAUL_OK && haul__clock_ns() >= s->gifts.deadline_ns) {
            return HAUL_END;
        }
    }
    return status;
}

haul_status haul__sending_room(haul__sending *s, const haul_buf *buf, uint64_t len, int64_t wait_ns)
{
    return goes_by_key(s, buf, len) ? haul__sending_wait_room(s, wait_ns) : HAUL_OK;
}

haul_status haul__sending_put(haul__sending *s, haul_buf *buf, uint64_t len, haul_payload_out *out)
{
    if (!goes_by_key(s, buf, len)) {
        return haul__views_put_inline(&s->put_views, buf, len, out);
    }
    haul_key key;
    haul_status status = haul__gifts_add(&s->gifts, buf, len, &key);
    if (status == HAUL_OK) {
        haul_payload_set_key(out, &key, len);
    } else if (status == HAUL_PEER_GONE || status == HAUL_INVALID) {
        status = haul__views_put_inline(&s->put_views, buf, len,
                                        out); /* a slot that is empty, or none of the pool's */
    } else {
        haul_buf_release(buf);
    }
    return status;
}

/* ---- Packing ------------------------------------------------------------------------------- */

static bool stays_key(const haul__sending *s, const haul_key *key)
{
    return s->by_key && s->gifts.pool && key->pool_id == haul_pool_id(s->gifts.pool);
}

static haul_status check_payload(void *ctx, const haul_payload *payload)
{
    packing *p = ctx;
    haul__sending *s = p->sending;
    haul__payload_kind kind;
    if (haul__payload_inspect(payload, &kind) != HAUL_OK) {
        return HAUL_INVALID;
    }
    if (kind == HAUL__PAYLOAD_KEY) {
        haul_key key = haul__key_of(payload->key);
        if (haul__gifts_use(&s->gifts, &key, &p->n_gifts) == HAUL__GIFT_USED) {
            return HAUL_INVALID;
        }
        if (!stays_key(s, &key)) {
            p->n_keys_inline++;
            kind = HAUL__PAYLOAD_INLINE;
        }
    } else {
        p->n_moves += haul__sending_moves(s, payload);
    }
    haul__tally_add(&p->tally, kind, payload->length);
    return HAUL_OK;
}

static haul_status become_inline(packing *p, const haul_key *key, haul_payload *copy)
{
    const haul__sending *s = p->sending;
    haul_pool *pool = s->pool_of(s->owner, key->pool_id);
    haul_view view;
    haul_status status = pool ? haul_attach(pool, key, copy->length, &view) : HAUL_INVALID;
    if (status != HAUL_OK) {
        return status == HAUL_STALE || status == HAUL_NOT_FOUND ? HAUL_INVALID : status;
    }
    haul__payload_become_inline(copy, view.data, view.len);
    return haul__views_add(&p->views, copy, &view);
}

static haul_status rewrite_payload(void *ctx, const haul_payload *original, haul_payload *copy)
{
    packing *p = ctx;
    haul_key key;
    if (haul_payload_get_key(original, &key) == HAUL_OK) {
        return stays_key(p->sending, &key) ? HAUL_OK : become_inline(p, &key, copy);
    }
    return haul__sending_moves(p->sending, original)
               ? haul__sending_move(p->sending, &p->rewrite, original, copy, &p->n_gifts, &p->tally)
               : HAUL_OK;
}

/* One place in the window is enough for all that goes with one message, as for what is put. */
static haul_status rewrite(packing *p, const ProtobufCMessage *message, ProtobufCMessage **out)
{
    haul__sending *s = p->sending;
    haul_status status = p->n_moves > 0 ? haul__sending_wait_room(s, -1) : HAUL_OK;
    return status == HAUL_OK ? haul__rewrite_message(&p->rewrite, s->plans->root, message,
                                                     rewrite_payload, p, out)
                             : status;
}

static haul_status pack(packing *p, const ProtobufCMessage *message, grpc_byte_buffer **out_bytes)
{
    haul__sending *s = p->sending;
    const haul__pack_from from = {.views = {&s->put_views, &p->views},
                                  .pins = s->pins,
                                  .place = s->place,
                                  .max_bytes = s->max_bytes};
    if (p->n_keys_inline == 0 && p->n_moves == 0) {
        return haul__pack(message, &from, out_bytes);
    }
    void *block = haul__block_take(s->place);
    haul__arena_init(&p->rewrite.arena, _Alignof(max_align_t), block, HAUL__BLOCK_BYTES);
    ProtobufCMessage *rewritten;
    haul_status status = rewrite(p, message, &rewritten);
    if (status == HAUL_OK) {
        status = haul__pack(rewritten, &from, out_bytes);
    }
    haul__views_fini(&p->views);
    haul__rewrite_fini(&p->rewrite);
    haul__block_give_back(s->place, block);
    return status;
}

static haul_status check(packing *p, const ProtobufCMessage *message)
{
    const haul__plans *plans = p->sending->plans;
    if (!message || message->descriptor != plans->type || !protobuf_c_message_check(message)) {
        return HAUL_INVALID;
    }
    return plans->root ? haul__plan_walk(plans->root, message, check_payload, p) : HAUL_OK;
}

haul_status haul__sending_pack(haul__sending *s, const ProtobufCMessage *message,
                               grpc_byte_buffer **out_bytes)
{
    packing p = {.sending = s};
    haul_status status = check(&p, message);
    if (status == HAUL_OK) {
        status = pack(&p, message, out_bytes);
    }
    haul__gifts_sent(&s->gifts, status == HAUL_OK ? p.n_gifts : 0);
    haul__views_fini(&s->put_views);
    if (status == HAUL_OK) {
        haul__tally_merge(&s->tally, &p.tally);
    }
    return status;
}

/* ---- The rest ------------------------------------------------------------------------------ */

haul_status haul__sending_alloc(haul__sending *s, haul_pool *pool, uint64_t len,
                                const haul_alloc_opts *opts, haul_buf **out_buf)
{
    if (!opts || opts->struct_size != sizeof(*opts) || opts->wait_ns == 0) {
        return haul_buf_alloc(pool, len, opts, out_buf);
    }
    haul_alloc_opts o = *opts;
    uint64_t until = until_ns(opts->wait_ns);
    for (;;) {
        o.wait_ns = (int64_t)slice_ns(until, LOOK_ALLOC_NS);
        haul_status status = haul_buf_alloc(pool, len, &o, out_buf);
        if (status == HAUL_EXHAUSTED) { /* it was not to wait any longer */
            return HAUL_TIMEOUT;
        }
        if (status != HAUL_TIMEOUT) {
            return status;
        }
        if (s->is_over(s->stream)) {
            return HAUL_END;
        }
    }
}

void haul__sending_settle(haul__sending *s)
{
    if (!s->gifts.pool) {
        return;
    }
    while (haul__gifts_wait_all(&s->gifts, 0) != HAUL_OK && !s->is_over(s->stream)) {
        (void)!haul__gifts_wait_all(&s->gifts, (int64_t)LOOK_NS);
    }
}

void haul__sending_fini(haul__sending *s)
{
    haul__gifts_fini(&s->gifts);
    haul__views_fini(&s->put_views);
}
