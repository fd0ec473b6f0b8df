/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A trunk of the client's: the stream, the calls that are on it, and what comes for them.
 *
 * No thread is spent on it. Of the callers that wait for answers (trunk_call.c) one polls, takes in
 * whatever comes and wakes those whom it is for. A call that is given up tells the server so and
 * stays in the list until its answer has come all the same: buffers that were given with it must be
 * let go of.
 *
 * Each ride (ride.c) has a reference to the trunk, and so has the channel. Lists and flags are
 * the trunk's mutex's, which is held across no call into gRPC and no wake-up.
 *
 * If the server dies the stream ends, and with it all that ride: UNAVAILABLE, as with gRPC, for
 * nobody knows how far they came; but for those of which no byte has left. A server that stops ends
 * the stream OK behind its last answer, and has begun none of the calls that are left. If this process
 * dies, so does the stream.
 */

#include <stdlib.h>

#include <grpc/byte_buffer.h>
#include <grpc/support/alloc.h>

#include "transport/container.h"
#include "transport/deadline.h"
#include "transport/event.h"
#include "transport/trunk_parts.h"

/* Until the server says. */
#define RIDES_MAX 1

/* ---- Lives --------------------------------------------------------------------------------- */

/* Nobody has a use for the trunk any more: end the stream, and wait for gRPC to be done with it. */
static void destroy(haul__trunk *trunk)
{
    grpc_event event;
    (void)grpc_call_cancel(trunk->call, NULL);
    grpc_completion_queue_shutdown(trunk->queue);
    do {
        event = grpc_completion_queue_next(trunk->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    } while (event.type != GRPC_QUEUE_SHUTDOWN);
    grpc_byte_buffer_destroy(trunk->incoming);
    grpc_metadata_array_destroy(&trunk->initial);
    grpc_metadata_array_destroy(&trunk->trailing);
    grpc_slice_unref(trunk->details);
    grpc_call_unref(trunk->call);
    grpc_completion_queue_destroy(trunk->queue);
    (void)pthread_mutex_destroy(&trunk->mutex);
    free(trunk);
}

void haul__trunk_unref(haul__trunk *trunk)
{
    if (trunk && atomic_fetch_sub(&trunk->refs, 1) == 1) {
        destroy(trunk);
    }
}

static void receive_next(haul__trunk *trunk)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &trunk->incoming;
    (void)grpc_call_start_batch(trunk->call, &op, 1, &trunk->on_received, NULL);
    trunk->receiving = true;
}

/* With an empty message: a server that is none of ours, but takes any call, may wait for one. */
static bool start(haul__trunk *trunk, bool wait_for_ready)
{
    grpc_byte_buffer *empty = grpc_raw_byte_buffer_create(NULL, 0);
    grpc_op ops[3] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_RECV_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_MESSAGE}};
    if (wait_for_ready) {
        ops[0].flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                       GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
    }
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &trunk->initial;
    ops[2].data.send_message.send_message = empty;
    grpc_op end = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    end.data.recv_status_on_client = (struct grpc_op_recv_status_on_client){
        .trailing_metadata = &trunk->trailing,
        .status = &trunk->code,
        .status_details = &trunk->details,
    };
    bool ok = grpc_call_start_batch(trunk->call, ops, 3, &trunk->on_sent, NULL) == GRPC_CALL_OK &&
              grpc_call_start_batch(trunk->call, &end, 1, &trunk->on_ended, NULL) == GRPC_CALL_OK;
    grpc_byte_buffer_destroy(empty);
    return ok;
}

haul__trunk *haul__trunk_begin(haul_channel *channel, bool wait_for_ready)
{
    haul__trunk *trunk = calloc(1, sizeof(*trunk));
    if (!trunk || pthread_mutex_init(&trunk->mutex, NULL) != 0) {
        free(trunk);
        return NULL;
    }
    atomic_init(&trunk->refs, 1);
    trunk->channel = channel;
    trunk->n_rides_max = RIDES_MAX;
    trunk->details = grpc_empty_slice();
    trunk->queue = grpc_completion_queue_create_for_next(NULL);
    trunk->call =
        grpc_channel_create_call(channel->grpc, NULL, GRPC_PROPAGATE_DEFAULTS, trunk->queue,
                                 grpc_slice_from_static_string(HAUL__TRUNK_METHOD), NULL,
                                 gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    haul__outbox_init(&trunk->outbox, trunk->call, &trunk->on_sent, &trunk->mutex, true);
    if (!start(trunk, wait_for_ready)) {
        haul__trunk_unref(trunk);
        return NULL;
    }
    return trunk;
}

/* With the lock held: whether it was the last use of the trunk that has just ended. */
static void note_spent(haul__trunk *trunk)
{
    if (trunk->retiring && trunk->n_live == 0 && !trunk->poller) {
        atomic_store(&trunk->spent, true);
    }
}

static void retire(haul__trunk *trunk)
{
    trunk->retiring = true;
    note_spent(trunk);
}

void haul__trunk_retire(haul__trunk *trunk)
{
    (void)pthread_mutex_lock(&trunk->mutex);
    retire(trunk);
    (void)pthread_mutex_unlock(&trunk->mutex);
}

bool haul__trunk_hold(haul__trunk *trunk)
{
    (void)pthread_mutex_lock(&trunk->mutex);
    bool held = !trunk->retiring;
    trunk->n_live += held;
    (void)pthread_mutex_unlock(&trunk->mutex);
    return held;
}

void haul__trunk_let_go(haul__trunk *trunk)
{
    (void)pthread_mutex_lock(&trunk->mutex);
    trunk->n_live--;
    note_spent(trunk);
    (void)pthread_mutex_unlock(&trunk->mutex);
}

void haul__trunk_unpoll(haul__trunk *trunk)
{
    trunk->poller = NULL;
    note_spent(trunk);
}

void haul__ride_enter(haul__ride *ride)
{
    haul__trunk *trunk = ride->trunk;
    atomic_fetch_add(&ride->refs, 1);
    ride->next = trunk->rides;
    ride->link = &trunk->rides;
    if (ride->next) {
        ride->next->link = &ride->next;
    }
    trunk->rides = ride;
    trunk->n_rides++;
    trunk->n_live++;
}

void haul__ride_abandon(haul__ride *ride)
{
    ride->attempt = NULL;
    ride->trunk->n_live--;
    note_spent(ride->trunk);
}

void haul__ride_leave(haul__ride *ride)
{
    *ride->link = ride->next;
    if (ride->next) {
        ride->next->link = ride->link;
    }
    ride->trunk->n_rides--;
    ride->trunk->n_live -= ride->attempt != NULL;
    note_spent(ride->trunk);
}

/* ---- What comes ---------------------------------------------------------------------------- */

/* What is done with rides after the lock, each with a reference for it. */
typedef struct aftermath {
    haul__ride *woken;   /* their owners wait */
    haul__ride *dropped; /* their owners have left, but an answer has come */
} aftermath;

static void push(haul__ride **list, haul__ride *ride)
{
    ride->next_after = *list;
    *list = ride;
}

/* The ride is over; the list's reference goes to whoever sees to it. */
static void end_ride(haul__ride *ride, aftermath *after)
{
    haul__ride_leave(ride);
    ride->done = true;
    push(ride->attempt ? &after->woken : &after->dropped, ride);
}

static void see_to(const haul__trunk *trunk, const aftermath *after)
{
    for (haul__ride *ride = after->woken, *next; ride; ride = next) {
        next = ride->next_after;
        (void)pthread_cond_signal(&ride->changed);
        haul__ride_unref(ride);
    }
    for (haul__ride *ride = after->dropped, *next; ride; ride = next) {
        next = ride->next_after;
        haul__reply_drop(trunk->channel, ride->method, &ride->answer.parts);
        haul__ride_unref(ride);
    }
}

/* While the letters of one message are looked at. */
typedef struct reading {
    haul__trunk *trunk;
    grpc_slice frame;
    aftermath after;
} reading;

static haul__ride *find_ride(const haul__trunk *trunk, uint64_t id)
{
    haul__ride *ride = trunk->rides;
    while (ride && ride->letter.id != id) {
        ride = ride->next;
    }
    return ride;
}

static void on_letter(void *ctx, haul__letter *letter)
{
    reading *in = ctx;
    haul__ride *ride = find_ride(in->trunk, letter->id);
    if (!ride) {
        return;
    }
    if (!haul__incoming_answer_add(&ride->answer, in->trunk->channel, letter, in->frame)) {
        return;
    }
    ride->unbegun = letter->unbegun;
    if (ride->unbegun) {
        retire(in->trunk);
    }
    if (ride->attempt && !ride->unbegun) {
        haul__incoming_answer_end(&ride->answer, in->trunk->channel, letter, in->frame,
                                  ride->attempt);
    }
    end_ride(ride, &in->after);
}

static void on_received(haul__trunk *trunk)
{
    grpc_byte_buffer *bytes = trunk->incoming;
    trunk->incoming = NULL;
    if (!bytes) {
        return; /* the end is about to come */
    }
    trunk->receiving = false;
    uint64_t max_calls = 0;
    reading in = {.trunk = trunk, .frame = haul__frame_of(bytes)};
    (void)pthread_mutex_lock(&trunk->mutex);
    bool ok = haul__letters_read(in.frame, on_letter, &in, &max_calls);
    if (!trunk->opened) {
        trunk->opened = ok && max_calls > 0;
        ok = trunk->opened;
        trunk->n_rides_max = max_calls;
    }
    trunk->heard_ns = haul__clock_ns();
    (void)pthread_mutex_unlock(&trunk->mutex);
    see_to(trunk, &in.after);
    grpc_slice_unref(in.frame);
    grpc_byte_buffer_destroy(bytes);
    if (!ok) {
        (void)grpc_call_cancel(trunk->call, NULL); /* no server of ours */
    }
}

/* How the stream's end looks to a call that was on it. */
static void fill_lost(haul__ride *ride)
{
    bool ended_well = ride->trunk->code == GRPC_STATUS_OK && !ride->answer.has_message;
    ride->unbegun = ended_well || !ride->letter.begun;
    if (!ride->unbegun) {
        ride->attempt->code = GRPC_STATUS_UNAVAILABLE;
        ride->attempt->details = grpc_slice_ref(ride->trunk->details);
    }
}

static void on_ended(haul__trunk *trunk)
{
    aftermath after = {0};
    (void)pthread_mutex_lock(&trunk->mutex);
    trunk->ended = true;
    retire(trunk);
    while (trunk->rides) {
        haul__ride *ride = trunk->rides;
        if (ride->attempt) {
            fill_lost(ride);
        }
        end_ride(ride, &after);
    }
    (void)pthread_mutex_unlock(&trunk->mutex);
    haul__outbox_close(&trunk->outbox);
    see_to(trunk, &after);
}

/* The next message is asked for here and not when the last one has come: meanwhile whoever that was
 * for has sent his next letter, and what asking costs is spent while the server works. */
bool haul__trunk_poll(haul__trunk *trunk, uint64_t deadline_ns, uint64_t busy_ns)
{
    if (!trunk->receiving) {
        receive_next(trunk);
    }
    grpc_event event = haul__event_next(trunk->queue, deadline_ns, busy_ns);
    if (event.type == GRPC_QUEUE_TIMEOUT) {
        return false;
    }
    if (event.tag == &trunk->on_received) {
        on_received(trunk);
    } else if (event.tag == &trunk->on_sent) {
        haul__outbox_sent(&trunk->outbox, event.success != 0);
    } else if (event.tag == &trunk->on_ended) {
        on_ended(trunk);
    }
    return true; /* on_woken was only to be waited for */
}

/* gRPC's C API has no event for this; a watch whose time is up at once brings one. */
void haul__trunk_wake_poller(haul__trunk *trunk)
{
    grpc_channel *channel = trunk->channel->grpc;
    grpc_channel_watch_connectivity_state(
        channel, grpc_channel_check_connectivity_state(channel, 0), gpr_now(GPR_CLOCK_MONOTONIC),
        trunk->queue, &trunk->on_woken);
}
