/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What `shorthaul pool info` prints: a pool, its classes, its totals, its participants, its published
 * buffers.
 *
 * One thread, no state.
 */

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "cli/show_rows.h"
#include "tools/units.h"

static haul_status first_failure(haul_status a, haul_status b)
{
    return a != HAUL_OK ? a : b;
}

/* ---- pool info: classes -------------------------------------------------------------------- */

typedef struct class_row {
    char size[UNITS_TEXT_BYTES]; /* for people */
    uint32_t count;
    haul_class_info info;
} class_row;

#define CLASS_U32(name, member)                                                                    \
    {                                                                                              \
        name, FIELD_U32, offsetof(class_row, info.member)                                          \
    }
#define CLASS_U64(name, member)                                                                    \
    {                                                                                              \
        name, FIELD_U64, offsetof(class_row, info.member)                                          \
    }

static const table_field class_lines[] = {
    {"SIZE", FIELD_CHARS, offsetof(class_row, size)},
    CLASS_U32("INITIAL", n_initial),
    CLASS_U32("MAX", n_max),
    {"COUNT", FIELD_U32, offsetof(class_row, count)},
    CLASS_U32("FREE", n_free),
    CLASS_U32("OWNED", n_owned),
    CLASS_U32("SHARED", n_shared),
    CLASS_U32("GIVEN", n_given),
    CLASS_U32("RETIRED", n_retired),
    CLASS_U32("HUGE", n_huge),
    CLASS_U32("PEAK", high_water),
    {"BYTES", FIELD_BYTES, offsetof(class_row, info.bytes)},
    CLASS_U64("ALLOCATIONS", allocations),
    CLASS_U64("SPILLS", spills),
    CLASS_U64("GROWS", grows),
    CLASS_U64("WAITS", waits),
    CLASS_U32("WAITING", n_waiting),
    CLASS_U64("EXHAUSTED", exhaustions),
    CLASS_U64("REAPS", reaps),
};

/* The first three make no sense of all classes together: totals begin behind them. */
#define N_NOT_IN_TOTALS 3
static const table_field class_objects[] = {
    CLASS_U64("size_bytes", size_bytes),
    CLASS_U32("high_water", high_water),
    {"requested", FIELD_HISTOGRAM, offsetof(class_row, info.requested)},
    {"count", FIELD_U32, offsetof(class_row, count)},
    CLASS_U32("max_count", n_max),
    CLASS_U32("initial_count", n_initial),
    CLASS_U32("free", n_free),
    CLASS_U32("owned", n_owned),
    CLASS_U32("shared", n_shared),
    CLASS_U32("given", n_given),
    CLASS_U32("retired", n_retired),
    CLASS_U32("absent", n_absent),
    CLASS_U32("changing", n_changing),
    CLASS_U32("huge", n_huge),
    CLASS_U32("waiting", n_waiting),
    CLASS_U64("bytes", bytes),
    CLASS_U64("allocations", allocations),
    CLASS_U64("releases", releases),
    CLASS_U64("spills", spills),
    CLASS_U64("grows", grows),
    CLASS_U64("waits", waits),
    CLASS_U64("waited_ns", waited_ns),
    CLASS_U64("exhaustions", exhaustions),
    CLASS_U64("reaps", reaps),
    CLASS_U64("expirations", expirations),
};

static void fill_class(class_row *row, const haul_class_info *info)
{
    row->info = *info;
    row->count = show_existing(info);
    if (info->size_bytes == 0) {
        (void)snprintf(row->size, sizeof(row->size), "to measure");
    } else {
        units_format_bytes(info->size_bytes, row->size);
    }
}

/* Add the counts of @info to those of the row of totals. */
static void add_to_total(class_row *total, const haul_class_info *info)
{
    haul_class_info *sum = &total->info;
    total->count += show_existing(info);
    sum->n_max += info->n_max;
    sum->n_initial += info->n_initial;
    sum->n_free += info->n_free;
    sum->n_owned += info->n_owned;
    sum->n_shared += info->n_shared;
    sum->n_given += info->n_given;
    sum->n_retired += info->n_retired;
    sum->n_absent += info->n_absent;
    sum->n_changing += info->n_changing;
    sum->n_huge += info->n_huge;
    sum->high_water += info->high_water;
    sum->bytes += info->bytes;
    sum->allocations += info->allocations;
    sum->releases += info->releases;
    sum->spills += info->spills;
    sum->grows += info->grows;
    sum->waits += info->waits;
    sum->waited_ns += info->waited_ns;
    sum->n_waiting += info->n_waiting;
    sum->exhaustions += info->exhaustions;
    sum->reaps += info->reaps;
    sum->expirations += info->expirations;
}

/* A row per class, and behind them the totals. */
static class_row *class_rows(const haul_pool_info *info)
{
    class_row *rows = calloc((size_t)info->n_classes + 1, sizeof(*rows));
    if (!rows) {
        return NULL;
    }
    class_row *total = &rows[info->n_classes];
    (void)snprintf(total->size, sizeof(total->size), "total");
    for (uint32_t i = 0; i < info->n_classes; i++) {
        fill_class(&rows[i], &info->classes[i]);
        add_to_total(total, &info->classes[i]);
    }
    return rows;
}

/* ---- pool info: participants --------------------------------------------------------------- */

#define PARTICIPANT(name, kind, member)                                                            \
    {                                                                                              \
        name, kind, offsetof(haul_participant_info, member)                                        \
    }

static const table_field participant_lines[] = {
    PARTICIPANT("SLOT", FIELD_U32, slot),
    PARTICIPANT("PID", FIELD_U32, pid),
    PARTICIPANT("NAME", FIELD_CHARS, name),
    PARTICIPANT("ALIVE", FIELD_BOOL, alive),
    PARTICIPANT("OWNED", FIELD_U32, n_owned),
    PARTICIPANT("HELD", FIELD_U32, n_held),
    PARTICIPANT("BYTES OWNED", FIELD_BYTES, bytes_owned),
    PARTICIPANT("BYTES HELD", FIELD_BYTES, bytes_held),
};
static const table_field participant_objects[] = {
    PARTICIPANT("slot", FIELD_U32, slot),
    PARTICIPANT("pid", FIELD_U32, pid),
    PARTICIPANT("name", FIELD_CHARS, name),
    PARTICIPANT("alive", FIELD_BOOL, alive),
    PARTICIPANT("owned", FIELD_U32, n_owned),
    PARTICIPANT("held", FIELD_U32, n_held),
    PARTICIPANT("bytes_owned", FIELD_U64, bytes_owned),
    PARTICIPANT("bytes_held", FIELD_U64, bytes_held),
};

/* ---- pool info: published buffers ---------------------------------------------------------- */

#define NAME(name, kind, member)                                                                   \
    {                                                                                              \
        name, kind, offsetof(haul_name_info, member)                                               \
    }

static const table_field name_lines[] = {
    NAME("BUFFER", FIELD_CHARS, name), NAME("PERSISTENT", FIELD_BOOL, persistent),
    NAME("OWNER", FIELD_U32, owner),   NAME("INDEX", FIELD_U32, index),
    NAME("LENGTH", FIELD_BYTES, len),
};
static const table_field name_objects[] = {
    NAME("name", FIELD_CHARS, name), NAME("persistent", FIELD_BOOL, persistent),
    NAME("owner", FIELD_U32, owner), NAME("index", FIELD_U32, index),
    NAME("length", FIELD_U64, len),
};

/* ---- pool info ----------------------------------------------------------------------------- */

static const table_field pool_objects[] = {
    {"name", FIELD_TEXT, offsetof(pool_row, name)},
    {"uuid", FIELD_CHARS, offsetof(pool_row, uuid)},
    {"pool_id", FIELD_CHARS, offsetof(pool_row, pool_id)},
    {"budget_bytes", FIELD_U64, offsetof(pool_row, budget_bytes)},
    {"total_bytes", FIELD_U64, offsetof(pool_row, total_bytes)},
    {"control_bytes", FIELD_U64, offsetof(pool_row, control_bytes)},
    {"slots", FIELD_U32, offsetof(pool_row, slots)},
    {"mode", FIELD_CHARS, offsetof(pool_row, mode)},
    {"quota_bytes", FIELD_U64, offsetof(pool_row, quota_bytes)},
};

static haul_status print_pool_members(const haul_pool_info *info, FILE *out)
{
    table *t = NULL;
    pool_row row;
    show_fill_pool(&row, info);
    haul_status status = table_new(pool_objects, N_FIELDS(pool_objects), true, &t);
    if (status == HAUL_OK) {
        status = table_add(t, &row, N_FIELDS(pool_objects));
    }
    if (status == HAUL_OK) {
        status = table_print_open_object(t, out);
    }
    table_free(t);
    return status;
}

static haul_status print_object(const haul_pool_info *info, const class_row *rows, FILE *out)
{
    haul_status status = print_pool_members(info, out);
    (void)fputs(", \"totals\": ", out);
    status = first_failure(status, show_table(class_objects + N_NOT_IN_TOTALS,
                                              N_FIELDS(class_objects) - N_NOT_IN_TOTALS,
                                              &rows[info->n_classes], sizeof(*rows), 1, true, out));
    (void)fputs(", \"classes\": [", out);
    status = first_failure(status, show_table(class_objects, N_FIELDS(class_objects), rows,
                                              sizeof(*rows), info->n_classes, true, out));
    (void)fputs("], \"participants\": [", out);
    status = first_failure(status, show_table(participant_objects, N_FIELDS(participant_objects),
                                              info->participants, sizeof(*info->participants),
                                              info->n_participants, true, out));
    (void)fputs("], \"names\": [", out);
    status = first_failure(status, show_table(name_objects, N_FIELDS(name_objects), info->names,
                                              sizeof(*info->names), info->n_names, true, out));
    (void)fputs("]}", out);
    return status;
}

static haul_status print_lines(const haul_pool_info *info, const class_row *rows, FILE *out)
{
    char bytes[UNITS_TEXT_BYTES];
    char budget[UNITS_TEXT_BYTES];
    char control[UNITS_TEXT_BYTES];
    char quota[UNITS_TEXT_BYTES];
    bool has_quota = info->quota_bytes > 0;
    pool_row pool;
    show_fill_pool(&pool, info);
    (void)fprintf(out, "%s  %s  mode %s\n", pool.name, pool.uuid, pool.mode);
    (void)fprintf(out,
                  "%" PRIu32 " buffers of %s in all, budget %s%s%s; control segment %s; "
                  "%" PRIu32 " of %" PRIu32 " slots taken\n\n",
                  pool.n_buffers, units_format_bytes(pool.total_bytes, bytes),
                  units_format_bytes(pool.budget_bytes, budget), has_quota ? ", quota " : "",
                  has_quota ? units_format_bytes(pool.quota_bytes, quota) : "",
                  units_format_bytes(pool.control_bytes, control), pool.n_participants, pool.slots);
    haul_status status = show_table(class_lines, N_FIELDS(class_lines), rows, sizeof(*rows),
                                    (size_t)info->n_classes + 1, false, out);
    if (info->n_participants > 0) {
        (void)fputc('\n', out);
        status = first_failure(status, show_table(participant_lines, N_FIELDS(participant_lines),
                                                  info->participants, sizeof(*info->participants),
                                                  info->n_participants, false, out));
    }
    if (info->n_names > 0) {
        (void)fputc('\n', out);
        status = first_failure(status, show_table(name_lines, N_FIELDS(name_lines), info->names,
                                                  sizeof(*info->names), info->n_names, false, out));
    }
    return status;
}

haul_status show_pools(const haul_pool_info *const *infos, size_t n, bool json, FILE *out)
{
    haul_status status = HAUL_OK;
    (void)fputs(json ? "{\"pools\": [" : "", out);
    for (size_t i = 0; i < n && status == HAUL_OK; i++) {
        class_row *rows = class_rows(infos[i]);
        if (!rows) {
            return HAUL_NOMEM;
        }
        if (i > 0) {
            (void)fputc(json ? ',' : '\n', out);
        }
        status = json ? print_object(infos[i], rows, out) : print_lines(infos[i], rows, out);
        free(rows);
    }
    (void)fputs(json ? "]}\n" : "", out);
    return status;
}
