/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef E2E_PLAN_H
#define E2E_PLAN_H

/* The arms of a run: see e2e_plan.c. */

#include "e2e.h"

#define E2E_BURST_MAX 20
#define E2E_SIZES_MAX 16
#define E2E_ARMS_MAX  48

typedef struct e2e_plan {
    bool smoke;
    size_t n_rounds;
    e2e_size sizes[E2E_SIZES_MAX];
    size_t n_sizes;
    size_t n_sweep; /* the first ones: those that ours and gRPC's core API both move */
    e2e_size *main;
    e2e_size *large;
    e2e_arm arms[E2E_ARMS_MAX];
    size_t n_arms;
    /* Among them, those that the targets name. */
    e2e_arm *empty, *empty_polled, *key_polled, *core_empty, *key, *key_large, *key_work, *alone,
        *inlined, *inline_work, *memory, *raw, *grpc_inline, *grpc_memory;
    e2e_arm *cpp_empty, *cpp, *cpp_work; /* NULL without the C++ stub */
    e2e_arm *by_default[E2E_SIZES_MAX];
    e2e_arm *by_core[E2E_SIZES_MAX];
} e2e_plan;

bool e2e_plan_init(e2e_plan *p, bool smoke, bool cpp);
void e2e_plan_fini(e2e_plan *p);

/* Make all the calls. */
bool e2e_plan_run(e2e_plan *p, e2e *e);

/* Print each arm and each target. */
void e2e_plan_print(e2e_plan *p);

#endif
