/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The attacher's half: pin a buffer, look, let go.
 *
 * A holder is one bit per participant beside the state word. The attacher sets its bit and then
 * looks at the state; the owner stores RETIRING or RETIRED and then looks at the bits. All four are
 * sequentially consistent, so either the attacher sees that and backs out, or the owner sees the
 * bit and leaves the buffer to it. A crash leaves a bit that names the dead.
 *
 * The threads of a process share its bit, and of a buffer that the process owns it is not set at all
 * until the owner lets go: hold.c.
 *
 * Once pinned, every number of the key is compared before an address is made of it, and the address
 * is checked against this process's own mapping, not against what shared memory claims.
 */

#include "pool/hold.h"
#include "pool/life.h"
#include "pool/maps.h"

/* Whether the buffer, pinned by this process and at @word since, is the one that @key means, and has
 * the bytes. */
static inline haul_status compare(const haul_buf *buf, uint64_t word, const haul_key *key,
                                  uint64_t len)
{
    const haul__record *record = buf->record;
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

/* Whether this process owns the buffer: by its own book, too, for the word may be forged. */
static inline bool is_own(const haul_buf *buf, uint64_t word)
{
    return haul__word_phase(word) == HAUL__SHARED && haul__word_who(word) == buf->pool->slot &&
           haul__load32_relaxed(&buf->mine) != 0;
}

/* Pin the buffer of @key for one more thread, if it is the one that is meant. */
static inline haul_status pin(haul_pool *pool, haul_buf *buf, const haul_key *key, uint64_t len)
{
    bool first = haul__hold_add(&buf->hold);
    uint64_t word = haul__load64_seq(&buf->record->state);
    if (!first) {
        return compare(buf, word, key, len);
    }
    uint32_t held = HAUL__HOLD_ONE;
    if (!is_own(buf, word)) {
        (void)haul__or64_seq(&buf->record->holders[pool->slot / 64], haul__holder_bit(pool->slot));
        HAUL__FAULT(ATTACH_BIT_SET);
        held |= HAUL__HOLD_SHOWN;
        word = haul__load64_seq(&buf->record->state);
    }
    haul_status s = compare(buf, word, key, len);
    HAUL__FAULT(ATTACH_PINNED);
    haul__store32_relaxed(&buf->ro_used, haul__map_is_current(buf, &buf->ro));
    haul__store32_release(&buf->hold, held);
    return s;
}

/* One thread fewer; the last one lets the buffer go. */
static inline void unpin(haul_pool *pool, haul_buf *buf)
{
    uint32_t was;
    if (!haul__hold_drop(&buf->hold, &was)) {
        return;
    }
    if ((was & HAUL__HOLD_SHOWN) == 0) {
        haul__store32_release(&buf->hold, 0);
        return; /* it is still our own, and its owner's to retire */
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
