/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_CQ_H
#define SHORTHAUL_TRANSPORT_CQ_H

#include <grpc/grpc.h>

/* Destroy a completion queue to pluck from, on which nothing is under way: its end comes at once. */
static inline void haul__queue_destroy(grpc_completion_queue *queue)
{
    grpc_completion_queue_shutdown(queue);
    (void)grpc_completion_queue_pluck(queue, NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_completion_queue_destroy(queue);
}

#endif
