/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_LOCK_H
#define SHORTHAUL_POOL_LOCK_H

/*
 * Open-file-description locks (F_OFD_SETLK, fcntl(2)) on single bytes of the control object.
 *
 * They belong to the open file description, so they fall when its last descriptor is closed, which
 * the kernel does for a dead process; they are not lost when some other descriptor of the file is
 * closed, as POSIX record locks are, and do not depend on process ids. Two descriptions of one
 * process exclude each other, two threads with one description do not.
 */

#include <stdbool.h>
#include <stdint.h>

#include <shorthaul/status.h>

/* Never waits. Conditions: HAUL_AGAIN  somebody else has it. Failures: HAUL_SYSTEM. */
HAUL_MUST_CHECK haul_status haul__lock_try(int fd, uint32_t byte);

/* Whether another description has @byte. A file that cannot be asked counts as locked: nothing is
 * taken from the living on a doubt. */
bool haul__lock_is_held(int fd, uint32_t byte);

void haul__unlock(int fd, uint32_t byte);

#endif
