/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The threshold between inline and by key, measured where it is used.
 *
 * Bytes in ordinary memory are copied once whichever way they go: to a buffer of the pool or to a
 * slice. Inline they then go into a socket, out of it and to where the receiver wants them: three
 * copies more. By key a buffer is taken, shared, attached and released instead, which costs the same
 * for any number of bytes. Where the two are equal is the threshold.
 *
 * The host is asked by doing both, a few dozen times, with a socket pair and one buffer of the pool,
 * and believing the fastest of each: what is slower was disturbed. A channel does it when a payload
 * first makes it matter. Two threads that come at once both measure, and one of them is believed.
 *
 * A payload that lies in a buffer already saves even the one copy by its key, so it goes by key
 * whatever its size, unless the application has chosen a threshold itself.
 *
 * If the process dies meanwhile its buffer is reaped.
 */

#include "transport/threshold.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/deadline.h"

/* Nothing below is worth asking for. */
#define MIN_BYTES 256

/* Where nothing could be measured, for instance because the pool has no buffer to try. */
#define DEFAULT_BYTES 16384

#define ROUNDS      24
#define SMALL_BYTES 64
#define LARGE_BYTES 65536

/* What a call by key costs beside the buffer's own steps, in steps: the rewritten message and the
 * server's table of views. See docs/adr/0008-threshold.md. */
#define STEPS_FACTOR 2

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void haul__threshold_init(haul__threshold *threshold, uint64_t chosen)
{
    threshold->chosen = least(chosen, HAUL_KEY_THRESHOLD_MAX);
    atomic_init(&threshold->measured, 0);
}

/* Nanoseconds to take a buffer, share it, see it and let go; 0 if it cannot be done. */
static uint64_t hand_over_once(haul_pool *pool)
{
    const haul_alloc_opts opts = {.struct_size = sizeof(opts), .policy = HAUL_ALLOC_LARGER};
    haul_buf *buf;
    haul_key key;
    haul_view view;
    uint64_t begun = haul__clock_ns();
    if (haul_buf_alloc(pool, SMALL_BYTES, &opts, &buf) != HAUL_OK) {
        return 0;
    }
    bool ok = haul_buf_share(buf, SMALL_BYTES, &key) == HAUL_OK &&
              haul_attach(pool, &key, SMALL_BYTES, &view) == HAUL_OK;
    if (ok) {
        haul_detach(&view);
    }
    haul_buf_release(buf);
    return ok ? haul__clock_ns() - begun + 1 : 0;
}

/* Nanoseconds to get @n bytes through a socket and to where they are wanted; 0 on failure. */
static uint64_t send_once(const int ends[2], uint8_t *bytes, size_t n)
{
    uint64_t begun = haul__clock_ns();
    if (send(ends[0], bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n ||
        recv(ends[1], bytes + LARGE_BYTES, n, MSG_DONTWAIT | MSG_WAITALL) != (ssize_t)n) {
        return 0;
    }
    memcpy(bytes, bytes + LARGE_BYTES, n);
    return haul__clock_ns() - begun + 1;
}

typedef struct costs {
    uint64_t hand_over_ns;
    uint64_t small_ns;
    uint64_t large_ns;
} costs;

static bool measure(haul_pool *pool, const int ends[2], uint8_t *bytes, costs *out)
{
    *out = (costs){UINT64_MAX, UINT64_MAX, UINT64_MAX};
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t hand_over = hand_over_once(pool);
        uint64_t small = send_once(ends, bytes, SMALL_BYTES);
        uint64_t large = send_once(ends, bytes, LARGE_BYTES);
        if (hand_over == 0 || small == 0 || large == 0) {
            return false;
        }
        out->hand_over_ns = least(out->hand_over_ns, hand_over);
        out->small_ns = least(out->small_ns, small);
        out->large_ns = least(out->large_ns, large);
    }
    return out->large_ns > out->small_ns;
}

uint64_t haul__threshold_measure(haul_pool *pool)
{
    uint8_t *bytes = calloc(2, LARGE_BYTES);
    int ends[2];
    if (!bytes || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        free(bytes);
        return 0;
    }
    costs c;
    uint64_t threshold = 0;
    if (measure(pool, ends, bytes, &c)) {
        threshold =
            STEPS_FACTOR * c.hand_over_ns * (LARGE_BYTES - SMALL_BYTES) / (c.large_ns - c.small_ns);
        threshold = threshold < MIN_BYTES ? MIN_BYTES : least(threshold, HAUL_KEY_THRESHOLD_MAX);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    free(bytes);
    return threshold;
}

uint64_t haul__threshold_bytes(const haul__threshold *threshold)
{
    return threshold->chosen ? threshold->chosen
                             : atomic_load_explicit(&threshold->measured, memory_order_relaxed);
}

bool haul__threshold_passed(haul__threshold *threshold, haul_pool *pool, uint64_t len)
{
    uint64_t bytes = haul__threshold_bytes(threshold);
    if (bytes == 0 && len >= MIN_BYTES) {
        uint64_t unset = 0;
        bytes = haul__threshold_measure(pool);
        if (bytes == 0) {
            bytes = DEFAULT_BYTES; /* for this time */
        } else if (!atomic_compare_exchange_strong(&threshold->measured, &unset, bytes)) {
            bytes = unset;
        }
    }
    return bytes != 0 && len >= bytes;
}

bool haul__threshold_keeps_key(const haul__threshold *threshold, uint64_t len)
{
    return len >= threshold->chosen;
}
