/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_FUZZ_WIRE_H
#define SHORTHAUL_TESTS_FUZZ_WIRE_H

/*
 * What the targets of the transport share: a pool of two participants, and messages that a fuzzer
 * can write although it cannot guess a ticket.
 */

#include <grpc/byte_buffer.h>
#include <grpc/slice_buffer.h>

#include <shorthaul/pool.h>
#include <shorthaul/v1/payload.pb-c.h>

#include "fuzz_require.h"

#define WIRE_BYTES 5000u /* of the buffer whose key the input may name */

/* Of the whole process: removed when it exits. */
typedef struct wire_pools {
    haul_pool *server;
    haul_pool *client;
} wire_pools;

const wire_pools *wire_pools_get(void);

/* Everything is free again and nothing is wrong. */
void wire_pools_require_quiet(void);

/*
 * What the input says, spelt out. Bytes stand for themselves, but for 0xf5 and a letter:
 *   P, T   the pool's id, the key's ticket: 8 bytes     G   the key's generation: 4 bytes
 *   I      the key's index, a varint                    N   WIRE_BYTES, a varint
 *   L abc  abc as a little-endian number, a varint      F abc   so many bytes
 */
typedef struct wire_text {
    uint8_t *data;
    size_t len;
} wire_text;

/* Valid until the next one is spelt. */
wire_text wire_spell(const uint8_t *bytes, size_t n, const haul_key *key);

/* The text in slices of @piece bytes; 0: in one. */
grpc_byte_buffer *wire_buffer(const wire_text *text, size_t piece);

/* A copy of @len bytes in which the byte at @at, if there is one, is changed by @flip. */
grpc_slice wire_slice(const void *bytes, size_t len, size_t at, uint8_t flip);

/* Read every byte of a view, which must be readable. Their sum. */
uint64_t wire_sum(const haul_view *view);

#endif
