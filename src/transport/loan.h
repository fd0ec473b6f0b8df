/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_LOAN_H
#define SHORTHAUL_TRANSPORT_LOAN_H

/* Room for an answer's payload, lent to the server for the time of a call. */

#include <stdatomic.h>

#include <grpc/grpc.h>

#include <shorthaul/transport.h>

/* Starts zeroed, which is no loan. */
typedef struct haul__loan {
    haul_pool *pool; /* NULL: nothing is lent */
    haul_key key;
    uint64_t room; /* bytes that may be written, as the client says */
    /* On the client: where the application has its buffer, and wants it again. NULL: the buffer was
     * taken for the call. */
    haul_buf **home;
    haul_buf *back;    /* with @home: it has come back, with the answer in it */
    atomic_bool taken; /* on the server: somebody has tried to claim it */
} haul__loan;

/* ---- The client ---- */

/*
 * Lend participant @to of @pool the buffer *@home, or one of @bytes where @home or what it points at is
 * NULL, until @until_ns. Where there is none to be had, or nobody in that slot, @loan stays empty and
 * *@home as it is; else *@home is NULL until haul__loan_close().
 */
void haul__loan_open(haul__loan *loan, haul_pool *pool, haul_buf **home, uint64_t bytes,
                     uint32_t to, uint64_t until_ns);

/* Whether a payload of the answer, sent by key, is in the application's buffer. */
bool haul__loan_holds(const haul__loan *loan, const haul_payload *payload);

/*
 * Claim the application's buffer with such a payload in it.
 * Ownership: the loan's; the view needs no detaching.
 * Conditions: HAUL_STALE   Failures: those of haul_buf_claim_writable()
 */
HAUL_MUST_CHECK haul_status haul__loan_receive(haul__loan *loan, const haul_payload *payload,
                                               haul_view *out_view);

/* The value of the metadata that tells the server. Ownership: the caller's. */
grpc_slice haul__loan_value(const haul__loan *loan);

/* ---- The server ---- */

/* Read a value of the metadata. False: it is not exactly as docs/wire.md says, and counts as not sent. */
bool haul__loan_parse(grpc_slice value, haul_key *out_key, uint64_t *out_room);

/* Read what the caller lends, of @pool; anything that is not right counts as not sent. */
void haul__loan_read(haul__loan *loan, haul_pool *pool, const grpc_metadata_array *metadata);

/*
 * Claim the loan if it has room for @len bytes. Any thread; one of them gets it.
 * Conditions: HAUL_NOT_FOUND  there is none, it is too small, or it has been taken back
 */
HAUL_MUST_CHECK haul_status haul__loan_claim(haul__loan *loan, uint64_t len, haul_buf **out_buf);

/* ---- Both ---- */

/* Take back what nobody has claimed; for an application's buffer that is lost, see to another. */
void haul__loan_close(haul__loan *loan);

#endif
