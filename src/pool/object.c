/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Shared-memory objects, one at a time.
 *
 * Who may die here: a maker between shm_open() and the state word that announces the buffer. The
 * word says CREATING with its name then, so the reaper destroys whatever is there under the name.
 * A remover dies between taking the pages and the name: TRIMMING, the same.
 *
 * A full /dev/shm or memory limit shows in posix_fallocate() as ENOSPC or ENOMEM, here and never
 * later as SIGBUS. A hostile neighbour with write access to the objects can truncate them; pools
 * are one trust domain (docs/failure-model.md), but other users' objects are refused.
 */

#include "pool/object.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"
#include "pool/layout.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1, include/uapi/asm-generic/mman-common.h */
#endif

/* ---- Names --------------------------------------------------------------------------------- */

bool haul__pool_name_is_valid(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (!name) {
        return false;
    }
    size_t n = strnlen(name, HAUL_POOL_NAME_MAX + 1);
    return n >= 1 && n <= HAUL_POOL_NAME_MAX && name[0] != '.' && strspn(name, allowed) == n;
}

void haul__control_name(const char *pool_name, char out[HAUL__OBJECT_NAME_BYTES])
{
    (void)snprintf(out, HAUL__OBJECT_NAME_BYTES, "/" HAUL__OBJECT_PREFIX "%s", pool_name);
}

void haul__buffer_name(const char *pool_name, uint64_t pool_id, uint32_t index,
                       char out[HAUL__OBJECT_NAME_BYTES])
{
    (void)snprintf(out, HAUL__OBJECT_NAME_BYTES,
                   "/" HAUL__OBJECT_PREFIX "%s:%016" PRIx64 ":%" PRIu32, pool_name, pool_id, index);
}

/* ---- Making -------------------------------------------------------------------------------- */

static int reserve(int fd, uint64_t offset, uint64_t bytes)
{
    int rc;
    do {
        rc = fallocate(fd, 0, (off_t)offset, (off_t)bytes);
    } while (rc != 0 && errno == EINTR);
    return rc;
}

void haul__close(int fd)
{
    int saved = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = saved;
}

haul_status haul__object_create(const char *name, int *out_fd, haul_error *err)
{
    int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        return haul__fail_errno(err, errno, "cannot create a shared-memory object");
    }
    *out_fd = fd;
    return HAUL_OK;
}

/*
 * Fill an empty object with huge pages, as far as whole ones go. Of each block only the first page
 * is reserved, so that there is something to collapse, and the collapse brings the rest: a quarter
 * of the time of reserving every small page first and copying them together
 * (docs/adr/0002-huge-pages.md).
 */
static bool fill_with_huge_pages(int fd, uint64_t bytes)
{
    uint64_t whole = bytes & ~(HAUL__HUGE_BYTES - 1);
    void *map = NULL;
    if (whole == 0 || haul__object_map(fd, whole, true, false, &map) != HAUL_OK) {
        return false;
    }
    bool filled = true;
    for (uint64_t at = 0; at < whole && filled; at += HAUL__HUGE_BYTES) {
        filled = reserve(fd, at, HAUL__PAGE_BYTES) == 0;
    }
    filled = filled && madvise(map, whole, MADV_COLLAPSE) == 0;
    haul__object_unmap(map, whole);
    return filled;
}

haul_status haul__object_furnish(int fd, uint64_t bytes, uint32_t mode, gid_t gid, bool *out_huge,
                                 haul_error *err)
{
    if (bytes > INT64_MAX) {
        return haul__fail(err, HAUL_EXHAUSTED, "no object can have %" PRIu64 " bytes", bytes);
    }
    if (ftruncate(fd, (off_t)bytes) != 0) {
        return haul__fail_errno(err, errno, "cannot size a shared-memory object");
    }
    /* Ask first: filling page by page what cannot be had would starve everybody on the way. */
    struct statvfs vfs;
    if (fstatvfs(fd, &vfs) == 0 && vfs.f_blocks > 0 && bytes / vfs.f_frsize > vfs.f_bavail) {
        return haul__fail_errno(err, ENOSPC, "cannot reserve %" PRIu64 " bytes of shared memory",
                                bytes);
    }
    bool huge = fill_with_huge_pages(fd, bytes);
    if (reserve(fd, 0, bytes) != 0) {
        haul_status s = haul__fail_errno(
            err, errno, "cannot reserve %" PRIu64 " bytes of shared memory", bytes);
        return s == HAUL_NOMEM ? HAUL_EXHAUSTED : s;
    }
    if (haul__object_is_mine(fd) &&
        ((gid != (gid_t)-1 && fchown(fd, (uid_t)-1, gid) != 0) || fchmod(fd, mode) != 0)) {
        return haul__fail_errno(err, errno, "cannot set mode %04o, group %ld", mode,
                                gid == (gid_t)-1 ? -1L : (long)gid);
    }
    if (out_huge) {
        *out_huge = huge;
    }
    return HAUL_OK;
}

/* ---- Opening ------------------------------------------------------------------------------- */

static bool in_my_groups(gid_t gid)
{
    gid_t groups[256];
    if (gid == getegid()) {
        return true;
    }
    int n = getgroups((int)(sizeof(groups) / sizeof(groups[0])), groups);
    for (int i = 0; i < n; i++) {
        if (groups[i] == gid) {
            return true;
        }
    }
    return false;
}

/* An object that somebody else planted, or may change, is not a pool's. */
static haul_status check_safe(const struct stat *st, gid_t trusted, haul_error *err)
{
    if (!S_ISREG(st->st_mode)) {
        return haul__fail(err, HAUL_DENIED, "the object is not a regular file");
    }
    if ((st->st_mode & (S_IWOTH | S_IROTH)) != 0) {
        return haul__fail(err, HAUL_DENIED, "the object is open to every user (mode %04o)",
                          st->st_mode & 07777u);
    }
    bool by_owner = st->st_uid == geteuid() || st->st_uid == 0;
    bool by_group = (st->st_mode & S_IRGRP) != 0 &&
                    ((trusted != (gid_t)-1 && st->st_gid == trusted) || in_my_groups(st->st_gid));
    if (!by_owner && !by_group) {
        return haul__fail(err, HAUL_DENIED, "the object belongs to user %ld", (long)st->st_uid);
    }
    return HAUL_OK;
}

haul_status haul__object_open(const char *name, gid_t trusted, bool writable, int *out_fd,
                              uint64_t *out_bytes, haul_error *err)
{
    int fd = shm_open(name, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC, 0);
    if (fd < 0) {
        return haul__fail_errno(err, errno, "cannot open a shared-memory object");
    }
    struct stat st;
    haul_status s = HAUL_OK;
    if (fstat(fd, &st) != 0) {
        s = haul__fail_errno(err, errno, "cannot look at a shared-memory object");
    } else {
        s = check_safe(&st, trusted, err);
    }
    if (s != HAUL_OK) {
        haul__close(fd);
        return s;
    }
    *out_fd = fd;
    *out_bytes = (uint64_t)st.st_size;
    return HAUL_OK;
}

/* ---- Mapping ------------------------------------------------------------------------------- */

/* A place of @bytes on a 2 MiB boundary, taken by nothing yet but a reservation of addresses. */
static void *aligned_place(uint64_t bytes)
{
    uint64_t span;
    if (!haul__add_u64(bytes, HAUL__HUGE_BYTES, &span)) {
        return MAP_FAILED;
    }
    uint8_t *start =
        mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) {
        return MAP_FAILED;
    }
    uint64_t head = -(uint64_t)(uintptr_t)start & (HAUL__HUGE_BYTES - 1);
    if (head > 0) {
        (void)munmap(start, head);
    }
    (void)munmap(start + head + bytes, span - head - bytes);
    return start + head;
}

haul_status haul__object_map(int fd, uint64_t bytes, bool writable, bool populate, void **out_map)
{
    uint64_t page_bytes;
    if (!haul__round_up_u64(bytes, HAUL__PAGE_BYTES, &page_bytes) || page_bytes == 0) {
        return HAUL_INVALID;
    }
    void *place = NULL;
    int flags = MAP_SHARED | (populate ? MAP_POPULATE : 0);
    if (bytes >= HAUL__HUGE_BYTES) {
        place = aligned_place(page_bytes);
        if (place == MAP_FAILED) {
            return HAUL_NOMEM;
        }
        flags |= MAP_FIXED;
    }
    void *map =
        mmap(place, page_bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, flags, fd, 0);
    if (map == MAP_FAILED) {
        int saved = errno;
        if (place) {
            (void)munmap(place, page_bytes);
        }
        return haul__status_of_errno(saved);
    }
    if (madvise(map, page_bytes, MADV_DONTFORK) != 0) {
        (void)munmap(map, page_bytes);
        return HAUL_SYSTEM;
    }
    *out_map = map;
    return HAUL_OK;
}

haul_status haul__object_map_again(void *map, uint64_t bytes, void **out_map)
{
    uint64_t page_bytes;
    if (!haul__round_up_u64(bytes, HAUL__PAGE_BYTES, &page_bytes)) {
        return HAUL_INVALID;
    }
    /* An old size of 0 leaves a shared mapping where it is and makes another one. */
    void *again = mremap(map, 0, page_bytes, MREMAP_MAYMOVE);
    if (again == MAP_FAILED) {
        return haul__status_of_errno(errno);
    }
    if (mprotect(again, page_bytes, PROT_READ) != 0 ||
        madvise(again, page_bytes, MADV_DONTFORK) != 0) {
        (void)munmap(again, page_bytes);
        return HAUL_SYSTEM;
    }
    *out_map = again;
    return HAUL_OK;
}

void haul__object_unmap(void *map, uint64_t bytes)
{
    uint64_t page_bytes;
    int saved = errno;
    if (map && haul__round_up_u64(bytes, HAUL__PAGE_BYTES, &page_bytes)) {
        (void)munmap(map, page_bytes);
    }
    errno = saved;
}

/* ---- Removing ------------------------------------------------------------------------------ */

bool haul__object_destroy(const char *name)
{
    int saved = errno;
    int fd = shm_open(name, O_RDWR | O_CLOEXEC, 0);
    if (fd >= 0) {
        struct stat st;
        if (fstat(fd, &st) == 0 && st.st_size > 0) {
            (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st.st_size);
        }
        (void)close(fd);
    }
    bool gone = shm_unlink(name) == 0 || errno == ENOENT;
    errno = saved;
    return gone;
}

bool haul__object_is_mine(int fd)
{
    struct stat st;
    return geteuid() == 0 || (fstat(fd, &st) == 0 && st.st_uid == geteuid());
}

bool haul__object_exists(const char *name, gid_t trusted, uint64_t *out_bytes)
{
    int fd = -1;
    haul_status s = haul__object_open(name, trusted, false, &fd, out_bytes, NULL);
    haul__close(fd);
    return s == HAUL_OK;
}
