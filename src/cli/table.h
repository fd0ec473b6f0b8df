/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_CLI_TABLE_H
#define SHORTHAUL_CLI_TABLE_H

/* Rows of structs as a table for people, or as JSON objects. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <shorthaul/status.h>

enum field_kind {
    FIELD_TEXT,  /* const char *; NULL is an empty cell, null in JSON */
    FIELD_CHARS, /* char[] */
    FIELD_U32,
    FIELD_U64,
    FIELD_BYTES, /* uint64_t; for people with a unit */
    FIELD_BOOL,
    FIELD_HISTOGRAM /* uint64_t[HAUL_HISTOGRAM_BUCKETS]; JSON only */
};

typedef struct table_field {
    const char *name; /* heading, or JSON member */
    enum field_kind kind;
    size_t offset; /* in the row */
} table_field;

typedef struct table table;

/*
 * A table of rows with these fields.
 *
 * @json: objects instead of lines.
 *
 * Ownership: borrows @fields; the table is the caller's, until table_free().
 * Failures:  HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status table_new(const table_field *fields, size_t n_fields, bool json,
                                      table **out_table);

/* Add a row. Of its fields only the first @n_known are shown. Copies. Failures: HAUL_NOMEM. */
HAUL_MUST_CHECK haul_status table_add(table *t, const void *row, size_t n_known);

/* Print lines, or objects with commas between and no brackets around. Failures: HAUL_NOMEM. */
HAUL_MUST_CHECK haul_status table_print(const table *t, FILE *out);

/*
 * Print one JSON object without its closing brace, so that more members can follow. The table has
 * one row. Failures: HAUL_NOMEM.
 */
HAUL_MUST_CHECK haul_status table_print_open_object(const table *t, FILE *out);

void table_free(table *t);

#endif
