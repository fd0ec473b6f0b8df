/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A call as the application sees it: decide on the path, send, perhaps send again, take the answer.
 *
 * Runs in the caller's thread from beginning to end. Which payload goes which way is outgoing.c's
 * part.
 */

#include <stdlib.h>

#include "transport/channel.h"
#include "transport/deadline.h"
#include "transport/loan.h"
#include "transport/outgoing.h"

/* How long room lent for an answer stays so if the call has no deadline. */
#define LOAN_NS UINT64_C(60000000000)

/* What one call knows of itself. */
typedef struct journey {
    haul_channel *channel;
    const haul__client_method *method;
    haul__flight flight;
    uint64_t deadline_ns;
    bool wait_for_ready;
    haul__metadata_list metadata;
    uint64_t lend_bytes;
    haul__loan loan; /* of the attempt at hand; its metadata is the last of the list */
    haul__outgoing request;
} journey;

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

/* One try. A status other than HAUL_OK means that nothing was sent. */
static haul_status send(journey *j, bool by_key, bool accept, haul_reply *reply,
                        haul__attempt *attempt)
{
    *attempt = (haul__attempt){
        .method = j->method,
        .deadline_ns = j->deadline_ns,
        .accept = accept,
        .wait_for_ready = j->wait_for_ready,
        .metadata = &j->metadata,
    };
    haul_status status =
        haul__outgoing_pack(&j->request, by_key, &attempt->request, &reply->request_tally);
    if (status > 0) {
        attempt->code = haul_status_to_grpc(status);
        reply->static_text = status == HAUL_TOO_BIG ? "the request is larger than may be sent"
                                                    : "the pool has no buffer for a payload";
        status = HAUL_OK;
    } else if (status == HAUL_OK) {
        reply->n_request_bytes = grpc_byte_buffer_length(attempt->request);
        if (accept && j->lend_bytes > 0 && j->method->output.root) {
            lend(j);
        }
        haul__attempt_run(j->channel, &j->flight, attempt);
    }
    haul__outgoing_release(&j->request);
    return status;
}

static bool lane_is_wanted(const journey *j)
{
    return haul__outgoing_wants_lane(&j->request) || j->method->output.root;
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
    haul__attempt attempt;
    haul_status status = send(j, shared, shared, reply, &attempt);
    if (status == HAUL_OK && attempt.refused && reply->request_tally.n_key > 0) {
        haul__attempt_fini(&attempt);
        end_loan(j);
        haul__lane_distrust(channel);
        haul__count(&channel->counters.n_refused);
        reply->was_resent = true;
        status = send(j, false, false, reply, &attempt);
    }
    if (status != HAUL_OK) {
        return status;
    }
    if (channel->pool) {
        haul__lane_learn(channel, &attempt);
    }
    haul__reply_take(reply, channel, &attempt);
    haul__attempt_fini(&attempt);
    haul__count_call(&channel->counters, reply->code == GRPC_STATUS_OK, &reply->request_tally,
                     &reply->answer_tally);
    end_loan(j);
    return HAUL_OK;
}

static haul_status call(journey *j, bool inline_only, haul_reply **out_reply)
{
    haul_reply *reply = haul__reply_create(j->channel);
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
        .deadline_ns = o.timeout_ns > 0 ? haul__after_ns((uint64_t)o.timeout_ns) : HAUL__NEVER,
        .wait_for_ready = o.wait_for_ready,
        .lend_bytes = o.lend_bytes,
    };
    haul_status status = haul__channel_method(channel, service, method_index, &j.method);
    if (status == HAUL_OK) {
        j.request = (haul__outgoing){
            .channel = channel,
            .plans = &j.method->input,
            .message = request,
            .opts = &o,
            .deadline_ns = j.deadline_ns,
        };
        status = haul__outgoing_survey(&j.request);
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
