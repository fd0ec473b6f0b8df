/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_JOURNEY_H
#define SHORTHAUL_TRANSPORT_JOURNEY_H

/* A unary call from the client's request to its reply, without the waiting in between. */

#include "transport/channel.h"
#include "transport/loan.h"
#include "transport/outgoing.h"

typedef struct haul__journey {
    haul_channel *channel;
    haul_call_opts opts;
    const haul__client_method *method;
    haul__flight flight;
    uint64_t deadline_ns;
    haul__metadata_list metadata;
    haul__loan loan; /* of the attempt at hand; its metadata is the last of the list */
    haul__outgoing request;
    haul__attempt attempt; /* the one at hand */
    haul_reply *reply;
    haul_status unsent; /* OK: ready to begin; else why the request cannot be sent, which the
                         * attempt's code says, too */
} haul__journey;

/*
 * Check the request and enter the channel. @journey must stay where it is.
 *
 * Ownership: haul__journey_fini(), on HAUL_OK only.
 * Failures:  HAUL_INVALID, HAUL_NOMEM and what the request's payloads bring
 */
HAUL_MUST_CHECK haul_status haul__journey_init(haul__journey *journey, haul_channel *channel,
                                               const ProtobufCServiceDescriptor *service,
                                               unsigned method_index,
                                               const ProtobufCMessage *request,
                                               const haul_call_opts *opts);

/* Decide on the path, which may take a probe, and make the first attempt ready to begin. On failure
 * nothing has been sent. */
HAUL_MUST_CHECK haul_status haul__journey_prepare(haul__journey *journey);

/* The attempt is over. True: it must be made again, inline or to another server, and is ready to
 * begin once more. */
bool haul__journey_again(haul__journey *journey, haul_status *out_status);

/* The last attempt is over: make the reply of it. */
void haul__journey_arrive(haul__journey *journey);

/* Leave the channel; frees the reply unless it has been taken. */
void haul__journey_fini(haul__journey *journey);

#endif
