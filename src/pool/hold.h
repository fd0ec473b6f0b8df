/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_HOLD_H
#define SHORTHAUL_POOL_HOLD_H

/* The private count of a process's threads that have a buffer attached. See hold.c. */

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define HAUL__SINGLE_THREADED __libc_single_threaded
#else
#define HAUL__SINGLE_THREADED 0
#endif

#include "pool/impl.h"

#define HAUL__HOLD_BUSY  1u /* somebody is changing more than the count */
#define HAUL__HOLD_SHOWN 2u /* the process's bit in the record's holder words is set */
#define HAUL__HOLD_ONE   4u

/*
 * Compare and swap, as haul__cas32_seq(). No other process sees the word, so in one with a single
 * thread nobody can come between a load and a store, and of the locked instructions of attach and
 * detach two are saved. Whether there is one thread the C library says, which does the same for its
 * own locks; a thread that is made later sees all that was done before.
 */
static inline bool haul__hold_swap(haul__a32 *hold, uint32_t *expected, uint32_t desired)
{
    if (!HAUL__SINGLE_THREADED) {
        return haul__cas32_seq(hold, expected, desired);
    }
    uint32_t seen = haul__load32_relaxed(hold);
    if (seen != *expected) {
        *expected = seen;
        return false;
    }
    haul__store32_relaxed(hold, desired);
    return true;
}

/* Wait until nobody is busy with the word: two or three accesses, or one munmap(). */
void haul__hold_wait(const haul__a32 *hold);

/* Count one thread more. True: it is the first, and busy until it stores what the word is to be. */
static inline bool haul__hold_add(haul__a32 *hold)
{
    for (;;) {
        uint32_t seen = haul__load32_relaxed(hold);
        bool first = seen == 0;
        if (seen & HAUL__HOLD_BUSY) {
            haul__hold_wait(hold);
        } else if (haul__hold_swap(hold, &seen, first ? HAUL__HOLD_BUSY : seen + HAUL__HOLD_ONE)) {
            return first;
        }
    }
}

/* Count one thread less. True: it was the last, and is busy until it stores 0; *out_was is what the
 * word was. */
static inline bool haul__hold_drop(haul__a32 *hold, uint32_t *out_was)
{
    for (;;) {
        uint32_t seen = haul__load32_relaxed(hold);
        bool last = (seen & ~HAUL__HOLD_SHOWN) == HAUL__HOLD_ONE;
        *out_was = seen;
        if (seen & HAUL__HOLD_BUSY) {
            haul__hold_wait(hold);
        } else if (haul__hold_swap(hold, &seen, last ? HAUL__HOLD_BUSY : seen - HAUL__HOLD_ONE)) {
            return last;
        }
    }
}

/*
 * Before an owner moves a SHARED buffer on to where others decide about it: set the process's bit if
 * a thread of it holds the buffer, and keep the others waiting. Returns what to pass to
 * haul__hold_open(), to be called after the move.
 */
uint32_t haul__hold_close(haul_buf *buf);
void haul__hold_open(haul_buf *buf, uint32_t held);

#endif
