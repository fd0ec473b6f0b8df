/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_DIRECT_H
#define SHORTHAUL_TRANSPORT_DIRECT_H

/* Short calls that go as letters on a data connection, past gRPC. */

#include "transport/channel.h"

/*
 * Make the call of @attempt on a data connection, and wait for its end. False: there is none for it, or
 * the server has not begun it; @attempt is as it was.
 */
bool haul__direct_carry(haul_channel *channel, haul__flight *flight, haul__attempt *attempt);

#endif
