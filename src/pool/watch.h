/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_WATCH_H
#define SHORTHAUL_POOL_WATCH_H

/* Learning of deaths. See watch.c. */

#include "pool/impl.h"

/* Forget what has been noticed so far; a look is about to be taken. Under reap_mutex. */
void haul__watch_drain(haul_pool *pool);

#endif
