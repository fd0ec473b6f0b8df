/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_OUTBOX_H
#define SHORTHAUL_TRANSPORT_OUTBOX_H

/*
 * What one side of a trunk has to send.
 *
 * gRPC takes one message of a stream at a time. Letters that come while one is being written gather
 * here and leave together in the next, so that the busier a trunk is, the less a letter costs. Those
 * with long messages leave in parts, and let the others have their turn in between.
 */

#include <pthread.h>

#include "transport/letter.h"

/* A letter that is to be sent: a part of something that lives until @over has been called. */
typedef struct haul__outgoing_letter {
    struct haul__outgoing_letter *next;
    uint64_t id;
    grpc_slice fields;       /* for grpc_slice_unref(); of the last part */
    grpc_slice_buffer *body; /* borrowed, and used up; NULL: the letter has no message */
    bool begun;              /* a part of it has been handed to gRPC */
    void (*over)(struct haul__outgoing_letter *letter, bool ok);
} haul__outgoing_letter;

/* Append what is left of @letter, or a part of it, to a message. True: that was the last one, and its
 * fields are gone. */
bool haul__outgoing_letter_part(haul__outgoing_letter *letter, grpc_slice_buffer *message);

typedef struct haul__outbox {
    grpc_call *call; /* borrowed, as are the next two */
    void *tag;       /* the event of a message that has been written */
    pthread_mutex_t *mutex;
    haul__outgoing_letter *first; /* the following under the mutex */
    haul__outgoing_letter *last;
    haul__outgoing_letter *leaving; /* whose last part is in the message under way */
    bool sending;
    bool closed;
} haul__outbox;

/* @sending: a message with @tag is under way already. */
void haul__outbox_init(haul__outbox *outbox, grpc_call *call, void *tag, pthread_mutex_t *mutex,
                       bool sending);

/*
 * Send @letter, now or with what is under way. Calls letter->over once: when gRPC has written it, or
 * will not, which may be before this returns. Without the mutex; any thread.
 */
void haul__outbox_post(haul__outbox *outbox, haul__outgoing_letter *letter);

/* The event with @tag has come. Without the mutex; calls @over of those that have left. */
void haul__outbox_sent(haul__outbox *outbox, bool ok);

/* Nothing more can be sent: it is over with what waits. What is under way ends with its event. */
void haul__outbox_close(haul__outbox *outbox);

/* With the mutex: whether everything has left. */
bool haul__outbox_is_empty(const haul__outbox *outbox);

/* With the mutex: take @letter back unless a part of it has left. Its @over is not called then. */
bool haul__outbox_withdraw(haul__outbox *outbox, haul__outgoing_letter *letter);

#endif
