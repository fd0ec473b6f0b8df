/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * mmap() and munmap() as the pool sees them in a fuzz target. One thread. What does not fit into the
 * table, and mappings at a fixed address, go through as they are: they are only less well watched.
 */

#include "guard.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#define FENCE  4096u
#define N_MAPS 512

typedef struct fenced {
    uint8_t *start; /* between the fences; NULL: no entry */
    size_t bytes;
    bool unmapped;
} fenced;

static fenced maps[N_MAPS];

void *__real_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *addr, size_t bytes);
void *__wrap_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *addr, size_t bytes);

static fenced *find(const void *start)
{
    for (size_t i = 0; i < N_MAPS; i++) {
        if (maps[i].start == start && (!start || !maps[i].unmapped)) {
            return &maps[i];
        }
    }
    return NULL;
}

void *__wrap_mmap(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    fenced *entry = find(NULL);
    size_t span;
    if (addr || !(flags & MAP_SHARED) || fd < 0 || !entry || bytes % FENCE != 0 ||
        __builtin_add_overflow(bytes, 2 * FENCE, &span)) {
        return __real_mmap(addr, bytes, prot, flags, fd, offset);
    }
    uint8_t *place =
        __real_mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) {
        return MAP_FAILED;
    }
    void *start = __real_mmap(place + FENCE, bytes, prot, flags | MAP_FIXED, fd, offset);
    if (start == MAP_FAILED) {
        (void)__real_munmap(place, span);
        return MAP_FAILED;
    }
    *entry = (fenced){.start = start, .bytes = bytes};
    return start;
}

int __wrap_munmap(void *addr, size_t bytes)
{
    fenced *entry = addr ? find(addr) : NULL;
    if (!entry || entry->bytes != bytes) {
        return __real_munmap(addr, bytes);
    }
    entry->unmapped = true;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    return __real_mmap(addr, bytes, PROT_NONE, flags, -1, 0) == MAP_FAILED ? -1 : 0;
}

size_t guard_reset(void)
{
    size_t n_left = 0;
    for (size_t i = 0; i < N_MAPS; i++) {
        if (maps[i].start && !maps[i].unmapped) {
            n_left++;
        } else if (maps[i].start) {
            (void)__real_munmap(maps[i].start - FENCE, maps[i].bytes + 2 * FENCE);
            maps[i] = (fenced){0};
        }
    }
    return n_left;
}
