/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_KILLER_H
#define SHORTHAUL_TESTS_KILLER_H

/* The process that starts the storm's workers, stops and kills them, and reaps. See killer.c. */

#include <signal.h>
#include <sys/types.h>

#include "storm.h"

typedef enum seat_state {
    RUNNING,
    STOPPED,
    LOOKING,
    DUE
} seat_state;

typedef struct runner {
    pid_t pid;
    int pidfd;
    seat_state state;
    uint64_t resume_ns; /* STOPPED */
    uint64_t killed_ns;
    bool joined; /* when it was killed */
} runner;

typedef struct storm {
    storm_board *board;
    int board_fd;
    haul_pool *pool;
    int watch_fd; /* of the pool: somebody may have died */
    uint64_t random;
    uint64_t stop_ns;
    uint64_t n_kills_wanted;
    uint64_t n_kills;
    uint64_t n_stops;
    uint64_t n_lost;
    uint64_t n_findings;
    uint64_t *reclaim_ns; /* one per kill of a process that had joined */
    uint64_t n_reclaims;
    runner runners[STORM_N_WORKERS];
} storm;

extern volatile sig_atomic_t storm_interrupted; /* the signal, or 0 */

/* The storm itself cannot go on: say why (errno) and exit(2). */
void storm_fail(const char *what) __attribute__((noreturn));

uint64_t storm_now_ns(void);

/* Start everybody, kill @n_kills times and at last everybody, and look at the quiet pool. */
void storm_run_round(storm *s, uint64_t n_kills);

#endif
