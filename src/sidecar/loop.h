/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_SIDECAR_LOOP_H
#define SHORTHAUL_SIDECAR_LOOP_H

#include "sidecar/pools.h"

/* What the main thread waits for. */
typedef struct loop {
    int signal_fd;
    int sweep_fd;
    int look_fd;      /* a timer: the next look at pools where somebody may have died */
    uint64_t look_ns; /* what it was set to last; 0: no look is due */
    int epoll_fd;
} loop;

#define LOOP_CLOSED                                                                                \
    {                                                                                              \
        .signal_fd = -1, .sweep_fd = -1, .look_fd = -1, .epoll_fd = -1                             \
    }

/*
 * Keep SIGTERM, SIGINT and SIGHUP for loop_run(), in this thread and those that it starts from now
 * on, and ignore SIGPIPE. To be called before there are other threads.
 *
 * Ownership: @l is the caller's, until loop_fini(), also on failure.
 * Failures:  HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status loop_init(loop *l, uint64_t sweep_ns, haul_error *err);

/*
 * Reap when somebody may have died, and on each sweep, until a signal says to end.
 *
 * @out_signal: which one.
 *
 * Failures: HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status loop_run(loop *l, kept_pools *pools, int *out_signal, haul_error *err);

void loop_fini(loop *l);

#endif
