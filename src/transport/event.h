/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_EVENT_H
#define SHORTHAUL_TRANSPORT_EVENT_H

/* Waiting for gRPC's events, asleep or awake. */

#include <stdint.h>

#include <grpc/grpc.h>

/* What busy_poll_ns may be at most: beyond that a thread that sleeps costs nothing in comparison. */
#define HAUL__BUSY_MAX_NS UINT64_C(1000000)

/*
 * The next event of a queue, or that of @tag, looking for it for @busy_ns before sleeping until
 * @deadline_ns (HAUL__NEVER: without end; 0: look once). .type is GRPC_QUEUE_TIMEOUT if it has not
 * come by then.
 */
grpc_event haul__event_next(grpc_completion_queue *queue, uint64_t deadline_ns, uint64_t busy_ns);
grpc_event haul__event_pluck(grpc_completion_queue *queue, void *tag, uint64_t deadline_ns,
                             uint64_t busy_ns);

#endif
