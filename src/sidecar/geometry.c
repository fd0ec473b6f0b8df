/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Whether a pool that a new sidecar finds is the one that it was told to keep.
 *
 * A pool's geometry is fixed when it is created. A sidecar that went on with another one than its
 * configuration says would leave people to wonder which of the two holds, so it refuses and names
 * the first difference. Pure functions over a picture of the pool.
 */

#include "sidecar/geometry.h"

#include <inttypes.h>
#include <stdio.h>

#include "tools/units.h"

static haul_status differs(haul_error *err, const char *what, const char *there,
                           const char *configured)
{
    *err = (haul_error){.status = HAUL_EXISTS};
    (void)snprintf(err->text, sizeof(err->text),
                   "exists with another geometry: %s is %s, the configuration says %s", what, there,
                   configured);
    return HAUL_EXISTS;
}

static haul_status compare_count(const char *what, uint32_t there, uint32_t configured,
                                 haul_error *err)
{
    char a[16];
    char b[16];
    if (there == configured) {
        return HAUL_OK;
    }
    (void)snprintf(a, sizeof(a), "%" PRIu32, there);
    (void)snprintf(b, sizeof(b), "%" PRIu32, configured);
    return differs(err, what, a, b);
}

static haul_status compare_class(uint32_t i, const haul_class_info *there,
                                 const haul_class_config *configured, haul_error *err)
{
    char what[96];
    char a[UNITS_TEXT_BYTES];
    char b[UNITS_TEXT_BYTES];
    uint64_t capacity_there = 0;
    uint64_t capacity = 0;
    if (!class_capacity(there->size_bytes, &capacity_there) ||
        !class_capacity(configured->size_bytes, &capacity) || capacity_there != capacity) {
        (void)snprintf(what, sizeof(what), "the size of class %" PRIu32, i + 1);
        return differs(err, what, units_format_bytes(there->size_bytes, a),
                       units_format_bytes(configured->size_bytes, b));
    }
    units_format_bytes(configured->size_bytes, a);
    (void)snprintf(what, sizeof(what), "the initial count of class %s", a);
    haul_status status = compare_count(what, there->n_initial, configured->n_initial, err);
    if (status != HAUL_OK) {
        return status;
    }
    (void)snprintf(what, sizeof(what), "the maximum of class %s", a);
    return compare_count(what, there->n_max, configured->n_max, err);
}

static haul_status compare_classes(const pool_spec *spec, const haul_pool_info *info,
                                   haul_error *err)
{
    uint32_t n_sized = info->n_classes;
    uint32_t n_measured = 0;
    if (n_sized > 0 && info->classes[n_sized - 1].size_bytes == 0) {
        n_measured = info->classes[--n_sized].n_max;
    }
    haul_status status =
        compare_count("the number of classes", n_sized, spec->config.n_classes, err);
    for (uint32_t i = 0; i < n_sized && status == HAUL_OK; i++) {
        status = compare_class(i, &info->classes[i], &spec->classes[i], err);
    }
    return status == HAUL_OK
               ? compare_count("measured_max", n_measured, spec->config.n_measured_max, err)
               : status;
}

static haul_status compare_access(const pool_spec *spec, const haul_pool_info *info,
                                  haul_error *err)
{
    char a[16];
    char b[16];
    if (info->mode == spec->config.mode) {
        return HAUL_OK;
    }
    (void)snprintf(a, sizeof(a), "%04" PRIo32, info->mode);
    (void)snprintf(b, sizeof(b), "%04" PRIo32, spec->config.mode);
    return differs(err, "mode", a, b);
}

/* A bound in bytes; none is 0. */
static haul_status compare_bytes(const char *what, uint64_t there, uint64_t configured,
                                 haul_error *err)
{
    char a[UNITS_TEXT_BYTES];
    char b[UNITS_TEXT_BYTES];
    if (there == configured) {
        return HAUL_OK;
    }
    return differs(err, what, there == 0 ? "none" : units_format_bytes(there, a),
                   configured == 0 ? "none" : units_format_bytes(configured, b));
}

haul_status geometry_compare(const pool_spec *spec, const haul_pool_info *info, haul_error *err)
{
    const haul_pool_config *config = &spec->config;
    haul_status status = compare_classes(spec, info, err);
    if (status == HAUL_OK) {
        status = compare_bytes("the budget", info->budget_bytes, config->budget_bytes, err);
    }
    if (status == HAUL_OK) {
        status = compare_bytes("the quota", info->quota_bytes, config->quota_bytes, err);
    }
    if (status == HAUL_OK) {
        status = compare_count("the number of slots", info->n_slots, config->n_participants, err);
    }
    if (status == HAUL_OK) {
        status = compare_count("the number of names", info->n_names_max, config->n_names, err);
    }
    return status == HAUL_OK ? compare_access(spec, info, err) : status;
}
