/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Sleeping on the pool's wake word (futex(2), shared between processes).
 *
 * A release wakes every waiter, and each looks again for itself. Waking one at a time would lose
 * the wake-up when that one dies, or wants another class. The word's protocol is in layout.h.
 *
 * A hostile neighbour that scribbles on the word makes waiters wake early or late; they never sleep
 * longer than the timeout they pass.
 */

#include "pool/wait.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t haul__now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t haul__nap_ns(uint64_t start, int64_t wait_ns)
{
    if (wait_ns < 0) {
        return HAUL__NAP_NS;
    }
    uint64_t waited = haul__now_ns() - start;
    uint64_t left = waited < (uint64_t)wait_ns ? (uint64_t)wait_ns - waited : 0;
    return left < HAUL__NAP_NS ? left : HAUL__NAP_NS;
}

void haul__wake_waiters(haul_pool *pool)
{
    haul__a32 *word = &haul__header_of(pool)->wake;
    uint32_t seen = haul__load32_seq(word);
    /* Whoever clears the bit wakes: if the swap fails, another releaser did, or is about to. */
    if ((seen & 1) && haul__cas32_acqrel(word, &seen, (seen + 2) & ~1u)) {
        int saved = errno;
        (void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
        errno = saved;
    }
}

uint32_t haul__wait_prepare(haul_pool *pool)
{
    return haul__or32_seq(&haul__header_of(pool)->wake, 1) | 1;
}

void haul__wait(haul_pool *pool, uint32_t prepared, uint64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                               .tv_nsec = (long)(timeout_ns % 1000000000u)};
    int saved = errno;
    (void)syscall(SYS_futex, &haul__header_of(pool)->wake, FUTEX_WAIT, prepared, &timeout, NULL, 0);
    errno = saved;
}
