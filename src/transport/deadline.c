/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Time. One clock for everything: CLOCK_MONOTONIC in nanoseconds, which is also what the pool's
 * deadlines count. Stateless; any thread.
 */

#include "transport/deadline.h"

#include <errno.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

uint64_t haul__clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t haul__after_ns(uint64_t ns)
{
    uint64_t sum;
    return __builtin_add_overflow(haul__clock_ns(), ns, &sum) ? HAUL__NEVER : sum;
}

gpr_timespec haul__gpr_of_ns(uint64_t deadline_ns)
{
    if (deadline_ns == HAUL__NEVER) {
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    }
    return (gpr_timespec){
        .tv_sec = (int64_t)(deadline_ns / NS_PER_S),
        .tv_nsec = (int32_t)(deadline_ns % NS_PER_S),
        .clock_type = GPR_CLOCK_MONOTONIC,
    };
}

uint64_t haul__ns_of_gpr(gpr_timespec deadline)
{
    gpr_timespec t = gpr_convert_clock_type(deadline, GPR_CLOCK_MONOTONIC);
    if (t.tv_sec < 0) {
        return 0;
    }
    if ((uint64_t)t.tv_sec >= HAUL__NEVER / NS_PER_S) {
        return HAUL__NEVER;
    }
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

bool haul__cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0) {
        return false;
    }
    bool ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(cond, &attr) == 0;
    (void)pthread_condattr_destroy(&attr);
    return ok;
}

bool haul__cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t deadline_ns)
{
    if (deadline_ns == HAUL__NEVER) {
        return pthread_cond_wait(cond, mutex) == 0;
    }
    const struct timespec t = {
        .tv_sec = (time_t)(deadline_ns / NS_PER_S),
        .tv_nsec = (long)(deadline_ns % NS_PER_S),
    };
    return pthread_cond_timedwait(cond, mutex, &t) != ETIMEDOUT;
}
