/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The answer to a call: its status, its message, and the buffers that were given with it.
 *
 * What came by key is claimed at once, so that neither the server nor a reaper can take it back any
 * more; from then on the reply holds it, until haul_reply_free(), but for a buffer of the
 * application's own that it had lent. If this process dies the reaper clears the hold. A reply may
 * be read by any thread, but freed once.
 */

#include <stdlib.h>

#include <grpc/support/alloc.h>

#include "transport/channel.h"
#include "transport/deadline.h"
#include "transport/pack.h"
#include "transport/received.h"

haul_reply *haul__reply_create(haul_channel *channel)
{
    _Static_assert(sizeof(haul_reply) <= HAUL__BLOCK_BYTES, "a reply fits into a block");
    haul_reply *reply = haul__block_take(channel->place);
    if (reply) {
        haul__place_ref(channel->place);
        *reply = (haul_reply){.place = channel->place};
    }
    return reply;
}

typedef struct taking {
    haul_reply *reply;
    haul_pool *pool;
    haul__loan *loan;          /* NULL: none */
    ProtobufCMessage *message; /* that is being taken */
} taking;

static haul_status claim(const taking *t, const haul_payload *payload, haul_view *out_view)
{
    if (!t->pool) {
        return HAUL_PROTOCOL;
    }
    return haul__loan_holds(t->loan, payload) ? haul__loan_receive(t->loan, payload, out_view)
                                              : haul__claim_view(t->pool, payload, out_view);
}

static haul_status take_payload(void *ctx, const haul_payload *payload)
{
    const taking *t = ctx;
    haul_view view = {0};
    haul__payload_kind kind;
    haul_status status = haul__payload_inspect(payload, &kind);
    if (status == HAUL_OK && kind == HAUL__PAYLOAD_KEY) {
        status = claim(t, payload, &view);
    } else if (status == HAUL_OK && kind == HAUL__PAYLOAD_INLINE) {
        haul__unpacked_view(t->message, payload, &view);
    }
    if (status != HAUL_OK) {
        return status;
    }
    haul__tally_add(&t->reply->answer_tally, kind, payload->length);
    return haul__views_add(&t->reply->views, payload, &view);
}

/* Let go at once of what nobody will look at. What was claimed before is not ours a second time. */
static haul_status drop_payload(void *ctx, const haul_payload *payload)
{
    const taking *t = ctx;
    haul__payload_kind kind;
    haul_view view;
    if (haul__payload_inspect(payload, &kind) == HAUL_OK && kind == HAUL__PAYLOAD_KEY &&
        claim(t, payload, &view) == HAUL_OK) {
        haul_detach(&view);
    }
    return HAUL_OK;
}

static void drop_message(const taking *t, const haul__plan *plan, ProtobufCMessage *message)
{
    if (plan) {
        (void)!haul__plan_walk(plan, message, drop_payload, (void *)t);
    }
    haul__unpacked_free(message);
}

/* The call did not end well; what was given with an answer all the same is let go of. */
static void drop_answer(const taking *t, const haul__plans *plans, grpc_byte_buffer *answer)
{
    ProtobufCMessage *message;
    if (answer && plans->root && t->pool && haul__unpack(plans, answer, &message) == HAUL_OK) {
        drop_message(t, plans->root, message);
    }
}

void haul__reply_drop(haul_channel *channel, const haul__client_method *method,
                      const grpc_slice_buffer *answer)
{
    haul_reply none = {0};
    const taking t = {.reply = &none, .pool = channel->pool};
    grpc_byte_buffer *bytes =
        grpc_raw_byte_buffer_create((grpc_slice *)answer->slices, answer->count);
    drop_answer(&t, &method->output, bytes);
    grpc_byte_buffer_destroy(bytes);
}

void haul__reply_spoil(haul_reply *reply, grpc_status_code code, const char *text)
{
    gpr_free(reply->text);
    reply->text = NULL;
    reply->code = code;
    reply->static_text = text;
}

static void spoil_by(haul_reply *reply, haul_status status, uint64_t deadline_ns)
{
    if (status == HAUL_NOMEM) {
        haul__reply_spoil(reply, GRPC_STATUS_RESOURCE_EXHAUSTED, "no memory for the answer");
    } else if (status != HAUL_STALE) {
        haul__reply_spoil(reply, GRPC_STATUS_INTERNAL,
                          "the answer holds a payload that cannot be opened");
    } else if (haul__clock_ns() >= deadline_ns) {
        haul__reply_spoil(reply, GRPC_STATUS_DEADLINE_EXCEEDED,
                          "the answer came too late to be claimed");
    } else {
        haul__reply_spoil(reply, GRPC_STATUS_ABORTED, "the answer's payload was taken back");
    }
}

void haul__reply_take_status(haul_reply *reply, haul__attempt *attempt)
{
    reply->code = attempt->code;
    reply->text = attempt->text;
    attempt->text = NULL;
    if (haul__metadata_take(&attempt->initial, &reply->metadata[HAUL_METADATA_INITIAL]) !=
            HAUL_OK ||
        haul__metadata_take(&attempt->trailing, &reply->metadata[HAUL_METADATA_TRAILING]) !=
            HAUL_OK) {
        haul__reply_spoil(reply, GRPC_STATUS_RESOURCE_EXHAUSTED, "no memory for the answer");
    }
}

void haul__reply_take(haul_reply *reply, haul_channel *channel, haul__attempt *attempt)
{
    const haul__plans *plans = &attempt->method->output;
    taking t = {
        .reply = reply, .pool = attempt->accept ? channel->pool : NULL, .loan = attempt->loan};
    haul__reply_take_status(reply, attempt);
    if (reply->code != GRPC_STATUS_OK) {
        drop_answer(&t, plans, attempt->answer);
        return;
    }
    ProtobufCMessage *message;
    if (haul__unpack_into(plans, attempt->answer, channel->place, &message) != HAUL_OK) {
        haul__reply_spoil(reply, GRPC_STATUS_INTERNAL, "the answer is malformed");
        return;
    }
    t.message = message;
    if (plans->root) {
        haul_status status = haul__plan_walk(plans->root, message, take_payload, &t);
        haul__views_seal(&reply->views);
        if (status != HAUL_OK) {
            spoil_by(reply, status, attempt->deadline_ns);
            haul__views_fini(&reply->views);
            drop_message(&t, plans->root, message);
            return;
        }
    }
    reply->message = message;
}

haul_status haul__reply_as_inline(void *ctx, const haul_payload *original, haul_payload *copy)
{
    const haul_reply *reply = ctx;
    haul_view view;
    haul_status status = haul__views_find(&reply->views, original, &view);
    if (status == HAUL_OK && original->source_case == SHORTHAUL__V1__PAYLOAD__SOURCE_KEY) {
        haul__payload_become_inline(copy, view.data, view.len);
    }
    return status;
}

grpc_status_code haul_reply_code(const haul_reply *reply)
{
    return reply->code;
}

const char *haul_reply_text(const haul_reply *reply)
{
    if (reply->text) {
        return reply->text;
    }
    return reply->static_text ? reply->static_text : "";
}

const ProtobufCMessage *haul_reply_message(const haul_reply *reply)
{
    return reply->message;
}

haul_status haul_reply_metadata(const haul_reply *reply, haul_metadata_when when, const char *key,
                                size_t index, haul_metadata *out_metadata)
{
    return haul__metadata_find(&reply->metadata[when == HAUL_METADATA_TRAILING], key, index,
                               out_metadata);
}

haul_path haul_reply_request_path(const haul_reply *reply)
{
    return haul__tally_path(&reply->request_tally);
}

haul_path haul_reply_path(const haul_reply *reply)
{
    return haul__tally_path(&reply->answer_tally);
}

bool haul_reply_was_resent(const haul_reply *reply)
{
    return reply->was_resent;
}

size_t haul_reply_request_bytes(const haul_reply *reply)
{
    return reply->n_request_bytes;
}

haul_status haul_reply_view(const haul_reply *reply, const haul_payload *payload,
                            haul_view *out_view)
{
    return haul__views_find(&reply->views, payload, out_view);
}

void haul_reply_free(haul_reply *reply)
{
    if (!reply) {
        return;
    }
    haul__views_fini(&reply->views);
    haul__metadata_set_fini(&reply->metadata[HAUL_METADATA_INITIAL]);
    haul__metadata_set_fini(&reply->metadata[HAUL_METADATA_TRAILING]);
    haul__unpacked_free(reply->message);
    gpr_free(reply->text);
    haul__place *place = reply->place;
    haul__block_give_back(place, reply);
    haul__place_unref(place);
}
