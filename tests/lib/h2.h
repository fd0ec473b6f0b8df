/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_H2_H
#define SHORTHAUL_TESTS_H2_H

/*
 * A gRPC client that is only a socket: it writes HTTP/2 frames one by one, as many and as wrong as
 * it is told to, and reads what comes back no further than it wants to.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum h2_type {
    H2_DATA = 0,
    H2_HEADERS = 1,
    H2_RST_STREAM = 3,
    H2_SETTINGS = 4,
    H2_PING = 6,
    H2_GOAWAY = 7,
    H2_WINDOW_UPDATE = 8,
    H2_CONTINUATION = 9,
} h2_type;

#define H2_ACK         0x1
#define H2_END_STREAM  0x1
#define H2_END_HEADERS 0x4

/* Frames to be written, in memory. */
typedef struct h2_bytes {
    uint8_t *data;
    size_t len;
    size_t capacity;
} h2_bytes;

void h2_add(h2_bytes *bytes, const void *data, size_t len);
void h2_add_frame(h2_bytes *bytes, unsigned type, unsigned flags, uint32_t stream, const void *data,
                  size_t len);

/* What a connection begins with. @window: bytes that the server may send of each answer unasked. */
void h2_add_preface(h2_bytes *bytes, uint32_t window);

/* The headers of a call of @path; @timeout is a grpc-timeout such as "1S", or NULL. */
void h2_add_call(h2_bytes *bytes, uint32_t stream, const char *path, const char *timeout);

/* A DATA frame with one message in it, which says to be @claimed bytes long, and is the last. */
void h2_add_message(h2_bytes *bytes, uint32_t stream, const void *data, size_t len,
                    uint32_t claimed);

void h2_free(h2_bytes *bytes);

/* Connect to "unix:PATH"; fails the test if that fails. */
int h2_connect(const char *address);

/* The same, and begin the conversation as a client should: send the preface, wait for the server's
 * settings and say yes to them. */
int h2_open(const char *address, uint32_t window);

/* Write; false if the server has closed the connection. */
bool h2_write(int fd, const h2_bytes *bytes);

/*
 * Read until @stream ends, and acknowledge nothing. The gRPC status in its trailers, H2_RESET if it
 * was reset, H2_CLOSED if the connection ended first.
 */
#define H2_CLOSED (-1)
#define H2_RESET  (-2)
int h2_read_status(int fd, uint32_t stream);

/* Read until the server has closed the connection. */
void h2_read_to_end(int fd);

#endif
