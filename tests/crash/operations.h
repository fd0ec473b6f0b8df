/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_OPERATIONS_H
#define SHORTHAUL_TESTS_OPERATIONS_H

#include "stage.h"

typedef enum operation_kind {
    OPERATION_JOINED, /* the child has joined before the operation; the living are there */
    OPERATION_JOINS,  /* the operation is the joining */
    OPERATION_MAKES,  /* there is no pool */
    OPERATION_ENDS,   /* there is a pool, and nobody has joined */
} operation_kind;

/*
 * One operation, and what leads to it. All but @run may be NULL.
 *
 * In the order in which they run. The child is a copy of the harness as @arrange left it; from then
 * on they share the mail only.
 */
typedef struct operation {
    const char *name;
    operation_kind kind;
    haul_status returns; /* of a run that is not cut short */

    void (*arrange)(stage *st);    /* harness, before there is a child */
    void (*prepare)(stage *st);    /* child, up to the operation */
    void (*meet)(stage *st);       /* harness, the child is about to begin */
    haul_status (*run)(stage *st); /* child, led step by step: the operation and nothing else */
    void (*relieve)(stage *st);    /* harness, the child is about to sleep until it is woken */
    void (*deal)(stage *st);       /* harness, the child is dead, nobody has reaped */
    void (*settle)(stage *st);     /* harness, after the reap: let go of what was the child's */
} operation;

extern const operation operations[];
extern const unsigned n_operations;

#endif
