/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Rows of structs as a table for people, or as JSON objects, with libsmartcols.
 *
 * libsmartcols prints {"name": [{...}, ...]} and cannot put a table into a row of another. So a
 * JSON table is printed to a string here and its objects are taken out, for show.c to nest. All
 * quoting is the library's; only what it passes through as it is, bytes that are not UTF-8, is
 * replaced before. One thread, no state.
 */

#include "cli/table.h"

#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <shorthaul/pool.h>

#include "tools/units.h"

struct table {
    struct libscols_table *scols;
    const table_field *fields;
    size_t n_fields;
    bool json;
};

/* ---- Making one ---------------------------------------------------------------------------- */

static int json_type(enum field_kind kind)
{
    switch (kind) {
    case FIELD_TEXT:
    case FIELD_CHARS:
        return SCOLS_JSON_STRING;
    case FIELD_BOOL:
        return SCOLS_JSON_BOOLEAN;
    case FIELD_HISTOGRAM:
        return SCOLS_JSON_ARRAY_NUMBER;
    default:
        return SCOLS_JSON_NUMBER;
    }
}

static bool add_column(const table *t, const table_field *field)
{
    bool left =
        field->kind == FIELD_TEXT || field->kind == FIELD_CHARS || field->kind == FIELD_BOOL;
    int flags = field->kind == FIELD_HISTOGRAM ? SCOLS_FL_WRAP : left ? 0 : SCOLS_FL_RIGHT;
    struct libscols_column *column = scols_table_new_column(t->scols, field->name, 0, flags);
    if (!column || scols_column_set_json_type(column, json_type(field->kind)) != 0) {
        return false;
    }
    return field->kind != FIELD_HISTOGRAM ||
           scols_column_set_wrapfunc(column, scols_wrapnl_chunksize, scols_wrapnl_nextchunk,
                                     NULL) == 0;
}

haul_status table_new(const table_field *fields, size_t n_fields, bool json, table **out_table)
{
    table *t = calloc(1, sizeof(*t));
    if (!t) {
        return HAUL_NOMEM;
    }
    *t = (table){.scols = scols_new_table(), .fields = fields, .n_fields = n_fields, .json = json};
    bool made = t->scols && scols_table_set_name(t->scols, "rows") == 0 &&
                scols_table_enable_json(t->scols, json) == 0;
    for (size_t i = 0; i < n_fields && made; i++) {
        made = add_column(t, &fields[i]);
    }
    if (!made) {
        table_free(t);
        return HAUL_NOMEM;
    }
    *out_table = t;
    return HAUL_OK;
}

void table_free(table *t)
{
    if (t) {
        scols_unref_table(t->scols);
        free(t);
    }
}

/* ---- Cells --------------------------------------------------------------------------------- */

#define CELL_BYTES ((size_t)HAUL_HISTOGRAM_BUCKETS * 21)

/* Replace each byte that is no part of a UTF-8 character. */
static void make_utf8(char *text)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    while (*text != '\0') {
        mbstate_t state = {0};
        size_t n = utf8 ? mbrlen(text, strlen(text), &state) : (size_t)((signed char)*text >= 0);
        if (n == 0 || n > MB_LEN_MAX) {
            *text = '?';
            n = 1;
        }
        text += n;
    }
    if (utf8) {
        (void)uselocale(before);
        freelocale(utf8);
    }
}

static void format_histogram(const uint64_t *requested, char cell[CELL_BYTES])
{
    size_t n = HAUL_HISTOGRAM_BUCKETS;
    while (n > 1 && requested[n - 1] == 0) {
        n--;
    }
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        int len =
            snprintf(cell + used, CELL_BYTES - used, "%s%" PRIu64, i > 0 ? "\n" : "", requested[i]);
        used += (size_t)len;
    }
}

static void copy_text(const table *t, const char *text, char cell[CELL_BYTES])
{
    (void)snprintf(cell, CELL_BYTES, "%s", text);
    if (t->json) {
        make_utf8(cell);
    }
}

/* False: the cell stays empty. */
static bool format_cell(const table *t, const table_field *field, const void *row,
                        char cell[CELL_BYTES])
{
    const char *at = (const char *)row + field->offset;
    uint64_t u64 = 0;
    uint32_t u32 = 0;
    const char *text = NULL;
    switch (field->kind) {
    case FIELD_TEXT:
        memcpy(&text, at, sizeof(const char *));
        if (text) {
            copy_text(t, text, cell);
        }
        return text != NULL;
    case FIELD_CHARS:
        copy_text(t, at, cell);
        return true;
    case FIELD_U32:
        memcpy(&u32, at, sizeof(u32));
        (void)snprintf(cell, CELL_BYTES, "%" PRIu32, u32);
        return true;
    case FIELD_U64:
    case FIELD_BYTES:
        memcpy(&u64, at, sizeof(u64));
        if (field->kind == FIELD_BYTES && !t->json) {
            units_format_bytes(u64, cell);
        } else {
            (void)snprintf(cell, CELL_BYTES, "%" PRIu64, u64);
        }
        return true;
    case FIELD_BOOL:
        (void)snprintf(cell, CELL_BYTES, "%s",
                       *(const bool *)at ? (t->json ? "1" : "yes") : (t->json ? "0" : "no"));
        return true;
    case FIELD_HISTOGRAM:
        format_histogram((const uint64_t *)(const void *)at, cell);
        return true;
    }
    return false;
}

haul_status table_add(table *t, const void *row, size_t n_known)
{
    char cell[CELL_BYTES];
    struct libscols_line *line = scols_table_new_line(t->scols, NULL);
    if (!line) {
        return HAUL_NOMEM;
    }
    for (size_t i = 0; i < t->n_fields && i < n_known; i++) {
        if (format_cell(t, &t->fields[i], row, cell) && scols_line_set_data(line, i, cell) != 0) {
            return HAUL_NOMEM;
        }
    }
    return HAUL_OK;
}

/* ---- Printing ------------------------------------------------------------------------------ */

/* The text of a JSON table between its outermost square brackets, which no value can have moved. */
static char *objects(const table *t)
{
    char *text = NULL;
    if (scols_print_table_to_string(t->scols, &text) != 0 || !text) {
        return NULL;
    }
    char *open = strchr(text, '[');
    char *close = strrchr(text, ']');
    if (!open || !close) {
        free(text);
        return NULL;
    }
    while (close > open + 1 && strchr(" \n", close[-1])) {
        close--;
    }
    *close = '\0';
    open += 1 + strspn(open + 1, " \n");
    memmove(text, open, strlen(open) + 1);
    return text;
}

haul_status table_print(const table *t, FILE *out)
{
    if (!t->json) {
        return scols_table_set_stream(t->scols, out) == 0 && scols_print_table(t->scols) == 0
                   ? HAUL_OK
                   : HAUL_NOMEM;
    }
    char *text = objects(t);
    if (!text) {
        return HAUL_NOMEM;
    }
    (void)fputs(text, out);
    free(text);
    return HAUL_OK;
}

haul_status table_print_open_object(const table *t, FILE *out)
{
    char *text = objects(t);
    char *brace = text ? strrchr(text, '}') : NULL;
    if (brace) {
        *brace = '\0';
        (void)fputs(text, out);
    }
    free(text);
    return brace ? HAUL_OK : HAUL_NOMEM;
}
