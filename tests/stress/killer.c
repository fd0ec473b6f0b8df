/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The killer: who lives, who is stopped, who dies next.
 *
 * One worker sits in each seat. Its process is RUNNING until it is killed, or
 *
 *   STOPPED   by SIGSTOP, until its time has come
 *   LOOKING   continued, and not yet done with looking at what it has
 *   DUE       has reported that it is done: the next to be killed
 *
 * A process is stopped only once it can report. One thread; it waits for deaths (pidfd) and for
 * reports, never for a time to pass, but for the storm's own pace.
 */

#include "killer.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N_STOPPED_MAX      3u
#define PACE_NS            6000000u
#define REPORT_PATIENCE_MS 20000 /* until a process that was continued has hung */
#define MAX_TOLD           5u

volatile sig_atomic_t storm_interrupted;

void storm_fail(const char *what)
{
    (void)fprintf(stderr, "storm: %s: %s\n", what, strerror(errno));
    exit(2);
}

uint64_t storm_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- Workers ------------------------------------------------------------------------------- */

static void start(storm *s, uint32_t seat)
{
    char fd_text[16];
    char seat_text[16];
    char program[] = "storm";
    char verb[] = "--worker";
    char *args[] = {program, verb, fd_text, seat_text, NULL};
    runner *r = &s->runners[seat];
    (void)snprintf(fd_text, sizeof(fd_text), "%d", s->board_fd);
    (void)snprintf(seat_text, sizeof(seat_text), "%" PRIu32, seat);
    atomic_store(&s->board->seats[seat].ready, 0);
    *r = (runner){.state = RUNNING};
    int rc = posix_spawn(&r->pid, "/proc/self/exe", NULL, NULL, args, environ);
    if (rc != 0) {
        errno = rc;
        storm_fail("cannot start a worker");
    }
    r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
    if (r->pidfd < 0) {
        storm_fail("pidfd_open");
    }
}

static bool is_ready(const storm *s, uint32_t seat)
{
    return atomic_load(&s->board->seats[seat].ready) == (uint32_t)s->runners[seat].pid;
}

/* ---- Stopping and continuing --------------------------------------------------------------- */

static void stop(storm *s, uint32_t seat)
{
    runner *r = &s->runners[seat];
    siginfo_t info;
    if (kill(r->pid, SIGSTOP) != 0 || waitid(P_PID, (id_t)r->pid, &info, WSTOPPED | WEXITED) != 0) {
        storm_fail("cannot stop a worker");
    }
    r->state = STOPPED;
    r->resume_ns =
        storm_now_ns() + s->stop_ns / 2 + storm_random(&s->random) % (s->stop_ns / 2 + 1);
    s->n_stops++;
}

static void continue_those_due(storm *s, uint64_t now)
{
    for (uint32_t i = 0; i < STORM_N_WORKERS; i++) {
        runner *r = &s->runners[i];
        if (r->state == STOPPED && r->resume_ns <= now) {
            atomic_store(&s->board->seats[i].resumed, (uint32_t)r->pid);
            (void)kill(r->pid, SIGCONT);
            r->state = LOOKING;
        }
    }
}

static uint32_t count_state(const storm *s, seat_state state)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < STORM_N_WORKERS; i++) {
        n += s->runners[i].state == state;
    }
    return n;
}

/* Take in a report, if one comes within @timeout_ns. */
static void take_report(storm *s, uint64_t timeout_ns)
{
    struct pollfd on = {.fd = s->board->report[0], .events = POLLIN};
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                               .tv_nsec = (long)(timeout_ns % 1000000000u)};
    uint32_t pid = 0;
    if (ppoll(&on, 1, &timeout, NULL) != 1 ||
        recv(on.fd, &pid, sizeof(pid), MSG_DONTWAIT) != sizeof(pid)) {
        return;
    }
    for (uint32_t i = 0; i < STORM_N_WORKERS; i++) {
        runner *r = &s->runners[i];
        if (r->state == LOOKING && (uint32_t)r->pid == pid) {
            r->state = DUE;
        }
    }
}

static bool is_dead(const runner *r)
{
    struct pollfd on = {.fd = r->pidfd, .events = POLLIN};
    return poll(&on, 1, 0) == 1;
}

/* Continue everybody who is stopped, and wait for their reports. */
static void end_stops(storm *s)
{
    uint64_t give_up = storm_now_ns() + (uint64_t)REPORT_PATIENCE_MS * 1000000u;
    continue_those_due(s, UINT64_MAX);
    while (count_state(s, LOOKING) > 0) {
        take_report(s, 100000000);
        bool hangs = storm_now_ns() > give_up;
        for (uint32_t i = 0; i < STORM_N_WORKERS; i++) {
            runner *r = &s->runners[i];
            if (r->state == LOOKING && (hangs || is_dead(r))) {
                storm_note(s->board, &s->board->n_errors, 1,
                           "a worker was continued and does not report");
                r->state = DUE;
            }
        }
    }
}

/* ---- Killing ------------------------------------------------------------------------------- */

static void strike(storm *s, uint32_t seat)
{
    runner *r = &s->runners[seat];
    r->joined = is_ready(s, seat);
    r->killed_ns = storm_now_ns();
    if (kill(r->pid, SIGKILL) != 0) {
        storm_fail("kill");
    }
    s->n_kills++;
}

static void await_death(storm *s, uint32_t seat)
{
    runner *r = &s->runners[seat];
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)r->pidfd, &info, WEXITED) != 0) {
        storm_fail("waitid");
    }
    if (info.si_code != CLD_KILLED || info.si_status != SIGKILL) {
        storm_note(s->board, &s->board->n_errors, 1, "a worker %s %d",
                   info.si_code == CLD_EXITED ? "ended with" : "died of signal", info.si_status);
    }
    (void)close(r->pidfd);
}

/* Its slot is nobody's, or somebody else's: either way it has been reaped. */
static bool is_reclaimed(const storm *s, pid_t pid)
{
    haul_pool_info *info = NULL;
    bool found = false;
    if (haul_pool_get_info(s->pool, &info, NULL) != HAUL_OK) {
        storm_note(s->board, &s->board->n_errors, 1, "haul_pool_get_info() failed");
        return true;
    }
    for (uint32_t i = 0; i < info->n_participants; i++) {
        found |= info->participants[i].pid == (uint32_t)pid;
    }
    haul_pool_info_free(info);
    return !found;
}

/* As a sidecar waits, for any death, and for this one, which the former may have told already. */
static void await_sign_of_death(const storm *s, const runner *r)
{
    struct pollfd on[] = {{.fd = s->watch_fd, .events = POLLIN},
                          {.fd = r->pidfd, .events = POLLIN}};
    while (poll(on, 2, -1) < 1) {
    }
}

/* Reap until @seat's last process is gone from the pool: another process may be at it, too. */
static void bury(storm *s, uint32_t seat)
{
    runner *r = &s->runners[seat];
    do {
        await_sign_of_death(s, r);
        haul_status status = haul_pool_reap(s->pool, NULL, NULL);
        if (status != HAUL_OK) {
            storm_note(s->board, &s->board->n_errors, 1, "reap: %s", haul_status_name(status));
            return;
        }
    } while (!is_reclaimed(s, r->pid));
    if (r->joined) {
        s->reclaim_ns[s->n_reclaims++] = storm_now_ns() - r->killed_ns;
    }
    await_death(s, seat);
}

/* Kill @n processes at random, those that have reported first. */
static void kill_some(storm *s, uint32_t n)
{
    bool struck[STORM_N_WORKERS] = {false};
    uint32_t first = (uint32_t)(storm_random(&s->random) % STORM_N_WORKERS);
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < STORM_N_WORKERS && n > 0; i++) {
            uint32_t seat = (first + i) % STORM_N_WORKERS;
            if (!struck[seat] && s->runners[seat].state == (pass == 0 ? DUE : RUNNING)) {
                struck[seat] = true;
                strike(s, seat);
                n--;
            }
        }
    }
    for (uint32_t i = 0; i < STORM_N_WORKERS; i++) {
        if (struck[i]) {
            bury(s, i);
        }
    }
    for (uint32_t i = 0; i < STORM_N_WORKERS; i++) {
        if (struck[i]) {
            start(s, i);
        }
    }
}

/* ---- The quiet pool ------------------------------------------------------------------------ */

static void tell_finding(void *ctx, const char *finding)
{
    uint64_t *n_told = ctx;
    if ((*n_told)++ < MAX_TOLD) {
        (void)fprintf(stderr, "storm: audit: %s\n", finding);
    }
}

static void look_at_quiet_pool(storm *s)
{
    size_t n_findings = 0;
    uint64_t n_told = 0;
    haul_pool_info *info = NULL;
    for (uint32_t i = 0; i < STORM_N_WORKERS; i++) {
        storm_unkeep(s->board, s->pool, i);
    }
    if (haul_pool_reap(s->pool, NULL, NULL) != HAUL_OK ||
        haul_pool_audit(s->pool, tell_finding, &n_told, &n_findings, NULL) != HAUL_OK ||
        haul_pool_get_info(s->pool, &info, NULL) != HAUL_OK) {
        storm_note(s->board, &s->board->n_errors, 1, "the quiet pool cannot be looked at");
        return;
    }
    s->n_findings += n_findings;
    for (uint32_t c = 0; c < info->n_classes; c++) {
        const haul_class_info *cls = &info->classes[c];
        s->n_lost += cls->n_max - cls->n_free - cls->n_absent;
    }
    haul_pool_info_free(info);
}

/* Kill everybody, and look. */
static void end_round(storm *s)
{
    end_stops(s);
    for (uint32_t i = 0; i < STORM_N_WORKERS; i++) {
        strike(s, i);
    }
    for (uint32_t i = 0; i < STORM_N_WORKERS; i++) {
        bury(s, i);
    }
    look_at_quiet_pool(s);
}

void storm_run_round(storm *s, uint64_t n_kills)
{
    uint64_t end = s->n_kills + n_kills - STORM_N_WORKERS;
    for (uint32_t i = 0; i < STORM_N_WORKERS; i++) {
        start(s, i);
    }
    while (s->n_kills < end && !storm_interrupted) {
        uint32_t seat = (uint32_t)(storm_random(&s->random) % STORM_N_WORKERS);
        uint32_t n_still = count_state(s, STOPPED) + count_state(s, LOOKING);
        if (n_still < N_STOPPED_MAX && s->runners[seat].state == RUNNING && is_ready(s, seat)) {
            stop(s, seat);
        }
        take_report(s, storm_random(&s->random) % PACE_NS);
        continue_those_due(s, storm_now_ns());
        uint64_t r = storm_random(&s->random) % 16;
        uint64_t n = r == 0 ? STORM_N_WORKERS : r == 1 ? 3 : 1;
        kill_some(s, (uint32_t)(n < end - s->n_kills ? n : end - s->n_kills));
    }
    end_round(s);
}
