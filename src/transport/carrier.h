/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_CARRIER_H
#define SHORTHAUL_TRANSPORT_CARRIER_H

/* A client's trunk at the server, for the two files that make it up. */

#include "transport/server.h"

struct haul__carrier {
    haul__tag on_new;
    haul__tag on_received;
    haul__tag on_sent;
    haul__tag on_closed;
    haul__tag on_finished;
    haul__ready ready; /* to ask for the next message */
    haul_server *server;
    grpc_call *grpc;
    gpr_timespec deadline; /* which clients of ours do not set */
    grpc_metadata_array metadata;
    grpc_byte_buffer *incoming;
    int closed_early;
    atomic_uint refs;
    haul__carrier *next; /* of the server's, under its mutex */
    haul__carrier **link;
    bool told; /* that the server is stopping */

    pthread_mutex_t mutex; /* the following */
    haul__outbox outbox;
    uint8_t token[HAUL__DATA_TOKEN_BYTES]; /* of its data connections */
    bool has_token;
    haul_call *calls; /* that have not ended */
    size_t n_calls;
    bool greeted;     /* the first message has been written */
    bool half_closed; /* the client sends nothing more */
    bool stopping;    /* the server begins nothing more */
    bool closed;      /* nobody hears the answers */
    bool finished;
};

/* ---- server_trunk.c ---- */

/* If the client has said its last word, or the server its own, and everything is answered: end the
 * stream. */
void haul__carrier_finish_if_done(haul__carrier *carrier);

/* ---- server_carried.c ---- */

/* Begin and cancel the calls that a message asks for. False: the client does what it must not. */
bool haul__carrier_read(haul__carrier *carrier, grpc_slice frame);

/* The same for a message that has come on @conn and must ask for one call, which is served in this thread.
 * @out_answered: whether an answer comes, now or later. */
bool haul__carrier_read_direct(haul__carrier *carrier, grpc_slice frame, haul__data_conn *conn,
                               bool *out_answered);

#endif
