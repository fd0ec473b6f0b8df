/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_CHANNEL_DATA_H
#define SHORTHAUL_TRANSPORT_CHANNEL_DATA_H

/* The client's half of data connections: large payloads beside gRPC. */

#include "transport/channel.h"

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

/* @claimed: whether the server is known to have claimed all that was sent. NULL is allowed. */
void haul__data_give_back(haul_channel *channel, haul__data_link *link, bool claimed);

/* What is known is of another server, or of one that is gone. */
void haul__data_distrust(haul_channel *channel);

/* No call is left. */
void haul__data_close(haul_channel *channel);

#endif
