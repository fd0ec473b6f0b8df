/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_STEPPER_H
#define SHORTHAUL_TESTS_STEPPER_H

/*
 * A child that is led through one function instruction by instruction (ptrace), and can be brought
 * to any of them and killed there. See stepper.c.
 *
 * A function is led from its first instruction to its return. It is recorded once; from then on
 * "instruction N" is the N-th that the recorded run was about to execute.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct step {
    uint64_t address;
    uint32_t last_pass; /* index of the step before this one at the same address, or NO_STEP */
    bool ours;          /* in this program's own text, the pool included: not libc, not the vdso */
    bool system_call;   /* the instruction that enters the kernel */
    bool repeated; /* one more turn of a string instruction: a breakpoint sees the first only */
} step;

#define NO_STEP         UINT32_MAX
#define MAX_SLEEPS      8
#define STEPPER_RETURNS UINT32_MAX /* where the function returns, after the last step */

typedef struct recording {
    step *steps;
    uint32_t n;
    uint32_t n_room;
    uint32_t sleeps[MAX_SLEEPS]; /* steps that sleep on a futex until somebody wakes them */
    uint32_t n_sleeps;
} recording;

/* What is led, and what for. */
typedef struct guided {
    void (*child)(void *ctx);   /* runs in the child and calls @function */
    uint64_t function;          /* its first instruction */
    void (*relieve)(void *ctx); /* runs here when the child is about to sleep on a futex: sees to it
                                 * that it need not. May be NULL */
    void *ctx;
} guided;

typedef struct tracee {
    pid_t pid; /* 0: gone */
    uint64_t return_address;
} tracee;

/* Fork a child and let it run up to the first instruction of the function. False: it died, or ended
 * without coming there. */
bool stepper_start(const guided *g, tracee *out_child);

/* Single-step @child through the whole function and write down each step. The caller frees
 * @out->steps, also on failure. */
bool stepper_record(const guided *g, tracee *child, recording *out);

typedef enum stepper_arrival {
    STEPPER_THERE,
    STEPPER_STRAYED, /* it executed as many instructions, on another path */
    STEPPER_LOST,    /* it ended, or did something else */
} stepper_arrival;

/* From the first instruction, let @child execute @index steps, so that it is about to execute step
 * @index; or the whole function, to STEPPER_RETURNS. */
stepper_arrival stepper_reach(const guided *g, tracee *child, const recording *r, uint32_t index);

/* Let @child, which is about to sleep, fall asleep. */
bool stepper_fall_asleep(tracee *child);

/* Let @child go on by itself, and wait until it has ended. True: it ended well. */
bool stepper_finish(tracee *child);

/* SIGKILL, and wait until it is dead. */
void stepper_kill(tracee *child);

/* The place of an instruction as addr2line takes it: file and offset, and a function if one is
 * known. */
void stepper_name_address(uint64_t address, char *out, size_t size);

#endif
