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

/* A server that has no trunk is asked again after this. */
#define ABSENT_NS UINT64_C(60000000000)

/* And one that has not said that it has one after this is taken for one that has not. */
#define OPENING_NS UINT64_C(1000000000)

/* How long a call waits for gRPC to be done with a trunk that has ended, before it does without. */
#define ENDING_NS UINT64_C(1000000)

/* And for what it leaves behind to be sent, which only a server that does not read holds up. */
#define NOTES_NS UINT64_C(100000000)

/* So often a call that was not begun is made again on a trunk, and then without one. A server that
 * stops has told the connection before it ends a trunk; so a second one is asked for elsewhere. */
#define UNBEGUN_MAX 1

/* Metadata of more bytes is left to gRPC, which knows what the server takes. */
#define METADATA_BYTES_MAX 4096

/* ---- The channel's trunk ------------------------------------------------------------------- */

/* Whether gRPC owes no event any more that letters or calls wait for. */
static bool is_over(haul__trunk *trunk)
{
    (void)pthread_mutex_lock(&trunk->mutex);
    bool over = trunk->ended && haul__outbox_is_empty(&trunk->outbox);
    (void)pthread_mutex_unlock(&trunk->mutex);
    return over;
}

/* See the stream to its end, and let go of it. Nobody rides on it, or will. False: gRPC is not done
 * with it in time, which a server that does not read can bring about. */
static bool end_trunk(haul__trunk *trunk, uint64_t until)
{
    (void)grpc_call_cancel(trunk->call, NULL);
    while (!is_over(trunk)) {
        if (!haul__trunk_poll(trunk, until)) {
            return false;
        }
    }
    haul__trunk_unref(trunk);
    return true;
}

/* Whether the server has no trunk, rather than being out of reach: of one that was asked until
 * @asked_until. */
static bool is_absent(haul__trunk *trunk, uint64_t asked_until)
{
    if (trunk->opened) {
        return false;
    }
    if (!trunk->ended) {
        if (haul__clock_ns() < asked_until) {
            return false; /* the call's deadline came first */
        }
        grpc_channel *channel = trunk->channel->grpc;
        return grpc_channel_check_connectivity_state(channel, 0) == GRPC_CHANNEL_READY;
    }
    return trunk->code != GRPC_STATUS_UNAVAILABLE && trunk->code != GRPC_STATUS_DEADLINE_EXCEEDED &&
           trunk->code != GRPC_STATUS_CANCELLED;
}

/* Begin a trunk and wait until it is open, at most so long and within the attempt's time. */
static haul__trunk *begin_trunk(haul_channel *channel, haul__flight *flight,
                                const haul__attempt *attempt, uint64_t until)
{
    haul__trunk *trunk = haul__trunk_begin(channel, attempt->wait_for_ready);
    if (!trunk) {
        return NULL;
    }
    until = until < attempt->deadline_ns ? until : attempt->deadline_ns;
    haul__flight_show(channel, flight, trunk->call);
    while (!trunk->opened && !trunk->ended && haul__trunk_poll(trunk, until)) {
    }
    (void)haul__flight_hide(channel, flight);
    if (!trunk->opened || haul__flight_is_cancelled(channel, flight)) {
        haul__trunk_retire(trunk); /* a cancellation may have hit the stream */
    }
    return trunk;
}

/* Replace @old, which is spent or NULL, by a new one; with a reference, NULL if that is of no use. */
static haul__trunk *renew(haul_channel *channel, haul__flight *flight, const haul__attempt *attempt,
                          haul__trunk *old)
{
    uint64_t retry_ns = 0;
    uint64_t until = haul__after_ns(OPENING_NS);
    haul__trunk *trunk = old;
    if (!old || end_trunk(old, haul__after_ns(ENDING_NS))) {
        trunk = begin_trunk(channel, flight, attempt, until);
    }
    bool usable = trunk && !atomic_load(&trunk->spent);
    if (trunk && !usable) {
        retry_ns = is_absent(trunk, until) ? haul__after_ns(ABSENT_NS) : 0;
        if (end_trunk(trunk, haul__after_ns(ENDING_NS))) {
            trunk = NULL;
        }
    }
    (void)pthread_mutex_lock(&channel->mutex);
    channel->trunk_opening = false;
    channel->trunk_retry_ns = retry_ns;
    channel->trunk = trunk;
    if (usable) {
        atomic_fetch_add(&trunk->refs, 1);
    }
    (void)pthread_mutex_unlock(&channel->mutex);
    return usable ? trunk : NULL;
}

/* The channel's trunk with a reference, opened if need be; NULL: there is none now. One thread at a
 * time sees to it, and the others do without. */
static haul__trunk *board(haul_channel *channel, haul__flight *flight, const haul__attempt *attempt)
{
    (void)pthread_mutex_lock(&channel->mutex);
    haul__trunk *trunk = channel->trunk;
    bool fit = trunk && !atomic_load(&trunk->spent);
    bool renews = !fit && !channel->trunk_opening && !channel->closing && !flight->cancelled &&
                  haul__clock_ns() >= channel->trunk_retry_ns;
    if (fit) {
        atomic_fetch_add(&trunk->refs, 1);
    } else if (renews) {
        channel->trunk = NULL;
        channel->trunk_opening = true;
    }
    (void)pthread_mutex_unlock(&channel->mutex);
    if (fit) {
        return trunk;
    }
    return renews ? renew(channel, flight, attempt, trunk) : NULL;
}

bool haul__trunk_close(haul_channel *channel, uint64_t until)
{
    if (channel->trunk && !end_trunk(channel->trunk, until)) {
        return false;
    }
    channel->trunk = NULL;
    return true;
}

/* ---- A call -------------------------------------------------------------------------------- */

/* The call's letter, but for its message. */
static grpc_slice write_letter(haul_channel *channel, haul__attempt *attempt, uint64_t id)
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
    while (haul__trunk_poll(trunk, 0)) {
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
    trunk->poller = ride;
    (void)pthread_mutex_unlock(&trunk->mutex);
    bool in_time = haul__trunk_poll(trunk, deadline_ns);
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

static void fill_given_up(haul__attempt *attempt, bool cancelled)
{
    attempt->code = cancelled ? GRPC_STATUS_CANCELLED : GRPC_STATUS_DEADLINE_EXCEEDED;
    attempt->details =
        grpc_slice_from_static_string(cancelled ? "the call was cancelled" : "Deadline Exceeded");
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
        fill_given_up(attempt, cancelled);
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

/* Whether the trunk is the way for such a call. */
static bool is_short(const haul__attempt *attempt)
{
    const haul__metadata_list *list = attempt->metadata;
    return grpc_byte_buffer_length(attempt->request) <= HAUL__LETTER_MAX &&
           (!list || haul__metadata_bytes(list->items, list->n) <= METADATA_BYTES_MAX);
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
    ride->letter.fields = write_letter(ride->trunk->channel, attempt, ride->letter.id);
    if (set_off(ride)) {
        return ride_to_end(ride, attempt);
    }
    grpc_slice_unref(ride->letter.fields);
    if (is_cancelled(ride)) {
        fill_given_up(attempt, true);
        return ENDED;
    }
    return ride->unbegun ? UNBEGUN : NO_ROOM;
}

bool haul__trunk_carry(haul_channel *channel, haul__flight *flight, haul__attempt *attempt)
{
    if (channel->no_trunk || attempt->n_unbegun > UNBEGUN_MAX || !is_short(attempt)) {
        return false;
    }
    haul__trunk *trunk = board(channel, flight, attempt);
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
