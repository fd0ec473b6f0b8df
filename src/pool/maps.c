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
 */

#include "pool/maps.h"

#include "pool/object.h"

static haul_status make_map(haul_buf *buf, haul__map *map, bool writable)
{
    haul_pool *pool = buf->pool;
    char object[HAUL__OBJECT_NAME_BYTES];
    uint32_t born = haul__load32_relaxed(&haul__record_of(pool, buf->index)->born);
    uint64_t bytes = 0;
    void *start = NULL;
    int fd = -1;

    haul__buffer_name(pool->name, pool->id, buf->index, object);
    haul_status s = haul__object_open(object, pool->gid, writable, &fd, &bytes, NULL);
    if (s != HAUL_OK) {
        /* The word says that it exists. */
        return s == HAUL_NOT_FOUND ? HAUL_CORRUPT : s;
    }
    if (bytes == 0 || bytes < pool->g.classes[buf->class_index].capacity_bytes) {
        s = HAUL_CORRUPT;
    } else {
        s = haul__object_map(fd, bytes, writable, pool->populate, &start);
    }
    haul__close(fd);
    if (s == HAUL_OK) {
        haul__object_unmap(map->start, map->bytes);
        map->start = start;
        map->bytes = bytes;
        haul__store32_release(&map->born, born);
    }
    return s;
}

haul_status haul__map_rw_anew(haul_buf *buf)
{
    return make_map(buf, &buf->rw, true);
}

haul_status haul__map_ro_anew(haul_buf *buf)
{
    haul_status s = HAUL_OK;
    (void)pthread_mutex_lock(&buf->pool->map_mutex);
    if (!haul__map_is_current(buf, &buf->ro)) { /* another thread may have been faster */
        s = make_map(buf, &buf->ro, false);
    }
    (void)pthread_mutex_unlock(&buf->pool->map_mutex);
    return s;
}

void haul__maps_fini(haul_pool *pool)
{
    for (uint32_t i = 0; i < pool->g.n_buffers; i++) {
        haul__object_unmap(pool->bufs[i].rw.start, pool->bufs[i].rw.bytes);
        haul__object_unmap(pool->bufs[i].ro.start, pool->bufs[i].ro.bytes);
    }
}
