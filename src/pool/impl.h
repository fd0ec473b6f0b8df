/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_IMPL_H
#define SHORTHAUL_POOL_IMPL_H

/*
 * What one process knows of a pool: private, so that nothing here can be scribbled on, and the
 * accessors through which shared records are reached.
 */

#include <pthread.h>

#include <shorthaul/pool.h>

#include "base/siphash.h"
#include "pool/fault.h"
#include "pool/geometry.h"
#include "pool/layout.h"
#include "pool/word.h"

/* One mapping of a buffer's object. @born tells whether it is still the object of that name: the
 * object is made anew after a trim. */
typedef struct haul__map {
    void *start;
    uint64_t bytes;
    haul__a32 born; /* stored last (release); 0 = no mapping */
} haul__map;

/*
 * One per buffer of the pool, whether or not this process has to do with it. The handle that
 * haul_buf_alloc() returns is a pointer to it: a buffer has one owner, so one handle is enough.
 *
 * rw, word     the owning thread; passed on between threads with the buffer itself
 * ro           any thread that has pinned the buffer; remapped under pool->map_mutex, and only in
 *              a life of the buffer in which no thread of this process has pinned it before
 * hold         see hold.c
 */
struct haul_buf {
    haul_pool *pool;
    haul__record *record; /* in shared memory */
    uint32_t index;
    uint32_t class_index;
    uint64_t word; /* the state as this owner left it; 0 = not ours */
    haul__a32 hold;
    haul__a32
        ro_used;    /* ro is looked through in this hold: it is not replaced until the hold ends */
    haul__a32 mine; /* this process owns or makes it: a forged word makes no second owner here */
    haul__map rw;
    haul__map ro;
    haul__a32 rw_use;     /* only where mapped bytes are bounded: see maps.c */
    haul__a32 used_at;    /* the same: tick of its last use */
    bool published;       /* by this owner, in this life */
    uint64_t quota_bytes; /* what it counts for while this participant owns it */
};

typedef struct haul__local_class {
    haul__a32 last; /* index of the buffer to look at first: what this process freed last */
    uint8_t tail[HAUL__LINE - 4];
} haul__local_class;

struct haul_pool {
    /* Constant after the pool is opened. */
    uint8_t *base;
    haul__geometry g;
    haul_buf *bufs;
    haul__counters *my_counters; /* this participant's row, in shared memory */
    haul__siphash_key ticket_key;
    uint64_t id;
    uint32_t slot; /* 0: observer */
    int lock_fd;   /* a description of its own, never mapped: a forked child's inherited mapping
                    * would keep the locks of a shared description alive */
    bool keeper;
    bool populate;
    gid_t gid;
    uint64_t map_bytes_max; /* 0: none */
    uint8_t uuid[16];
    char name[HAUL_POOL_NAME_MAX + 1];

    bool usable; /* false for observers, and from fork() on in the child */
    bool forked;
    pthread_mutex_t map_mutex;  /* making mappings; never held while another lock is wanted */
    pthread_mutex_t reap_mutex; /* one thread of this process reaps at a time, for OFD locks do not
                                 * exclude the threads of one description */
    uint64_t mapped_bytes;      /* under map_mutex */
    haul__a32 tick;             /* goes up with each mapping made */
    haul__a64 owned_bytes;      /* only where there is a quota */
    int watch_fd;               /* -1: nobody asked for it; under reap_mutex */
    struct haul_pool *next;     /* all pools of the process, under fork.c's mutex */
    struct haul_pool **link;
    haul__local_class classes[HAUL_CLASSES_MAX];
};

static inline haul__header *haul__header_of(const haul_pool *pool)
{
    return (haul__header *)(void *)pool->base;
}

static inline haul__slot *haul__slot_of(const haul_pool *pool, uint32_t slot)
{
    return (haul__slot *)(void *)(pool->base + pool->g.slots_offset) + slot;
}

static inline haul__class *haul__class_of(const haul_pool *pool, uint32_t c)
{
    return (haul__class *)(void *)(pool->base + pool->g.classes_offset) + c;
}

static inline haul__name *haul__name_of(const haul_pool *pool, uint32_t i)
{
    return (haul__name *)(void *)(pool->base + pool->g.names_offset) + i;
}

static inline haul__a64 *haul__hints_of(const haul_pool *pool, uint32_t c)
{
    return (haul__a64 *)(void *)(pool->base + pool->g.classes[c].hints_offset);
}

static inline haul__counters *haul__counters_of(const haul_pool *pool, uint32_t slot)
{
    return (haul__counters *)(void *)(pool->base + pool->g.counters_offset) +
           (uint64_t)slot * pool->g.n_classes;
}

static inline haul__record *haul__record_of(const haul_pool *pool, uint32_t index)
{
    return (haul__record *)(void *)(pool->base + pool->g.records_offset +
                                    (uint64_t)index * pool->g.record_bytes);
}

static inline bool haul__class_is_measured(const haul_pool *pool, uint32_t c)
{
    return pool->g.classes[c].size_bytes == 0;
}

static inline uint64_t haul__holder_bit(uint32_t slot)
{
    return UINT64_C(1) << (slot % 64);
}

/* Bytes of buffer @index as far as shared memory says; for sums, never for pointers. */
static inline uint64_t haul__capacity_of(const haul_pool *pool, uint32_t c, uint32_t index)
{
    return haul__class_is_measured(pool, c)
               ? haul__load64_relaxed(&haul__record_of(pool, index)->capacity)
               : pool->g.classes[c].capacity_bytes;
}

/* A buffer that counts for the quota is not this participant's any more. */
static inline void haul__quota_return(const haul_buf *buf)
{
    if (buf->pool->g.quota_bytes != 0) {
        (void)haul__add64_relaxed(&buf->pool->owned_bytes, -buf->quota_bytes);
    }
}

#endif
