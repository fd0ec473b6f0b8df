/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A call as the application sees it: decide on the path, send, perhaps send again, take the answer.
 *
 * Runs in the caller's thread from beginning to end. The request is only read, so that one message
 * may be sent by several threads at once and be sent again. What goes inline although it carries a
 * key is attached here first: the bytes then belong to the call's slices until gRPC has written
 * them, whatever becomes of the buffer's owner.
 */

#include <stdlib.h>

#include "transport/channel.h"
#include "transport/deadline.h"
#include "transport/loan.h"
#include "transport/pack.h"
#include "transport/rewrite.h"

/* How long room lent for an answer stays so if the call has no deadline. */
#define LOAN_NS UINT64_C(60000000000)

/* What one call knows of itself. */
typedef struct journey {
    haul_channel *channel;
    const haul__client_method *method;
    const ProtobufCMessage *request;
    haul__flight flight;
    uint64_t deadline_ns;
    bool wait_for_ready;
    haul__metadata_list metadata;
    uint64_t lend_bytes;
    haul__loan loan;     /* of the attempt at hand; its metadata is the last of the list */
    size_t n_large_keys; /* payloads worth a key */
    size_t n_small_keys; /* payloads with a key that may as well go inline */
    size_t n_inline;
    bool by_key; /* of the attempt at hand: keys stay keys */
    haul__views views;
} journey;

static bool is_large(const haul_channel *channel, const haul_payload *payload)
{
    return payload->length >= channel->key_threshold_bytes;
}

static haul_status survey_payload(void *ctx, const haul_payload *payload)
{
    journey *j = ctx;
    const haul_channel *channel = j->channel;
    haul__payload_kind kind;
    if (haul__payload_inspect(payload, &kind) != HAUL_OK) {
        return HAUL_INVALID;
    }
    if (kind == HAUL__PAYLOAD_KEY) {
        if (!channel->pool || payload->key->pool_id != haul_pool_id(channel->pool)) {
            return HAUL_INVALID;
        }
        j->n_large_keys += is_large(channel, payload);
        j->n_small_keys += !is_large(channel, payload);
    }
    j->n_inline += kind == HAUL__PAYLOAD_INLINE;
    return HAUL_OK;
}

/* Turn a key into bytes, unless it goes as it is. */
static haul_status inline_payload(void *ctx, const haul_payload *original, haul_payload *copy)
{
    journey *j = ctx;
    haul_key key;
    if (haul_payload_get_key(original, &key) != HAUL_OK ||
        (j->by_key && is_large(j->channel, original))) {
        return HAUL_OK;
    }
    haul_view view;
    haul_status status = haul_attach(j->channel->pool, &key, original->length, &view);
    if (status != HAUL_OK) {
        return status == HAUL_STALE ? HAUL_INVALID : status;
    }
    haul__payload_become_inline(copy, view.data, view.len);
    return haul__views_add(&j->views, copy, &view);
}

static haul_status pack(journey *j, grpc_byte_buffer **out_bytes)
{
    const haul__pack_from from = {.views = {&j->views},
                                  .place = j->channel->place,
                                  .pins = &j->channel->pins,
                                  .max_bytes = j->channel->max_send_bytes};
    size_t n_keys = j->n_large_keys + j->n_small_keys;
    if (n_keys == 0 || (j->by_key && j->n_small_keys == 0)) {
        return haul__pack(j->request, &from, out_bytes);
    }
    haul__rewrite rewrite = {0};
    ProtobufCMessage *rewritten;
    haul_status status = haul__rewrite_message(&rewrite, j->method->input.root, j->request,
                                               inline_payload, j, &rewritten);
    if (status == HAUL_OK) {
        status = haul__pack(rewritten, &from, out_bytes);
    }
    haul__views_fini(&j->views);
    haul__rewrite_fini(&rewrite);
    return status;
}

/* Lend the server room for its answer, if there is any to be had. */
static void lend(journey *j)
{
    uint64_t until = j->deadline_ns == HAUL__NEVER ? haul__after_ns(LOAN_NS) : j->deadline_ns;
    haul__loan_open(&j->loan, j->channel->pool, j->lend_bytes, haul__lane_peer(j->channel), until);
    if (j->loan.pool && haul__metadata_add_own(&j->metadata, HAUL__MD_LEND,
                                               haul__loan_value(&j->loan)) != HAUL_OK) {
        haul__loan_close(&j->loan);
    }
}

static void end_loan(journey *j)
{
    if (j->loan.pool) {
        haul__loan_close(&j->loan);
        haul__metadata_drop_last(&j->metadata);
    }
}

/* One try, with j->by_key. A status other than HAUL_OK means that nothing was sent. */
static haul_status send(journey *j, bool accept, haul_reply *reply, haul__attempt *attempt)
{
    *attempt = (haul__attempt){
        .method = j->method,
        .deadline_ns = j->deadline_ns,
        .accept = accept,
        .wait_for_ready = j->wait_for_ready,
        .metadata = &j->metadata,
    };
    haul_status status = pack(j, &attempt->request);
    if (status == HAUL_TOO_BIG) {
        attempt->code = GRPC_STATUS_RESOURCE_EXHAUSTED;
        reply->static_text = "the request is larger than may be sent";
        return HAUL_OK;
    }
    if (status != HAUL_OK) {
        return status;
    }
    reply->n_request_bytes = grpc_byte_buffer_length(attempt->request);
    reply->request_tally.n_key = j->by_key ? j->n_large_keys : 0;
    reply->request_tally.n_inline =
        j->n_inline + j->n_small_keys + j->n_large_keys - reply->request_tally.n_key;
    if (accept && j->lend_bytes > 0 && j->method->output.root) {
        lend(j);
    }
    haul__attempt_run(j->channel, &j->flight, attempt);
    return HAUL_OK;
}

static bool lane_is_wanted(const journey *j)
{
    return j->n_large_keys > 0 || j->method->output.root;
}

static haul_status travel(journey *j, bool inline_only, haul_reply *reply)
{
    haul_channel *channel = j->channel;
    bool shared = false;
    if (channel->pool) {
        haul__lane_check(channel);
        shared = !inline_only && lane_is_wanted(j) &&
                 haul__lane_is_shared(channel, &j->flight, j->deadline_ns, j->wait_for_ready);
    }
    j->by_key = shared && j->n_large_keys > 0;
    haul__attempt attempt;
    haul_status status = send(j, shared, reply, &attempt);
    if (status == HAUL_OK && attempt.refused && j->by_key) {
        haul__attempt_fini(&attempt);
        end_loan(j);
        haul__lane_distrust(channel);
        j->by_key = false;
        reply->was_resent = true;
        status = send(j, false, reply, &attempt);
    }
    if (status != HAUL_OK) {
        return status;
    }
    if (channel->pool) {
        haul__lane_learn(channel, &attempt);
    }
    haul__reply_take(reply, channel, &attempt);
    haul__attempt_fini(&attempt);
    end_loan(j);
    return HAUL_OK;
}

static haul_status survey(journey *j)
{
    if (!j->request || j->request->descriptor != j->method->input.type ||
        !protobuf_c_message_check(j->request)) {
        return HAUL_INVALID;
    }
    return j->method->input.root
               ? haul__plan_walk(j->method->input.root, j->request, survey_payload, j)
               : HAUL_OK;
}

static haul_status call(journey *j, bool inline_only, haul_reply **out_reply)
{
    haul_reply *reply = calloc(1, sizeof(*reply));
    if (!reply) {
        return HAUL_NOMEM;
    }
    haul_status status = haul__channel_enter(j->channel, &j->flight);
    if (status == HAUL_OK) {
        status = travel(j, inline_only, reply);
        haul__channel_leave(j->channel, &j->flight);
    }
    if (status != HAUL_OK) {
        haul_reply_free(reply);
        return status;
    }
    *out_reply = reply;
    return HAUL_OK;
}

haul_status haul_channel_call(haul_channel *channel, const ProtobufCServiceDescriptor *service,
                              unsigned method_index, const ProtobufCMessage *request,
                              const haul_call_opts *opts, haul_reply **out_reply)
{
    haul_call_opts o = {0};
    if (opts) {
        if (opts->struct_size != sizeof(o)) {
            return HAUL_INVALID;
        }
        o = *opts;
    }
    journey j = {
        .channel = channel,
        .request = request,
        .deadline_ns = o.timeout_ns > 0 ? haul__after_ns((uint64_t)o.timeout_ns) : HAUL__NEVER,
        .wait_for_ready = o.wait_for_ready,
        .lend_bytes = o.lend_bytes,
    };
    haul_status status = haul__channel_method(channel, service, method_index, &j.method);
    if (status == HAUL_OK) {
        status = survey(&j);
    }
    if (status == HAUL_OK) {
        status = haul__metadata_add_all(&j.metadata, o.metadata, o.n_metadata);
    }
    if (status == HAUL_OK) {
        status = call(&j, o.inline_only, out_reply);
    }
    haul__metadata_list_fini(&j.metadata);
    return status;
}
