/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Copying payloads: what of a call cannot be had without touching every byte.
 *
 * Small ones are left to memcpy(). Two things help with large ones (docs/adr/0017):
 *
 *   past the cache   A payload that is larger than the caches of a core is written to memory anyway, and
 *                    a store into a cache fetches the line first. Stores that go past it save that. The
 *                    other side reads as fast as before, for it would not find the bytes near either.
 *   by two           One core cannot use up the memory's bandwidth. A second thread, made for this one
 *                    copy, takes the latter half. It is not missed: while a message of that size is
 *                    copied both ends wait for it.
 *
 * Where there is one core, no thread to be had, or no AVX2, it is memcpy() by one thread. Any thread
 * may call; nothing is shared but what is copied. Blocks for as long as the copy takes, never on others.
 */

#include "transport/bulk.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define PAST_CACHE_MIN ((size_t)4 << 20) /* more than the second-level cache of a core has */
#define BY_TWO_MIN     ((size_t)8 << 20) /* a thread is made in 30 us, half of this is copied in 500 */
#define LINE           64

typedef struct job {
    haul__cursor cursor;
    size_t n;
    uint8_t *to;
    bool past_cache;
} job;

#if defined(__x86_64__)

static bool can_pass_cache(void)
{
    return __builtin_cpu_supports("avx2");
}

__attribute__((target("avx2"))) static void copy_past_cache(uint8_t *to, const uint8_t *from,
                                                            size_t n)
{
    size_t at = -(uintptr_t)to & (LINE - 1);
    at = at < n ? at : n;
    memcpy(to, from, at);
    for (; n - at >= LINE; at += LINE) {
        __m256i low = _mm256_loadu_si256((const void *)(from + at));
        __m256i high = _mm256_loadu_si256((const void *)(from + at + LINE / 2));
        _mm256_stream_si256((void *)(to + at), low);
        _mm256_stream_si256((void *)(to + at + LINE / 2), high);
    }
    memcpy(to + at, from + at, n - at);
    _mm_sfence(); /* such stores may be seen later than those that come after them */
}

#else

static bool can_pass_cache(void)
{
    return false;
}

static void copy_past_cache(uint8_t *to, const uint8_t *from, size_t n)
{
    memcpy(to, from, n);
}

#endif

static void *run(void *arg)
{
    job *j = arg;
    if (!j->past_cache) {
        haul__cursor_take(&j->cursor, j->n, j->to);
        return NULL;
    }
    while (j->n > 0) {
        size_t here;
        const uint8_t *from = haul__cursor_peek(&j->cursor, &here);
        here = here < j->n ? here : j->n;
        copy_past_cache(j->to, from, here);
        haul__cursor_take(&j->cursor, here, NULL);
        j->to += here;
        j->n -= here;
    }
    return NULL;
}

/* Whether this thread may run on more than one core; false if that cannot be told. */
static bool has_cores(void)
{
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof(cores), &cores) == 0 && CPU_COUNT(&cores) > 1;
}

/* Have a thread of its own run @j; false if there is none. The application's signals are not for
 * it. */
static bool start(job *j, pthread_t *out_thread)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    if (!has_cores() || pthread_sigmask(SIG_SETMASK, &all, &before) != 0) {
        return false;
    }
    bool started = pthread_create(out_thread, NULL, run, j) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void haul__bulk_take(haul__cursor *cursor, size_t n, uint8_t *to)
{
    if (n < PAST_CACHE_MIN) {
        haul__cursor_take(cursor, n, to);
        return;
    }
    job first = {.cursor = *cursor, .n = n, .to = to, .past_cache = can_pass_cache()};
    if (n < BY_TWO_MIN) {
        (void)run(&first);
        *cursor = first.cursor;
        return;
    }
    job second = first;
    pthread_t thread;
    first.n = n / 2 & ~(size_t)(LINE - 1);
    second.n = n - first.n;
    second.to = to + first.n;
    haul__cursor_take(&second.cursor, first.n, NULL);
    bool by_two = start(&second, &thread);
    (void)run(&first);
    if (by_two) {
        (void)pthread_join(thread, NULL);
    } else {
        (void)run(&second);
    }
    *cursor = second.cursor;
}

void haul__bulk_copy(void *to, const void *from, size_t n)
{
    if (n < PAST_CACHE_MIN) {
        memcpy(to, from, n);
        return;
    }
    grpc_slice all = grpc_slice_from_static_buffer(from, n);
    haul__cursor cursor = {.slice = &all};
    haul__bulk_take(&cursor, n, to);
}
