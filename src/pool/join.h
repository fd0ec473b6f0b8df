/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_JOIN_H
#define SHORTHAUL_POOL_JOIN_H

/* Joining a pool that was just made, which must still be the same one. See join.c. */

#include "pool/impl.h"

/* As haul_pool_open(), but HAUL_AGAIN if the pool of that name is not the one with @uuid (NULL:
 * any).
 */
HAUL_MUST_CHECK haul_status haul__pool_join(const char *name, const haul_open_opts *opts,
                                            const uint8_t *uuid, haul_pool **out_pool,
                                            haul_error *err);

#endif
