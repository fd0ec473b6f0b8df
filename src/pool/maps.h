/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_MAPS_H
#define SHORTHAUL_POOL_MAPS_H

/* This process's mappings of buffers: made once, kept until the pool is closed. See maps.c. */

#include "pool/impl.h"

/* Whether @map, one of @buf's two, maps the object that is the buffer now. */
static inline bool haul__map_is_current(const haul_buf *buf, const haul__map *map)
{
    uint32_t born = haul__load32_acquire(&map->born);
    return born != 0 && born == haul__load32_relaxed(&buf->record->born);
}

HAUL_MUST_CHECK haul_status haul__map_rw_anew(haul_buf *buf);
HAUL_MUST_CHECK haul_status haul__map_ro_anew(haul_buf *buf);

/* Where mapped bytes are bounded, a mapping that is in use is marked: see maps.c. */
void haul__mark_rw_used(haul_buf *buf);

/* The owner will not write any more. Once, before its store to the state word. */
static inline void haul__let_go_of_map(haul_buf *buf)
{
    if (buf->pool->map_bytes_max != 0) {
        haul__store32_release(&buf->rw_use, 0);
    }
}

/* Make sure that buf->rw maps it; the caller owns the buffer. */
static inline HAUL_MUST_CHECK haul_status haul__map_rw(haul_buf *buf)
{
    if (buf->pool->map_bytes_max != 0) {
        haul__mark_rw_used(buf);
    }
    return haul__map_is_current(buf, &buf->rw) ? HAUL_OK : haul__map_rw_anew(buf);
}

/* Make sure that buf->ro maps it; the caller has it pinned. */
static inline HAUL_MUST_CHECK haul_status haul__map_ro(haul_buf *buf)
{
    if (buf->pool->map_bytes_max != 0) {
        haul__store32_relaxed(&buf->used_at, haul__load32_relaxed(&buf->pool->tick));
    }
    if (haul__load32_acquire(&buf->ro_used) == 0) {
        return haul__map_ro_anew(buf);
    }
    /* Others look through it: if the object is another one now, somebody has scribbled. */
    return haul__map_is_current(buf, &buf->ro) ? HAUL_OK : HAUL_CORRUPT;
}

/* Map every buffer that exists, read-only. Failures: HAUL_NOMEM. */
HAUL_MUST_CHECK haul_status haul__maps_preattach(haul_pool *pool);

void haul__maps_fini(haul_pool *pool);

#endif
