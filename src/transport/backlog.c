/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Calls to a server that does not read.
 *
 * gRPC says that an operation which sends is over only when the connection's write that is under
 * way is: also if the call was cancelled or has run out of time, and also if the write is another
 * call's. A server that is frozen in the middle of reading would so keep calls from ending at their
 * deadlines. As long as what a channel has sent and not been answered fits into a socket's buffer,
 * no write can be stuck, and one batch of operations, one event, is enough for a call. Beyond that
 * what sends is a batch of its own, for which the call does not wait. If it is not over by then,
 * the completion queue it was begun on is put aside until it is.
 *
 * A channel owns one; any thread. The counts need not be exact: they are relaxed. If the process
 * dies everything here dies with it.
 */

#include "transport/backlog.h"

#include <stdlib.h>

#include "transport/cq.h"
#include "transport/deadline.h"

/* The kernel counts what it needs for each small piece, several times its bytes, against some 200 KiB;
 * and each call takes frames and metadata beside its message. */
#define FITS_BYTES UINT64_C(32768)
#define CALL_BYTES UINT64_C(512)

struct haul__parked {
    haul__parked *next;
    grpc_completion_queue *queue;
    void *tags[2]; /* of operations that are not known to be over; NULL: known, or none */
};

haul_status haul__backlog_init(haul__backlog *b)
{
    return pthread_mutex_init(&b->mutex, NULL) == 0 ? HAUL_OK : HAUL_NOMEM;
}

void haul__backlog_fini(haul__backlog *b)
{
    (void)pthread_mutex_destroy(&b->mutex);
}

bool haul__backlog_enter(haul__backlog *b, uint64_t bytes)
{
    bytes += CALL_BYTES;
    uint64_t before = atomic_fetch_add_explicit(&b->in_flight, bytes, memory_order_relaxed);
    uint64_t unheard = atomic_load_explicit(&b->unheard, memory_order_relaxed);
    return before + unheard + bytes > FITS_BYTES;
}

void haul__backlog_leave(haul__backlog *b, uint64_t bytes, bool heard)
{
    bytes += CALL_BYTES;
    (void)atomic_fetch_sub_explicit(&b->in_flight, bytes, memory_order_relaxed);
    if (!heard) {
        (void)atomic_fetch_add_explicit(&b->unheard, bytes, memory_order_relaxed);
    } else {
        haul__backlog_heard(b);
    }
}

bool haul__backlog_is_unheard(haul__backlog *b)
{
    return atomic_load_explicit(&b->unheard, memory_order_relaxed) != 0;
}

void haul__backlog_heard(haul__backlog *b)
{
    if (haul__backlog_is_unheard(b)) {
        atomic_store_explicit(&b->unheard, 0, memory_order_relaxed);
    }
}

/* ---- Queues that were put aside ------------------------------------------------------------ */

/* Whether what is under way on a queue is over by @until_ns. */
static bool is_over(haul__parked *p, uint64_t until_ns)
{
    for (unsigned i = 0; i < 2; i++) {
        if (p->tags[i] &&
            grpc_completion_queue_pluck(p->queue, p->tags[i], haul__gpr_of_ns(until_ns), NULL)
                    .type != GRPC_OP_COMPLETE) {
            return false;
        }
        p->tags[i] = NULL;
    }
    return true;
}

static void append(haul__backlog *b, haul__parked *p)
{
    p->next = NULL;
    (void)pthread_mutex_lock(&b->mutex);
    if (b->first) {
        b->last->next = p;
    } else {
        b->first = p;
    }
    b->last = p;
    (void)pthread_mutex_unlock(&b->mutex);
    (void)atomic_fetch_add_explicit(&b->n_parked, 1, memory_order_relaxed);
}

static haul__parked *remove_first(haul__backlog *b)
{
    (void)pthread_mutex_lock(&b->mutex);
    haul__parked *p = b->first;
    if (p) {
        b->first = p->next;
    }
    (void)pthread_mutex_unlock(&b->mutex);
    if (p) {
        (void)atomic_fetch_sub_explicit(&b->n_parked, 1, memory_order_relaxed);
    }
    return p;
}

grpc_completion_queue *haul__backlog_settle(haul__backlog *b, grpc_completion_queue *queue,
                                            void *tag, void *other)
{
    haul__parked now = {.queue = queue, .tags = {tag, other}};
    if (is_over(&now, 0)) {
        return queue;
    }
    haul__parked *p = malloc(sizeof(*p));
    if (!p) {
        (void)is_over(&now, HAUL__NEVER);
        return queue;
    }
    *p = now;
    append(b, p);
    return NULL;
}

grpc_completion_queue *haul__backlog_take(haul__backlog *b)
{
    if (atomic_load_explicit(&b->n_parked, memory_order_relaxed) == 0) {
        return NULL;
    }
    haul__parked *p = remove_first(b);
    if (p && !is_over(p, 0)) {
        append(b, p);
        p = NULL;
    }
    grpc_completion_queue *queue = p ? p->queue : NULL;
    free(p);
    return queue;
}

bool haul__backlog_clear(haul__backlog *b, uint64_t until_ns)
{
    haul__parked *p;
    while ((p = remove_first(b)) != NULL) {
        if (!is_over(p, until_ns)) {
            append(b, p);
            return false;
        }
        haul__queue_destroy(p->queue);
        free(p);
    }
    return true;
}
