/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_CHANNEL_DATA_H
#define SHORTHAUL_TRANSPORT_CHANNEL_DATA_H

/* The client's half of data connections: large payloads beside gRPC. */

#include "transport/channel.h"
#include "transport/data_frame.h"

/* Payloads of fewer bytes are left to gRPC: what a transfer takes beside the bytes is then too much of
 * it (docs/adr/0018). */
#define HAUL__TRANSFER_MIN ((size_t)256 << 10)

/*
 * Send the @n bytes at @data to the server, so that the call of @flight can name them.
 *
 * @link: the call's connection; if it is NULL one is taken, opened if need be.
 * Ownership: *@link is the caller's, haul__data_give_back(). NULL after a failure.
 * Blocking:  until the server has them; until the deadline or the flight's cancellation; and no longer
 *            than a server takes that has stopped reading to be given up.
 *
 * False: not this way, now; earlier transfers on that connection are lost.
 */
bool haul__data_upload(haul_channel *channel, haul__flight *flight, uint64_t deadline_ns,
                       haul__data_link **link, const void *data, size_t n, uint64_t *out_id);

/* One connection. Its user's but for the references, or the channel's. */
struct haul__data_link {
    haul__data_link *next; /* of the idle ones */
    atomic_uint refs;      /* the user's or the channel's, and of whoever is about to cut it */
    uint64_t epoch;
    bool letters; /* calls may be made on it */
    haul__data_reader reader;
};

/* A thread's dealings with a server. */
typedef struct haul__data_dealing {
    haul_channel *channel;
    haul__flight *flight;
    bool letters; /* to make a call */
    uint64_t deadline_ns;
    uint64_t moved_ns;
    bool stalled;
} haul__data_dealing;

/* A connection that nobody else uses, opened if need be; NULL: there is none now. */
haul__data_link *haul__data_take(haul__data_dealing *dealing);

/* A haul__data_patience: until the deadline, the cancellation, or when the server has stopped reading. */
bool haul__data_while_wanted(void *dealing, bool moved);

/* @claimed: whether the server is known to have claimed all that was sent. NULL is allowed. */
void haul__data_give_back(haul_channel *channel, haul__data_link *link, bool claimed);

/* What is known is of another server, or of one that is gone. */
void haul__data_distrust(haul_channel *channel);

/* With the channel's lock held, of a flight's connection: so that it can be cut after the lock. */
void haul__data_link_ref(haul__data_link *link);

/* Whoever is using it finds it closed. Takes the reference. Any thread, without locks. */
void haul__data_link_cut(haul__data_link *link);

/* No call is left. */
void haul__data_close(haul_channel *channel);

#endif
