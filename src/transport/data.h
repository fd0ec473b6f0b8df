/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_DATA_H
#define SHORTHAUL_TRANSPORT_DATA_H

/* What the two sides of a data connection say to each other (docs/wire.md). Numbers are little-endian. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HAUL__DATA_MAGIC       "SHDATA01"
#define HAUL__DATA_TOKEN_BYTES 16

/* Transfers that may be on a connection and in no call yet. */
#define HAUL__DATA_UNCLAIMED_MAX 8

/* What a client says first. The server answers its own token. */
typedef struct haul__data_hello {
    char magic[sizeof(HAUL__DATA_MAGIC) - 1];
    uint8_t token[HAUL__DATA_TOKEN_BYTES];
} haul__data_hello;

/* How long a thread sleeps in the kernel before it looks around: a socket's two timeouts. */
void haul__data_set_look(int fd, uint64_t look_ns);

/* A socket that listens at the name that @name is part of, or -1. */
int haul__data_listen(uint64_t name);

/* A socket that is connected to it, with that look, or -1. */
int haul__data_connect(uint64_t name, uint64_t look_ns);

/* Whether to go on; @moved: whether anything has moved since it was last asked. */
typedef bool (*haul__data_patience)(void *ctx, bool moved);

/*
 * Send, or receive, exactly @n bytes. False: the connection is of no use any more.
 *
 * Blocking: for as long as @patience says, which is asked at each look, and now and then while bytes move.
 */
bool haul__data_send(int fd, const void *data, size_t n, haul__data_patience patience, void *ctx);
bool haul__data_receive(int fd, void *data, size_t n, haul__data_patience patience, void *ctx);

/* In the same time wherever they differ. */
bool haul__data_tokens_equal(const uint8_t a[HAUL__DATA_TOKEN_BYTES],
                             const uint8_t b[HAUL__DATA_TOKEN_BYTES]);

/* Eight bytes for @value, and back. */
void haul__data_put_u64(uint8_t bytes[8], uint64_t value);
uint64_t haul__data_get_u64(const uint8_t bytes[8]);

#endif
