/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The path of each payload of a request.
 *
 * The request is only read, so that one message may be sent by several threads at once and be sent
 * again: where a payload goes another way than it is written, a copy of the structs around it says
 * so (rewrite.c). What goes inline although it carries a key is attached here first: the bytes then
 * belong to the call's slices until gRPC has written them, whatever becomes of the buffer's owner.
 * What goes by key although it lies in ordinary memory is copied to a buffer of the pool, which is
 * the call's until it is over. If none can be had it waits, goes inline or fails, as it was told.
 *
 * Runs in the caller's thread. If the process dies the reaper takes the buffers, and the server
 * finishes reading what it has attached.
 */

#include "transport/outgoing.h"

#include <stddef.h>

#include "transport/bulk.h"
#include "transport/deadline.h"
#include "transport/pack.h"

/* How often a thread that waits for a buffer looks whether its call has been cancelled. */
#define WAIT_STEP_NS UINT64_C(200000000)

static void count(haul__group *group, const haul_payload *payload)
{
    group->n++;
    group->bytes += payload->length;
}

static bool is_bulky(const haul_payload *payload)
{
    return payload->length >= HAUL__TRANSFER_MIN;
}

static haul_status survey_payload(void *ctx, const haul_payload *payload)
{
    haul__outgoing *o = ctx;
    haul_channel *channel = o->channel;
    haul__payload_kind kind;
    if (haul__payload_inspect(payload, &kind) != HAUL_OK) {
        return HAUL_INVALID;
    }
    if (kind == HAUL__PAYLOAD_KEY) {
        if (!channel->pool || payload->key->pool_id != haul_pool_id(channel->pool)) {
            return HAUL_INVALID;
        }
        bool keep = haul__threshold_keeps_key(&channel->threshold, payload->length);
        count(keep ? &o->keys : &o->small_keys, payload);
        *(keep ? &o->n_bulky_keys : &o->n_bulky) += is_bulky(payload);
    } else if (kind == HAUL__PAYLOAD_INLINE) {
        bool large = channel->pool && !o->opts->inline_only &&
                     haul__threshold_passed(&channel->threshold, channel->pool, payload->length);
        count(large ? &o->large : &o->small, payload);
        *(large ? &o->n_bulky_keys : &o->n_bulky) += is_bulky(payload);
    }
    return HAUL_OK;
}

haul_status haul__outgoing_survey(haul__outgoing *o)
{
    if (!o->message || o->message->descriptor != o->plans->type ||
        !protobuf_c_message_check(o->message)) {
        return HAUL_INVALID;
    }
    return o->plans->root ? haul__plan_walk(o->plans->root, o->message, survey_payload, o)
                          : HAUL_OK;
}

bool haul__outgoing_wants_lane(const haul__outgoing *o)
{
    return o->keys.n > 0 || o->large.n > 0;
}

/* ---- Key to bytes -------------------------------------------------------------------------- */

static haul_status become_inline(haul__outgoing *o, const haul_key *key, haul_payload *copy)
{
    haul_view view;
    haul_status status = haul_attach(o->channel->pool, key, copy->length, &view);
    if (status != HAUL_OK) {
        return status == HAUL_STALE ? HAUL_INVALID : status;
    }
    haul__payload_become_inline(copy, view.data, view.len);
    return haul__views_add(&o->views, copy, &view);
}

/* ---- Bytes to key -------------------------------------------------------------------------- */

/*
 * Take a buffer, waiting for one as long as the options and the call's deadline allow.
 * Conditions: HAUL_TIMEOUT  the deadline has come; those of haul_buf_alloc() but for its own timeout
 */
static haul_status take_buf(const haul__outgoing *o, uint64_t len, haul_buf **out_buf)
{
    haul_alloc_opts opts = o->opts->alloc ? *o->opts->alloc : o->channel->alloc;
    uint64_t until_ns = opts.wait_ns < 0 ? HAUL__NEVER : haul__after_ns((uint64_t)opts.wait_ns);
    bool till_deadline = opts.wait_ns != 0 && until_ns >= o->deadline_ns;
    until_ns = until_ns < o->deadline_ns ? until_ns : o->deadline_ns;
    bool waits = opts.wait_ns != 0;
    haul_status status;
    do {
        uint64_t now_ns = haul__clock_ns();
        uint64_t left_ns = waits && now_ns < until_ns ? until_ns - now_ns : 0;
        waits = left_ns > WAIT_STEP_NS;
        opts.wait_ns = (int64_t)(waits ? WAIT_STEP_NS : left_ns);
        status = haul_buf_alloc(o->channel->pool, len, &opts, out_buf);
    } while (status == HAUL_TIMEOUT && waits && !haul__flight_is_cancelled(o->channel, o->flight));
    bool late = till_deadline && !waits && (status == HAUL_TIMEOUT || status == HAUL_EXHAUSTED);
    if (late) {
        return HAUL_TIMEOUT;
    }
    return status == HAUL_TIMEOUT ? HAUL_EXHAUSTED : status;
}

static bool fails_if_exhausted(const haul__outgoing *o)
{
    haul_if_exhausted what = o->opts->if_exhausted;
    what = what == HAUL_EXHAUSTED_DEFAULT ? o->channel->if_exhausted : what;
    return what == HAUL_EXHAUSTED_FAIL;
}

/* A condition of the pool: no buffer for these bytes. They stay as they are, unless that is not
 * wanted. */
static haul_status do_without(const haul__outgoing *o)
{
    haul__count(&o->channel->counters.n_exhausted);
    return fails_if_exhausted(o) ? HAUL_EXHAUSTED : HAUL_OK;
}

static haul_status become_key(haul__outgoing *o, const haul_payload *original, haul_payload *copy)
{
    haul_buf *buf;
    haul_status status = take_buf(o, original->length, &buf);
    if (status != HAUL_OK) {
        return status > 0 && status != HAUL_TIMEOUT ? do_without(o) : status;
    }
    haul__moved *moved = haul__arena_take(&o->rewrite.arena, sizeof(*moved), _Alignof(max_align_t));
    if (!moved) {
        haul_buf_release(buf);
        return HAUL_NOMEM;
    }
    *moved = (haul__moved){.next = o->bufs, .buf = buf};
    o->bufs = moved;
    haul__bulk_copy(haul_buf_data(buf), original->inline_.data, original->inline_.len);
    status = haul_payload_set_buf(&moved->out, buf, original->length);
    if (status == HAUL_OK) {
        copy->source_case = SHORTHAUL__V1__PAYLOAD__SOURCE_KEY;
        copy->key = &moved->out.key;
        count(&o->moved, original);
        haul__count(&o->channel->counters.n_copied);
    }
    return status;
}

/* ---- Bytes ahead of the message ------------------------------------------------------------ */

/* Make @copy, which is inline, name bytes that the server has, if that can be done. */
static void become_transfer(haul__outgoing *o, haul_payload *copy)
{
    uint64_t id;
    if (o->n_transfers == HAUL__DATA_UNCLAIMED_MAX) {
        return;
    }
    o->transferring = haul__data_upload(o->channel, o->flight, o->deadline_ns, &o->link,
                                        copy->inline_.data, copy->inline_.len, &id);
    if (o->transferring) {
        copy->source_case = SHORTHAUL__V1__PAYLOAD__SOURCE_TRANSFER;
        copy->transfer = id;
        o->n_transfers++;
        o->transfer_bytes += copy->length;
        haul__count(&o->channel->counters.n_transferred);
    }
}

/* Whether payloads may be sent ahead: not where that is more than may be sent in the message. */
static bool may_transfer(const haul__outgoing *o)
{
    uint64_t max = o->channel->max_send_bytes;
    uint64_t sum = o->keys.bytes + o->small_keys.bytes + o->large.bytes + o->small.bytes;
    return o->transfers && !o->channel->no_data_connections && (max == 0 || sum <= max);
}

/* Whether every payload goes as it is written. */
static bool goes_as_it_is(const haul__outgoing *o)
{
    size_t n_other = o->small_keys.n + (o->by_key ? o->large.n : o->keys.n);
    size_t n_bulky = o->n_bulky + (o->by_key ? 0 : o->n_bulky_keys);
    return n_other == 0 && (!o->transferring || n_bulky == 0);
}

void haul__outgoing_release(haul__outgoing *o)
{
    haul__data_give_back(o->channel, o->link, o->claimed);
    o->link = NULL;
    while (o->bufs) {
        haul__moved *moved = o->bufs;
        o->bufs = moved->next;
        haul_buf_release(moved->buf);
    }
    o->moved = (haul__group){0};
    haul__rewrite_fini(&o->rewrite);
    haul__block_give_back(o->channel->place, o->block);
    o->block = NULL;
}

/* ---- Any of them -------------------------------------------------------------------------------- */

static haul_status by_key_or_not(haul__outgoing *o, const haul_payload *original,
                                 haul_payload *copy)
{
    haul_key key;
    if (haul_payload_get_key(original, &key) == HAUL_OK) {
        bool keep =
            o->by_key && haul__threshold_keeps_key(&o->channel->threshold, original->length);
        return keep ? HAUL_OK : become_inline(o, &key, copy);
    }
    bool move = o->by_key && original->source_case == SHORTHAUL__V1__PAYLOAD__SOURCE_INLINE &&
                haul__threshold_passed(&o->channel->threshold, o->channel->pool, original->length);
    return move ? become_key(o, original, copy) : HAUL_OK;
}

static haul_status rewrite_payload(void *ctx, const haul_payload *original, haul_payload *copy)
{
    haul__outgoing *o = ctx;
    haul_status status = by_key_or_not(o, original, copy);
    if (status == HAUL_OK && o->transferring && is_bulky(copy) &&
        copy->source_case == SHORTHAUL__V1__PAYLOAD__SOURCE_INLINE) {
        become_transfer(o, copy);
    }
    return status;
}

static haul__tally tally(const haul__outgoing *o)
{
    const haul__group *keys = &o->keys;
    haul__tally t = {
        .n_inline = keys->n + o->small_keys.n + o->large.n + o->small.n,
        .inline_bytes = keys->bytes + o->small_keys.bytes + o->large.bytes + o->small.bytes,
    };
    if (o->by_key) {
        t.n_key = keys->n + o->moved.n;
        t.key_bytes = keys->bytes + o->moved.bytes;
        t.n_inline -= t.n_key;
        t.inline_bytes -= t.key_bytes;
    }
    return t;
}

haul_status haul__outgoing_pack(haul__outgoing *o, bool by_key, grpc_byte_buffer **out_bytes,
                                haul__tally *out_tally)
{
    const haul__pack_from from = {
        .views = {&o->views},
        .pins = &o->channel->pins,
        .place = o->channel->place,
        .max_bytes = o->channel->max_send_bytes,
        .plan = o->plans->root,
    };
    o->by_key = by_key;
    o->transferring = may_transfer(o);
    o->n_transfers = 0;
    o->transfer_bytes = 0;
    o->claimed = false;
    bool as_it_is = goes_as_it_is(o);
    ProtobufCMessage *rewritten;
    haul_status status = HAUL_OK;
    if (!as_it_is) {
        o->block = haul__block_take(o->channel->place);
        haul__arena_init(&o->rewrite.arena, _Alignof(max_align_t), o->block, HAUL__BLOCK_BYTES);
        status = haul__rewrite_message(&o->rewrite, o->plans->root, o->message, rewrite_payload, o,
                                       &rewritten);
    }
    if (status == HAUL_OK) {
        status = haul__pack(as_it_is ? o->message : rewritten, &from, out_bytes);
    }
    haul__views_fini(&o->views);
    if (status == HAUL_OK) {
        *out_tally = tally(o);
    }
    return status;
}
