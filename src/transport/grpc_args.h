/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_GRPC_ARGS_H
#define SHORTHAUL_TRANSPORT_GRPC_ARGS_H

/* gRPC's servers and channels, set up as their options say. */

#include <grpc/grpc.h>

#include <shorthaul/transport.h>

#include "transport/connections.h"

/* A channel to @address. Borrows @credentials for the time of the call. */
grpc_channel *haul__grpc_channel_create(const char *address, const haul_channel_opts *opts,
                                        grpc_channel_credentials *credentials,
                                        haul__connections *connections);

grpc_server *haul__grpc_server_create(const haul_server_opts *opts);

/* What options say: bytes of metadata at most, streams of a connection at most, and whether bounds on
 * messages and metadata leave room for a trunk. */
size_t haul__metadata_bound(size_t bytes);
uint32_t haul__stream_bound(uint32_t asked);
bool haul__trunk_fits(size_t max_message_bytes, size_t max_metadata_bytes);

#endif
