/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The structure of a configuration file, and its values as they are written.
 *
 * libcyaml checks the structure: which keys there are, which must be there, what is a list. Scalars
 * are left as text, since libcyaml reads "4x" as 4 and "maybe" as true; config_check.c reads them.
 *
 * libcyaml reports through a log callback: what is wrong in one line, then where, innermost first.
 * These are caught here and become one line of ours. Used while the sidecar starts, by its only
 * thread.
 */

#include "sidecar/config_file.h"

#include <cyaml/cyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT     CYAML_FLAG_POINTER
#define OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

static const cyaml_strval_t booleans[] = {{"false", 0}, {"true", 1}};

static const cyaml_schema_field_t class_fields[] = {
    CYAML_FIELD_STRING_PTR("size", TEXT, class_values, size, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("initial", OPTIONAL, class_values, initial, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("max", TEXT, class_values, max, 0, CYAML_UNLIMITED), CYAML_FIELD_END};

static const cyaml_schema_value_t class_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, class_values, class_fields)};

static const cyaml_schema_field_t pool_fields[] = {
    CYAML_FIELD_STRING_PTR("name", TEXT, pool_values, name, 0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE_COUNT("classes", CYAML_FLAG_POINTER, pool_values, classes, n_classes,
                               &class_schema, 1, HAUL_CLASSES_MAX),
    CYAML_FIELD_STRING_PTR("budget", OPTIONAL, pool_values, budget, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("quota", OPTIONAL, pool_values, quota, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("measured_max", OPTIONAL, pool_values, measured_max, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("participants", OPTIONAL, pool_values, participants, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("names", OPTIONAL, pool_values, names, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("mode", OPTIONAL, pool_values, mode, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("group", OPTIONAL, pool_values, group, 0, CYAML_UNLIMITED),
    CYAML_FIELD_ENUM("remove_on_exit", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, pool_values,
                     remove_on_exit, booleans, CYAML_ARRAY_LEN(booleans)),
    CYAML_FIELD_END};

static const cyaml_schema_value_t pool_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, pool_values, pool_fields)};

static const cyaml_schema_field_t file_fields[] = {
    CYAML_FIELD_STRING_PTR("socket", OPTIONAL, file_values, socket, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("reap_interval", OPTIONAL, file_values, reap_interval, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE_COUNT("pools", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, file_values,
                               pools, n_pools, &pool_schema, 1, 1024),
    CYAML_FIELD_END};

static const cyaml_schema_value_t file_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, file_values, file_fields)};

/* ---- libcyaml's reports -------------------------------------------------------------------- */

#define N_FRAMES 2

typedef struct report {
    char text[192];          /* what is wrong */
    unsigned line[N_FRAMES]; /* innermost first; 0: not said */
    unsigned n_frames;
} report;

__attribute__((format(printf, 3, 0))) static void catch_report(cyaml_log_t level, void *ctx,
                                                               const char *fmt, va_list args)
{
    (void)level;
    report *r = ctx;
    char message[256];
    (void)vsnprintf(message, sizeof(message), fmt, args);
    message[strcspn(message, "\n")] = '\0';

    /* The place comes last: names of keys, which the file chooses, come before it. */
    const char *place = message;
    for (const char *p = strstr(place, "(line: "); p; p = strstr(p + 1, "(line: ")) {
        place = p;
    }
    if (place != message) {
        if (r->n_frames < N_FRAMES) {
            r->line[r->n_frames++] = (unsigned)strtoul(place + strlen("(line: "), NULL, 10);
        }
    } else if (r->text[0] == '\0' && strncmp(message, "Load: Backtrace", 15) != 0) {
        const char *text = strncmp(message, "Load: ", 6) == 0 ? message + 6 : message;
        (void)snprintf(r->text, sizeof(r->text), "%.191s", text);
    }
}

/* If @text begins with @head, what comes after it; else NULL. */
static const char *after(const char *text, const char *head)
{
    size_t n = strlen(head);
    return strncmp(text, head, n) == 0 ? text + n : NULL;
}

static haul_status retell(const report *r, cyaml_err_t code, const config_lines *lines,
                          config_error *err)
{
    unsigned line = r->line[0] > 0 ? r->line[0] : 1;
    if (code == CYAML_ERR_OOM) {
        return HAUL_NOMEM;
    }
    const char *key = after(r->text, "Unexpected key: ");
    if (key) { /* the line is that of what came before the key */
        return config_refuse(err, config_lines_of_key(lines, key, line), "unknown key '%s'", key);
    }
    key = after(r->text, "Missing required mapping field: ");
    if (key) { /* said at the mapping's end; its beginning is one frame out */
        return config_refuse(err, r->n_frames > 1 ? r->line[1] : 1, "key '%s' is missing", key);
    }
    if (code == CYAML_ERR_ALIAS) {
        return config_refuse(err, line, "anchors and aliases are not understood here");
    }
    return config_refuse(err, line, "%s", r->text[0] ? r->text : cyaml_strerror(code));
}

/* ---- Loading ------------------------------------------------------------------------------- */

static cyaml_config_t loader(report *r)
{
    return (cyaml_config_t){.log_fn = catch_report,
                            .log_ctx = r,
                            .log_level = CYAML_LOG_ERROR,
                            .mem_fn = cyaml_mem,
                            .flags = CYAML_CFG_NO_ALIAS};
}

haul_status config_values_load(const char *text, size_t len, const config_lines *lines,
                               file_values **out_values, config_error *err)
{
    report r = {0};
    cyaml_config_t config = loader(&r);
    file_values *values = NULL;
    cyaml_err_t code = cyaml_load_data((const uint8_t *)text, len, &config, &file_schema,
                                       (cyaml_data_t **)&values, NULL);
    if (code != CYAML_OK) {
        return retell(&r, code, lines, err);
    }
    *out_values = values;
    return HAUL_OK;
}

void config_values_free(file_values *values)
{
    report r = {0};
    cyaml_config_t config = loader(&r);
    (void)cyaml_free(&config, &file_schema, values, 0);
}
