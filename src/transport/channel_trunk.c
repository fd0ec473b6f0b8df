/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The trunk of a channel: when there is one, and when there is another.
 *
 * The first call that could use it asks the server, in its own thread and within its own deadline;
 * one thread at a time sees to that, and the others do without. A trunk that takes no more calls
 * stays where it is until nobody uses it, and is then seen to its end by the next caller, or by
 * haul_channel_close(). What it is besides is trunk.c's part.
 */

#include "transport/trunk.h"

#include "transport/deadline.h"
#include "transport/trunk_parts.h"

/* A server that has no trunk is asked again after this. */
#define ABSENT_NS UINT64_C(60000000000)

/* And one that has not said that it has one after this is taken for one that has not. */
#define OPENING_NS UINT64_C(1000000000)

/* How long a call waits for gRPC to be done with a trunk that has ended, before it does without. */
#define ENDING_NS UINT64_C(1000000)

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
        if (!haul__trunk_poll(trunk, until, 0)) {
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
    haul__flight_show(channel, flight, trunk->call, HAUL__NEVER);
    while (!trunk->opened && !trunk->ended && haul__trunk_poll(trunk, until, 0)) {
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
haul__trunk *haul__trunk_board(haul_channel *channel, haul__flight *flight,
                               const haul__attempt *attempt)
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
