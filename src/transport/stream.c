/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A client's stream: its beginning and its end.
 *
 * The application owns it. It has a completion queue of its own, on which each of its threads waits
 * for its own operation: the one that sends, the one that receives, and at last the one that ends
 * it. The channel knows it like any call under way, so closing the channel cancels it.
 *
 * If this process dies, what it gave can still be claimed, until the server's side of the stream is
 * over and refuses the rest, and the reaper takes what was on its way to it. If the server dies,
 * the stream ends UNAVAILABLE; what the server had not claimed is reaped or taken back here, and
 * what was on its way from it and never came is refused.
 */

#include "transport/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "transport/deadline.h"

#define GIVE_NS_DEFAULT UINT64_C(600000000000)

static haul_pool *pool_of(const void *owner, uint64_t pool_id)
{
    haul_pool *pool = ((const haul_stream *)owner)->channel->pool;
    return pool && haul_pool_id(pool) == pool_id ? pool : NULL;
}

static bool fails_if_exhausted(const haul_channel *channel, const haul_stream_opts *o)
{
    return (o->if_exhausted == HAUL_EXHAUSTED_DEFAULT ? channel->if_exhausted : o->if_exhausted) ==
           HAUL_EXHAUSTED_FAIL;
}

/* Decide on the path of the payloads, both ways. */
static void choose_path(haul_stream *s, const haul_stream_opts *o)
{
    haul_channel *channel = s->channel;
    haul__attempt *a = &s->attempt;
    bool wanted = a->method->input.root || a->method->output.root;
    if (channel->pool) {
        haul__lane_check(channel);
        a->accept = wanted && !o->inline_only &&
                    haul__lane_is_shared(channel, &s->flight, a->deadline_ns, o->wait_for_ready);
    }
    uint32_t peer = a->accept ? haul__lane_peer(channel) : 0;
    s->sending = (haul__sending){
        .plans = &a->method->input,
        .pins = &channel->pins,
        .place = channel->place,
        .max_bytes = channel->max_send_bytes,
        .key_threshold_bytes = channel->threshold.chosen, /* what is put is in a buffer */
        .threshold = &channel->threshold,
        .alloc = o->alloc ? *o->alloc : channel->alloc,
        .fails_if_exhausted = fails_if_exhausted(channel, o),
        .counters = &channel->counters,
        .by_key = peer != 0,
        .pool_of = pool_of,
        .owner = s,
        .is_over = haul__stream_is_over,
        .stream = s,
        .gifts = {.pool = channel->pool,
                  .peer = peer,
                  .window = o->window ? o->window : HAUL_STREAM_WINDOW_DEFAULT,
                  .deadline_ns = a->deadline_ns,
                  .give_ns = o->give_ns ? o->give_ns : GIVE_NS_DEFAULT},
    };
}

/* Give the stream a number of its own, for what is given on it, and tell the server. Without one it
 * does, too. */
static void draw_group(haul_stream *s)
{
    uint64_t group = 0;
    char text[HAUL__STREAM_TEXT_BYTES];
    if (s->attempt.accept && getrandom(&group, sizeof(group), 0) == (ssize_t)sizeof(group)) {
        (void)snprintf(text, sizeof(text), "%016" PRIx64, group);
        grpc_slice value = grpc_slice_from_copied_string(text);
        if (haul__metadata_add_own(&s->metadata, HAUL__MD_STREAM, value) == HAUL_OK) {
            s->sending.gifts.group = group;
        }
    }
}

/* Have gRPC make the call; what it brings comes in the background of what the threads wait for. */
static void begin(haul_stream *s)
{
    grpc_op ops[2];
    s->queue = haul__channel_take_queue(s->channel);
    s->grpc = grpc_channel_create_registered_call(s->channel->grpc, NULL, GRPC_PROPAGATE_DEFAULTS,
                                                  s->queue, s->attempt.method->registered,
                                                  haul__gpr_of_ns(s->attempt.deadline_ns), NULL);
    haul__flight_show(s->channel, &s->flight, s->grpc, s->attempt.deadline_ns);
    haul__attempt_recv_status(&s->attempt, &ops[0]);
    s->over = grpc_call_start_batch(s->grpc, ops, 1, &s->on_status, NULL) != GRPC_CALL_OK;
    haul__attempt_send_metadata(s->channel, &s->attempt, &ops[0]);
    ops[1] = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA};
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &s->attempt.initial;
    s->opened = grpc_call_start_batch(s->grpc, ops, 1, &s->on_opened, NULL) == GRPC_CALL_OK;
    s->begun = grpc_call_start_batch(s->grpc, ops + 1, 1, &s->on_begun, NULL) == GRPC_CALL_OK;
    if (!s->opened || !s->begun) {
        haul_stream_cancel(s);
    }
}

static void free_stream(haul_stream *s)
{
    haul_reply_free(s->reply);
    haul__metadata_list_fini(&s->metadata);
    (void)pthread_mutex_destroy(&s->mutex);
    free(s);
}

static haul_status open_stream(haul_stream *s, const ProtobufCServiceDescriptor *service,
                               unsigned method_index, const haul_stream_opts *o)
{
    haul__attempt *a = &s->attempt;
    haul_status status = haul__channel_method(s->channel, service, method_index, &a->method);
    if (status == HAUL_OK) {
        status = haul__metadata_add_all(&s->metadata, o->metadata, o->n_metadata);
    }
    if (status == HAUL_OK) {
        status = haul__channel_enter(s->channel, &s->flight, o->cancel);
    }
    if (status == HAUL_OK) {
        a->deadline_ns = o->timeout_ns > 0 ? haul__after_ns((uint64_t)o->timeout_ns) : HAUL__NEVER;
        a->wait_for_ready = o->wait_for_ready;
        a->metadata = &s->metadata;
        choose_path(s, o);
        draw_group(s);
        begin(s);
    }
    return status;
}

haul_status haul_channel_stream(haul_channel *channel, const ProtobufCServiceDescriptor *service,
                                unsigned method_index, const haul_stream_opts *opts,
                                haul_stream **out_stream)
{
    haul_stream_opts o = {0};
    if (opts) {
        if (opts->struct_size != sizeof(o) ||
            (opts->alloc && opts->alloc->struct_size != sizeof(*opts->alloc))) {
            return HAUL_INVALID;
        }
        o = *opts;
    }
    haul_stream *s = calloc(1, sizeof(*s));
    haul_reply *reply = haul__reply_create(channel);
    if (!s || !reply || pthread_mutex_init(&s->mutex, NULL) != 0) {
        free(s);
        haul_reply_free(reply);
        return HAUL_NOMEM;
    }
    s->channel = channel;
    s->reply = reply;
    haul_status status = open_stream(s, service, method_index, &o);
    if (status != HAUL_OK) {
        free_stream(s);
        return status;
    }
    *out_stream = s;
    return HAUL_OK;
}

void haul_stream_cancel(haul_stream *s)
{
    (void)grpc_call_cancel(s->grpc, NULL);
}

/* Receive and drop what is still to come; gRPC holds the status back until then. */
static void drain(haul_stream *s)
{
    haul_received *received = NULL;
    haul_status status;
    do {
        status = haul_stream_receive(s, -1, &received);
        if (status == HAUL_OK) {
            haul_received_free(received);
        } else if (status != HAUL_END) {
            haul_stream_cancel(s);
        }
    } while (status != HAUL_END);
}

static void wait_for(haul_stream *s, haul__mark *mark)
{
    (void)grpc_completion_queue_pluck(s->queue, mark, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

static void fill_reply(haul_stream *s)
{
    haul__attempt *a = &s->attempt;
    haul__attempt_end(a);
    if (s->channel->pool) {
        if (a->refused) {
            haul__lane_distrust(s->channel);
        }
        haul__lane_learn(s->channel, a);
    }
    haul__reply_take_status(s->reply, a);
    if (s->spoiled != GRPC_STATUS_OK) {
        haul__reply_spoil(s->reply, s->spoiled, s->spoiled_text);
    }
    s->reply->request_tally = s->sending.tally;
    haul__count_call(&s->channel->counters, s->reply->code == GRPC_STATUS_OK,
                     &s->reply->request_tally, &s->reply->answer_tally);
}

void haul_stream_finish(haul_stream *s, haul_reply **out_reply)
{
    if (!s) {
        return;
    }
    (void)!haul_stream_close_send(s);
    drain(s);
    if (s->begun) {
        wait_for(s, &s->on_begun);
    }
    if (!s->over) {
        wait_for(s, &s->on_status);
    }
    fill_reply(s);
    haul__sending_fini(&s->sending);
    if (s->reply->code != GRPC_STATUS_OK && s->sending.gifts.group != 0) {
        /* Nothing of the stream comes any more, and its server may be dead. */
        (void)!haul_pool_refuse(s->channel->pool, s->sending.gifts.group, NULL);
    }
    grpc_call_unref(haul__flight_hide(s->channel, &s->flight));
    haul__channel_return_queue(s->channel,
                               haul__backlog_settle(&s->channel->backlog, s->queue,
                                                    s->opened ? &s->on_opened : NULL,
                                                    s->send_stuck ? &s->on_sent : NULL));
    haul__attempt_fini(&s->attempt);
    haul__channel_leave(s->channel, &s->flight);
    if (out_reply) {
        *out_reply = s->reply;
        s->reply = NULL;
    }
    free_stream(s);
}
