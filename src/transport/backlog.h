/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_BACKLOG_H
#define SHORTHAUL_TRANSPORT_BACKLOG_H

/* What a channel has sent to a server that may not be reading. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <grpc/grpc.h>

#include <shorthaul/status.h>

typedef struct haul__parked haul__parked;

typedef struct haul__backlog {
    _Atomic uint64_t in_flight; /* bytes of calls under way */
    _Atomic uint64_t unheard; /* bytes of calls that are over, since the server has last answered */
    _Atomic size_t n_parked;
    pthread_mutex_t mutex; /* the following; never held across a call into gRPC */
    haul__parked *first;
    haul__parked *last;
} haul__backlog;

/* Failures: HAUL_NOMEM. */
HAUL_MUST_CHECK haul_status haul__backlog_init(haul__backlog *backlog);

/* A call of @bytes begins. True: they may not fit into the connection, so that the end of the call
 * must not be tied to their being written. */
bool haul__backlog_enter(haul__backlog *backlog, uint64_t bytes);

/* It is over. @heard: with an answer of the server's. */
void haul__backlog_leave(haul__backlog *backlog, uint64_t bytes, bool heard);

/* The server has said something outside of these calls. */
void haul__backlog_heard(haul__backlog *backlog);

/* Whether calls are over of which the server may not have read all. */
bool haul__backlog_is_unheard(haul__backlog *backlog);

/*
 * A queue for another use if the operations @tag and @other are over on it, of which either may be
 * NULL; else NULL, and it is put aside until they are.
 * Ownership: takes @queue, and hands it back or not.
 * Blocking:  without memory, until they are over.
 */
grpc_completion_queue *haul__backlog_settle(haul__backlog *backlog, grpc_completion_queue *queue,
                                            void *tag, void *other);

/* A queue that was put aside and has nothing under way any more, or NULL. */
grpc_completion_queue *haul__backlog_take(haul__backlog *backlog);

/* Wait for what was put aside, and destroy the queues. False: @until_ns has come first. */
bool haul__backlog_clear(haul__backlog *backlog, uint64_t until_ns);

/* It is clear. */
void haul__backlog_fini(haul__backlog *backlog);

#endif
