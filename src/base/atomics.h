/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_BASE_ATOMICS_H
#define SHORTHAUL_BASE_ATOMICS_H

/*
 * Atomic words with the memory order in the name of each access.
 *
 * The words are structs so that no access can forget to say its order. There are no fences: every
 * ordering the project relies on is between accesses of named words, where ThreadSanitizer and a
 * reader can see it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct haul__a32 {
    _Atomic uint32_t v;
} haul__a32;

typedef struct haul__a64 {
    _Atomic uint64_t v;
} haul__a64;

_Static_assert(sizeof(haul__a32) == 4 && sizeof(haul__a64) == 8, "shared words have no padding");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LONG_LOCK_FREE == 2,
               "a lock hidden in an atomic would be a lock inside shared memory");

#define HAUL__ATOMIC_WORD(bits)                                                                    \
    static inline uint##bits##_t haul__load##bits##_relaxed(const haul__a##bits *w)                \
    {                                                                                              \
        return atomic_load_explicit(&w->v, memory_order_relaxed);                                  \
    }                                                                                              \
    static inline uint##bits##_t haul__load##bits##_acquire(const haul__a##bits *w)                \
    {                                                                                              \
        return atomic_load_explicit(&w->v, memory_order_acquire);                                  \
    }                                                                                              \
    static inline uint##bits##_t haul__load##bits##_seq(const haul__a##bits *w)                    \
    {                                                                                              \
        return atomic_load_explicit(&w->v, memory_order_seq_cst);                                  \
    }                                                                                              \
    static inline void haul__store##bits##_relaxed(haul__a##bits *w, uint##bits##_t x)             \
    {                                                                                              \
        atomic_store_explicit(&w->v, x, memory_order_relaxed);                                     \
    }                                                                                              \
    static inline void haul__store##bits##_release(haul__a##bits *w, uint##bits##_t x)             \
    {                                                                                              \
        atomic_store_explicit(&w->v, x, memory_order_release);                                     \
    }                                                                                              \
    static inline void haul__store##bits##_seq(haul__a##bits *w, uint##bits##_t x)                 \
    {                                                                                              \
        atomic_store_explicit(&w->v, x, memory_order_seq_cst);                                     \
    }                                                                                              \
    static inline uint##bits##_t haul__add##bits##_relaxed(haul__a##bits *w, uint##bits##_t x)     \
    {                                                                                              \
        return atomic_fetch_add_explicit(&w->v, x, memory_order_relaxed);                          \
    }                                                                                              \
    static inline uint##bits##_t haul__or##bits##_seq(haul__a##bits *w, uint##bits##_t x)          \
    {                                                                                              \
        return atomic_fetch_or_explicit(&w->v, x, memory_order_seq_cst);                           \
    }                                                                                              \
    static inline uint##bits##_t haul__and##bits##_seq(haul__a##bits *w, uint##bits##_t x)         \
    {                                                                                              \
        return atomic_fetch_and_explicit(&w->v, x, memory_order_seq_cst);                          \
    }                                                                                              \
    /* On failure *expected is what was found, read with acquire. */                               \
    static inline bool haul__cas##bits##_acqrel(haul__a##bits *w, uint##bits##_t *expected,        \
                                                uint##bits##_t desired)                            \
    {                                                                                              \
        return atomic_compare_exchange_strong_explicit(                                            \
            &w->v, expected, desired, memory_order_acq_rel, memory_order_acquire);                 \
    }                                                                                              \
    static inline bool haul__cas##bits##_seq(haul__a##bits *w, uint##bits##_t *expected,           \
                                             uint##bits##_t desired)                               \
    {                                                                                              \
        return atomic_compare_exchange_strong_explicit(                                            \
            &w->v, expected, desired, memory_order_seq_cst, memory_order_seq_cst);                 \
    }

HAUL__ATOMIC_WORD(32)
HAUL__ATOMIC_WORD(64)

#undef HAUL__ATOMIC_WORD

#endif
