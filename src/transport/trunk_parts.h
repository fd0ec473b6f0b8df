/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_TRUNK_PARTS_H
#define SHORTHAUL_TRANSPORT_TRUNK_PARTS_H

/* What the files of the client's half of a trunk share. */

#include <grpc/slice_buffer.h>

#include "transport/answer.h"
#include "transport/channel.h"
#include "transport/outbox.h"

/* A call while it is on the trunk. */
typedef struct haul__ride {
    haul__outgoing_letter letter; /* the first member: a block is given back as one */
    haul__trunk *trunk;
    const haul__client_method *method;
    atomic_uint refs;
    pthread_cond_t changed;
    grpc_slice_buffer request; /* what is left of it to send */

    /* Under the trunk's mutex. */
    struct haul__ride *next;
    struct haul__ride **link;
    struct haul__ride *next_after; /* of those that something is to be done with */
    haul__attempt *attempt;        /* NULL: nobody waits any more */
    haul__incoming_answer answer;
    bool done;
    bool unbegun;
    bool cancelled; /* its owner is to give up */
} haul__ride;

struct haul__trunk {
    haul_channel *channel;
    grpc_completion_queue *queue;
    grpc_call *call;
    atomic_uint refs; /* the channel's, and one for each ride */
    _Atomic uint64_t last_id;

    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_status_code code;
    grpc_slice details;
    grpc_byte_buffer *incoming; /* gRPC's, while a message is being received */
    bool receiving;             /* the poller's */
    int on_received;            /* addresses of these are tags */
    int on_sent;
    int on_ended;
    int on_woken;

    pthread_mutex_t mutex; /* the following */
    haul__outbox outbox;
    haul__ride *rides;
    uint64_t n_rides;
    uint64_t n_live; /* of them whose owners wait */
    uint64_t n_rides_max;
    uint64_t heard_ns;        /* when something last came */
    const haul__ride *poller; /* whose owner polls; NULL: nobody */
    bool retiring;            /* takes no more calls */
    atomic_bool spent;        /* and nobody polls or waits on it; written with the lock */
    bool opened;              /* the server has said its first word */
    bool ended;
};

/* ---- trunk.c ---- */

/*
 * Begin a stream to the server. What comes of it is an event with on_received or on_ended.
 *
 * Ownership: one reference.   NULL: no memory, or gRPC would not have it.
 */
haul__trunk *haul__trunk_begin(haul_channel *channel, bool wait_for_ready);
void haul__trunk_unref(haul__trunk *trunk);

/* Have it take no more calls. */
void haul__trunk_retire(haul__trunk *trunk);

/* Keep it from being ended for a call that is made beside it. False: it takes no more calls. */
bool haul__trunk_hold(haul__trunk *trunk);
void haul__trunk_let_go(haul__trunk *trunk);

/* With the lock held: enter it into the list, which takes another reference. */
void haul__ride_enter(haul__ride *ride);

/* With the lock held: out of the list; its reference becomes the caller's. */
void haul__ride_leave(haul__ride *ride);

/* With the lock held: nobody polls any more. */
void haul__trunk_unpoll(haul__trunk *trunk);

/* With the lock held: its owner no longer waits; it stays in the list. */
void haul__ride_abandon(haul__ride *ride);

/* Wait for one event, without the lock, and see to what it brings. Only one thread at a time: the
 * one that has made itself, or nobody else, trunk->poller. It looks for @busy_ns before it sleeps.
 * False: the deadline has passed. */
bool haul__trunk_poll(haul__trunk *trunk, uint64_t deadline_ns, uint64_t busy_ns);

/* Have the poller look up from gRPC's queue. */
void haul__trunk_wake_poller(haul__trunk *trunk);

/* ---- ride.c ---- */

/* A ride with the caller's reference, in no list yet; NULL without memory. */
haul__ride *haul__ride_create(haul__trunk *trunk);
void haul__ride_unref(haul__ride *ride);

/* ---- channel_trunk.c ---- */

/* The channel's trunk with a reference, opened if need be; NULL: there is none now. One thread at a
 * time sees to it, and the others do without. */
haul__trunk *haul__trunk_board(haul_channel *channel, haul__flight *flight,
                               const haul__attempt *attempt);

#endif
