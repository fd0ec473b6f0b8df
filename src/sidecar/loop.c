/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What the sidecar's main thread does between start and end: it sleeps until the sweep's timer or a
 * signal wakes it. Calls are served by the server's threads meanwhile.
 *
 * Signals are blocked before any thread is started and read from a signalfd, so no handler ever
 * interrupts anything. A signal that comes during the start waits there, and ends the sidecar right
 * after it is ready.
 */

#include "sidecar/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

static haul_status fail(haul_error *err, const char *what)
{
    int code = errno;
    *err = (haul_error){.status = HAUL_SYSTEM, .sys_errno = code};
    (void)snprintf(err->text, sizeof(err->text), "%s: %s", what, strerror(code));
    return HAUL_SYSTEM;
}

static int open_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int open_timer(uint64_t period_ns)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct timespec period = {.tv_sec = (time_t)(period_ns / SECOND_NS),
                              .tv_nsec = (long)(period_ns % SECOND_NS)};
    struct itimerspec spec = {.it_interval = period, .it_value = period};
    if (fd >= 0 && timerfd_settime(fd, 0, &spec, NULL) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bool watch(const loop *l, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

haul_status loop_init(loop *l, uint64_t sweep_ns, haul_error *err)
{
    *l = (loop){.signal_fd = -1, .timer_fd = -1, .epoll_fd = -1};
    l->signal_fd = open_signals();
    if (l->signal_fd < 0) {
        return fail(err, "signals");
    }
    l->timer_fd = open_timer(sweep_ns);
    if (l->timer_fd < 0) {
        return fail(err, "the sweep's timer");
    }
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0 || !watch(l, l->signal_fd) || !watch(l, l->timer_fd)) {
        return fail(err, "epoll");
    }
    return HAUL_OK;
}

/* Several periods may have passed; one sweep does for all of them. */
static void sweep(const loop *l, kept_pools *pools)
{
    uint64_t n_periods;
    if (read(l->timer_fd, &n_periods, sizeof(n_periods)) == (ssize_t)sizeof(n_periods)) {
        pools_reap(pools);
    }
}

haul_status loop_run(loop *l, kept_pools *pools, int *out_signal, haul_error *err)
{
    for (;;) {
        struct epoll_event event;
        int n = epoll_wait(l->epoll_fd, &event, 1, -1);
        if (n < 0 && errno != EINTR) {
            return fail(err, "epoll");
        }
        if (n == 1 && event.data.fd == l->timer_fd) {
            sweep(l, pools);
        } else if (n == 1) {
            struct signalfd_siginfo info;
            if (read(l->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
                return fail(err, "signals");
            }
            *out_signal = (int)info.ssi_signo;
            return HAUL_OK;
        }
    }
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

void loop_fini(loop *l)
{
    close_fd(&l->epoll_fd);
    close_fd(&l->timer_fd);
    close_fd(&l->signal_fd);
}
