/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_DATA_FRAME_H
#define SHORTHAUL_TRANSPORT_DATA_FRAME_H

/* Reading and writing what a data connection carries: numbers, payloads, and frames of letters. */

#include <grpc/slice_buffer.h>

#include "transport/data.h"

/* Set in the number before a frame of letters, which else is its length. */
#define HAUL__DATA_LETTERS (UINT64_C(1) << 63)

/* What has been received and not read, so that a number and what follows it take one system call. */
typedef struct haul__data_reader {
    int fd;
    int flags; /* of recv(); 0: it sleeps for a look */
    size_t at;
    size_t n;
    uint8_t bytes[2048];
} haul__data_reader;

/* Read exactly @n bytes; those that are not here yet straight to @to if they are many. As
 * haul__data_receive(). */
bool haul__data_read(haul__data_reader *reader, void *to, size_t n, haul__data_patience patience,
                     void *ctx);

/*
 * Read the frame behind a number that has announced it, in one piece with a reference count.
 * Ownership: *@out_frame is the caller's, on success.
 */
bool haul__data_read_frame(haul__data_reader *reader, uint64_t number, haul__data_patience patience,
                           void *ctx, grpc_slice *out_frame);

/* Send @message as one frame, its number first. As haul__data_send(). */
bool haul__data_send_frame(int fd, const grpc_slice_buffer *message, haul__data_patience patience,
                           void *ctx);

#endif
