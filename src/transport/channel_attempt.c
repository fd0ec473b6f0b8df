/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * One gRPC call from its making to its end, in the thread that wants the answer.
 *
 * All six operations of a unary call are one batch: one event, one wait. But where the connection
 * may be stuck (backlog.c) those that send are a batch of their own. The deadline is the call's own,
 * so the wait needs none; it ends with the answer, the deadline, the connection, a token or
 * haul_channel_close(). What gRPC lends for the time of the call is looked at before it is given up.
 */

#include "transport/channel.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/support/alloc.h>

#include "transport/channel_data.h"
#include "transport/deadline.h"
#include "transport/direct.h"
#include "transport/event.h"
#include "transport/trunk.h"

/* Metadata of more bytes is left to gRPC, which knows what the server takes. */
#define LETTER_METADATA_MAX 4096

const char haul__sent = 0;

grpc_completion_queue *haul__channel_take_queue(haul_channel *channel)
{
    grpc_completion_queue *queue = haul__backlog_take(&channel->backlog);
    (void)pthread_mutex_lock(&channel->mutex);
    if (!queue && channel->n_idle > 0) {
        queue = channel->idle[--channel->n_idle];
    }
    (void)pthread_mutex_unlock(&channel->mutex);
    return queue ? queue : grpc_completion_queue_create_for_pluck(NULL);
}

void haul__channel_return_queue(haul_channel *channel, grpc_completion_queue *queue)
{
    (void)pthread_mutex_lock(&channel->mutex);
    if (queue && channel->n_idle < HAUL__IDLE_QUEUES) {
        channel->idle[channel->n_idle++] = queue;
        queue = NULL;
    }
    (void)pthread_mutex_unlock(&channel->mutex);
    if (queue) {
        haul__queue_destroy(queue);
    }
}

void haul__flight_show(haul_channel *channel, haul__flight *flight, grpc_call *call,
                       uint64_t deadline_ns)
{
    (void)pthread_mutex_lock(&channel->mutex);
    flight->grpc = call;
    flight->cancelled |= channel->closing;
    bool cancelled = flight->cancelled;
    (void)pthread_mutex_unlock(&channel->mutex);
    if (cancelled) {
        (void)grpc_call_cancel(call, NULL);
    } else if (haul__clock_ns() >= deadline_ns) {
        /* gRPC counts deadlines in milliseconds, and a short call may be over sooner. */
        (void)grpc_call_cancel_with_status(call, GRPC_STATUS_DEADLINE_EXCEEDED, "Deadline Exceeded",
                                           NULL);
    }
}

grpc_call *haul__flight_hide(haul_channel *channel, haul__flight *flight)
{
    (void)pthread_mutex_lock(&channel->mutex);
    grpc_call *call = flight->grpc;
    flight->grpc = NULL;
    (void)pthread_mutex_unlock(&channel->mutex);
    return call;
}

bool haul__flight_is_cancelled(haul_channel *channel, haul__flight *flight)
{
    (void)pthread_mutex_lock(&channel->mutex);
    bool cancelled = flight->cancelled || channel->closing;
    (void)pthread_mutex_unlock(&channel->mutex);
    return cancelled;
}

haul__grip haul__flight_grip(haul__flight *flight)
{
    haul__grip grip = {0};
    if (!flight->cancelled) {
        grip = (haul__grip){.call = flight->grpc, .ride = flight->ride, .link = flight->data};
    }
    flight->cancelled = true;
    if (grip.call) {
        grpc_call_ref(grip.call);
    }
    if (grip.ride) {
        haul__ride_ref(grip.ride);
    }
    if (grip.link) {
        haul__data_link_ref(grip.link);
    }
    return grip;
}

haul__grip haul__flight_cancel(haul_channel *channel, haul__flight *flight)
{
    (void)pthread_mutex_lock(&channel->mutex);
    haul__grip grip = haul__flight_grip(flight);
    (void)pthread_mutex_unlock(&channel->mutex);
    return grip;
}

void haul__grip_cancel(haul__grip grip)
{
    if (grip.call) {
        (void)grpc_call_cancel(grip.call, NULL);
        grpc_call_unref(grip.call);
    }
    if (grip.ride) {
        haul__ride_cancel(grip.ride);
    }
    if (grip.link) {
        haul__data_link_cut(grip.link);
    }
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

/* The application's metadata and ours. */
void haul__attempt_send_metadata(haul_channel *channel, haul__attempt *attempt, grpc_op *op)
{
    const haul__metadata_list *list = attempt->metadata;
    grpc_metadata *items = list && list->n > 0 ? list->items : &attempt->only;
    size_t n = list ? list->n : 0;
    *op = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    attempt->accept_value = grpc_empty_slice();
    if (attempt->accept) {
        attempt->accept_value = grpc_slice_from_copied_string(channel->accept_text);
        items[n++] = (grpc_metadata){.key = grpc_slice_from_static_string(HAUL__MD_ACCEPT),
                                     .value = attempt->accept_value};
    }
    op->data.send_initial_metadata.metadata = items;
    op->data.send_initial_metadata.count = n;
    if (attempt->wait_for_ready) {
        op->flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                    GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
    }
}

void haul__attempt_recv_status(haul__attempt *attempt, grpc_op *op)
{
    attempt->code = GRPC_STATUS_INTERNAL;
    attempt->details = grpc_empty_slice();
    *op = (grpc_op){.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    op->data.recv_status_on_client = (struct grpc_op_recv_status_on_client){
        .trailing_metadata = &attempt->trailing,
        .status = &attempt->code,
        .status_details = &attempt->details,
    };
}

bool haul__attempt_came_to_nothing(const haul__attempt *attempt)
{
    return attempt->code == GRPC_STATUS_UNAVAILABLE ||
           attempt->code == GRPC_STATUS_DEADLINE_EXCEEDED || attempt->code == GRPC_STATUS_CANCELLED;
}

void haul__attempt_end(haul__attempt *attempt)
{
    read_metadata(attempt);
    if (GRPC_SLICE_LENGTH(attempt->details) > 0) {
        attempt->text = grpc_slice_to_c_string(attempt->details);
    }
    grpc_slice_unref(attempt->details);
    grpc_slice_unref(attempt->accept_value);
}

grpc_slice haul__attempt_write_letter(haul_channel *channel, haul__attempt *attempt, uint64_t id)
{
    grpc_op op;
    haul__attempt_send_metadata(channel, attempt, &op);
    uint64_t now = haul__clock_ns();
    bool bounded = attempt->deadline_ns != HAUL__NEVER;
    uint64_t left = attempt->deadline_ns > now ? attempt->deadline_ns - now : 1;
    const haul__letter_fields fields = {
        .id = id,
        .timeout_ns = bounded ? left : 0,
        .method = attempt->method->path,
        .metadata = op.data.send_initial_metadata.metadata,
        .n_metadata = op.data.send_initial_metadata.count,
    };
    grpc_slice letter = haul__letter_write(&fields);
    grpc_slice_unref(attempt->accept_value);
    attempt->accept_value = grpc_empty_slice();
    return letter;
}

void haul__attempt_give_up(haul__attempt *attempt, bool cancelled)
{
    attempt->code = cancelled ? GRPC_STATUS_CANCELLED : GRPC_STATUS_DEADLINE_EXCEEDED;
    attempt->details =
        grpc_slice_from_static_string(cancelled ? "the call was cancelled" : "Deadline Exceeded");
}

bool haul__attempt_is_short(const haul__attempt *attempt)
{
    const haul__metadata_list *list = attempt->metadata;
    return grpc_byte_buffer_length(attempt->request) <= HAUL__LETTER_MAX &&
           (!list || haul__metadata_bytes(list->items, list->n) <= LETTER_METADATA_MAX);
}

/* Six operations: three that send, three that receive. */
static bool start(haul__attempt *attempt, grpc_call *call, const grpc_op ops[6], void *tag)
{
    if (!attempt->sends_apart) {
        return grpc_call_start_batch(call, ops, 6, tag, NULL) == GRPC_CALL_OK;
    }
    if (grpc_call_start_batch(call, ops, 3, HAUL__SENT, NULL) != GRPC_CALL_OK) {
        attempt->sends_apart = false;
        return false;
    }
    return grpc_call_start_batch(call, ops + 3, 3, tag, NULL) == GRPC_CALL_OK;
}

/* What another thread reads after the event is written before the call is shown, under whose lock it is
 * then hidden. */
bool haul__attempt_begin(haul_channel *channel, haul__flight *flight, haul__attempt *attempt,
                         grpc_completion_queue *queue, void *tag)
{
    grpc_op ops[6] = {[1] = {.op = GRPC_OP_SEND_MESSAGE},
                      [2] = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
                      [3] = {.op = GRPC_OP_RECV_INITIAL_METADATA},
                      [4] = {.op = GRPC_OP_RECV_MESSAGE}};
    haul__attempt_send_metadata(channel, attempt, &ops[0]);
    ops[1].data.send_message.send_message = attempt->request;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &attempt->initial;
    ops[4].data.recv_message.recv_message = &attempt->answer;
    haul__attempt_recv_status(attempt, &ops[5]);
    attempt->n_bytes = grpc_byte_buffer_length(attempt->request);
    attempt->sends_apart = haul__backlog_enter(&channel->backlog, attempt->n_bytes);
    grpc_call *call = grpc_channel_create_registered_call(
        channel->grpc, NULL, GRPC_PROPAGATE_DEFAULTS, queue, attempt->method->registered,
        haul__gpr_of_ns(attempt->deadline_ns), NULL);
    haul__flight_show(channel, flight, call, attempt->deadline_ns);
    if (!start(attempt, call, ops, tag)) {
        haul__attempt_close(channel, flight, attempt);
        return false;
    }
    return true;
}

void haul__attempt_close(haul_channel *channel, haul__flight *flight, haul__attempt *attempt)
{
    haul__attempt_end(attempt);
    grpc_call *call = haul__flight_hide(channel, flight);
    haul__backlog_leave(&channel->backlog, attempt->n_bytes, attempt->code == GRPC_STATUS_OK);
    grpc_call_unref(call);
}

void haul__attempt_run(haul_channel *channel, haul__flight *flight, haul__attempt *attempt)
{
    if (haul__direct_carry(channel, flight, attempt) ||
        haul__trunk_carry(channel, flight, attempt)) {
        return;
    }
    grpc_completion_queue *queue = haul__channel_take_queue(channel);
    if (haul__attempt_begin(channel, flight, attempt, queue, attempt)) {
        (void)haul__event_pluck(queue, attempt, HAUL__NEVER, channel->busy_poll_ns);
        haul__attempt_close(channel, flight, attempt);
    }
    if (attempt->sends_apart) {
        queue = haul__backlog_settle(&channel->backlog, queue, HAUL__SENT, NULL);
    }
    haul__channel_return_queue(channel, queue);
}

void haul__attempt_fini(haul__attempt *attempt)
{
    if (attempt->is_carried) {
        haul__letter_metadata_fini(&attempt->carried[HAUL_METADATA_INITIAL]);
        haul__letter_metadata_fini(&attempt->carried[HAUL_METADATA_TRAILING]);
        grpc_slice_unref(attempt->frame);
    } else {
        grpc_metadata_array_destroy(&attempt->initial);
        grpc_metadata_array_destroy(&attempt->trailing);
    }
    gpr_free(attempt->text);
    grpc_byte_buffer_destroy(attempt->answer);
    grpc_byte_buffer_destroy(attempt->request);
}
