/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * One operation: recorded, and died in, point after point.
 *
 * Every point has a stage, a pool and a child of its own. The recording process forks the workers,
 * so what it recorded holds for their children as well. A hang ends the worker by its alarm.
 */

#include "sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_TOLD         5u /* failures of one operation told in full */
#define N_TRIES          8  /* a child may stray: a clock read twice, another path in malloc() */
#define POINT_PATIENCE_S 60u
#define ASLEEP           (STEPPER_RETURNS - 1) /* in the first system call that sleeps */

/* ---- The child ----------------------------------------------------------------------------- */

static void child(void *ctx)
{
    sweep *sw = ctx;
    stage *st = &sw->st;
    if (sw->op->kind == OPERATION_JOINED) {
        stage_join(st);
    }
    if (sw->op->prepare) {
        sw->op->prepare(st);
    }
    haul_status s = sw->op->run(st);
    st->mail->status = s;
    atomic_store(&st->mail->done, true);
    _exit(0);
}

static void relieve(void *ctx)
{
    sweep *sw = ctx;
    if (sw->op->relieve) {
        sw->op->relieve(&sw->st);
    }
}

static guided guide(sweep *sw)
{
    return (guided){
        .child = child, .function = (uintptr_t)sw->op->run, .relieve = relieve, .ctx = sw};
}

/* ---- One stage ----------------------------------------------------------------------------- */

/* Up to the operation's first instruction. */
static void set_up(sweep *sw, tracee *out_child)
{
    char name[HAUL_POOL_NAME_MAX + 1];
    const operation *op = sw->op;
    guided g = guide(sw);
    (void)snprintf(name, sizeof(name), "crash-%ld", (long)getpid());
    (void)alarm(POINT_PATIENCE_S);
    if (op->kind == OPERATION_MAKES || op->kind == OPERATION_ENDS) {
        stage_open_empty(&sw->st, name, &sw->out->mails[sw->worker], op->kind == OPERATION_ENDS);
    } else {
        stage_open(&sw->st, name, &sw->out->mails[sw->worker]);
    }
    if (op->arrange) {
        op->arrange(&sw->st);
    }
    if (!stepper_start(&g, out_child)) {
        stage_die(op->name, HAUL_SYSTEM);
    }
    if (op->meet) {
        op->meet(&sw->st);
    }
}

/* Once the child is dead. */
static void clear_up(sweep *sw)
{
    if (sw->op->deal) {
        sw->op->deal(&sw->st);
    }
    stage_verify(&sw->st, sw->op->settle);
    stage_close(&sw->st);
    (void)alarm(0);
}

static bool is_at_system_call(const recording *r, uint32_t i)
{
    return r->steps[i].system_call || (i > 0 && r->steps[i - 1].system_call);
}

/* A sample of what libc does may be any: it need not be on the path that was recorded, which
 * depends on the digits of the pool's random id, for one. */
static bool reach(sweep *sw, tracee *led, uint32_t point)
{
    guided g = guide(sw);
    const recording *r = &sw->rec;
    bool falls_asleep = point == ASLEEP;
    bool sample = point < r->n && !r->steps[point].ours && !is_at_system_call(r, point);
    stepper_arrival arrival = stepper_reach(&g, led, r, falls_asleep ? r->sleeps[0] : point);
    if (arrival == STEPPER_STRAYED) {
        return sample;
    }
    return arrival == STEPPER_THERE && (!falls_asleep || stepper_fall_asleep(led));
}

/* ---- One point ----------------------------------------------------------------------------- */

static void tell(sweep *sw, uint32_t point, const char *what)
{
    if (atomic_fetch_add(&sw->out->told, 1) >= MAX_TOLD) {
        return;
    }
    char name[128];
    if (point < sw->rec.n) {
        stepper_name_address(sw->rec.steps[point].address, name, sizeof(name));
    } else {
        (void)snprintf(name, sizeof(name), "%s", point == ASLEEP ? "asleep" : "at the return");
    }
    (void)fprintf(stderr, "crash_sweep: --operation %s --point %" PRIu32 " (%s): %s\n",
                  sw->op->name, point, name, what);
}

void sweep_try_point(sweep *sw, uint32_t point)
{
    bool reached = false;
    bool clean = true;
    for (int tries = 0; tries < N_TRIES && !reached; tries++) {
        tracee led;
        set_up(sw, &led);
        reached = reach(sw, &led, point);
        stepper_kill(&led);
        clear_up(sw);
        if (sw->st.n_faults > 0) { /* strayed or not, it died somewhere */
            clean = false;
            tell(sw, point, sw->st.fault);
            (void)atomic_fetch_add(&sw->out->lost, sw->st.lost);
            (void)atomic_fetch_add(&sw->out->false_reclaims, sw->st.false_reclaims);
        }
    }
    if (!reached) {
        tell(sw, point, "was not reached");
    }
    if (reached && clean) {
        (void)atomic_fetch_add(&sw->out->survived, 1);
    }
}

/* ---- Which points -------------------------------------------------------------------------- */

/* @n: the point's number among those that may be left out. */
static bool is_wanted(const sweep *sw, uint32_t i, uint32_t *n)
{
    const recording *r = &sw->rec;
    if (is_at_system_call(r, i)) {
        return true;
    }
    if (!r->steps[i].ours && i % sw->set->outside != 0) {
        return false;
    }
    return ((*n)++ + sw->op_index) % sw->set->every == 0;
}

/* Give the k-th point to worker k modulo the number of workers. */
void sweep_work(sweep *sw)
{
    uint32_t n = 0;
    uint32_t k = 0;
    for (uint32_t i = 0; i < sw->rec.n && !sweep_interrupted; i++) {
        if (is_wanted(sw, i, &n) && k++ % sw->set->n_jobs == sw->worker) {
            sweep_try_point(sw, i);
        }
    }
    if (sw->worker == 0 && sw->rec.n_sleeps > 0 && !sweep_interrupted) {
        sweep_try_point(sw, ASLEEP);
    }
    if (sw->worker == 0 && !sweep_interrupted) {
        sweep_try_point(sw, STEPPER_RETURNS);
    }
}

uint32_t sweep_count_points(const sweep *sw)
{
    uint32_t n = 0;
    uint32_t points = 1 + (sw->rec.n_sleeps > 0);
    for (uint32_t i = 0; i < sw->rec.n; i++) {
        points += is_wanted(sw, i, &n);
    }
    return points;
}

/* ---- Recording ---------------------------------------------------------------------------- */

void sweep_record(sweep *sw)
{
    tracee led;
    guided g = guide(sw);
    set_up(sw, &led);
    if (!stepper_record(&g, &led, &sw->rec) || !stepper_finish(&led)) {
        stepper_kill(&led);
        stage_die(sw->op->name, HAUL_SYSTEM);
    }
    if (!atomic_load(&sw->st.mail->done) || sw->st.mail->status != sw->op->returns) {
        stage_die(sw->op->name, sw->st.mail->status);
    }
    clear_up(sw);
    if (sw->st.n_faults > 0) {
        tell(sw, STEPPER_RETURNS, sw->st.fault);
    }
}

/* A first run, in which libc does what it does once in a process. */
void sweep_warm_up(sweep *sw)
{
    tracee led;
    set_up(sw, &led);
    stepper_kill(&led);
    clear_up(sw);
}
