/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * One gRPC call from its making to its end, in the thread that wants the answer.
 *
 * All six operations of a unary call are one batch: one event, one wait. The deadline is the
 * call's own, so the wait needs none; it ends with the answer, the deadline, the connection or
 * haul_channel_close(). What gRPC lends for the time of the call is looked at before it is given
 * up.
 */

#include "transport/channel.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/support/alloc.h>

#include "transport/deadline.h"

static grpc_completion_queue *take_queue(haul_channel *channel)
{
    grpc_completion_queue *queue = NULL;
    (void)pthread_mutex_lock(&channel->mutex);
    if (channel->n_idle > 0) {
        queue = channel->idle[--channel->n_idle];
    }
    (void)pthread_mutex_unlock(&channel->mutex);
    return queue ? queue : grpc_completion_queue_create_for_pluck(NULL);
}

void haul__queue_destroy(grpc_completion_queue *queue)
{
    /* Nothing is under way on it, so its end comes at once. */
    grpc_completion_queue_shutdown(queue);
    (void)grpc_completion_queue_pluck(queue, NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_completion_queue_destroy(queue);
}

static void return_queue(haul_channel *channel, grpc_completion_queue *queue)
{
    (void)pthread_mutex_lock(&channel->mutex);
    if (channel->n_idle < HAUL__IDLE_QUEUES) {
        channel->idle[channel->n_idle++] = queue;
        queue = NULL;
    }
    (void)pthread_mutex_unlock(&channel->mutex);
    if (queue) {
        haul__queue_destroy(queue);
    }
}

/* Let haul_channel_close() know the call; if it has come before us, cancel. */
static void show(haul_channel *channel, haul__flight *flight, grpc_call *call)
{
    (void)pthread_mutex_lock(&channel->mutex);
    flight->grpc = call;
    bool closing = channel->closing;
    flight->cancelled = closing;
    (void)pthread_mutex_unlock(&channel->mutex);
    if (closing) {
        (void)grpc_call_cancel(call, NULL);
    }
}

static void hide(haul_channel *channel, haul__flight *flight)
{
    (void)pthread_mutex_lock(&channel->mutex);
    flight->grpc = NULL;
    (void)pthread_mutex_unlock(&channel->mutex);
}

static void read_metadata(haul__attempt *attempt)
{
    for (size_t i = 0; i < attempt->trailing.count; i++) {
        const grpc_metadata *md = &attempt->trailing.metadata[i];
        if (grpc_slice_str_cmp(md->key, HAUL__MD_LANE) == 0) {
            attempt->has_lane = haul__lane_parse(md->value, &attempt->lane_id);
        } else if (grpc_slice_str_cmp(md->key, HAUL__MD_REFUSED) == 0) {
            attempt->refused = grpc_slice_str_cmp(md->value, "key") == 0;
        }
    }
}

/* The application's metadata and ours, with @accept as the memory where there is only ours. */
static void send_metadata(const haul__attempt *attempt, const grpc_metadata *accept, grpc_op *op)
{
    const haul__metadata_list *list = attempt->metadata;
    bool any = list && list->n > 0;
    if (any && attempt->accept) {
        list->items[list->n] = *accept;
    }
    op->data.send_initial_metadata.metadata = any ? list->items : (grpc_metadata *)accept;
    op->data.send_initial_metadata.count = (any ? list->n : 0) + attempt->accept;
    if (attempt->wait_for_ready) {
        op->flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                    GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
    }
}

/* Start the one batch and wait for it. False if gRPC would not have it. */
static bool converse(grpc_call *call, grpc_completion_queue *queue, haul__attempt *attempt,
                     const grpc_metadata *accept, grpc_slice *details)
{
    grpc_op ops[6] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},  {.op = GRPC_OP_SEND_MESSAGE},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, {.op = GRPC_OP_RECV_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_MESSAGE},           {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}};
    send_metadata(attempt, accept, &ops[0]);
    ops[1].data.send_message.send_message = attempt->request;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &attempt->initial;
    ops[4].data.recv_message.recv_message = &attempt->answer;
    ops[5].data.recv_status_on_client = (struct grpc_op_recv_status_on_client){
        .trailing_metadata = &attempt->trailing,
        .status = &attempt->code,
        .status_details = details,
    };
    bool started = grpc_call_start_batch(call, ops, 6, attempt, NULL) == GRPC_CALL_OK;
    if (started) {
        (void)grpc_completion_queue_pluck(queue, attempt, gpr_inf_future(GPR_CLOCK_MONOTONIC),
                                          NULL);
    }
    return started;
}

void haul__attempt_run(haul_channel *channel, haul__flight *flight, haul__attempt *attempt)
{
    grpc_completion_queue *queue = take_queue(channel);
    grpc_call *call = grpc_channel_create_registered_call(
        channel->grpc, NULL, GRPC_PROPAGATE_DEFAULTS, queue, attempt->method->registered,
        haul__gpr_of_ns(attempt->deadline_ns), NULL);
    show(channel, flight, call);

    const grpc_metadata accept = {.key = grpc_slice_from_static_string(HAUL__MD_ACCEPT),
                                  .value = grpc_slice_from_copied_string(channel->accept_text)};
    grpc_slice details = grpc_empty_slice();
    attempt->code = GRPC_STATUS_INTERNAL;
    (void)converse(call, queue, attempt, &accept, &details);
    read_metadata(attempt);
    if (GRPC_SLICE_LENGTH(details) > 0) {
        attempt->text = grpc_slice_to_c_string(details);
    }
    grpc_slice_unref(details);
    grpc_slice_unref(accept.value);

    hide(channel, flight);
    grpc_call_unref(call);
    return_queue(channel, queue);
}

void haul__attempt_fini(haul__attempt *attempt)
{
    grpc_metadata_array_destroy(&attempt->initial);
    grpc_metadata_array_destroy(&attempt->trailing);
    gpr_free(attempt->text);
    grpc_byte_buffer_destroy(attempt->answer);
    grpc_byte_buffer_destroy(attempt->request);
}
