/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_LEAD_H
#define SHORTHAUL_TRANSPORT_LEAD_H

/* Which of a server's threads polls. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct haul__lead {
    pthread_mutex_t mutex;
    pthread_cond_t vacant; /* for followers: there is no leader */
    pthread_cond_t patrol; /* for the one follower that looks after the leader */
    bool led;              /* somebody leads */
    bool patrolled;        /* somebody looks after him */
    bool ended;
    atomic_bool asleep;      /* there is no patrol, or it waits without a time limit */
    _Atomic uint64_t n_runs; /* handlers run by leaders */
    _Atomic uint64_t run;    /* the one that runs now, counted from 1; 0: the leader polls */
} haul__lead;

/* False without memory. */
bool haul__lead_init(haul__lead *lead);
void haul__lead_fini(haul__lead *lead);

/* Wait to become the leader. False once haul__lead_end() has been called. */
bool haul__lead_take(haul__lead *lead);

/* The leader: let a follower lead. */
void haul__lead_pass(haul__lead *lead);

/* The leader: begin something short without giving up the lead. What to pass to the next function.
 */
uint64_t haul__lead_begin_run(haul__lead *lead);

/* Whether the caller still leads; not if it took so long that the patrol has taken over. */
bool haul__lead_end_run(haul__lead *lead, uint64_t run);

/* Let all threads go. */
void haul__lead_end(haul__lead *lead);

#endif
