/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Liveness by lock. Whoever dies here loses its locks, which is the point.
 *
 * A stopped (SIGSTOP) process keeps its locks: it is alive. Locks are per mount of tmpfs, so they
 * work across PID and network namespaces as long as /dev/shm is the same.
 */

#include "pool/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int lock_op(int fd, int op, short type, uint32_t byte, struct flock *out)
{
    *out = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int rc;
    do {
        rc = fcntl(fd, op, out);
    } while (rc != 0 && errno == EINTR);
    return rc;
}

haul_status haul__lock_try(int fd, uint32_t byte)
{
    struct flock lock;
    if (lock_op(fd, F_OFD_SETLK, F_WRLCK, byte, &lock) == 0) {
        return HAUL_OK;
    }
    return errno == EAGAIN || errno == EACCES ? HAUL_AGAIN : HAUL_SYSTEM;
}

bool haul__lock_is_held(int fd, uint32_t byte)
{
    struct flock lock;
    return lock_op(fd, F_OFD_GETLK, F_WRLCK, byte, &lock) != 0 || lock.l_type != F_UNLCK;
}

void haul__unlock(int fd, uint32_t byte)
{
    struct flock lock;
    int saved = errno;
    (void)lock_op(fd, F_OFD_SETLK, F_UNLCK, byte, &lock);
    errno = saved;
}
