/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Death at every instruction.
 *
 *   crash_sweep [--every K] [--outside K] [--jobs N] [--operation NAME [--point N]]
 *
 * Each operation of the pool (operations.c) is recorded once, instruction by instruction. Then, for
 * each point of the recording, a child is brought there in a new pool and killed with SIGKILL, and
 * the living reap, audit, and use the pool (verify.c). Points are
 *
 *   - every instruction of this program's own text, the pool's functions included
 *   - before and after every system call, and asleep in those that sleep
 *   - of the other instructions in libc and the vdso, each @outside-th (default 16)
 *   - the return of the operation
 *
 * --every K takes each K-th of the first and third kind only. One JSON line per operation on
 * stdout; what was not survived is told on stderr with what --operation and --point need to see it
 * again. Exit: 0 every point was survived, 1 not, 2 the sweep itself failed, 77 nobody
 * may trace here.
 *
 * Processes: this one records; @jobs workers, forked for each operation, share its points, each
 * with a pool of its own. A worker that hangs is ended by its alarm, and its points count as not
 * survived. Everybody ends when this one does.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sweep.h"

volatile sig_atomic_t sweep_interrupted;

static void on_signal(int sig)
{
    sweep_interrupted = sig;
}

/* ---- One operation ------------------------------------------------------------------------- */

static pid_t start_worker(sweep *sw)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
            _exit(2);
        }
        sweep_work(sw);
        _exit(sweep_interrupted ? 128 + (int)sweep_interrupted : 0);
    }
    if (pid < 0) {
        stage_die("fork", HAUL_SYSTEM);
    }
    return pid;
}

static void end_worker(const sweep *sw, pid_t pid)
{
    char name[HAUL_POOL_NAME_MAX + 1];
    int wstatus = 0;
    while (waitpid(pid, &wstatus, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(wstatus) || WEXITSTATUS(wstatus) != 0) {
        (void)fprintf(stderr, "crash_sweep: %s: a worker %s %d\n", sw->op->name,
                      WIFEXITED(wstatus) ? "ended with" : "died of signal",
                      WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : WTERMSIG(wstatus));
        (void)snprintf(name, sizeof(name), "crash-%ld", (long)pid);
        (void)!haul_pool_remove(name, true, NULL);
    }
}

static bool print_line(const sweep *sw)
{
    const outcome *out = sw->out;
    uint32_t n_ours = 0;
    for (uint32_t i = 0; i < sw->rec.n; i++) {
        n_ours += sw->rec.steps[i].ours;
    }
    (void)printf("{\"operation\":\"%s\",\"points\":%u,\"survived\":%u,\"lost\":%u,"
                 "\"false_reclaims\":%u,\"total_instructions\":%u,\"in_our_code\":%u}\n",
                 sw->op->name, out->points, out->survived, out->lost, out->false_reclaims,
                 sw->rec.n, n_ours);
    (void)fflush(stdout);
    return out->survived == out->points && out->lost == 0 && out->false_reclaims == 0;
}

static bool sweep_operation(const settings *set, uint32_t op_index, outcome *out)
{
    pid_t pids[MAX_JOBS];
    sweep sw = {.set = set, .op = &operations[op_index], .op_index = op_index, .out = out};
    memset(out, 0, sizeof(*out));
    sw.worker = MAX_JOBS;
    sweep_warm_up(&sw);
    sweep_record(&sw);
    if (set->point >= 0) {
        out->points = 1;
        sweep_try_point(&sw, (uint32_t)set->point);
    } else {
        out->points = sweep_count_points(&sw);
        for (uint32_t w = 0; w < set->n_jobs; w++) {
            sw.worker = w;
            pids[w] = start_worker(&sw);
        }
        for (uint32_t w = 0; w < set->n_jobs; w++) {
            end_worker(&sw, pids[w]);
        }
    }
    bool ok = print_line(&sw);
    free(sw.rec.steps);
    return ok;
}

/* ---- The whole ----------------------------------------------------------------------------- */

static int64_t number(const char *text, int64_t min, int64_t max)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text || value < min || value > max) {
        (void)fprintf(stderr, "crash_sweep: '%s' is not a number from %" PRId64 " to %" PRId64 "\n",
                      text, min, max);
        exit(2);
    }
    return value;
}

static settings read_settings(int argc, char **argv)
{
    static const struct option options[] = {
        {"every", required_argument, NULL, 'e'}, {"outside", required_argument, NULL, 'o'},
        {"jobs", required_argument, NULL, 'j'},  {"operation", required_argument, NULL, 'n'},
        {"point", required_argument, NULL, 'p'}, {0}};
    long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    settings set = {.every = 1, .outside = 16, .point = -1};
    set.n_jobs = n_cpus > 0 && n_cpus <= (long)MAX_JOBS ? (uint32_t)n_cpus : 1;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'e':
            set.every = (uint32_t)number(optarg, 1, 1000000);
            break;
        case 'o':
            set.outside = (uint32_t)number(optarg, 1, 1000000);
            break;
        case 'j':
            set.n_jobs = (uint32_t)number(optarg, 1, MAX_JOBS);
            break;
        case 'n':
            set.operation = optarg;
            break;
        case 'p':
            set.point = number(optarg, 0, UINT32_MAX);
            break;
        default:
            exit(2);
        }
    }
    if (set.point >= 0 && !set.operation) {
        (void)fprintf(stderr, "crash_sweep: --point needs --operation\n");
        exit(2);
    }
    return set;
}

static bool may_trace(void)
{
    int wstatus = 0;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &wstatus, 0) == pid && WIFEXITED(wstatus) &&
           WEXITSTATUS(wstatus) == 0;
}

int main(int argc, char **argv)
{
    settings set = read_settings(argc, argv);
    if (!may_trace()) {
        (void)fprintf(stderr, "crash_sweep: nobody may trace here\n");
        return 77;
    }
    struct sigaction on = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    (void)sigaction(SIGINT, &on, NULL);
    (void)sigaction(SIGTERM, &on, NULL);
    outcome *out =
        mmap(NULL, sizeof(*out), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (out == MAP_FAILED) {
        stage_die("mmap", HAUL_NOMEM);
    }
    bool ok = true;
    bool any = false;
    for (uint32_t i = 0; i < n_operations && !sweep_interrupted; i++) {
        if (!set.operation || strcmp(set.operation, operations[i].name) == 0) {
            any = true;
            ok = sweep_operation(&set, i, out) && ok;
        }
    }
    if (!any) {
        (void)fprintf(stderr, "crash_sweep: there is no operation '%s'\n", set.operation);
        return 2;
    }
    return sweep_interrupted ? 128 + (int)sweep_interrupted : ok ? 0 : 1;
}
