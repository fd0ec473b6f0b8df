/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_SIDECAR_CONFIG_FILE_H
#define SHORTHAUL_SIDECAR_CONFIG_FILE_H

/* Between the steps of reading a configuration file; nobody else includes this. */

#include <stdint.h>

#include "sidecar/config.h"

/* ---- The file's lines (config_lines.c) ----------------------------------------------------- */

typedef struct config_lines config_lines;

/*
 * Parse @text as one YAML document, for the place of things in it, and refuse what is legal YAML
 * and yet a mistake: a key twice in one mapping, a second document, a NUL inside a string, nothing
 * at all.
 *
 * Ownership: borrows @text; the lines are the caller's, until config_lines_close().
 * Failures:  HAUL_INVALID, HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status config_lines_open(const char *text, size_t len,
                                              config_lines **out_lines, config_error *err);
void config_lines_close(config_lines *lines);

/* A place in the file. -1 and NULL: the place above. */
typedef struct config_where {
    int pool;
    int cls;
    const char *key;
} config_where;

/* The line of what is there, or of the nearest thing above it that is there. */
unsigned config_lines_of(const config_lines *lines, config_where where);

/* The line of the first mapping key @key at line @from or below; @from if there is none. */
unsigned config_lines_of_key(const config_lines *lines, const char *key, unsigned from);

/* ---- The file's values, as written (config_values.c) --------------------------------------- */

typedef struct class_values {
    char *size;
    char *initial;
    char *max;
} class_values;

typedef struct pool_values {
    char *name;
    class_values *classes;
    uint32_t n_classes;
    char *budget;
    char *quota;
    char *measured_max;
    char *participants;
    char *names;
    char *mode;
    char *group;
    bool remove_on_exit;
} pool_values;

typedef struct file_values {
    char *socket;
    char *reap_interval;
    pool_values *pools;
    uint32_t n_pools;
} file_values;

/*
 * Load @text with libcyaml.
 *
 * Ownership: the values are the caller's, until config_values_free().
 * Failures:  HAUL_INVALID (does not have the structure of a configuration), HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status config_values_load(const char *text, size_t len,
                                               const config_lines *lines, file_values **out_values,
                                               config_error *err);
void config_values_free(file_values *values);

/* ---- What the values mean (config_check.c) ------------------------------------------------- */

/*
 * Failures: HAUL_INVALID, HAUL_NOMEM. On failure @config holds what was read so far, to be freed.
 */
HAUL_MUST_CHECK haul_status config_check(const file_values *values, const config_lines *lines,
                                         sidecar_config *config, config_error *err);

/* Fill @err and return HAUL_INVALID. */
HAUL_MUST_CHECK haul_status config_refuse(config_error *err, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
