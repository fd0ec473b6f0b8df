/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Waiting for gRPC's events, asleep or awake.
 *
 * To fall asleep and be woken takes longer than what a short call is about (docs/adr/0016). A thread
 * that looks again and again meanwhile has a core to itself; so only who asks for it gets it, and
 * for a bounded time. Looking is gRPC's own polling with no time to wait in, so what else there is to
 * do on the connection is done.
 *
 * The queue is the caller's. If the process dies here nothing is left of it.
 */

#include "transport/event.h"

#include <stdbool.h>

#include "transport/deadline.h"

/* One queue, and what is waited for: NULL for anything. */
typedef struct wanted {
    grpc_completion_queue *queue;
    void *tag;
} wanted;

static grpc_event look_until(const wanted *w, gpr_timespec until)
{
    return w->tag ? grpc_completion_queue_pluck(w->queue, w->tag, until, NULL)
                  : grpc_completion_queue_next(w->queue, until, NULL);
}

static grpc_event wait_for(const wanted *w, uint64_t deadline_ns, uint64_t busy_ns)
{
    if (busy_ns > 0 && deadline_ns > 0) {
        uint64_t end_ns = haul__after_ns(busy_ns);
        end_ns = end_ns < deadline_ns ? end_ns : deadline_ns;
        do {
            grpc_event event = look_until(w, gpr_inf_past(GPR_CLOCK_MONOTONIC));
            if (event.type != GRPC_QUEUE_TIMEOUT) {
                return event;
            }
        } while (haul__clock_ns() < end_ns);
    }
    return look_until(w, haul__gpr_of_ns(deadline_ns));
}

grpc_event haul__event_next(grpc_completion_queue *queue, uint64_t deadline_ns, uint64_t busy_ns)
{
    const wanted w = {.queue = queue};
    return wait_for(&w, deadline_ns, busy_ns);
}

grpc_event haul__event_pluck(grpc_completion_queue *queue, void *tag, uint64_t deadline_ns,
                             uint64_t busy_ns)
{
    const wanted w = {.queue = queue, .tag = tag};
    return wait_for(&w, deadline_ns, busy_ns);
}
