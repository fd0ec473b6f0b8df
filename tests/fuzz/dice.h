/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_DICE_H
#define SHORTHAUL_TESTS_DICE_H

/*
 * Where a hostile program's decisions come from: the bytes of a fuzzer's input, one or two per
 * decision so that a mutation of the input is a mutation of one decision, or a generator of numbers
 * with a seed. One thread at a time.
 */

#include <stddef.h>
#include <stdint.h>

typedef struct dice {
    const uint8_t *at; /* NULL: the generator decides */
    size_t left;
    uint64_t seed;
} dice;

static inline uint64_t dice_generate(dice *d)
{
    d->seed += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t x = d->seed;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The next @n bytes of the input as a number; those beyond its end are zeros. */
static inline uint64_t dice_bytes(dice *d, unsigned n)
{
    uint64_t x = 0;
    if (!d->at) {
        return dice_generate(d);
    }
    for (unsigned i = 0; i < n && d->left > 0; i++, d->at++, d->left--) {
        x |= (uint64_t)*d->at << (8 * i);
    }
    return x;
}

/* A number below @below, or any of 64 bits if that is 0. */
static inline uint64_t dice_roll(dice *d, uint64_t below)
{
    if (below == 0) {
        return dice_bytes(d, 8);
    }
    return dice_bytes(d, below <= 256 ? 1 : below <= 65536 ? 2 : 8) % below;
}

/* Whether there is anything left to decide. */
static inline int dice_more(const dice *d)
{
    return !d->at || d->left > 0;
}

#endif
