/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The kill storm.
 *
 *   storm [KILLS [STOP_MS]]      default: 300 kills, stops of 100 to 200 ms
 *
 * Eight workers (worker.c) use one pool while this process kills them with SIGKILL, one or several
 * at a time, and starts others in their place (fork and exec). Some are stopped first for
 * STOP_MS / 2 to STOP_MS, while the killing goes on around them, then continued; they look at all
 * they have and report before they are killed as well.
 *
 * After each death this process, which waits for it, reaps; the time from the signal until the dead
 * one's slot is clear is what is measured. Every thousand kills and at the end everybody is killed,
 * and the pool must be as new: audit clean, every buffer free.
 *
 * The last line on stdout is the result as JSON, the rest is told on stderr. Exit: 0 nothing was
 * lost, wrong or taken from the living, 1 not, 2 the storm itself failed. If this process dies the
 * workers die with it; the pool's objects stay.
 */

#include "killer.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_KILLS       10000000
#define MAX_STOP_MS     60000
#define KILLS_PER_ROUND 1000u /* then everybody, and a look at the quiet pool */

static void on_signal(int sig)
{
    storm_interrupted = sig;
}

/* ---- The result ---------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_us(const storm *s, unsigned percent)
{
    uint64_t i = s->n_reclaims * percent / 100;
    if (s->n_reclaims == 0) {
        return 0;
    }
    return (double)s->reclaim_ns[i < s->n_reclaims ? i : s->n_reclaims - 1] / 1000.0;
}

static bool tell(storm *s, uint64_t began_ns)
{
    const storm_board *b = s->board;
    qsort(s->reclaim_ns, s->n_reclaims, sizeof(*s->reclaim_ns), by_value);
    (void)fprintf(stderr,
                  "storm: %.1f s, %" PRIu64 " stops, %" PRIu64 " processes; messages: %" PRIu64
                  " gifts, %" PRIu64 " stale; %" PRIu64 " allocations got nothing; %" PRIu64
                  " persistent found again; looked again at %" PRIu64 " things, at %" PRIu64
                  " after a stop; audit: %" PRIu64 " findings\n",
                  (double)(storm_now_ns() - began_ns) / 1e9, s->n_stops, b->n_started, b->n_gifts,
                  b->n_stale, b->n_exhausted, b->n_kept, b->n_rechecks, b->n_continued,
                  s->n_findings);
    if (b->text_taken) {
        (void)fprintf(stderr, "storm: first fault: %s (%" PRIu64 " unexpected)\n", b->text,
                      b->n_errors);
    }
    (void)printf("{\"kills\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"lost\":%" PRIu64
                 ",\"wrong_bytes\":%" PRIu64 ",\"false_reclaims\":%" PRIu64
                 ",\"reclaim_p50_us\":%.1f,\"reclaim_p99_us\":%.1f}\n",
                 s->n_kills, b->n_messages, s->n_lost, b->wrong_bytes, b->false_reclaims,
                 percentile_us(s, 50), percentile_us(s, 99));
    return s->n_lost == 0 && b->wrong_bytes == 0 && b->false_reclaims == 0 && b->n_errors == 0 &&
           s->n_findings == 0;
}

/* ---- Setting up ---------------------------------------------------------------------------- */

static storm_board *map_board(int fd)
{
    void *map = mmap(NULL, sizeof(storm_board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        storm_fail("mmap");
    }
    return map;
}

/* Descriptors are inherited by the workers, over exec. */
static void set_up(storm *s)
{
    static const haul_class_config classes[] = {{.size_bytes = 4096, .n_initial = 24, .n_max = 48},
                                                {.size_bytes = 65536, .n_initial = 8, .n_max = 16}};
    const haul_pool_config config = {.struct_size = sizeof(config),
                                     .classes = classes,
                                     .n_classes = 2,
                                     .n_measured_max = 4,
                                     .budget_bytes = 5u << 20,
                                     .n_participants = 2 * STORM_N_WORKERS};
    haul_error err;
    s->board_fd = memfd_create("storm", 0);
    if (s->board_fd < 0 || ftruncate(s->board_fd, sizeof(storm_board)) != 0) {
        storm_fail("memfd_create");
    }
    s->board = map_board(s->board_fd);
    bool made = socketpair(AF_UNIX, SOCK_DGRAM, 0, s->board->report) == 0;
    for (uint32_t i = 0; i < STORM_N_WORKERS && made; i++) {
        made = socketpair(AF_UNIX, SOCK_DGRAM, 0, s->board->seats[i].inbox) == 0;
    }
    if (!made) {
        storm_fail("socketpair");
    }
    (void)snprintf(s->board->pool_name, sizeof(s->board->pool_name), "storm-%ld", (long)getpid());
    if (haul_pool_create(s->board->pool_name, &config, NULL, &s->pool, &err) != HAUL_OK) {
        (void)fprintf(stderr, "storm: cannot create a pool: %s\n", err.text);
        exit(2);
    }
    if (haul_pool_watch_fd(s->pool, &s->watch_fd, &err) != HAUL_OK) {
        (void)fprintf(stderr, "storm: cannot watch the pool: %s\n", err.text);
        exit(2);
    }
    s->reclaim_ns = calloc(s->n_kills_wanted + KILLS_PER_ROUND, sizeof(*s->reclaim_ns));
    if (!s->reclaim_ns) {
        storm_fail("calloc");
    }
}

static bool weather(storm *s)
{
    uint64_t began_ns = storm_now_ns();
    set_up(s);
    while (s->n_kills < s->n_kills_wanted && !storm_interrupted) {
        uint64_t left = s->n_kills_wanted - s->n_kills;
        storm_run_round(s, left < KILLS_PER_ROUND + STORM_N_WORKERS ? left : KILLS_PER_ROUND);
    }
    bool ok = tell(s, began_ns);
    haul_pool_close(s->pool);
    haul_status status = haul_pool_remove(s->board->pool_name, false, NULL);
    if (status != HAUL_OK) {
        (void)fprintf(stderr, "storm: cannot remove the pool: %s\n", haul_status_name(status));
        ok = false;
    }
    free(s->reclaim_ns);
    return ok;
}

/* -1: not a number from 0 to @max. */
static long number(const char *text, long max)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && value >= 0 && value <= max ? value : -1;
}

static int be_worker(char **argv)
{
    long fd = number(argv[2], INT_MAX);
    long seat = number(argv[3], STORM_N_WORKERS - 1);
    /* Signals to the group are the killer's, which ends the storm in good order. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    if (fd < 0 || seat < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        return 2;
    }
    return storm_work(map_board((int)fd), (uint32_t)seat);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--worker") == 0) {
        return be_worker(argv);
    }
    long n_kills = argc > 1 ? number(argv[1], MAX_KILLS) : 300;
    long stop_ms = argc > 2 ? number(argv[2], MAX_STOP_MS) : 200;
    if (argc > 3 || n_kills < (long)STORM_N_WORKERS || stop_ms < 1) {
        (void)fprintf(stderr, "usage: storm [KILLS [STOP_MS]], at least %u kills\n",
                      STORM_N_WORKERS);
        return 2;
    }
    struct sigaction on = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &on, NULL);
    (void)sigaction(SIGTERM, &on, NULL);
    storm s = {.random = storm_now_ns() | 1,
               .n_kills_wanted = (uint64_t)n_kills,
               .stop_ns = (uint64_t)stop_ms * 1000000u};
    bool ok = weather(&s);
    return storm_interrupted ? 128 + (int)storm_interrupted : ok ? 0 : 1;
}
