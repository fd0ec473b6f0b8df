/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What the commands print about pools: tables for people, and one JSON object per command.
 *
 * The pictures come from anywhere (source.c); here they become rows. JSON members have the names of
 * admin.proto's fields. 64-bit ids are strings in JSON, since many readers keep numbers as doubles.
 * One thread, no state.
 */

#include "cli/show.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/show_rows.h"

haul_status show_table(const table_field *fields, size_t n_fields, const void *rows,
                       size_t row_bytes, size_t n, bool json, FILE *out)
{
    table *t = NULL;
    haul_status status = table_new(fields, n_fields, json, &t);
    for (size_t i = 0; i < n && status == HAUL_OK; i++) {
        status = table_add(t, (const char *)rows + i * row_bytes, n_fields);
    }
    if (status == HAUL_OK) {
        status = table_print(t, out);
    }
    table_free(t);
    return status;
}

/* ---- A pool in one row --------------------------------------------------------------------- */

static void fill_uuid(const uint8_t uuid[16], char text[37])
{
    size_t used = 0;
    for (size_t i = 0; i < 16; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        used += (size_t)snprintf(text + used, 37 - used, "%s%02x", dash, uuid[i]);
    }
}

uint32_t show_existing(const haul_class_info *cls)
{
    return cls->n_free + cls->n_owned + cls->n_shared + cls->n_given + cls->n_retired;
}

void show_fill_pool(pool_row *row, const haul_pool_info *info)
{
    *row = (pool_row){.name = info->name,
                      .state = "ok",
                      .budget_bytes = info->budget_bytes,
                      .quota_bytes = info->quota_bytes,
                      .total_bytes = info->bytes,
                      .control_bytes = info->control_bytes,
                      .slots = info->n_slots,
                      .n_participants = info->n_participants};
    fill_uuid(info->uuid, row->uuid);
    (void)snprintf(row->pool_id, sizeof(row->pool_id), "0x%016" PRIx64, info->id);
    (void)snprintf(row->mode, sizeof(row->mode), "%04" PRIo32, info->mode & 07777);
    for (uint32_t i = 0; i < info->n_classes; i++) {
        row->n_buffers += show_existing(&info->classes[i]);
    }
}

/* ---- pool list ----------------------------------------------------------------------------- */

static const table_field list_lines[] = {
    {"POOL", FIELD_TEXT, offsetof(pool_row, name)},
    {"STATE", FIELD_TEXT, offsetof(pool_row, state)},
    {"BUFFERS", FIELD_U32, offsetof(pool_row, n_buffers)},
    {"BYTES", FIELD_BYTES, offsetof(pool_row, total_bytes)},
    {"BUDGET", FIELD_BYTES, offsetof(pool_row, budget_bytes)},
    {"PARTICIPANTS", FIELD_U32, offsetof(pool_row, n_participants)},
    {"MODE", FIELD_CHARS, offsetof(pool_row, mode)},
};
static const table_field list_objects[] = {
    {"name", FIELD_TEXT, offsetof(pool_row, name)},
    {"state", FIELD_TEXT, offsetof(pool_row, state)},
    {"uuid", FIELD_CHARS, offsetof(pool_row, uuid)},
    {"pool_id", FIELD_CHARS, offsetof(pool_row, pool_id)},
    {"buffers", FIELD_U32, offsetof(pool_row, n_buffers)},
    {"total_bytes", FIELD_U64, offsetof(pool_row, total_bytes)},
    {"budget_bytes", FIELD_U64, offsetof(pool_row, budget_bytes)},
    {"participants", FIELD_U32, offsetof(pool_row, n_participants)},
    {"mode", FIELD_CHARS, offsetof(pool_row, mode)},
};
#define N_LISTED_WITHOUT_INFO 2 /* name and state */

static haul_status add_listed(table *t, const listed_pool *listed)
{
    pool_row row;
    char state[32];
    if (listed->status == HAUL_OK) {
        show_fill_pool(&row, listed->info);
        row.name = listed->name;
        return table_add(t, &row, N_FIELDS(list_objects));
    }
    (void)snprintf(state, sizeof(state), "%s", haul_status_name(listed->status));
    for (char *c = state; *c != '\0'; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    }
    row = (pool_row){.name = listed->name, .state = state};
    return table_add(t, &row, N_LISTED_WITHOUT_INFO);
}

haul_status show_list(const listed_pool *pools, size_t n, bool json, FILE *out)
{
    table *t = NULL;
    haul_status status = json ? table_new(list_objects, N_FIELDS(list_objects), true, &t)
                              : table_new(list_lines, N_FIELDS(list_lines), false, &t);
    for (size_t i = 0; i < n && status == HAUL_OK; i++) {
        status = add_listed(t, &pools[i]);
    }
    if (status == HAUL_OK) {
        (void)fputs(json ? "{\"pools\": [" : "", out);
        status = table_print(t, out);
        (void)fputs(json ? "]}\n" : "", out);
    }
    table_free(t);
    return status;
}

/* ---- pool audit ---------------------------------------------------------------------------- */

typedef struct finding_row {
    const char *finding;
} finding_row;

static const table_field finding_objects[] = {
    {"finding", FIELD_TEXT, offsetof(finding_row, finding)},
};

static haul_status print_findings(const char *pool, char *const *findings, size_t n, FILE *out)
{
    if (n == 0) {
        (void)fprintf(out, "%s: clean\n", pool);
    }
    for (size_t i = 0; i < n; i++) {
        (void)fprintf(out, "%s: %s\n", pool, findings[i]);
    }
    return HAUL_OK;
}

haul_status show_findings(const char *pool, char *const *findings, size_t n, bool json, FILE *out)
{
    if (!json) {
        return print_findings(pool, findings, n, out);
    }
    finding_row *rows = calloc(n + 1, sizeof(*rows));
    if (!rows) {
        return HAUL_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        rows[i].finding = findings[i];
    }
    (void)fprintf(out, "{\"name\": \"%s\", \"findings\": [", pool);
    haul_status status =
        show_table(finding_objects, N_FIELDS(finding_objects), rows, sizeof(*rows), n, true, out);
    (void)fputs("]}\n", out);
    free(rows);
    return status;
}
