/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_CURSOR_H
#define SHORTHAUL_TRANSPORT_CURSOR_H

/* Reading a message from the pieces in which gRPC received it. The callers check lengths. */

#include <string.h>

#include <grpc/slice.h>

typedef struct haul__cursor {
    const grpc_slice *slice; /* the one at hand */
    size_t offset;           /* in it */
    size_t at;               /* in the message */
} haul__cursor;

static inline haul__cursor haul__cursor_of(const grpc_slice_buffer *slices)
{
    return (haul__cursor){.slice = slices->slices};
}

/* The bytes that lie at the cursor in one piece. Not at the end of the message. */
static inline const uint8_t *haul__cursor_peek(haul__cursor *cursor, size_t *out_n)
{
    while (cursor->offset == GRPC_SLICE_LENGTH(*cursor->slice)) {
        cursor->slice++;
        cursor->offset = 0;
    }
    *out_n = GRPC_SLICE_LENGTH(*cursor->slice) - cursor->offset;
    return GRPC_SLICE_START_PTR(*cursor->slice) + cursor->offset;
}

/* Move over @n bytes, of which the message has at least so many left; copy them unless @to is NULL.
 */
static inline void haul__cursor_take(haul__cursor *cursor, size_t n, uint8_t *to)
{
    while (n > 0) {
        size_t here;
        const uint8_t *from = haul__cursor_peek(cursor, &here);
        here = here < n ? here : n;
        if (to) {
            memcpy(to, from, here);
            to += here;
        }
        cursor->offset += here;
        cursor->at += here;
        n -= here;
    }
}

#endif
