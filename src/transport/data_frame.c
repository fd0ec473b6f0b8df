/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Frames on a data connection. A short one is one system call to send and one to receive, its number
 * included. Lengths are bounded before memory is taken for them. Both sides; one thread at a time.
 */

#include "transport/data_frame.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <grpc/slice.h>

#include "transport/letter.h"

#define PIECES_MAX 64

static bool refill(haul__data_reader *r, haul__data_patience patience, void *ctx)
{
    for (;;) {
        ssize_t n = recv(r->fd, r->bytes, sizeof(r->bytes), r->flags);
        if (n > 0) {
            r->at = 0;
            r->n = (size_t)n;
            return true;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR) || !patience(ctx, false)) {
            return false;
        }
    }
}

bool haul__data_read(haul__data_reader *r, void *to, size_t n, haul__data_patience patience,
                     void *ctx)
{
    uint8_t *at = to;
    while (n > 0) {
        size_t here = r->n - r->at < n ? r->n - r->at : n;
        memcpy(at, r->bytes + r->at, here);
        r->at += here;
        at += here;
        n -= here;
        if (n >= sizeof(r->bytes)) {
            return haul__data_receive(r->fd, at, n, patience, ctx);
        }
        if (n > 0 && !refill(r, patience, ctx)) {
            return false;
        }
    }
    return true;
}

bool haul__data_read_frame(haul__data_reader *r, uint64_t number, haul__data_patience patience,
                           void *ctx, grpc_slice *out_frame)
{
    uint64_t len = number & ~HAUL__DATA_LETTERS;
    if (!(number & HAUL__DATA_LETTERS) || len > HAUL__TRUNK_MESSAGE_MAX) {
        return false;
    }
    grpc_slice frame = grpc_slice_malloc_large((size_t)len);
    if (!haul__data_read(r, GRPC_SLICE_START_PTR(frame), (size_t)len, patience, ctx)) {
        grpc_slice_unref(frame);
        return false;
    }
    *out_frame = frame;
    return true;
}

/* The rest of a message, of which @done bytes have been sent, number included. */
static size_t gather(uint8_t number[8], const grpc_slice_buffer *message, size_t done,
                     struct iovec pieces[PIECES_MAX])
{
    size_t n = 0;
    if (done < 8) {
        pieces[n++] = (struct iovec){number + done, 8 - done};
    }
    size_t skip = done < 8 ? 0 : done - 8;
    for (size_t i = 0; i < message->count && n < PIECES_MAX; i++) {
        size_t len = GRPC_SLICE_LENGTH(message->slices[i]);
        size_t skipped = skip < len ? skip : len;
        skip -= skipped;
        if (len > skipped) {
            pieces[n++] =
                (struct iovec){GRPC_SLICE_START_PTR(message->slices[i]) + skipped, len - skipped};
        }
    }
    return n;
}

bool haul__data_send_frame(int fd, const grpc_slice_buffer *message, haul__data_patience patience,
                           void *ctx)
{
    uint8_t number[8];
    size_t done = 0;
    size_t len = sizeof(number) + message->length;
    haul__data_put_u64(number, HAUL__DATA_LETTERS | message->length);
    while (done < len) {
        struct iovec pieces[PIECES_MAX];
        const struct msghdr header = {.msg_iov = pieces,
                                      .msg_iovlen = gather(number, message, done, pieces)};
        ssize_t sent = sendmsg(fd, &header, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
        done += sent > 0 ? (size_t)sent : 0;
        if (done < len && !patience(ctx, sent > 0)) {
            return false;
        }
    }
    return true;
}
