/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Looking at a control object before trusting it.
 *
 * The header is read with pread(), so that a short, foreign or half-made file is an error and not
 * SIGBUS; what is read is checked whole, copied, and never read again. Nothing here changes the
 * pool except haul__control_write_state() and haul__control_unlink_all(), for those under the admin
 * lock; their callers (create.c, remove.c) say what is left when they die.
 */

#include "pool/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "pool/lock.h"
#include "pool/object.h"

uint64_t haul__pool_id_of_uuid(const uint8_t uuid[16])
{
    uint64_t id = 0;
    for (int i = 7; i >= 0; i--) {
        id = id << 8 | uuid[i];
    }
    return id;
}

static bool is_all_zero(const void *bytes, size_t n)
{
    const uint8_t *b = bytes;
    for (size_t i = 0; i < n; i++) {
        if (b[i] != 0) {
            return false;
        }
    }
    return true;
}

static ssize_t read_at(int fd, void *out, size_t bytes, size_t offset)
{
    ssize_t n;
    do {
        n = pread(fd, out, bytes, (off_t)offset);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* What is in the file: a pool, something its creator has not finished, or neither. */
static haul_status judge(haul__control *control)
{
    haul__header *h = &control->header;
    haul_error *err = &control->error;
    ssize_t n = read_at(control->fd, h, sizeof(*h), 0);
    if (n < 0) {
        return haul__fail_errno(err, errno, "cannot read the control segment");
    }
    control->state = haul__load32_relaxed(&h->state);
    if (control->state == HAUL__POOL_INIT &&
        (n == 0 || h->magic == HAUL__MAGIC || is_all_zero(h, (size_t)n))) {
        return haul__fail(err, HAUL_NOT_FOUND, "the pool's creator did not finish it");
    }
    if ((size_t)n < sizeof(*h)) {
        return haul__fail(err, HAUL_CORRUPT, "the control segment is short: %zd bytes", n);
    }
    haul_status s = haul__geometry_of_header(h, &control->geometry, err);
    if (s != HAUL_OK) {
        return s;
    }
    if (control->bytes < control->geometry.total_bytes) {
        return haul__fail(err, HAUL_CORRUPT,
                          "the control segment is short: %" PRIu64 " bytes of %" PRIu64,
                          control->bytes, control->geometry.total_bytes);
    }
    if (control->state > HAUL__POOL_REMOVED || haul__pool_id_of_uuid(h->uuid) == 0) {
        return haul__fail(err, HAUL_CORRUPT, "the control segment's header makes no sense");
    }
    return HAUL_OK;
}

haul_status haul__control_open(const char *name, bool writable, haul__control *out_control,
                               haul_error *err)
{
    char object[HAUL__OBJECT_NAME_BYTES];
    if (!haul__pool_name_is_valid(name)) {
        return haul__fail(err, HAUL_INVALID,
                          "a pool's name is 1 to %d of [A-Za-z0-9._-], without a leading dot",
                          HAUL_POOL_NAME_MAX);
    }
    haul__control_name(name, object);
    memset(out_control, 0, sizeof(*out_control));
    out_control->fd = -1;
    haul_status s =
        haul__object_open(object, (gid_t)-1, writable, &out_control->fd, &out_control->bytes, err);
    if (s == HAUL_NOT_FOUND) {
        return haul__fail(err, s, "there is no pool '%s'", name);
    }
    if (s == HAUL_OK) {
        out_control->verdict = judge(out_control);
    }
    return s;
}

void haul__control_close(haul__control *control)
{
    if (control->fd >= 0) { /* a forked child may have a copy, and with it the lock */
        haul__unlock(control->fd, HAUL__LOCK_ADMIN);
    }
    haul__close(control->fd);
    control->fd = -1;
}

/* Without a descriptor, so that it cannot fail for want of one. */
bool haul__control_is_named(const haul__control *control, const char *name)
{
    char object[HAUL__OBJECT_NAME_BYTES];
    char path[HAUL__OBJECT_NAME_BYTES + 16];
    struct stat mine;
    struct stat named;
    haul__control_name(name, object);
    (void)snprintf(path, sizeof(path), "/dev/shm%s", object);
    return fstat(control->fd, &mine) == 0 && lstat(path, &named) == 0 &&
           mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

uint32_t haul__control_read_state(const haul__control *control)
{
    uint32_t state = HAUL__POOL_INIT;
    ssize_t n = read_at(control->fd, &state, sizeof(state), offsetof(haul__header, state));
    return n == (ssize_t)sizeof(state) ? state : HAUL__POOL_INIT;
}

haul_status haul__control_write_state(const haul__control *control, uint32_t state)
{
    void *map;
    haul_status s = haul__object_map(control->fd, sizeof(haul__header), true, false, &map);
    if (s == HAUL_OK) {
        haul__store32_seq(&((haul__header *)map)->state, state);
        haul__object_unmap(map, sizeof(haul__header));
    }
    return s;
}

haul_status haul__control_unlink_all(const haul__control *control, const char *name,
                                     haul_error *err)
{
    char object[HAUL__OBJECT_NAME_BYTES];
    uint64_t id = haul__pool_id_of_uuid(control->header.uuid);
    uint32_t n_left = 0;
    if (control->verdict == HAUL_OK) {
        for (uint32_t i = 0; i < control->geometry.n_buffers; i++) {
            haul__buffer_name(name, id, i, object);
            n_left += shm_unlink(object) != 0 && errno != ENOENT;
        }
    }
    HAUL__FAULT(REMOVE_BUFFERS);
    haul__control_name(name, object);
    if (n_left > 0 || shm_unlink(object) != 0) {
        return haul__fail(err, HAUL_DENIED,
                          "%" PRIu32
                          " buffers of pool '%s' belong to other users: only root can remove it",
                          n_left, name);
    }
    return HAUL_OK;
}
