/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_WORD_H
#define SHORTHAUL_POOL_WORD_H

/*
 * The state word of a buffer: generation (32) | participant (16) | phase (8) | flags (8).
 *
 * One compare-and-swap moves a buffer on, and the word says who did it. layout.h has the table of
 * transitions; here is only how the word is put together and taken apart.
 */

#include <stdbool.h>
#include <stdint.h>

enum haul__phase {
    HAUL__ABSENT = 0, /* a new control segment reads as zeros: nothing is there */
    HAUL__CREATING = 1,
    HAUL__FREE = 2,
    HAUL__OWNED = 3,
    HAUL__SHARED = 4,
    HAUL__GIVEN = 5,
    HAUL__RETIRED = 6,
    HAUL__TRIMMING = 7,
    HAUL__KEPT = 8,     /* published for good: readable, and nobody's */
    HAUL__RETIRING = 9, /* released; its owner looks whether anybody reads */
    HAUL__N_PHASES = 10,
};

enum haul__flag {
    HAUL__FLAG_USED = 1, /* has been allocated since it was made */
    HAUL__FLAG_HUGE = 2, /* its pages were collapsed into huge pages */
    HAUL__FLAGS_ALL = 3,
};

#define HAUL__NOBODY 0u

static inline uint64_t haul__word(uint32_t generation, uint32_t who, enum haul__phase phase,
                                  uint32_t flags)
{
    return (uint64_t)generation << 32 | (uint64_t)(who & 0xffff) << 16 | (uint64_t)phase << 8 |
           (flags & 0xff);
}

static inline uint32_t haul__word_generation(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static inline uint32_t haul__word_who(uint64_t word)
{
    return (uint32_t)(word >> 16) & 0xffff;
}

/* May be a value that is no phase: the word comes from shared memory. */
static inline uint32_t haul__word_phase(uint64_t word)
{
    return (uint32_t)(word >> 8) & 0xff;
}

static inline uint32_t haul__word_flags(uint64_t word)
{
    return (uint32_t)word & 0xff;
}

/* Whether the word is of this life of the buffer, and in @phase, whoever it names. */
static inline bool haul__word_is_life(uint64_t word, uint32_t generation, enum haul__phase phase)
{
    return (word & UINT64_C(0xffffffff0000ff00)) ==
           ((uint64_t)generation << 32 | (uint64_t)phase << 8);
}

/* Whether a key of @generation may attach the buffer as it is. */
static inline bool haul__word_is_readable(uint64_t word, uint32_t generation)
{
    return haul__word_is_life(word, generation, HAUL__SHARED) ||
           haul__word_is_life(word, generation, HAUL__KEPT);
}

/* The same buffer in the same life, moved on to @phase and named for @who. */
static inline uint64_t haul__word_moved(uint64_t word, enum haul__phase phase, uint32_t who)
{
    return haul__word(haul__word_generation(word), who, phase, haul__word_flags(word));
}

/* The buffer's next life: free, being made, or claimed to be filled. */
static inline uint64_t haul__word_next_life(uint64_t word, enum haul__phase phase, uint32_t who)
{
    return haul__word(haul__word_generation(word) + 1, who, phase, haul__word_flags(word));
}

/* Whether @phase is one that names the participant who may move the buffer on. */
static inline bool haul__phase_is_named(uint32_t phase)
{
    return phase == HAUL__CREATING || phase == HAUL__OWNED || phase == HAUL__SHARED ||
           phase == HAUL__GIVEN || phase == HAUL__TRIMMING || phase == HAUL__RETIRING;
}

/*
 * Whether @word is one that a member of a pool with slots 1..@n_slots may have written. Code, audit
 * and tests all ask here.
 */
static inline bool haul__word_is_valid(uint64_t word, uint32_t n_slots)
{
    uint32_t phase = haul__word_phase(word);
    uint32_t who = haul__word_who(word);
    if (phase >= HAUL__N_PHASES || (haul__word_flags(word) & ~(uint32_t)HAUL__FLAGS_ALL) != 0) {
        return false;
    }
    return haul__phase_is_named(phase) ? who >= 1 && who <= n_slots : who == HAUL__NOBODY;
}

#endif
