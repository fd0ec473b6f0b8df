/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_BASE_SIPHASH_H
#define SHORTHAUL_BASE_SIPHASH_H

/*
 * SipHash-1-3 of exactly eight bytes: a pseudo-random function of a 64-bit number under a 128-bit
 * key. J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012; the variant with
 * one and three rounds is theirs, too. Inline and for one length only, because it is drawn once per
 * shared buffer and must cost a few nanoseconds.
 */

#include <stdint.h>

typedef struct haul__siphash_key {
    uint64_t k0, k1;
} haul__siphash_key;

static inline uint64_t haul__rotl64(uint64_t x, unsigned n)
{
    return (x << n) | (x >> (64 - n));
}

static inline void haul__sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = haul__rotl64(v[1], 13) ^ v[0];
    v[3] = haul__rotl64(v[3], 16) ^ v[2];
    v[0] = haul__rotl64(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = haul__rotl64(v[1], 17) ^ v[2];
    v[3] = haul__rotl64(v[3], 21) ^ v[0];
    v[2] = haul__rotl64(v[2], 32);
}

static inline uint64_t haul__siphash_u64(haul__siphash_key key, uint64_t x)
{
    uint64_t v[4] = {key.k0 ^ 0x736f6d6570736575u, key.k1 ^ 0x646f72616e646f6du,
                     key.k0 ^ 0x6c7967656e657261u, key.k1 ^ 0x7465646279746573u};
    const uint64_t length_block = (uint64_t)8 << 56;

    v[3] ^= x;
    haul__sip_round(v);
    v[0] ^= x;
    v[3] ^= length_block;
    haul__sip_round(v);
    v[0] ^= length_block;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) {
        haul__sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
