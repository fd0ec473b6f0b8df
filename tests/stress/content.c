/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Bytes that tell whose they are. Each message has a seed of its own, and each eight bytes of its
 * buffer depend on the seed and on where they are, so bytes of another message, or of another place
 * in the same one, are wrong. The reader makes the same numbers again and compares each byte, which
 * misses nothing that a checksum would find.
 */

#include "storm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint64_t storm_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static uint64_t word_at(uint64_t seed, uint64_t i)
{
    return (seed + i) * UINT64_C(0x9e3779b97f4a7c15) ^ seed;
}

void storm_fill(void *data, uint64_t len, uint64_t seed)
{
    uint8_t *bytes = data;
    for (uint64_t at = 0; at < len; at += 8) {
        uint64_t word = word_at(seed, at);
        memcpy(bytes + at, &word, len - at < 8 ? len - at : 8);
    }
}

static uint64_t count_wrong_in_word(const uint8_t *bytes, uint64_t n, uint64_t word)
{
    uint8_t right[8];
    uint64_t wrong = 0;
    memcpy(right, &word, sizeof(right));
    for (uint64_t i = 0; i < n; i++) {
        wrong += bytes[i] != right[i];
    }
    return wrong;
}

uint64_t storm_count_wrong(const void *data, uint64_t len, uint64_t seed)
{
    const uint8_t *bytes = data;
    uint64_t wrong = 0;
    for (uint64_t at = 0; at < len; at += 8) {
        uint64_t n = len - at < 8 ? len - at : 8;
        uint64_t word = word_at(seed, at);
        if (memcmp(bytes + at, &word, n) != 0) {
            wrong += count_wrong_in_word(bytes + at, n, word);
        }
    }
    return wrong;
}

void storm_note(storm_board *board, _Atomic uint64_t *counter, uint64_t n, const char *fmt, ...)
{
    va_list args;
    (void)atomic_fetch_add(counter, n);
    if (atomic_exchange(&board->text_taken, 1) == 0) {
        va_start(args, fmt);
        (void)vsnprintf(board->text, sizeof(board->text), fmt, args);
        va_end(args);
    }
}
