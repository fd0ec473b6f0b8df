/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Mappings, one writable and one read-only per buffer and process, kept while the pool is open: the
 * second use of a buffer makes no system call.
 *
 * An object that was trimmed and made again has another "born" generation. A process that owns or
 * pins the buffer sees a constant value, for neither trim nor remake can happen then. So an old
 * mapping is replaced by the first thread that comes by in the new life, and no thread can still be
 * using the old one.
 *
 * Mapped bytes may be bounded. Before a mapping is made, those used longest ago are unmapped, by the
 * tick of their last use (it goes up with each mapping made), until the new one fits. One in use is
 * never unmapped: a pinned buffer's hold word is not 0, an owned buffer's rw_use is IN_USE, and to
 * unmap one of either word is first swapped from 0 to busy, which makes the next user wait for the
 * few microseconds of the munmap. If everything is in use the bound is exceeded, for correctness
 * comes first. Without a bound none of these words is touched.
 */

#include "pool/maps.h"

#include <sched.h>

#include "pool/hold.h"
#include "pool/object.h"

enum rw_use {
    NOT_IN_USE = 0,
    IN_USE = 1,
    BEING_UNMAPPED = 2,
};

void haul__mark_rw_used(haul_buf *buf)
{
    uint32_t seen = NOT_IN_USE;
    while (!haul__cas32_acqrel(&buf->rw_use, &seen, IN_USE) && seen == BEING_UNMAPPED) {
        (void)sched_yield();
        seen = NOT_IN_USE;
    }
    haul__store32_relaxed(&buf->used_at, haul__load32_relaxed(&buf->pool->tick));
}

/* ---- Unmapping what was used longest ago --------------------------------------------------- */

static void unmap(haul_pool *pool, haul__map *map)
{
    haul__object_unmap(map->start, map->bytes);
    pool->mapped_bytes -= map->bytes;
    map->start = NULL;
    map->bytes = 0;
    haul__store32_release(&map->born, 0);
}

/* Unmap what is mapped of one buffer and not in use. */
static void unmap_if_unused(haul_pool *pool, haul_buf *buf)
{
    uint32_t idle = NOT_IN_USE;
    if (buf->rw.start && haul__cas32_acqrel(&buf->rw_use, &idle, BEING_UNMAPPED)) {
        unmap(pool, &buf->rw);
        haul__store32_release(&buf->rw_use, NOT_IN_USE);
    }
    uint32_t none = 0;
    if (buf->ro.start && haul__hold_swap(&buf->hold, &none, HAUL__HOLD_BUSY)) {
        unmap(pool, &buf->ro);
        haul__store32_release(&buf->hold, 0);
    }
}

static bool is_unused(const haul_buf *buf)
{
    return (buf->rw.start && haul__load32_relaxed(&buf->rw_use) == NOT_IN_USE) ||
           (buf->ro.start && haul__load32_relaxed(&buf->hold) == 0);
}

/* Make room for @bytes. Under map_mutex. */
static void make_room(haul_pool *pool, uint64_t bytes)
{
    if (pool->map_bytes_max == 0) {
        return;
    }
    for (uint32_t n = 0; n < pool->g.n_buffers && pool->mapped_bytes + bytes > pool->map_bytes_max;
         n++) {
        haul_buf *oldest = NULL;
        uint32_t now = haul__load32_relaxed(&pool->tick);
        uint32_t greatest_age = 0;
        for (uint32_t i = 0; i < pool->g.n_buffers; i++) {
            haul_buf *buf = &pool->bufs[i];
            uint32_t age = now - haul__load32_relaxed(&buf->used_at);
            if (is_unused(buf) && (!oldest || age > greatest_age)) {
                oldest = buf;
                greatest_age = age;
            }
        }
        if (!oldest) {
            return;
        }
        unmap_if_unused(pool, oldest);
    }
}

/* ---- Mapping ------------------------------------------------------------------------------- */

/* Put a new mapping in an old one's place. Under map_mutex. */
static void replace(haul_pool *pool, haul__map *map, void *start, uint64_t bytes, uint32_t born)
{
    haul__object_unmap(map->start, map->bytes);
    pool->mapped_bytes += bytes - map->bytes;
    map->start = start;
    map->bytes = bytes;
    (void)haul__add32_relaxed(&pool->tick, 1);
    haul__store32_release(&map->born, born);
}

/* The object has no name any more. What the owner can write he can read all the same; for that,
 * mapped bytes may exceed their bound. Under map_mutex. */
static haul_status copy_map(haul_buf *buf, haul__map *map, bool writable)
{
    void *start = NULL;
    if (writable || !haul__map_is_current(buf, &buf->rw)) {
        return HAUL_NOT_FOUND;
    }
    haul_status s = haul__object_map_again(buf->rw.start, buf->rw.bytes, &start);
    if (s == HAUL_OK) {
        replace(buf->pool, map, start, buf->rw.bytes, haul__load32_relaxed(&buf->rw.born));
    }
    return s;
}

/* Under map_mutex. */
static haul_status make_map(haul_buf *buf, haul__map *map, bool writable)
{
    haul_pool *pool = buf->pool;
    char object[HAUL__OBJECT_NAME_BYTES];
    uint32_t born = haul__load32_relaxed(&buf->record->born);
    uint64_t bytes = 0;
    void *start = NULL;
    int fd = -1;

    haul__buffer_name(pool->name, pool->id, buf->index, object);
    haul_status s = haul__object_open(object, pool->gid, writable, &fd, &bytes, NULL);
    if (s != HAUL_OK) {
        if (s != HAUL_NOT_FOUND) {
            return s;
        }
        /* The word says that it exists: then somebody has removed the pool by force. */
        return haul_pool_is_removed(pool) ? copy_map(buf, map, writable) : HAUL_CORRUPT;
    }
    if (born == 0 || bytes == 0 || bytes < pool->g.classes[buf->class_index].capacity_bytes) {
        s = HAUL_CORRUPT;
    } else {
        make_room(pool, bytes);
        s = haul__object_map(fd, bytes, writable, pool->populate, &start);
    }
    haul__close(fd);
    if (s == HAUL_OK) {
        replace(pool, map, start, bytes, born);
    }
    return s;
}

static haul_status map_anew(haul_buf *buf, haul__map *map, bool writable)
{
    haul_status s = HAUL_OK;
    (void)pthread_mutex_lock(&buf->pool->map_mutex);
    if (!haul__map_is_current(buf, map)) { /* another thread may have been faster */
        s = make_map(buf, map, writable);
    }
    (void)pthread_mutex_unlock(&buf->pool->map_mutex);
    return s;
}

haul_status haul__map_rw_anew(haul_buf *buf)
{
    return map_anew(buf, &buf->rw, true);
}

haul_status haul__map_ro_anew(haul_buf *buf)
{
    haul_status s = HAUL_OK;
    (void)pthread_mutex_lock(&buf->pool->map_mutex);
    if (haul__load32_relaxed(&buf->ro_used) == 0 && !haul__map_is_current(buf, &buf->ro)) {
        s = make_map(buf, &buf->ro, false);
    }
    if (s == HAUL_OK) {
        haul__store32_release(&buf->ro_used, 1);
    }
    (void)pthread_mutex_unlock(&buf->pool->map_mutex);
    return s;
}

haul_status haul__maps_preattach(haul_pool *pool)
{
    for (uint32_t i = 0; i < pool->g.n_buffers; i++) {
        haul_buf *buf = &pool->bufs[i];
        uint64_t word = haul__load64_acquire(&haul__record_of(pool, i)->state);
        if (haul__word_phase(word) == HAUL__ABSENT ||
            haul__class_is_measured(pool, buf->class_index)) {
            continue;
        }
        /* Others go on meanwhile: what is trimmed under our hands is mapped when it is used. */
        if (haul__map_ro(buf) == HAUL_NOMEM) {
            return HAUL_NOMEM;
        }
    }
    return HAUL_OK;
}

void haul__maps_fini(haul_pool *pool)
{
    for (uint32_t i = 0; i < pool->g.n_buffers; i++) {
        haul__object_unmap(pool->bufs[i].rw.start, pool->bufs[i].rw.bytes);
        haul__object_unmap(pool->bufs[i].ro.start, pool->bufs[i].ro.bytes);
    }
}
