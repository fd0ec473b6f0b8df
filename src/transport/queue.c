/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Calls that do not block: journeys whose steps are taken by whoever waits for replies.
 *
 * A call is a heap object from its start until its reply is fetched. It is in the queue's list, for
 * cancelling, and in its channel's, for closing; gRPC has its address as the tag of the one event
 * that ends an attempt. Only the thread that got the event touches the call until the next attempt
 * begins.
 *
 * gRPC's queue must stay open while a call may need another attempt, so it is shut down when the
 * last call is over. If the process dies everything here dies with it.
 */

#include <shorthaul/queue.h>

#include <stdatomic.h>
#include <stdlib.h>

#include "transport/deadline.h"
#include "transport/journey.h"

/* gRPC orders an attempt's beginning before its event, in whatever thread; @posted, stored with
 * release and loaded with acquire, says so where ThreadSanitizer sees it. */
typedef struct pending {
    struct pending *next;
    struct pending **link;
    void *tag;
    haul__journey journey;
    atomic_bool posted;
    bool cancelled; /* under the queue's mutex */
} pending;

struct haul_queue {
    grpc_completion_queue *cq;
    pthread_mutex_t mutex; /* the following; never held across a call into gRPC */
    pending *calls;
    bool closing;
    bool shut_down;
};

haul_status haul_queue_create(haul_queue **out_queue)
{
    haul_queue *queue = calloc(1, sizeof(*queue));
    if (!queue || pthread_mutex_init(&queue->mutex, NULL) != 0) {
        free(queue);
        return HAUL_NOMEM;
    }
    grpc_init();
    queue->cq = grpc_completion_queue_create_for_next(NULL);
    *out_queue = queue;
    return HAUL_OK;
}

static bool enter(haul_queue *queue, pending *p)
{
    (void)pthread_mutex_lock(&queue->mutex);
    bool open = !queue->closing;
    if (open) {
        p->next = queue->calls;
        p->link = &queue->calls;
        if (p->next) {
            p->next->link = &p->next;
        }
        queue->calls = p;
    }
    (void)pthread_mutex_unlock(&queue->mutex);
    return open;
}

/* With the lock held: whether it is time to shut gRPC's queue down. */
static bool is_last(haul_queue *queue)
{
    bool last = queue->closing && !queue->calls && !queue->shut_down;
    queue->shut_down |= last;
    return last;
}

static void leave(haul_queue *queue, pending *p)
{
    (void)pthread_mutex_lock(&queue->mutex);
    *p->link = p->next;
    if (p->next) {
        p->next->link = p->link;
    }
    bool last = is_last(queue);
    (void)pthread_mutex_unlock(&queue->mutex);
    if (last) {
        grpc_completion_queue_shutdown(queue->cq);
    }
}

/* Begin the attempt that is ready. False: gRPC would not have it, and no event will come. */
static bool begin(haul_queue *queue, pending *p)
{
    haul__journey *j = &p->journey;
    atomic_store_explicit(&p->posted, true, memory_order_release);
    return haul__attempt_begin(j->channel, &j->flight, &j->attempt, queue->cq, p);
}

/* The call is in the queue's list when it begins, so that it can be cancelled at once. */
static haul_status start(haul_queue *queue, pending *p)
{
    haul_status status = haul__journey_prepare(&p->journey);
    if (status == HAUL_OK) {
        status = p->journey.unsent;
    }
    if (status != HAUL_OK) {
        return status;
    }
    if (!enter(queue, p)) {
        return HAUL_INVALID;
    }
    if (!begin(queue, p)) {
        leave(queue, p);
        return HAUL_SYSTEM;
    }
    return HAUL_OK;
}

haul_status haul_channel_call_start(haul_channel *channel, haul_queue *queue,
                                    const ProtobufCServiceDescriptor *service,
                                    unsigned method_index, const ProtobufCMessage *request,
                                    const haul_call_opts *opts, void *tag)
{
    pending *p = calloc(1, sizeof(*p));
    if (!p) {
        return HAUL_NOMEM;
    }
    p->tag = tag;
    haul_status status =
        haul__journey_init(&p->journey, channel, service, method_index, request, opts);
    if (status == HAUL_OK) {
        status = start(queue, p);
        if (status != HAUL_OK) {
            haul__journey_fini(&p->journey);
        }
    }
    if (status != HAUL_OK) {
        free(p);
    }
    return status;
}

/* An attempt is over. True: so is the call, and @p is gone. */
static bool step(haul_queue *queue, pending *p, void **out_tag, haul_status *out_status,
                 haul_reply **out_reply)
{
    haul__journey *j = &p->journey;
    haul_status status;
    (void)atomic_load_explicit(&p->posted, memory_order_acquire);
    haul__attempt_close(j->channel, &j->flight, &j->attempt);
    if (haul__journey_again(j, &status) && begin(queue, p)) {
        return false;
    }
    *out_reply = NULL;
    if (status == HAUL_OK) {
        haul__journey_arrive(j);
        *out_reply = j->reply;
        j->reply = NULL;
    }
    *out_tag = p->tag;
    *out_status = status;
    leave(queue, p);
    haul__journey_fini(j);
    free(p);
    return true;
}

haul_status haul_queue_next(haul_queue *queue, int64_t timeout_ns, void **out_tag,
                            haul_status *out_status, haul_reply **out_reply)
{
    uint64_t until = timeout_ns < 0 ? HAUL__NEVER : haul__after_ns((uint64_t)timeout_ns);
    for (;;) {
        grpc_event event = grpc_completion_queue_next(queue->cq, haul__gpr_of_ns(until), NULL);
        if (event.type == GRPC_QUEUE_TIMEOUT) {
            return HAUL_TIMEOUT;
        }
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return HAUL_END;
        }
        if (event.tag == HAUL__SENT) {
            continue;
        }
        if (step(queue, event.tag, out_tag, out_status, out_reply)) {
            return HAUL_OK;
        }
    }
}

/* One by one, because gRPC must not be called under our lock. The call stays where it is meanwhile:
 * it is over only once its event has been fetched, and that takes the lock. */
static bool cancel_one(haul_queue *queue, const void *tag, bool any)
{
    (void)pthread_mutex_lock(&queue->mutex);
    pending *p = queue->calls;
    while (p && (p->cancelled || (!any && p->tag != tag))) {
        p = p->next;
    }
    haul__grip grip = {0};
    bool found = p != NULL;
    if (found) {
        p->cancelled = true;
        grip = haul__flight_cancel(p->journey.channel, &p->journey.flight);
    }
    (void)pthread_mutex_unlock(&queue->mutex);
    haul__grip_cancel(grip);
    return found;
}

void haul_queue_cancel(haul_queue *queue, const void *tag)
{
    while (cancel_one(queue, tag, false)) {
    }
}

void haul_queue_shutdown(haul_queue *queue)
{
    (void)pthread_mutex_lock(&queue->mutex);
    queue->closing = true;
    bool last = is_last(queue);
    (void)pthread_mutex_unlock(&queue->mutex);
    if (last) {
        grpc_completion_queue_shutdown(queue->cq);
    }
}

void haul_queue_destroy(haul_queue *queue)
{
    if (!queue) {
        return;
    }
    void *tag;
    haul_status status;
    haul_reply *reply;
    haul_queue_shutdown(queue);
    while (cancel_one(queue, NULL, true)) {
    }
    while (haul_queue_next(queue, -1, &tag, &status, &reply) == HAUL_OK) {
        haul_reply_free(reply);
    }
    grpc_completion_queue_destroy(queue->cq);
    grpc_shutdown();
    (void)pthread_mutex_destroy(&queue->mutex);
    free(queue);
}
