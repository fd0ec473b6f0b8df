/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The attacher's half: pin a buffer, look, let go.
 *
 * A holder is one bit per participant beside the state word. The attacher sets its bit and then
 * looks at the state; the owner stores RETIRED and then looks at the bits. All four are
 * sequentially consistent, so either the attacher sees RETIRED and backs out, or the owner sees the
 * bit and leaves the buffer to it. A crash leaves a bit that names the dead.
 *
 * The threads of a process share its bit. A private word per buffer counts them:
 *
 *   hold    count << 1 | busy
 *   0 -> busy -> 1      the first thread sets the shared bit while it is busy
 *   n -> n + 1 -> n     further threads only count
 *   1 -> busy -> 0      the last one clears the shared bit
 *
 * Most buffers are attached by one thread at a time, so the first swap that is tried is the one of
 * that case.
 *
 * busy lasts for two or three accesses and no system call, so waiting for it is a short spin, then
 * yields. Once pinned, every number of the key is compared before an address is made of it, and the
 * address is checked against this process's own mapping, not against what shared memory claims.
 */

#include <sched.h>

#include "pool/hold.h"
#include "pool/life.h"
#include "pool/maps.h"

static void wait_a_little(unsigned round)
{
    if (round < 64) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    } else {
        (void)sched_yield();
    }
}

/*
 * Add @delta to the count, or become busy where that takes the count from 0 to 1 or from 1 to 0.
 * True: busy is ours, and haul__store32_release(&hold, new count) ends it.
 */
static bool hold_change(haul__a32 *hold, bool up)
{
    uint32_t edge = up ? 0 : HAUL__HOLD_ONE;
    for (unsigned round = 0;; round++) {
        uint32_t seen = haul__load32_relaxed(hold);
        if (seen & HAUL__HOLD_BUSY) {
            wait_a_little(round);
            continue;
        }
        uint32_t next = seen == edge ? HAUL__HOLD_BUSY
                        : up         ? seen + HAUL__HOLD_ONE
                                     : seen - HAUL__HOLD_ONE;
        if (haul__hold_swap(hold, &seen, next)) {
            return next == HAUL__HOLD_BUSY;
        }
    }
}

/* Whether the buffer, pinned by this process, is the one that @key means, and has the bytes. */
static inline haul_status compare(const haul_buf *buf, const haul_key *key, uint64_t len)
{
    const haul__record *record = buf->record;
    uint64_t word = haul__load64_seq(&record->state);
    if (!haul__word_is_readable(word, key->generation) ||
        haul__load64_relaxed(&record->ticket) != key->ticket) {
        return haul__word_is_valid(word, buf->pool->g.n_slots) ? HAUL_STALE : HAUL_CORRUPT;
    }
    uint64_t end;
    if (__builtin_add_overflow(key->offset, len, &end) ||
        end > haul__load64_relaxed(&record->length)) {
        return HAUL_INVALID;
    }
    return HAUL_OK;
}

/* Pin the buffer of @key for one more thread, if it is the one that is meant. */
static inline haul_status pin(haul_pool *pool, haul_buf *buf, const haul_key *key, uint64_t len)
{
    uint32_t none = 0;
    if (!haul__hold_swap(&buf->hold, &none, HAUL__HOLD_BUSY) && !hold_change(&buf->hold, true)) {
        return compare(buf, key, len);
    }
    (void)haul__or64_seq(&buf->record->holders[pool->slot / 64], haul__holder_bit(pool->slot));
    HAUL__FAULT(ATTACH_BIT_SET);
    haul_status s = compare(buf, key, len);
    HAUL__FAULT(ATTACH_PINNED);
    haul__store32_relaxed(&buf->ro_used, haul__map_is_current(buf, &buf->ro));
    haul__store32_release(&buf->hold, HAUL__HOLD_ONE);
    return s;
}

/* One thread fewer; the last one lets the buffer go. */
static inline void unpin(haul_pool *pool, haul_buf *buf)
{
    uint32_t one = HAUL__HOLD_ONE;
    if (!haul__hold_swap(&buf->hold, &one, HAUL__HOLD_BUSY) && !hold_change(&buf->hold, false)) {
        return;
    }
    (void)haul__and64_seq(&buf->record->holders[pool->slot / 64], ~haul__holder_bit(pool->slot));
    HAUL__FAULT(DETACH_BIT_CLEARED);
    haul__store32_release(&buf->hold, 0);
    uint64_t word = haul__load64_seq(&buf->record->state);
    if (haul__word_phase(word) == HAUL__RETIRED) {
        haul__finish(buf);
    }
}

haul_status haul_attach(haul_pool *pool, const haul_key *key, uint64_t len, haul_view *out_view)
{
    if (!pool || !pool->usable || key->pool_id != pool->id || key->index >= pool->g.n_buffers) {
        return HAUL_INVALID;
    }
    haul_buf *buf = &pool->bufs[key->index];
    haul_status s = pin(pool, buf, key, len);
    if (s == HAUL_OK) {
        s = haul__map_ro(buf);
    }
    /* compare() has seen that offset + len does not overflow. */
    if (s == HAUL_OK && key->offset + len > buf->ro.bytes) {
        s = HAUL_CORRUPT;
    }
    if (s != HAUL_OK) {
        unpin(pool, buf);
        return s;
    }
    *out_view = (haul_view){.data = (const uint8_t *)buf->ro.start + key->offset,
                            .len = len,
                            .pool = pool,
                            .index = key->index};
    return HAUL_OK;
}

void haul_detach(haul_view *view)
{
    haul_pool *pool = view->pool;
    if (pool && pool->usable) {
        unpin(pool, &pool->bufs[view->index]);
    }
    *view = (haul_view){0};
}
