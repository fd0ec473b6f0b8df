/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The steps of a unary call: decide on the path, send, perhaps send again, take the answer.
 *
 * The one who waits between the steps, in his thread or for an event, is channel_call.c or queue.c;
 * one thread at a time takes a step. Which payload goes which way is outgoing.c's part. If this
 * process dies in between, the server's handler runs to its end and what was held is reaped.
 */

#include "transport/journey.h"

#include "transport/deadline.h"

/* How long room lent for an answer stays so if the call has no deadline. */
#define LOAN_NS UINT64_C(60000000000)

/* Lend the server room for its answer, if there is any to be had. */
static void lend(haul__journey *j)
{
    uint64_t until = j->deadline_ns == HAUL__NEVER ? haul__after_ns(LOAN_NS) : j->deadline_ns;
    haul__loan_open(&j->loan, j->channel->pool, j->opts.lend_buf, j->opts.lend_bytes,
                    haul__lane_peer(j->channel), until);
    if (j->loan.pool && haul__metadata_add_own(&j->metadata, HAUL__MD_LEND,
                                               haul__loan_value(&j->loan)) != HAUL_OK) {
        haul__loan_close(&j->loan);
    }
}

static void end_loan(haul__journey *j)
{
    if (j->loan.pool) {
        haul__loan_close(&j->loan);
        haul__metadata_drop_last(&j->metadata);
    }
}

/* The call has been cancelled. An attempt with nothing in it, which is cancelled before it begins
 * and so sends nothing: its end comes to whoever waits for it, as any other does. */
static haul_status prepare_nothing(haul__journey *j)
{
    j->attempt.request = grpc_raw_byte_buffer_create(NULL, 0);
    j->unsent = HAUL_OK;
    j->reply->request_tally = (haul__tally){0};
    j->reply->n_request_bytes = 0;
    j->reply->was_resent = false;
    return HAUL_OK;
}

/* Make an attempt ready. A status other than HAUL_OK means that the call cannot be made at all. */
static haul_status prepare(haul__journey *j, bool by_key, bool accept)
{
    haul_reply *reply = j->reply;
    j->attempt = (haul__attempt){
        .method = j->method,
        .deadline_ns = j->deadline_ns,
        .accept = accept,
        .wait_for_ready = j->opts.wait_for_ready,
        .metadata = &j->metadata,
        .loan = &j->loan,
    };
    if (haul__flight_is_cancelled(j->channel, &j->flight)) {
        return prepare_nothing(j);
    }
    haul_status status =
        haul__outgoing_pack(&j->request, by_key, &j->attempt.request, &reply->request_tally);
    j->unsent = status;
    if (status > 0 && haul__flight_is_cancelled(j->channel, &j->flight)) {
        return prepare_nothing(j);
    }
    if (status > 0) {
        j->attempt.code = haul_status_to_grpc(status);
        reply->static_text = status == HAUL_TOO_BIG ? "the request is larger than may be sent"
                                                    : "the pool has no buffer for a payload";
        return HAUL_OK;
    }
    if (status == HAUL_OK) {
        reply->n_request_bytes =
            grpc_byte_buffer_length(j->attempt.request) + j->request.transfer_bytes;
        if (accept && (j->opts.lend_bytes > 0 || j->opts.lend_buf) && j->method->output.root) {
            lend(j);
        }
    }
    return status;
}

haul_status haul__journey_prepare(haul__journey *j)
{
    haul_channel *channel = j->channel;
    bool shared = false;
    if (channel->pool) {
        bool wanted = haul__outgoing_wants_lane(&j->request) || j->method->output.root;
        haul__lane_check(channel);
        shared = !j->opts.inline_only && wanted &&
                 haul__lane_is_shared(channel, &j->flight, j->deadline_ns, j->opts.wait_for_ready);
    }
    return prepare(j, shared, shared && j->method->output.root);
}

/* What was made ready for the attempt is given up. */
static void clear_attempt(haul__journey *j)
{
    haul__attempt_fini(&j->attempt);
    j->attempt = (haul__attempt){0};
    end_loan(j);
    haul__lane_distrust(j->channel);
}

bool haul__journey_again(haul__journey *j, haul_status *out_status)
{
    haul_reply *reply = j->reply;
    j->request.claimed = j->attempt.code == GRPC_STATUS_OK;
    haul__outgoing_release(&j->request);
    *out_status = HAUL_OK;
    if (j->attempt.unbegun) { /* whoever answers next may be another server */
        unsigned n_unbegun = j->attempt.n_unbegun + 1;
        clear_attempt(j);
        reply->request_tally = (haul__tally){0};
        *out_status = haul__journey_prepare(j);
        j->attempt.n_unbegun = n_unbegun;
        return j->unsent == HAUL_OK;
    }
    if (!j->attempt.refused || reply->was_resent ||
        (reply->request_tally.n_key == 0 && j->request.n_transfers == 0)) {
        return false;
    }
    clear_attempt(j);
    if (j->request.n_transfers > 0) {
        haul__data_distrust(j->channel);
        j->request.transfers = false;
    }
    reply->was_resent = true;
    *out_status = prepare(j, false, false);
    if (reply->was_resent) { /* and not cancelled before it */
        haul__count(&j->channel->counters.n_refused);
    }
    return j->unsent == HAUL_OK;
}

void haul__journey_arrive(haul__journey *j)
{
    haul_channel *channel = j->channel;
    haul_reply *reply = j->reply;
    if (channel->pool) {
        haul__lane_learn(channel, &j->attempt);
    }
    haul__reply_take(reply, channel, &j->attempt);
    haul__count_call(&channel->counters, reply->code == GRPC_STATUS_OK, &reply->request_tally,
                     &reply->answer_tally);
}

/* A buffer of the application's to be lent must be one that it may write. */
static bool is_lendable(const haul_channel *channel, const haul_call_opts *opts)
{
    haul_buf *buf = opts->lend_buf ? *opts->lend_buf : NULL;
    return !buf || (haul_buf_pool(buf) == channel->pool && haul_buf_data(buf));
}

haul_status haul__journey_init(haul__journey *j, haul_channel *channel,
                               const ProtobufCServiceDescriptor *service, unsigned method_index,
                               const ProtobufCMessage *request, const haul_call_opts *opts)
{
    *j = (haul__journey){.channel = channel, .deadline_ns = HAUL__NEVER};
    if (opts) {
        if (opts->struct_size != sizeof(*opts) || !is_lendable(channel, opts)) {
            return HAUL_INVALID;
        }
        j->opts = *opts;
    }
    if (j->opts.timeout_ns > 0) {
        j->deadline_ns = haul__after_ns((uint64_t)j->opts.timeout_ns);
    }
    haul_status status = haul__channel_method(channel, service, method_index, &j->method);
    if (status != HAUL_OK) {
        return status;
    }
    j->request = (haul__outgoing){
        .channel = channel,
        .plans = &j->method->input,
        .message = request,
        .flight = &j->flight,
        .opts = &j->opts,
        .deadline_ns = j->deadline_ns,
    };
    status = haul__outgoing_survey(&j->request);
    if (status == HAUL_OK) {
        status = haul__metadata_add_all(&j->metadata, j->opts.metadata, j->opts.n_metadata);
    }
    if (status != HAUL_OK) {
        return status;
    }
    j->reply = haul__reply_create(channel);
    status = j->reply ? haul__channel_enter(channel, &j->flight, j->opts.cancel) : HAUL_NOMEM;
    if (status != HAUL_OK) {
        haul_reply_free(j->reply);
        haul__metadata_list_fini(&j->metadata);
    }
    return status;
}

void haul__journey_fini(haul__journey *j)
{
    haul__outgoing_release(&j->request);
    haul__attempt_fini(&j->attempt);
    end_loan(j);
    haul__channel_leave(j->channel, &j->flight);
    haul__metadata_list_fini(&j->metadata);
    haul_reply_free(j->reply);
}
