/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_SIDECAR_LOOP_H
#define SHORTHAUL_SIDECAR_LOOP_H

#include "sidecar/pools.h"

/* What the main thread waits for. */
typedef struct loop {
    int signal_fd;
    int timer_fd;
    int epoll_fd;
} loop;

/*
 * Keep SIGTERM, SIGINT and SIGHUP for loop_run(), in this thread and those that it starts from now
 * on, and ignore SIGPIPE. To be called before there are other threads.
 *
 * Ownership: @l is the caller's, until loop_fini(), also on failure.
 * Failures:  HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status loop_init(loop *l, uint64_t sweep_ns, haul_error *err);

/*
 * Reap on each sweep, until a signal says to end.
 *
 * @out_signal: which one.
 *
 * Failures: HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status loop_run(loop *l, kept_pools *pools, int *out_signal, haul_error *err);

void loop_fini(loop *l);

#endif
