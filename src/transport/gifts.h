/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_GIFTS_H
#define SHORTHAUL_TRANSPORT_GIFTS_H

/* Buffers that one side of a stream has given to the other and that are unclaimed yet. */

#include <shorthaul/pool.h>

/* Starts zeroed but for what the owner fills in. */
typedef struct haul__gifts {
    haul_pool *pool;      /* NULL: nothing is given */
    uint32_t peer;        /* to whom */
    uint32_t window;      /* bound on those that are sent and unclaimed */
    uint64_t deadline_ns; /* the stream's */
    uint64_t give_ns;     /* instead of a deadline where there is none */
    uint64_t group;       /* the stream's, by which the peer may refuse them; 0: it has none */

    haul_key *keys; /* in the order of sending; then those not sent yet */
    size_t n;
    size_t n_sent;
    size_t capacity;
} haul__gifts;

/*
 * Wait for room in the window.
 * Conditions: HAUL_TIMEOUT  there is none yet
 */
HAUL_MUST_CHECK haul_status haul__gifts_room(haul__gifts *gifts, int64_t wait_ns);

/*
 * Give @buf away, to go with the next message.
 *
 * Ownership:  takes @buf on HAUL_OK.
 * Conditions: HAUL_PEER_GONE   Failures: HAUL_INVALID, HAUL_CORRUPT, HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status haul__gifts_add(haul__gifts *gifts, haul_buf *buf, uint64_t len,
                                            haul_key *out_key);

/* What is known of a key that a message holds. */
typedef enum haul__gift_state {
    HAUL__GIFT_NONE,  /* none of ours */
    HAUL__GIFT_READY, /* not sent yet; is now among the first of those that are not */
    HAUL__GIFT_USED,  /* sent, or in the message already */
} haul__gift_state;

/* @n_used: how many of those not sent are in the message already; counts up with READY. */
haul__gift_state haul__gifts_use(haul__gifts *gifts, const haul_key *key, size_t *n_used);

/* The message with @n_used of those not sent goes out; the others are taken back. */
void haul__gifts_sent(haul__gifts *gifts, size_t n_used);

/* Wait until all that was sent is claimed. Conditions: HAUL_TIMEOUT. */
HAUL_MUST_CHECK haul_status haul__gifts_wait_all(haul__gifts *gifts, int64_t wait_ns);

/* Take back whatever is unclaimed, and free. */
void haul__gifts_fini(haul__gifts *gifts);

#endif
