/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Removing a pool, and what is left of one.
 *
 * Only the holder of an object's admin lock may unlink it, and only after a look that the name
 * still means this object. So a name is never taken away under somebody who has just made it anew.
 *
 * Order: mark REMOVING, see whether anybody lives, mark REMOVED, unlink the buffers, unlink the
 * control object last. Dying before REMOVED, the pool is whole and the mark is undone by the next
 * one who joins. Dying after it, the control object still says which buffers there are, and the
 * next one who creates or removes goes on. Names of objects come from the pool's own header; there
 * is no removal by prefix, except by force where there is no header to read any more.
 */

#include "pool/remove.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "pool/lock.h"
#include "pool/object.h"

static uint32_t count_living(const haul__control *control)
{
    uint32_t n = 0;
    for (uint32_t slot = 1; slot <= control->geometry.n_slots; slot++) {
        n += haul__lock_is_held(control->fd, slot);
    }
    return n;
}

/*
 * Take the admin lock of the object that is pool @name now, and read it under the lock: what was
 * read before may have been finished since. @lock holds the lock until it is closed.
 */
static haul_status open_locked(const char *name, haul__control *lock, haul__control *out_control,
                               haul_error *err)
{
    haul_status s = haul__control_open(name, true, lock, err);
    if (s != HAUL_OK) {
        return s;
    }
    s = haul__lock_try(lock->fd, HAUL__LOCK_ADMIN);
    if (s == HAUL_OK && !haul__control_is_named(lock, name)) {
        s = HAUL_AGAIN;
    }
    if (s != HAUL_OK) {
        (void)haul__fail(err, s, "pool '%s' is being created or removed right now", name);
    } else {
        s = haul__control_open(name, true, out_control, err);
    }
    if (s != HAUL_OK) {
        haul__control_close(lock);
    }
    return s;
}

/* ---- Leftovers ----------------------------------------------------------------------------- */

static haul_status clear_locked(const haul__control *control, const char *name, haul_error *err)
{
    if (control->verdict != HAUL_OK && control->verdict != HAUL_NOT_FOUND) {
        if (err) {
            *err = control->error;
        }
        return control->verdict;
    }
    /* NOT_FOUND: its creator died, and it has no buffers. */
    if (control->verdict == HAUL_NOT_FOUND ||
        haul__control_read_state(control) == HAUL__POOL_REMOVED) {
        return haul__control_unlink_all(control, name, err);
    }
    return haul__fail(err, HAUL_EXISTS, "pool '%s' exists", name);
}

haul_status haul__clear_leftover(const char *name, haul_error *err)
{
    haul__control lock;
    haul__control control;
    haul_status s = open_locked(name, &lock, &control, err);
    if (s == HAUL_OK) {
        s = clear_locked(&control, name, err);
        haul__control_close(&control);
        haul__control_close(&lock);
    }
    return s == HAUL_NOT_FOUND ? HAUL_OK /* gone meanwhile */ : s;
}

/* ---- Removing ------------------------------------------------------------------------------ */

/*
 * Unlink all buffers of pools of this name, whatever their id. Only for a control object that
 * cannot be read any more and an operator who forces it: nobody new can use those buffers without
 * it, and those who have them mapped keep them.
 */
static haul_status unlink_buffers_by_name(const char *name, haul_error *err)
{
    char control_name[HAUL__OBJECT_NAME_BYTES];
    char object[HAUL__OBJECT_NAME_BYTES];
    haul__control_name(name, control_name);
    size_t n = strlen(control_name) - 1; /* without the slash */
    DIR *dir = opendir("/dev/shm");
    if (!dir) {
        return haul__fail_errno(err, errno, "cannot read /dev/shm");
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, control_name + 1, n) == 0 && entry->d_name[n] == ':' &&
            snprintf(object, sizeof(object), "/%s", entry->d_name) < (int)sizeof(object)) {
            (void)shm_unlink(object);
        }
    }
    (void)closedir(dir);
    return HAUL_OK;
}

static haul_status remove_garbage(const haul__control *control, const char *name, bool force,
                                  haul_error *err)
{
    if (control->verdict != HAUL_NOT_FOUND && !force) {
        if (err) {
            *err = control->error;
        }
        return control->verdict;
    }
    if (control->verdict != HAUL_NOT_FOUND) {
        haul_status s = unlink_buffers_by_name(name, err);
        if (s != HAUL_OK) {
            return s;
        }
    }
    char object[HAUL__OBJECT_NAME_BYTES];
    haul__control_name(name, object);
    return shm_unlink(object) == 0 ? HAUL_OK
                                   : haul__fail_errno(err, errno, "cannot remove pool '%s'", name);
}

static haul_status remove_pool(const haul__control *control, const char *name, bool force,
                               haul_error *err)
{
    haul_status s = HAUL_OK;
    if (haul__control_read_state(control) != HAUL__POOL_REMOVED) {
        s = haul__control_write_state(control, HAUL__POOL_REMOVING);
        uint32_t n_living = count_living(control);
        if (s == HAUL_OK && n_living > 0 && !force) {
            s = haul__control_write_state(control, HAUL__POOL_READY);
            return s != HAUL_OK ? s
                                : haul__fail(err, HAUL_BUSY,
                                             "pool '%s' is used by %" PRIu32 " living participants",
                                             name, n_living);
        }
        if (s == HAUL_OK) {
            s = haul__control_write_state(control, HAUL__POOL_REMOVED);
        }
    }
    if (s != HAUL_OK) {
        return haul__fail(err, s, "cannot mark pool '%s' as removed", name);
    }
    HAUL__FAULT(REMOVE_MARKED);
    return haul__control_unlink_all(control, name, err);
}

haul_status haul_pool_remove(const char *name, bool force, haul_error *err)
{
    haul__control lock;
    haul__control control;
    haul_status s = open_locked(name, &lock, &control, err);
    if (s == HAUL_OK && !haul__object_is_mine(control.fd)) {
        s = haul__fail(err, HAUL_DENIED, "pool '%s' belongs to another user", name);
        haul__control_close(&control);
        haul__control_close(&lock);
    } else if (s == HAUL_OK) {
        s = control.verdict == HAUL_OK ? remove_pool(&control, name, force, err)
                                       : remove_garbage(&control, name, force, err);
        haul__control_close(&control);
        haul__control_close(&lock);
    }
    return s;
}
