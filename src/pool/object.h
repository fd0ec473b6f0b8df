/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_OBJECT_H
#define SHORTHAUL_POOL_OBJECT_H

/*
 * POSIX shared-memory objects: names, permissions, reservation, huge pages, mappings.
 *
 * Names are made here, from a pool's own name and id, and nowhere else; no name ever comes from a
 * message or from shared memory.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <shorthaul/pool.h>

/* '/' "haul." NAME ':' id ':' index. A pool's name has no ':', so that a control object's name is
 * never a buffer's. */
#define HAUL__OBJECT_NAME_BYTES (HAUL_POOL_NAME_MAX + 40)
#define HAUL__OBJECT_PREFIX     "haul."

bool haul__pool_name_is_valid(const char *name);
void haul__control_name(const char *pool_name, char out[HAUL__OBJECT_NAME_BYTES]);
void haul__buffer_name(const char *pool_name, uint64_t pool_id, uint32_t index,
                       char out[HAUL__OBJECT_NAME_BYTES]);

/*
 * Make an empty object that nobody else may open yet.
 *
 * Ownership:  @out_fd is the caller's, open for reading and writing, close-on-exec.
 * Conditions: HAUL_EXISTS
 */
HAUL_MUST_CHECK haul_status haul__object_create(const char *name, int *out_fd, haul_error *err);

/*
 * Give a new object its size, with every page reserved so that no use of it can run out of memory,
 * and its permissions.
 *
 * @mode, @gid: exact, whatever the umask; (gid_t)-1 keeps the group. An object that was left by
 *         another user of the group keeps what it has.
 * @out_huge: whether all of it that can be is in huge pages (MADV_COLLAPSE, Linux 6.1); may be
 * NULL.
 *
 * Conditions: HAUL_EXHAUSTED (tmpfs, memory limit)
 */
HAUL_MUST_CHECK haul_status haul__object_furnish(int fd, uint64_t bytes, uint32_t mode, gid_t gid,
                                                 bool *out_huge, haul_error *err);

/* Whether this process may remove an open object's name: its owner, or root. */
bool haul__object_is_mine(int fd);

/*
 * Open an object that is there, if it is safe to: a regular file, ours, root's, or of a group of
 * ours, and not * writable for the world. Objects of group @trusted are safe, too: that is the
 * pool's own, as its control object says; (gid_t)-1 = none.
 *
 * Conditions: HAUL_NOT_FOUND   Failures: HAUL_DENIED, HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status haul__object_open(const char *name, gid_t trusted, bool writable,
                                              int *out_fd, uint64_t *out_bytes, haul_error *err);

/* Map @bytes from the start; objects of 2 MiB and more start on a 2 MiB boundary. Not inherited by
 * forked children. */
HAUL_MUST_CHECK haul_status haul__object_map(int fd, uint64_t bytes, bool writable, bool populate,
                                             void **out_map);

/* Map to read what is mapped at @map already, once more: for objects that have no name any more. */
HAUL_MUST_CHECK haul_status haul__object_map_again(void *map, uint64_t bytes, void **out_map);
void haul__object_unmap(void *map, uint64_t bytes);

/* Give an object's pages back at once, even if others still map it, and remove its name. False if
 * the name is still there: /dev/shm is sticky, and the object is another user's of the pool's
 * group. */
bool haul__object_destroy(const char *name);

bool haul__object_exists(const char *name, gid_t trusted, uint64_t *out_bytes);

/* close(2) that keeps errno. */
void haul__close(int fd);

#endif
