/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Memory for large inline payloads.
 *
 * A payload that travels inline is written once and read once, so most of what fresh memory costs
 * is its page faults: 16,384 of them for 64 MiB. Above a threshold this maps memory of its own,
 * aligned to huge pages and marked for them, which leaves 32. Where the kernel has none to give the
 * pages are small and nothing else changes. No state; any thread.
 */

#include "transport/large.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_BYTES ((size_t)2 << 20)

/* In front of every block. As large as the strictest alignment that malloc() promises. A block may
 * be freed by one of gRPC's threads: stored with release and loaded with acquire, so that
 * ThreadSanitizer sees the order that gRPC's reference counts make. */
typedef struct head {
    _Atomic size_t mapped_bytes; /* 0: from malloc() */
    size_t reserved;
} head;

_Static_assert(sizeof(head) == 16, "what follows the head is aligned like malloc()'s");

static head *map(size_t size)
{
    size_t bytes = (size + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
    uint8_t *start =
        mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
        return NULL;
    }
    size_t before = (HUGE_BYTES - ((uintptr_t)start & (HUGE_BYTES - 1))) & (HUGE_BYTES - 1);
    uint8_t *aligned = start + before;
    if (before > 0) {
        (void)munmap(start, before);
    }
    (void)munmap(aligned + bytes, HUGE_BYTES - before);
    (void)madvise(aligned, bytes, MADV_HUGEPAGE);
    head *h = (head *)(void *)aligned;
    atomic_store_explicit(&h->mapped_bytes, bytes, memory_order_release);
    return h;
}

static head *take(size_t size)
{
    head *h = malloc(size);
    if (h) {
        atomic_store_explicit(&h->mapped_bytes, 0, memory_order_release);
    }
    return h;
}

void *haul__large_alloc(size_t size)
{
    size_t total;
    if (__builtin_add_overflow(size, sizeof(head) + 2 * HUGE_BYTES, &total)) {
        return NULL;
    }
    total = size + sizeof(head);
    head *h = total < HUGE_BYTES ? take(total) : map(total);
    return h ? h + 1 : NULL;
}

void haul__large_free(void *memory)
{
    if (!memory) {
        return;
    }
    head *h = (head *)memory - 1;
    size_t mapped_bytes = atomic_load_explicit(&h->mapped_bytes, memory_order_acquire);
    if (mapped_bytes > 0) {
        (void)munmap(h, mapped_bytes);
    } else {
        free(h);
    }
}

void haul__large_relax(void *memory)
{
    head *h = (head *)memory - 1;
    size_t mapped_bytes = atomic_load_explicit(&h->mapped_bytes, memory_order_acquire);
    if (mapped_bytes > HUGE_BYTES) {
        (void)madvise((uint8_t *)h + HUGE_BYTES, mapped_bytes - HUGE_BYTES, MADV_FREE);
    }
}
