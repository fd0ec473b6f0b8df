/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Learning of deaths without asking all the time.
 *
 * Every participant keeps the control object open for its lock. When it dies the kernel closes it, and
 * an inotify watch on that object tells. No process id is involved, so it works across PID
 * namespaces, and a participant that joins later needs no watch of its own.
 *
 * It is a hint and no more: others close the object, too, and the kernel tells of the close a moment
 * before it drops the lock. So whoever is told looks at the locks, and looks again a few times within
 * the next milliseconds. What it still misses is found at the next sweep.
 */

#include "pool/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "pool/object.h"
#include "pool/reap.h"
#include "pool/wait.h"

/* The lock falls microseconds after the close is told, unless the machine is busy. */
#define LOOKS         8
#define LOOK_AGAIN_NS 100000u /* doubled each time: 25 ms in all */

#define LOOK_ANYWAY_NS 50000000u

void haul__watch_drain(haul_pool *pool)
{
    char events[4096];
    if (pool->watch_fd >= 0) {
        while (read(pool->watch_fd, events, sizeof(events)) > 0) {
        }
    }
}

haul_status haul_pool_watch_fd(haul_pool *pool, int *out_fd, haul_error *err)
{
    char object[HAUL__OBJECT_NAME_BYTES];
    char path[HAUL__OBJECT_NAME_BYTES + 16];
    haul_status s = HAUL_OK;
    if (!pool || !pool->usable) {
        return haul__fail(err, HAUL_INVALID, "only a participant can watch a pool");
    }
    haul__control_name(pool->name, object);
    (void)snprintf(path, sizeof(path), "/dev/shm%s", object);
    (void)pthread_mutex_lock(&pool->reap_mutex);
    if (pool->watch_fd < 0) {
        int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (fd < 0 || inotify_add_watch(fd, path, IN_CLOSE_WRITE) < 0) {
            s = haul__fail_errno(err, errno, "cannot watch pool '%s'", pool->name);
            haul__close(fd);
        } else {
            pool->watch_fd = fd;
        }
    }
    if (s == HAUL_OK) {
        *out_fd = pool->watch_fd;
    }
    (void)pthread_mutex_unlock(&pool->reap_mutex);
    return s;
}

/* Look now, and again while the kernel may still be at it. */
static size_t look_a_few_times(haul_pool *pool)
{
    size_t n = haul__reap_dead(pool);
    for (uint32_t look = 0; look < LOOKS && n == 0; look++) {
        const struct timespec nap = {.tv_nsec = (long)(LOOK_AGAIN_NS << look)};
        (void)nanosleep(&nap, NULL);
        n = haul__reap_dead(pool);
    }
    return n;
}

haul_status haul_pool_reap_wait(haul_pool *pool, uint64_t timeout_ns, size_t *out_n,
                                haul_error *err)
{
    struct pollfd poll_fd = {.events = POLLIN};
    haul_status s = haul_pool_watch_fd(pool, &poll_fd.fd, err);
    if (s != HAUL_OK) {
        return s;
    }
    uint64_t start = haul__now_ns();
    size_t n = haul__reap_dead(pool);
    while (n == 0) {
        uint64_t waited = haul__now_ns() - start;
        if (waited >= timeout_ns) {
            return HAUL_TIMEOUT;
        }
        /* Two may die at once, and the second lock fall after the last look. */
        uint64_t left = timeout_ns - waited < LOOK_ANYWAY_NS ? timeout_ns - waited : LOOK_ANYWAY_NS;
        const struct timespec timeout = {.tv_sec = (time_t)(left / 1000000000u),
                                         .tv_nsec = (long)(left % 1000000000u)};
        if (ppoll(&poll_fd, 1, &timeout, NULL) > 0) {
            n = look_a_few_times(pool);
        } else {
            n = haul__reap_dead(pool);
        }
    }
    if (out_n) {
        *out_n = n;
    }
    return HAUL_OK;
}
