/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_HOLD_H
#define SHORTHAUL_POOL_HOLD_H

/* The private count of a process's threads that have a buffer attached: count << 1 | busy. See
 * attach.c. */

#define HAUL__HOLD_BUSY 1u
#define HAUL__HOLD_ONE  2u

#endif
