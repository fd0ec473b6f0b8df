/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_BOARD_H
#define SHORTHAUL_TESTS_BOARD_H

/*
 * Where the neighbours of tests/hostile leave keys for each other: a memfd that they all inherit.
 * Words are written one by one and nobody locks, so a key that is read may be made of two. Such a
 * key is one more that must open nothing.
 */

#include <stdint.h>

#include <shorthaul/pool.h>

#include "base/atomics.h"

#define BOARD_ENTRIES 64
#define BOARD_WORDS   6
#define BOARD_BYTES   4096

typedef struct board {
    haul__a64 words[BOARD_ENTRIES][BOARD_WORDS];
} board;

_Static_assert(sizeof(board) <= BOARD_BYTES, "one page");

static inline void board_write(board *b, uint64_t entry, const haul_key *key, uint64_t len)
{
    haul__a64 *w = b->words[entry % BOARD_ENTRIES];
    haul__store64_relaxed(&w[0], key->pool_id);
    haul__store64_relaxed(&w[1], key->ticket);
    haul__store64_relaxed(&w[2], key->offset);
    haul__store64_relaxed(&w[3], (uint64_t)key->generation << 32 | key->index);
    haul__store64_relaxed(&w[4], len);
}

static inline haul_key board_read(const board *b, uint64_t entry, uint64_t *out_len)
{
    const haul__a64 *w = b->words[entry % BOARD_ENTRIES];
    uint64_t numbers = haul__load64_relaxed(&w[3]);
    *out_len = haul__load64_relaxed(&w[4]);
    return (haul_key){.pool_id = haul__load64_relaxed(&w[0]),
                      .ticket = haul__load64_relaxed(&w[1]),
                      .offset = haul__load64_relaxed(&w[2]),
                      .index = (uint32_t)numbers,
                      .generation = (uint32_t)(numbers >> 32)};
}

#endif
