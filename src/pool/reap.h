/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_REAP_H
#define SHORTHAUL_POOL_REAP_H

/* Taking back what the dead left. See reap.c. */

#include "pool/impl.h"

/* Take back everything that participant @slot owned or held. The caller has @slot's lock. Returns
 * how much. */
size_t haul__reap_slot(haul_pool *pool, uint32_t slot);

/* Reap every participant that is dead, and every expired gift. */
size_t haul__reap_dead(haul_pool *pool);

#endif
