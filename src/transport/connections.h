/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_CONNECTIONS_H
#define SHORTHAUL_TRANSPORT_CONNECTIONS_H

/* Which of the process' sockets are a channel's. */

#include <stdbool.h>

#include <grpc/grpc.h>

typedef struct haul__connections haul__connections;

/* For haul__connections_unref(). NULL where they cannot be known, or without memory. */
haul__connections *haul__connections_create(void);

/* NULL is allowed. */
void haul__connections_unref(haul__connections *connections);

/* The argument by which gRPC tells of them. */
grpc_arg haul__connections_arg(haul__connections *connections);

/* Shut down those that there are. NULL is allowed: none is known. */
void haul__connections_cut(haul__connections *connections);

#endif
