/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Blocking unary calls over one stream.
 *
 * A call of gRPC's own costs about twice as much as a message each way on a stream that is open
 * (docs/adr/0012). So short calls travel on a stream that the channel keeps, the trunk, if the
 * server offers one; the first call asks, in its own thread and within its own deadline. What is
 * long, and what comes while a trunk is being opened or coming to its end, is a gRPC call.
 *
 * Of the callers that wait one polls; when its answer has come another one takes over. So a single
 * caller polls for itself, without a change of threads.
 *
 * A call is made again only where the server cannot have begun it: no byte of it has left, or the
 * server says so.
 */

#include "transport/trunk.h"

#include "transport/deadline.h"
#include "transport/trunk_parts.h"

/* After so long without a word the stream may have ended unnoticed, for nobody polls meanwhile. */
#define QUIET_NS UINT64_C(10000000)

/* For what a trunk leaves behind to be sent, which only a server that does not read holds up. */
#define NOTES_NS UINT64_C(100000000)

/* So often a call that was not begun is made again on a trunk, and then without one. A server that
 * stops has told the connection before it ends a trunk; so a second one is asked for elsewhere. */
#define UNBEGUN_MAX 1

/* Notice what has happened to the stream while nobody polled. */
static void look(haul__ride *ride)
{
    haul__trunk *trunk = ride->trunk;
    (void)pthread_mutex_lock(&trunk->mutex);
    bool looks =
        !trunk->poller && !trunk->retiring && haul__clock_ns() - trunk->heard_ns > QUIET_NS;
    if (looks) {
        trunk->poller = ride;
    }
    (void)pthread_mutex_unlock(&trunk->mutex);
    if (!looks) {
        return;
    }
    while (haul__trunk_poll(trunk, 0, 0)) {
    }
    (void)pthread_mutex_lock(&trunk->mutex);
    haul__trunk_unpoll(trunk);
    trunk->heard_ns = haul__clock_ns();
    (void)pthread_mutex_unlock(&trunk->mutex);
}

/* Enter the list and send the letter. False: the trunk takes no more at this time, or the call has
 * been cancelled before. */
static bool set_off(haul__ride *ride)
{
    haul__trunk *trunk = ride->trunk;
    (void)pthread_mutex_lock(&trunk->mutex);
    ride->unbegun = trunk->retiring;
    bool taken = !trunk->retiring && !ride->cancelled && trunk->n_rides < trunk->n_rides_max;
    if (taken) {
        haul__ride_enter(ride);
        atomic_fetch_add(&ride->refs, 1); /* the outbox's */
    }
    (void)pthread_mutex_unlock(&trunk->mutex);
    if (taken) {
        haul__outbox_post(&trunk->outbox, &ride->letter);
    }
    return taken;
}

/* Tell the server that nobody waits for call @id any more. */
static void send_cancellation(haul__trunk *trunk, uint64_t id)
{
    haul__ride *note = haul__ride_create(trunk);
    if (note) { /* else the server finds out by the deadline, or does not */
        const haul__letter_fields fields = {.id = id, .cancelled = true};
        note->letter.id = id;
        note->letter.fields = haul__letter_write(&fields);
        haul__outbox_post(&trunk->outbox, &note->letter);
    }
}

/* With the lock held: someone to poll from now on, with a reference; NULL if nobody need. */
static haul__ride *find_successor(const haul__trunk *trunk)
{
    haul__ride *ride = trunk->poller ? NULL : trunk->rides;
    while (ride && !ride->attempt) {
        ride = ride->next;
    }
    if (ride) {
        atomic_fetch_add(&ride->refs, 1);
    }
    return ride;
}

/* With the lock held, which it gives up meanwhile: poll once. Nobody else does. */
static bool poll_once(haul__ride *ride, uint64_t deadline_ns)
{
    haul__trunk *trunk = ride->trunk;
    /* Awake only for a single caller: with more of them the core is theirs. */
    uint64_t busy_ns = trunk->n_live == 1 ? trunk->channel->busy_poll_ns : 0;
    trunk->poller = ride;
    (void)pthread_mutex_unlock(&trunk->mutex);
    bool in_time = haul__trunk_poll(trunk, deadline_ns, busy_ns);
    (void)pthread_mutex_lock(&trunk->mutex);
    haul__trunk_unpoll(trunk);
    return in_time;
}

/* With the lock held: wait for the answer, polling if nobody else does. */
static void wait_for_answer(haul__ride *ride, uint64_t deadline_ns)
{
    haul__trunk *trunk = ride->trunk;
    bool in_time = true;
    while (!ride->done && !ride->cancelled && in_time) {
        if (trunk->poller) {
            in_time = haul__cond_wait_until(&ride->changed, &trunk->mutex, deadline_ns);
        } else {
            in_time = poll_once(ride, deadline_ns);
        }
    }
}

/* Leave the polling to another one. If there is none, and cancellations wait for what is under way
 * to have left, see them off: else they would wait for the next call. */
static void hand_over(haul__ride *ride)
{
    haul__trunk *trunk = ride->trunk;
    bool in_time = true;
    (void)pthread_mutex_lock(&trunk->mutex);
    haul__ride *successor = find_successor(trunk);
    uint64_t until = trunk->outbox.first ? haul__after_ns(NOTES_NS) : 0;
    while (in_time && !successor && !trunk->poller && trunk->outbox.first &&
           !atomic_load(&trunk->spent)) {
        in_time = poll_once(ride, until);
        successor = find_successor(trunk);
    }
    (void)pthread_mutex_unlock(&trunk->mutex);
    if (successor) {
        (void)pthread_cond_signal(&successor->changed);
        haul__ride_unref(successor);
    }
}

/* What has become of a call. */
typedef enum outcome {
    NO_ROOM, /* nothing, and nothing has been asked of the trunk */
    UNBEGUN, /* nothing, and the trunk has come to its end */
    ENDED
} outcome;

static outcome ride_to_end(haul__ride *ride, haul__attempt *attempt)
{
    haul__trunk *trunk = ride->trunk;
    bool withdrawn = false;
    (void)pthread_mutex_lock(&trunk->mutex);
    wait_for_answer(ride, attempt->deadline_ns);
    bool given_up = !ride->done;
    bool cancelled = ride->cancelled;
    if (given_up) {
        haul__ride_abandon(ride);
        withdrawn = haul__outbox_withdraw(&trunk->outbox, &ride->letter);
        if (withdrawn) {
            haul__ride_leave(ride);
        }
    }
    (void)pthread_mutex_unlock(&trunk->mutex);
    if (given_up || (ride->unbegun && cancelled)) {
        haul__attempt_give_up(attempt, cancelled);
    }
    if (withdrawn) {
        haul__ride_unref(ride); /* for the list */
        haul__ride_unref(ride); /* for the outbox */
    } else if (given_up) {
        send_cancellation(trunk, ride->letter.id);
    }
    hand_over(ride);
    return !given_up && ride->unbegun && !cancelled ? UNBEGUN : ENDED;
}

/* Let a cancellation find the ride, or no longer; one that has come before counts. */
static void show(haul_channel *channel, haul__flight *flight, haul__ride *ride)
{
    (void)pthread_mutex_lock(&channel->mutex);
    flight->ride = ride;
    if (ride) {
        ride->cancelled = flight->cancelled || channel->closing;
    }
    (void)pthread_mutex_unlock(&channel->mutex);
}

void haul__ride_ref(haul__ride *ride)
{
    atomic_fetch_add(&ride->refs, 1);
}

void haul__ride_cancel(haul__ride *ride)
{
    haul__trunk *trunk = ride->trunk;
    (void)pthread_mutex_lock(&trunk->mutex);
    ride->cancelled = true;
    bool polls = trunk->poller == ride;
    (void)pthread_mutex_unlock(&trunk->mutex);
    if (polls) {
        haul__trunk_wake_poller(trunk); /* whoever that is by now */
    }
    (void)pthread_cond_signal(&ride->changed);
    haul__ride_unref(ride);
}

static bool is_cancelled(haul__ride *ride)
{
    (void)pthread_mutex_lock(&ride->trunk->mutex);
    bool cancelled = ride->cancelled;
    (void)pthread_mutex_unlock(&ride->trunk->mutex);
    return cancelled;
}

/* Make the call by @ride. */
static outcome travel(haul__ride *ride, haul__attempt *attempt)
{
    const grpc_slice_buffer *request = &attempt->request->data.raw.slice_buffer;
    for (size_t i = 0; i < request->count; i++) {
        grpc_slice_buffer_add(&ride->request, grpc_slice_ref(request->slices[i]));
    }
    ride->method = attempt->method;
    ride->attempt = attempt;
    ride->letter.id = atomic_fetch_add(&ride->trunk->last_id, 1) + 1;
    ride->letter.body = &ride->request;
    look(ride);
    ride->letter.fields =
        haul__attempt_write_letter(ride->trunk->channel, attempt, ride->letter.id);
    if (set_off(ride)) {
        return ride_to_end(ride, attempt);
    }
    grpc_slice_unref(ride->letter.fields);
    if (is_cancelled(ride)) {
        haul__attempt_give_up(attempt, true);
        return ENDED;
    }
    return ride->unbegun ? UNBEGUN : NO_ROOM;
}

bool haul__trunk_carry(haul_channel *channel, haul__flight *flight, haul__attempt *attempt)
{
    if (channel->no_trunk || attempt->n_unbegun > UNBEGUN_MAX || !haul__attempt_is_short(attempt) ||
        haul__clock_ns() >= attempt->deadline_ns) {
        return false;
    }
    haul__trunk *trunk = haul__trunk_board(channel, flight, attempt);
    haul__ride *ride = trunk ? haul__ride_create(trunk) : NULL;
    outcome how = NO_ROOM;
    if (ride) {
        show(channel, flight, ride);
        how = travel(ride, attempt);
        show(channel, flight, NULL);
        haul__ride_unref(ride);
    }
    if (how == UNBEGUN) {
        attempt->unbegun = true;
        attempt->code = GRPC_STATUS_UNAVAILABLE;
    } else if (how == ENDED) {
        attempt->is_carried = true;
        haul__attempt_end(attempt);
    }
    haul__trunk_unref(trunk);
    return how != NO_ROOM;
}
