/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_VIEWS_H
#define SHORTHAUL_TRANSPORT_VIEWS_H

/* Which bytes are behind the payloads of a message. */

#include <grpc/slice.h>

#include <shorthaul/transport.h>

#include "transport/pin.h"

typedef struct haul__view_entry {
    const haul_payload *payload;
    haul_view view;   /* pool is NULL where somebody else keeps the bytes */
    grpc_slice slice; /* the pin that took the view over, if @pinned */
    bool pinned;
} haul__view_entry;

#define HAUL__VIEWS_SMALL 2

/* Starts zeroed. */
typedef struct haul__views {
    haul__view_entry small[HAUL__VIEWS_SMALL];
    haul__view_entry *large; /* instead of @small once there are more */
    size_t n;
    size_t capacity;
    bool sorted;
} haul__views;

/*
 * Note the bytes of one payload.
 * Ownership: takes @view, whatever it returns.   Failures: HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status haul__views_add(haul__views *views, const haul_payload *payload,
                                            const haul_view *view);

/*
 * Make @out->payload say: the first @len bytes of @buf, inline. The bytes stay in the buffer until
 * haul__views_fini().
 *
 * Ownership: takes @buf, whatever it returns.
 * Failures:  those of haul_buf_share() and haul_buf_view(), HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status haul__views_put_inline(haul__views *views, haul_buf *buf, uint64_t len,
                                                   haul_payload_out *out);

/* After the last haul__views_add(): makes haul__views_find() fast. */
void haul__views_seal(haul__views *views);

/* Failures: HAUL_INVALID  no such payload here. */
HAUL_MUST_CHECK haul_status haul__views_find(const haul__views *views, const haul_payload *payload,
                                             haul_view *out_view);

/* Whether any bytes here are a pool's. */
bool haul__views_hold_pool_memory(const haul__views *views);

/* Whether the @len bytes at @data lie in a view of a pool's memory. */
bool haul__views_cover(const haul__views *views, const uint8_t *data, size_t len);

/*
 * A slice of the @len bytes at @data, without a copy, if they lie in a view of a pool's memory.
 * Conditions: HAUL_NOT_FOUND  they do not   Failures: HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status haul__views_slice(haul__views *views, haul__pins *pins,
                                              const uint8_t *data, size_t len,
                                              grpc_slice *out_slice);

/* Let go of everything. */
void haul__views_fini(haul__views *views);

#endif
