/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Cancellation tokens: a list of the calls that one trigger ends.
 *
 * The application owns a token, and every call that was begun with it has a share in it; whoever
 * lets go last frees it. A call is in the list from when it enters its channel until it leaves it,
 * or until the trigger has taken it out, whichever comes first. Both take the token's lock, so a
 * call that is found in the list is there; but the trigger must not call gRPC under the lock. It
 * has the call marked as cancelled, which goes for the attempts to come, too, takes a reference to
 * the attempt at hand, holds the channel open, and lets go of the lock first.
 *
 * Any thread may trigger. The token's lock comes before a channel's; no other order occurs. If the
 * process dies everything here dies with it.
 */

#include "transport/cancel.h"

#include <stdlib.h>

struct haul_cancel {
    pthread_mutex_t mutex; /* the following; never held across a call into gRPC */
    size_t n_refs;         /* the application's, and one of each call */
    haul__flight *flights; /* to be cancelled */
    bool triggered;
};

haul_status haul_cancel_create(haul_cancel **out_cancel)
{
    haul_cancel *cancel = calloc(1, sizeof(*cancel));
    if (!cancel || pthread_mutex_init(&cancel->mutex, NULL) != 0) {
        free(cancel);
        return HAUL_NOMEM;
    }
    cancel->n_refs = 1;
    *out_cancel = cancel;
    return HAUL_OK;
}

/* With the lock held, which it gives up. */
static void unref(haul_cancel *cancel)
{
    bool last = --cancel->n_refs == 0;
    (void)pthread_mutex_unlock(&cancel->mutex);
    if (last) {
        (void)pthread_mutex_destroy(&cancel->mutex);
        free(cancel);
    }
}

void haul_cancel_destroy(haul_cancel *cancel)
{
    if (cancel) {
        (void)pthread_mutex_lock(&cancel->mutex);
        unref(cancel);
    }
}

/* With the lock held. */
static void take_out(haul__flight *flight)
{
    if (flight->cancel_link) {
        *flight->cancel_link = flight->cancel_next;
        if (flight->cancel_next) {
            flight->cancel_next->cancel_link = flight->cancel_link;
        }
        flight->cancel_link = NULL;
    }
}

void haul__cancel_join(haul_cancel *cancel, haul__flight *flight)
{
    flight->cancel = cancel;
    (void)pthread_mutex_lock(&cancel->mutex);
    cancel->n_refs++;
    bool triggered = cancel->triggered;
    if (!triggered) {
        flight->cancel_next = cancel->flights;
        flight->cancel_link = &cancel->flights;
        if (flight->cancel_next) {
            flight->cancel_next->cancel_link = &flight->cancel_next;
        }
        cancel->flights = flight;
    }
    (void)pthread_mutex_unlock(&cancel->mutex);
    if (triggered) {
        (void)haul__flight_cancel(flight->channel, flight); /* no attempt has begun */
    }
}

void haul__cancel_leave(haul__flight *flight)
{
    if (flight->cancel) {
        (void)pthread_mutex_lock(&flight->cancel->mutex);
        take_out(flight);
        unref(flight->cancel);
    }
}

/* False: there is none left. */
static bool cancel_one(haul_cancel *cancel)
{
    haul_channel *channel = NULL;
    haul__grip grip = {0};
    (void)pthread_mutex_lock(&cancel->mutex);
    cancel->triggered = true;
    haul__flight *flight = cancel->flights;
    if (flight) {
        take_out(flight);
        channel = flight->channel;
        haul__channel_hold(channel);
        grip = haul__flight_cancel(channel, flight);
    }
    (void)pthread_mutex_unlock(&cancel->mutex);
    if (!channel) {
        return false;
    }
    haul__channel_wake(channel);
    haul__grip_cancel(grip);
    haul__channel_drop(channel);
    return true;
}

void haul_cancel_trigger(haul_cancel *cancel)
{
    while (cancel_one(cancel)) {
    }
}

bool haul_cancel_is_triggered(haul_cancel *cancel)
{
    (void)pthread_mutex_lock(&cancel->mutex);
    bool triggered = cancel->triggered;
    (void)pthread_mutex_unlock(&cancel->mutex);
    return triggered;
}
