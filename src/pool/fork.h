/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_FORK_H
#define SHORTHAUL_POOL_FORK_H

/* Keeping a forked child from standing in for its parent: see fork.c. */

#include "pool/impl.h"

/* From here on a child of fork() gives up its copy of @pool. Failures: HAUL_NOMEM. */
HAUL_MUST_CHECK haul_status haul__fork_register(haul_pool *pool);
void haul__fork_unregister(haul_pool *pool);

/* No child is born in between, so that none has a descriptor that its parent has not yet noted. */
void haul__fork_forbid(void);
void haul__fork_allow(void);

#endif
