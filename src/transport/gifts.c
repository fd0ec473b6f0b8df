/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The window of a stream: what has been given and not been claimed.
 *
 * The receiver claims in the order of the messages, so the keys are kept in that order and looked
 * at from the front; what a receiver does that claims otherwise is seen when the window is full. A
 * sender that finds the window full sleeps until half of it is claimed, not until one is: otherwise
 * sender and receiver would wake each other for every message.
 *
 * The side of a stream that sends owns it, and one thread at a time uses it. If this process dies
 * the receiver claims what was sent, refuses the rest when its stream is over, or a reaper takes it
 * back after its time; if the receiver dies the reaper takes back what was on its way to it, and
 * that ends the wait as a claim does.
 */

#include "transport/gifts.h"

#include <stdlib.h>
#include <string.h>

#include "transport/deadline.h"

/* Whether a key is over and done with: claimed, taken back, or beyond help. */
static bool is_settled(const haul__gifts *gifts, const haul_key *key)
{
    return haul_pool_wait_claimed(gifts->pool, key, 0) != HAUL_TIMEOUT;
}

/* Those in front; of all others nothing is known. */
static void forget_first(haul__gifts *gifts)
{
    size_t n = 0;
    while (n < gifts->n_sent && is_settled(gifts, &gifts->keys[n])) {
        n++;
    }
    if (n > 0) {
        gifts->n -= n;
        gifts->n_sent -= n;
        memmove(gifts->keys, gifts->keys + n, gifts->n * sizeof(*gifts->keys));
    }
}

static void forget_settled(haul__gifts *gifts)
{
    size_t kept = 0;
    size_t n_sent = gifts->n_sent;
    for (size_t i = 0; i < gifts->n; i++) {
        if (i < n_sent && is_settled(gifts, &gifts->keys[i])) {
            gifts->n_sent--;
        } else {
            gifts->keys[kept++] = gifts->keys[i];
        }
    }
    gifts->n = kept;
}

/* Wait until no more than @n of those sent are unclaimed, or for @wait_ns. None is settled yet. */
static void wait_for(haul__gifts *gifts, size_t n, int64_t wait_ns)
{
    const haul_key key = gifts->keys[gifts->n_sent - n - 1];
    (void)!haul_pool_wait_claimed(gifts->pool, &key, wait_ns);
    forget_settled(gifts);
}

haul_status haul__gifts_room(haul__gifts *gifts, int64_t wait_ns)
{
    forget_first(gifts);
    if (gifts->n_sent >= gifts->window) {
        forget_settled(gifts);
    }
    if (gifts->n_sent >= gifts->window && wait_ns != 0) {
        wait_for(gifts, gifts->window / 2, wait_ns);
    }
    return gifts->n_sent < gifts->window ? HAUL_OK : HAUL_TIMEOUT;
}

haul_status haul__gifts_wait_all(haul__gifts *gifts, int64_t wait_ns)
{
    forget_settled(gifts);
    if (gifts->n_sent > 0 && wait_ns != 0) {
        wait_for(gifts, 0, wait_ns);
    }
    return gifts->n_sent == 0 ? HAUL_OK : HAUL_TIMEOUT;
}

static bool reserve(haul__gifts *gifts)
{
    if (gifts->n < gifts->capacity) {
        return true;
    }
    size_t capacity = gifts->capacity ? 2 * gifts->capacity : 16;
    haul_key *grown = reallocarray(gifts->keys, capacity, sizeof(*grown));
    if (!grown) {
        return false;
    }
    gifts->keys = grown;
    gifts->capacity = capacity;
    return true;
}

haul_status haul__gifts_add(haul__gifts *gifts, haul_buf *buf, uint64_t len, haul_key *out_key)
{
    if (!reserve(gifts)) {
        return HAUL_NOMEM;
    }
    uint64_t until =
        gifts->deadline_ns == HAUL__NEVER ? haul__after_ns(gifts->give_ns) : gifts->deadline_ns;
    haul_status status = haul_buf_give_grouped(buf, len, gifts->peer, until, gifts->group, out_key);
    if (status == HAUL_OK) {
        gifts->keys[gifts->n++] = *out_key;
    }
    return status;
}

haul__gift_state haul__gifts_use(haul__gifts *gifts, const haul_key *key, size_t *n_used)
{
    size_t first_free = gifts->n_sent + *n_used;
    for (size_t i = 0; i < gifts->n; i++) {
        haul_key *found = &gifts->keys[i];
        if (memcmp(found, key, sizeof(*key)) != 0) {
            continue;
        }
        if (i < first_free) {
            return HAUL__GIFT_USED;
        }
        const haul_key moved = gifts->keys[first_free];
        gifts->keys[first_free] = *found;
        *found = moved;
        (*n_used)++;
        return HAUL__GIFT_READY;
    }
    return HAUL__GIFT_NONE;
}

/* HAUL_STALE: it has been claimed, or has run out. Then it is no longer ours. */
static void revoke_from(haul__gifts *gifts, size_t first)
{
    for (size_t i = first; i < gifts->n; i++) {
        (void)!haul_pool_revoke(gifts->pool, &gifts->keys[i]);
    }
    gifts->n = first;
}

void haul__gifts_sent(haul__gifts *gifts, size_t n_used)
{
    gifts->n_sent += n_used;
    revoke_from(gifts, gifts->n_sent);
}

void haul__gifts_fini(haul__gifts *gifts)
{
    revoke_from(gifts, 0);
    free(gifts->keys);
    gifts->keys = NULL;
    gifts->capacity = 0;
    gifts->n_sent = 0;
}
