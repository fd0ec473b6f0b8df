/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_DEADLINE_H
#define SHORTHAUL_TRANSPORT_DEADLINE_H

/* Points in time: CLOCK_MONOTONIC nanoseconds here, gpr_timespec there. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <grpc/support/time.h>

#define HAUL__NEVER UINT64_MAX

uint64_t haul__clock_ns(void);

/* @ns from now, saturating at HAUL__NEVER. */
uint64_t haul__after_ns(uint64_t ns);

gpr_timespec haul__gpr_of_ns(uint64_t deadline_ns);
uint64_t haul__ns_of_gpr(gpr_timespec deadline);

/* A condition variable that counts CLOCK_MONOTONIC; false without memory. */
bool haul__cond_init(pthread_cond_t *cond);

/* Wait for @cond, with @mutex held; false once the deadline has passed. */
bool haul__cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline_ns);

#endif
