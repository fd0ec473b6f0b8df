/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_HOLD_H
#define SHORTHAUL_POOL_HOLD_H

/* The private count of a process's threads that have a buffer attached: count << 1 | busy. See
 * attach.c. */

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define HAUL__SINGLE_THREADED __libc_single_threaded
#else
#define HAUL__SINGLE_THREADED 0
#endif

#include "base/atomics.h"

#define HAUL__HOLD_BUSY 1u
#define HAUL__HOLD_ONE  2u

/*
 * Compare and swap, as haul__cas32_acqrel(). No other process sees the word, so in one with a single
 * thread nobody can come between a load and a store, and of the four locked instructions of attach
 * and detach two are saved. Whether there is one thread the C library says, which does the same for
 * its own locks; a thread that is made later sees all that was done before.
 */
static inline bool haul__hold_swap(haul__a32 *hold, uint32_t *expected, uint32_t desired)
{
    if (!HAUL__SINGLE_THREADED) {
        return haul__cas32_acqrel(hold, expected, desired);
    }
    uint32_t seen = haul__load32_relaxed(hold);
    if (seen != *expected) {
        *expected = seen;
        return false;
    }
    haul__store32_relaxed(hold, desired);
    return true;
}

#endif
