/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Who in this process holds a buffer.
 *
 * The threads of a process share its bit in the record's holder words, and a private word per buffer
 * counts them: count << 2 | shown << 1 | busy.
 *
 *   0 -> busy -> 1 [shown]      the first thread sets the bit while it is busy
 *   n -> n + 1 -> n             further threads only count
 *   1 [shown] -> busy -> 0      the last one clears the bit, if it is set
 *   n -> n busy -> n [shown]    the owner sets it before it lets go of the buffer
 *   0 -> busy -> 0              nobody holds it, and a mapping of it is removed (maps.c)
 *
 * The bit tells others that they may not take a retired buffer. Of one that this process owns, none
 * of them decides: so the first thread to attach that one does not set the bit. Shown is then left
 * out, until the owner is about to move the buffer to RETIRED or KEPT.
 *
 * Whether the owner or an attacher of its own process was first is settled like between processes:
 * the attacher makes the word busy and then looks at the state; the owner stores RETIRING and then
 * looks at the word, or keeps it busy while it stores RETIRED or KEPT.
 *
 * A process that dies takes the word with it, and needs none: its buffers are its reaper's.
 */

#include "pool/hold.h"

#include <sched.h>

void haul__hold_wait(const haul__a32 *hold)
{
    for (unsigned round = 0; haul__load32_relaxed(hold) & HAUL__HOLD_BUSY; round++) {
        if (round < 64) {
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        } else {
            (void)sched_yield();
        }
    }
}

uint32_t haul__hold_close(haul_buf *buf)
{
    uint32_t held = haul__load32_relaxed(&buf->hold);
    while ((held & HAUL__HOLD_BUSY) ||
           !haul__hold_swap(&buf->hold, &held, held | HAUL__HOLD_BUSY)) {
        haul__hold_wait(&buf->hold);
        held = haul__load32_relaxed(&buf->hold);
    }
    if (held != 0 && (held & HAUL__HOLD_SHOWN) == 0) {
        uint32_t slot = buf->pool->slot;
        (void)haul__or64_seq(&buf->record->holders[slot / 64], haul__holder_bit(slot));
        HAUL__FAULT(HOLD_SHOWN);
        held |= HAUL__HOLD_SHOWN;
    }
    return held;
}

void haul__hold_open(haul_buf *buf, uint32_t held)
{
    haul__store32_release(&buf->hold, held);
}
