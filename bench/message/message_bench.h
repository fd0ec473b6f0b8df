/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef MESSAGE_BENCH_H
#define MESSAGE_BENCH_H

/* What the files of bench_message share. */

#include <stdbool.h>

#include <shorthaul/message.h>
#include <shorthaul/transport.h>
#include <table.pb-c.h>

#include "bench.h"

/* ---- message_shapes.c: what is sent ---- */

typedef struct message_shape {
    const char *name;
    size_t n_columns;
    size_t n_cell_bytes; /* per column */
    size_t n_numbers;
} message_shape;

/* Ownership: the caller's, until message_shape_free(). NULL without memory. */
Bench__V1__Table *message_shape_make(const message_shape *shape);
void message_shape_free(Bench__V1__Table *table);

/* See PutResponse. */
double message_sum(const Bench__V1__Table *table);

/* ---- message_server.c: the other end ---- */

/* Serve until standard input ends; an exit code. */
int message_be_server(const char *address, const char *pool_name);

/* ---- message_arms.c: the ways of sending it ---- */

typedef struct message_lab {
    haul_pool *pool;
    haul_channel *channel;
    const Bench__V1__Table *table;
    double wanted; /* what the server must answer */
    uint64_t fetch_bytes;
} message_lab;

typedef struct message_arm {
    const char *name;
    bool fetches;
    bool (*run)(const message_lab *lab); /* false: it failed, or the answer was wrong */
} message_arm;

extern const message_arm message_arms[];
extern const size_t n_message_arms;

#endif
