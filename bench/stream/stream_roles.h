/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef BENCH_STREAM_ROLES_H
#define BENCH_STREAM_ROLES_H

/* The two ends of bench_stream's streams. */

#include <bench_stream.pb-c.h>
#include <shorthaul/stream.h>

/* What is sent: @count items, each of @size bytes (0: no payload), filled and read if @whole. */
typedef struct load {
    uint64_t count;
    uint64_t size;
    bool whole;
    uint64_t sum; /* of what a receiver read, or should have read */
} load;

/* The sum that the receiver of @l must find. */
uint64_t load_sum(const load *l);

/* The server's process: serve @pool at @address until standard input ends. */
int serve(const char *pool, const char *address);

/* The client: send or receive @l on one stream. False, and a line on stderr, if anything is wrong. */
bool send_load(haul_channel *channel, load *l);
bool receive_load(haul_channel *channel, load *l);

#endif
