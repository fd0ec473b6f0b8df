/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What the values of a configuration file mean, and whether they can be meant together.
 *
 * haul_pool_create() checks its configuration too, without knowing a line; here each mistake is
 * pinned to the line it is on, before anything is created. Used while the sidecar starts, by its
 * only thread.
 */

#include "sidecar/config_file.h"

#include <grp.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/units.h"

#define REAP_NS_MIN UINT64_C(10000000)
#define REAP_NS_MAX UINT64_C(3600000000000)

typedef struct checker {
    const config_lines *lines;
    config_error *err;
    int pool; /* that is being checked; -1: none yet */
    int cls;
} checker;

haul_status config_refuse(config_error *err, unsigned line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    err->line = line;
    (void)vsnprintf(err->reason, sizeof(err->reason), fmt, args);
    va_end(args);
    return HAUL_INVALID;
}

static unsigned line_of(const checker *c, const char *key)
{
    return config_lines_of(c->lines, (config_where){.pool = c->pool, .cls = c->cls, .key = key});
}

/* "key: 'text' why", on the key's line. */
static haul_status refuse_value(const checker *c, const char *key, const char *text,
                                const char *why)
{
    return config_refuse(c->err, line_of(c, key), "%s: '%.64s' %s", key, text, why);
}

static haul_status read_bytes(const checker *c, const char *key, const char *text, uint64_t *out)
{
    const char *why;
    if (units_parse_bytes(text, out, &why) != HAUL_OK) {
        return refuse_value(c, key, text, why);
    }
    return *out == 0 ? refuse_value(c, key, text, "is not a size above 0") : HAUL_OK;
}

static haul_status read_count(const checker *c, const char *key, const char *text, uint32_t min,
                              uint32_t max, uint32_t *out)
{
    const char *why;
    if (!text) {
        return HAUL_OK;
    }
    if (units_parse_count(text, UINT32_MAX, out, &why) != HAUL_OK) {
        return refuse_value(c, key, text, why);
    }
    if (*out < min || *out > max) {
        return config_refuse(c->err, line_of(c, key),
                             "%s: %" PRIu32 " is not in %" PRIu32 "..%" PRIu32, key, *out, min,
                             max);
    }
    return HAUL_OK;
}

/* ---- Classes ------------------------------------------------------------------------------- */

static haul_status check_class(const checker *c, const class_values *values, haul_class_config *out)
{
    uint64_t capacity;
    haul_status status = read_bytes(c, "size", values->size, &out->size_bytes);
    if (status == HAUL_OK) {
        status = read_count(c, "max", values->max, 1, HAUL_CLASS_BUFFERS_MAX, &out->n_max);
    }
    if (status == HAUL_OK) {
        status =
            read_count(c, "initial", values->initial, 0, HAUL_CLASS_BUFFERS_MAX, &out->n_initial);
    }
    if (status == HAUL_OK && out->n_initial > out->n_max) {
        return config_refuse(c->err, line_of(c, "initial"),
                             "initial: %" PRIu32 " buffers exceed the class's max of %" PRIu32,
                             out->n_initial, out->n_max);
    }
    if (status == HAUL_OK && !class_capacity(out->size_bytes, &capacity)) {
        return refuse_value(c, "size", values->size, "is too large");
    }
    return status;
}

/* Classes ascend, and no two of them come out as the same number of pages. */
static haul_status check_order(const checker *c, const class_values *values, const pool_spec *spec)
{
    uint64_t before;
    uint64_t here;
    if (c->cls == 0 || !class_capacity(spec->classes[c->cls - 1].size_bytes, &before) ||
        !class_capacity(spec->classes[c->cls].size_bytes, &here) || before < here) {
        return HAUL_OK;
    }
    return config_refuse(c->err, line_of(c, "size"),
                         "size: '%.32s' does not exceed the class before it, '%.32s'; classes "
                         "ascend, in whole pages",
                         values[c->cls].size, values[c->cls - 1].size);
}

static haul_status check_classes(checker *c, const pool_values *values, pool_spec *spec)
{
    uint32_t limit = HAUL_CLASSES_MAX - (spec->config.n_measured_max > 0 ? 1 : 0);
    if (values->n_classes > limit) {
        return config_refuse(c->err, line_of(c, "classes"),
                             "classes: %" PRIu32 " are more than %" PRIu32
                             " (buffers made to measure count as a class)",
                             values->n_classes, limit);
    }
    haul_status status = HAUL_OK;
    for (uint32_t i = 0; i < values->n_classes && status == HAUL_OK; i++) {
        c->cls = (int)i;
        status = check_class(c, &values->classes[i], &spec->classes[i]);
        if (status == HAUL_OK) {
            status = check_order(c, values->classes, spec);
        }
    }
    c->cls = -1;
    spec->config.n_classes = values->n_classes;
    return status;
}

/* ---- Sums ---------------------------------------------------------------------------------- */

static bool add_class(uint64_t *sum, uint64_t size_bytes, uint32_t n)
{
    uint64_t bytes;
    return class_capacity(size_bytes, &bytes) && !__builtin_mul_overflow(bytes, n, &bytes) &&
           !__builtin_add_overflow(*sum, bytes, sum);
}

/* No budget was given: what the classes may grow to. */
static haul_status imply_budget(const checker *c, pool_spec *spec)
{
    uint64_t sum = 0;
    if (spec->config.n_measured_max > 0) {
        return config_refuse(c->err, line_of(c, "measured_max"),
                             "measured_max: buffers made to measure need a budget");
    }
    for (uint32_t i = 0; i < spec->config.n_classes; i++) {
        if (!add_class(&sum, spec->classes[i].size_bytes, spec->classes[i].n_max)) {
            return config_refuse(c->err, line_of(c, "classes"),
                                 "classes: what they may grow to exceeds 64 bits");
        }
    }
    spec->config.budget_bytes = sum;
    return HAUL_OK;
}

static haul_status check_budget(checker *c, const pool_values *values, pool_spec *spec)
{
    char budget[UNITS_TEXT_BYTES];
    char text[UNITS_TEXT_BYTES];
    uint64_t sum = 0;
    if (!values->budget) {
        return imply_budget(c, spec);
    }
    haul_status status = read_bytes(c, "budget", values->budget, &spec->config.budget_bytes);
    if (status != HAUL_OK) {
        return status;
    }
    units_format_bytes(spec->config.budget_bytes, budget);
    for (uint32_t i = 0; i < spec->config.n_classes; i++) {
        uint64_t capacity = 0;
        if (!class_capacity(spec->classes[i].size_bytes, &capacity) ||
            capacity > spec->config.budget_bytes) {
            c->cls = (int)i;
            return config_refuse(c->err, line_of(c, "size"),
                                 "size: one buffer of %s exceeds the pool's budget of %s",
                                 units_format_bytes(capacity, text), budget);
        }
        if (!add_class(&sum, spec->classes[i].size_bytes, spec->classes[i].n_initial)) {
            return config_refuse(c->err, line_of(c, "classes"),
                                 "classes: the initial buffers exceed 64 bits");
        }
    }
    if (sum > spec->config.budget_bytes) {
        return config_refuse(c->err, line_of(c, "budget"),
                             "budget: %s cannot hold the initial buffers, which take %s", budget,
                             units_format_bytes(sum, text));
    }
    return HAUL_OK;
}

/* A quota below the smallest buffer would let nobody allocate anything. */
static haul_status check_quota(const checker *c, const pool_values *values, pool_spec *spec)
{
    char quota[UNITS_TEXT_BYTES];
    char text[UNITS_TEXT_BYTES];
    uint64_t smallest = 0;
    if (!values->quota) {
        return HAUL_OK;
    }
    haul_status status = read_bytes(c, "quota", values->quota, &spec->config.quota_bytes);
    if (status == HAUL_OK && class_capacity(spec->classes[0].size_bytes, &smallest) &&
        spec->config.quota_bytes < smallest) {
        return config_refuse(c->err, line_of(c, "quota"),
                             "quota: %s is less than one buffer of the smallest class, %s",
                             units_format_bytes(spec->config.quota_bytes, quota),
                             units_format_bytes(smallest, text));
    }
    return status;
}

/* ---- Who may use it ------------------------------------------------------------------------ */

static haul_status look_up_group(const checker *c, const char *name, gid_t *out_gid)
{
    uint32_t gid;
    const char *why;
    if (units_parse_count(name, UINT32_MAX - 1, &gid, &why) == HAUL_OK) {
        *out_gid = gid;
        return HAUL_OK;
    }
    const struct group *group = getgrnam(name);
    if (!group) {
        return refuse_value(c, "group", name, "is not a group of this machine");
    }
    *out_gid = group->gr_gid;
    return HAUL_OK;
}

static haul_status check_access(const checker *c, const pool_values *values, pool_spec *spec)
{
    const char *why;
    spec->config.gid = (gid_t)-1;
    spec->config.mode = values->group ? 0660 : 0600;
    if (values->mode) {
        if (units_parse_mode(values->mode, &spec->config.mode, &why) != HAUL_OK) {
            return refuse_value(c, "mode", values->mode, why);
        }
        if (spec->config.mode != 0600 && spec->config.mode != 0660) {
            return refuse_value(c, "mode", values->mode, "is neither 0600 nor 0660");
        }
    }
    if (!values->group) {
        return HAUL_OK;
    }
    if (spec->config.mode != 0660) {
        return refuse_value(c, "group", values->group,
                            "has no use for mode 0600; write mode: 0660");
    }
    return look_up_group(c, values->group, &spec->config.gid);
}

/* ---- A pool -------------------------------------------------------------------------------- */

static haul_status check_name(const checker *c, const file_values *values, pool_spec *spec)
{
    const char *name = values->pools[c->pool].name;
    const char *fault = pool_name_fault(name);
    if (fault) {
        return refuse_value(c, "name", name, fault);
    }
    for (int i = 0; i < c->pool; i++) {
        if (strcmp(values->pools[i].name, name) == 0) {
            unsigned first =
                config_lines_of(c->lines, (config_where){.pool = i, .cls = -1, .key = "name"});
            return config_refuse(c->err, line_of(c, "name"),
                                 "name: '%s' is there twice (first on line %u)", name, first);
        }
    }
    memcpy(spec->name, name, strlen(name) + 1);
    return HAUL_OK;
}

static haul_status check_pool(checker *c, const file_values *values, pool_spec *spec)
{
    const pool_values *pool = &values->pools[c->pool];
    spec->config.struct_size = sizeof(spec->config);
    spec->config.n_participants = HAUL_PARTICIPANTS_DEFAULT;
    spec->config.n_names = HAUL_NAMES_DEFAULT;
    spec->remove_on_exit = pool->remove_on_exit;
    haul_status status = check_name(c, values, spec);
    if (status == HAUL_OK) {
        status = read_count(c, "measured_max", pool->measured_max, 0, HAUL_CLASS_BUFFERS_MAX,
                            &spec->config.n_measured_max);
    }
    if (status == HAUL_OK) {
        status = read_count(c, "participants", pool->participants, 1, HAUL_PARTICIPANTS_MAX,
                            &spec->config.n_participants);
    }
    if (status == HAUL_OK) {
        status = read_count(c, "names", pool->names, 1, HAUL_NAMES_MAX, &spec->config.n_names);
    }
    if (status == HAUL_OK) {
        status = check_access(c, pool, spec);
    }
    if (status == HAUL_OK) {
        status = check_classes(c, pool, spec);
    }
    if (status == HAUL_OK) {
        status = check_budget(c, pool, spec);
    }
    return status == HAUL_OK ? check_quota(c, pool, spec) : status;
}

/* ---- The file ------------------------------------------------------------------------------ */

static haul_status check_top(const checker *c, const file_values *values, sidecar_config *config)
{
    const char *why;
    const char *socket = values->socket ? values->socket : CONFIG_SOCKET_DEFAULT;
    const char *fault = socket_address_fault(socket);
    if (fault) {
        return refuse_value(c, "socket", socket, fault);
    }
    config->socket = strdup(socket);
    if (!config->socket) {
        return HAUL_NOMEM;
    }
    config->reap_interval_ns = CONFIG_REAP_NS;
    if (!values->reap_interval) {
        return HAUL_OK;
    }
    if (units_parse_duration(values->reap_interval, &config->reap_interval_ns, &why) != HAUL_OK) {
        return refuse_value(c, "reap_interval", values->reap_interval, why);
    }
    if (config->reap_interval_ns < REAP_NS_MIN || config->reap_interval_ns > REAP_NS_MAX) {
        return refuse_value(c, "reap_interval", values->reap_interval, "is not in 10ms..60min");
    }
    return HAUL_OK;
}

haul_status config_check(const file_values *values, const config_lines *lines,
                         sidecar_config *config, config_error *err)
{
    checker c = {.lines = lines, .err = err, .pool = -1, .cls = -1};
    haul_status status = check_top(&c, values, config);
    if (status != HAUL_OK || values->n_pools == 0) {
        return status;
    }
    config->pools = calloc(values->n_pools, sizeof(*config->pools));
    if (!config->pools) {
        return HAUL_NOMEM;
    }
    config->n_pools = values->n_pools;
    for (uint32_t i = 0; i < values->n_pools && status == HAUL_OK; i++) {
        c.pool = (int)i;
        status = check_pool(&c, values, &config->pools[i]);
    }
    return status;
}
