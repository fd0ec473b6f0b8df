/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_REMOVE_H
#define SHORTHAUL_POOL_REMOVE_H

/* Clearing away what a dead creator or remover left. See remove.c. */

#include "pool/control.h"

/*
 * For one who wants to create pool @name and found an object of that name: take it away if it was
 * never finished, or is half removed.
 *
 * HAUL_OK: the name is free again, try once more.
 * Conditions: HAUL_EXISTS  a pool is there   HAUL_AGAIN  somebody living is at it
 * Failures:   those of haul__control_open(); HAUL_CORRUPT, HAUL_VERSION: it is not a pool of ours
 */
HAUL_MUST_CHECK haul_status haul__clear_leftover(const char *name, haul_error *err);

#endif
