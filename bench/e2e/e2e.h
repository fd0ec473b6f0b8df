/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef E2E_H
#define E2E_H

/* The client's half of the end-to-end benchmark: see e2e_arms.c. The server's: e2e_roles.c. */

#include <shorthaul/transport.h>

#include "bench.h"

#define ADDRESS_BYTES 108

/* What crosses the raw socket before the bytes, and comes back after them: e2e_roles.c. */
typedef struct raw_head {
    uint64_t n_bytes;
    uint64_t whole;
} raw_head;

/* A size that is measured: its sums, and a buffer that holds the source's first bytes. */
typedef struct e2e_size {
    uint64_t n_bytes;
    uint64_t sums[2]; /* of the ends; of the whole */
    haul_buf *buf;    /* filled and shared */
    haul_payload_out by_key;
} e2e_size;

/* Everything the arms need; main() owns it. */
typedef struct e2e {
    haul_pool *pool;
    haul_channel *channel;
    uint8_t *source;  /* known bytes, as many as the largest size has */
    uint8_t *message; /* private memory, for what is produced inline */
    bench_peer raw;
    bench_peer cpp_server, cpp_client;
} e2e;

/* One call of one arm: does it, checks the answer, and says how long it took. */
typedef bool (*e2e_fn)(e2e *e, e2e_size *size, bool whole, uint64_t *out_ns);

bool e2e_empty(e2e *e, e2e_size *size, bool whole, uint64_t *out_ns);
bool e2e_inline(e2e *e, e2e_size *size, bool whole, uint64_t *out_ns);
bool e2e_key(e2e *e, e2e_size *size, bool whole, uint64_t *out_ns);
bool e2e_raw_socket(e2e *e, e2e_size *size, bool whole, uint64_t *out_ns);
bool e2e_cpp_stub(e2e *e, e2e_size *size, bool whole, uint64_t *out_ns);

/* The other processes; each answers with an exit code. */
int e2e_be_server(const char *address, const char *pool_name);
int e2e_be_raw_socket(void);

#endif
