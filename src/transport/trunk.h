/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_TRUNK_H
#define SHORTHAUL_TRANSPORT_TRUNK_H

/* The client's half of a trunk: blocking unary calls over one stream. */

#include "transport/channel.h"

/*
 * Make the call of @attempt over the channel's trunk, which is opened if it can be, and wait for its
 * end, which may be that it has not been begun. False: there is no trunk, or the call is not for it;
 * @attempt is as it was.
 */
bool haul__trunk_carry(haul_channel *channel, haul__flight *flight, haul__attempt *attempt);

/* With the channel's lock held, of a flight's ride: so that it can be cancelled after the lock. */
void haul__ride_ref(struct haul__ride *ride);

/* The call is not wanted any longer. Takes the reference. Any thread, without locks. */
void haul__ride_cancel(struct haul__ride *ride);

/* The channel is being closed, and no call is left: let its trunk go. False: gRPC is not done with it
 * in time. */
bool haul__trunk_close(haul_channel *channel, uint64_t until);

#endif
