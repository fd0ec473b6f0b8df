/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_SWEEP_H
#define SHORTHAUL_TESTS_SWEEP_H

/* Dying at the points of one operation. See sweep.c. */

#include <signal.h>

#include "operations.h"
#include "stepper.h"

#define MAX_JOBS 64u

typedef struct settings {
    uint32_t every;
    uint32_t outside;
    uint32_t n_jobs;
    const char *operation;
    int64_t point;
} settings;

/* Of one operation; shared with the workers. */
typedef struct outcome {
    _Atomic uint32_t points;
    _Atomic uint32_t survived;
    _Atomic uint32_t lost;
    _Atomic uint32_t false_reclaims;
    _Atomic uint32_t told;
    stage_mail mails[MAX_JOBS + 1];
} outcome;

/* What one worker is at. */
typedef struct sweep {
    const settings *set;
    const operation *op;
    uint32_t op_index;
    uint32_t worker;
    recording rec;
    stage st;
    outcome *out;
} sweep;

extern volatile sig_atomic_t sweep_interrupted; /* the signal, or 0 */

/* Set up a first stage, in which libc does what it does once in a process. */
void sweep_warm_up(sweep *sw);

/* Run the operation as a whole and record it; exits if it does not do what it should. */
void sweep_record(sweep *sw);

/* How many points there are with these settings. */
uint32_t sweep_count_points(const sweep *sw);

/* Die at this worker's share of the points. */
void sweep_work(sweep *sw);

/* Die at one point, and count whether that was survived. */
void sweep_try_point(sweep *sw, uint32_t point);

#endif
