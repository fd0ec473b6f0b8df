/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_STREAM_H
#define SHORTHAUL_TRANSPORT_STREAM_H

/* What the files of the client's streams share. */

#include "transport/channel.h"
#include "transport/sending.h"

struct haul_stream {
    /* Constant once open. */
    haul_channel *channel;
    haul__flight flight;
    grpc_call *grpc;
    grpc_completion_queue *queue;

    haul__attempt attempt; /* gRPC writes into it until @on_begun and @on_status */
    haul__metadata_list metadata;
    haul_reply *reply;
    bool opened;          /* @on_opened will come */
    bool begun;           /* @on_begun will come */
    haul__mark on_opened; /* initial metadata, to the server */
    haul__mark on_begun;  /* and from it */
    haul__mark on_status; /* the end */

    /* The sending thread's. */
    haul__sending sending;
    haul__mark on_sent;
    bool send_closed;
    bool send_stuck; /* the stream is over, and @on_sent is still to come */

    /* The receiving thread's, but for what @mutex guards. */
    haul__mark on_received;
    grpc_byte_buffer *incoming;
    grpc_status_code spoiled; /* OK, or what the stream ends with instead of the server's status */
    const char *spoiled_text;

    pthread_mutex_t mutex; /* the following */
    bool receiving;        /* gRPC has been asked for a message, and the answer not been taken */
    bool all_received;     /* nothing more is to be asked for; written by the receiving thread */
    bool over;             /* @on_status has come */
};

/* ---- stream_move.c ---- */

/* Ask gRPC for the next message, unless it has been asked. False: it will not say. */
bool haul__stream_ask(haul_stream *stream);

/* Whether the stream is known to be over; looks, and does not wait. */
bool haul__stream_is_over(void *stream);

#endif
