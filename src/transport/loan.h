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
    uint64_t room;     /* bytes that may be written, as the client says */
    atomic_bool taken; /* on the server: somebody has tried to claim it */
} haul__loan;

/* ---- The client ---- */

/*
 * Lend a buffer of @bytes to participant @to of @pool until @until_ns. Where there is none to be had, or
 * nobody in that slot, @loan stays empty.
 */
void haul__loan_open(haul__loan *loan, haul_pool *pool, uint64_t bytes, uint32_t to,
                     uint64_t until_ns);

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

/* Take back what nobody has claimed. */
void haul__loan_close(haul__loan *loan);

#endif
