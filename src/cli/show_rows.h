/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_CLI_SHOW_ROWS_H
#define SHORTHAUL_CLI_SHOW_ROWS_H

/* Between show.c and show_info.c. */

#include <stdint.h>

#include "cli/show.h"
#include "cli/table.h"

#define N_FIELDS(fields) (sizeof(fields) / sizeof((fields)[0]))

/* A pool in one row. */
typedef struct pool_row {
    const char *name;
    const char *state;
    char uuid[37];
    char pool_id[19];
    char mode[8];
    uint64_t budget_bytes;
    uint64_t quota_bytes;
    uint64_t total_bytes;
    uint64_t control_bytes;
    uint32_t slots;
    uint32_t n_participants;
    uint32_t n_buffers;
} pool_row;

void show_fill_pool(pool_row *row, const haul_pool_info *info);

/* Buffers of a class that exist and that nobody is making or removing. */
uint32_t show_existing(const haul_class_info *cls);

/* Print @n rows of @row_bytes each as one table. */
HAUL_MUST_CHECK haul_status show_table(const table_field *fields, size_t n_fields, const void *rows,
                                       size_t row_bytes, size_t n, bool json, FILE *out);

#endif
