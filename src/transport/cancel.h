/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_CANCEL_H
#define SHORTHAUL_TRANSPORT_CANCEL_H

/* Cancellation tokens, as calls see them. */

#include "transport/channel.h"

/* Have @cancel end the call of @flight, which is in its channel's list; at once if it has been
 * triggered. Then haul__cancel_leave(), before the flight leaves its channel. */
void haul__cancel_join(haul_cancel *cancel, haul__flight *flight);

/* The call is over. Does nothing if it has no token. */
void haul__cancel_leave(haul__flight *flight);

#endif
