/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What the sidecar's main thread does between start and end: it sleeps until a death, the sweep's
 * timer or a signal wakes it. Calls are served by the server's threads meanwhile.
 *
 * Signals are blocked before any thread is started and read from a signalfd, so no handler ever
 * interrupts anything. A signal that comes during the start waits there, and ends the sidecar right
 * after it is ready.
 *
 * A pool's watch becomes readable when its control object is closed by anybody, and a moment before
 * the kernel drops the lock that would prove a death. So it is a hint to look now, and again after
 * 1, 2, 4, ... 128 ms; the slow sweep finds what is missed all the same. The watches are
 * edge-triggered and pools_look() does nothing while looks are due, so however many processes come
 * and go, this thread reaps once a millisecond at most and never runs in circles.
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

#define SECOND_NS     UINT64_C(1000000000)
#define FIRST_LOOK_NS UINT64_C(1000000)

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

/* Fire after @first_ns, and then, unless @period_ns is 0, each @period_ns. */
static bool set_timer(int fd, uint64_t first_ns, uint64_t period_ns)
{
    const struct itimerspec spec = {.it_value = {.tv_sec = (time_t)(first_ns / SECOND_NS),
                                                 .tv_nsec = (long)(first_ns % SECOND_NS)},
                                    .it_interval = {.tv_sec = (time_t)(period_ns / SECOND_NS),
                                                    .tv_nsec = (long)(period_ns % SECOND_NS)}};
    return timerfd_settime(fd, 0, &spec, NULL) == 0;
}

/* @source: what epoll_wait() is to name. */
static bool watch(const loop *l, int fd, uint32_t events, void *source)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

haul_status loop_init(loop *l, uint64_t sweep_ns, haul_error *err)
{
    *l = (loop)LOOP_CLOSED;
    l->signal_fd = open_signals();
    if (l->signal_fd < 0) {
        return fail(err, "signals");
    }
    l->sweep_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    l->look_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (l->sweep_fd < 0 || l->look_fd < 0 || !set_timer(l->sweep_fd, sweep_ns, sweep_ns)) {
        return fail(err, "timers");
    }
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0 || !watch(l, l->signal_fd, EPOLLIN, &l->signal_fd) ||
        !watch(l, l->sweep_fd, EPOLLIN, &l->sweep_fd) ||
        !watch(l, l->look_fd, EPOLLIN, &l->look_fd)) {
        return fail(err, "epoll");
    }
    return HAUL_OK;
}

/* Whether the timer has fired. Several periods may have passed; one answer does for all of them. */
static bool has_fired(int timer_fd)
{
    uint64_t n_periods;
    return read(timer_fd, &n_periods, sizeof(n_periods)) == (ssize_t)sizeof(n_periods);
}

/* Look again after @delay_ns; 0: no more. Setting a timer to a valid time cannot fail. */
static void expect_look(loop *l, uint64_t delay_ns)
{
    l->look_ns = delay_ns;
    (void)set_timer(l->look_fd, delay_ns, 0);
}

static void hear_of_death(loop *l, kept_pool *pool)
{
    pools_look(pool);
    if (l->look_ns != FIRST_LOOK_NS) { /* else it is about to come, and must not be put off */
        expect_look(l, FIRST_LOOK_NS);
    }
}

/* What woke us, if it is no signal. */
static void handle(loop *l, kept_pools *pools, void *source)
{
    if (source == &l->sweep_fd) {
        if (has_fired(l->sweep_fd)) {
            pools_reap(pools);
        }
    } else if (source == &l->look_fd) {
        if (has_fired(l->look_fd)) {
            expect_look(l, pools_look_again(pools) ? l->look_ns * 2 : 0);
        }
    } else {
        hear_of_death(l, source);
    }
}

haul_status loop_run(loop *l, kept_pools *pools, int *out_signal, haul_error *err)
{
    for (size_t i = 0; i < pools->n; i++) {
        kept_pool *pool = &pools->pools[i];
        if (pool->watch_fd >= 0 && !watch(l, pool->watch_fd, EPOLLIN | EPOLLET, pool)) {
            return fail(err, "epoll");
        }
    }
    for (;;) {
        struct epoll_event event;
        int n = epoll_wait(l->epoll_fd, &event, 1, -1);
        if (n < 0 && errno != EINTR) {
            return fail(err, "epoll");
        }
        if (n == 1 && event.data.ptr != &l->signal_fd) {
            handle(l, pools, event.data.ptr);
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
    close_fd(&l->look_fd);
    close_fd(&l->sweep_fd);
    close_fd(&l->signal_fd);
}
