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
    return born != 0 && born == haul__load32_relaxed(&haul__record_of(buf->pool, buf->index)->born);
}

HAUL_MUST_CHECK haul_status haul__map_rw_anew(haul_buf *buf);
HAUL_MUST_CHECK haul_status haul__map_ro_anew(haul_buf *buf);

/* Make sure that buf->rw maps it; the caller owns the buffer. */
static inline HAUL_MUST_CHECK haul_status haul__map_rw(haul_buf *buf)
{
    return haul__map_is_current(buf, &buf->rw) ? HAUL_OK : haul__map_rw_anew(buf);
}

/* Make sure that buf->ro maps it; the caller has it pinned. */
static inline HAUL_MUST_CHECK haul_status haul__map_ro(haul_buf *buf)
{
    return haul__map_is_current(buf, &buf->ro) ? HAUL_OK : haul__map_ro_anew(buf);
}

void haul__maps_fini(haul_pool *pool);

#endif
