/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Sizes, counts, durations and permission bits as people write them, for the sidecar's
 * configuration and the command line.
 *
 * Pure functions: any thread, no state, nothing to lose when a process dies. They are strict: what
 * is not understood to its last character is refused, since a size that was read as something else
 * costs gigabytes.
 */

#include "tools/units.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Descending, for units_format_bytes(). */
static const struct unit byte_units[] = {
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"", 1},
};
#define N_BYTE_UNITS (sizeof(byte_units) / sizeof(byte_units[0]))

static const struct unit time_units[] = {
    {"min", UINT64_C(60000000000)},
    {"s", UINT64_C(1000000000)},
    {"ms", UINT64_C(1000000)},
};
#define N_TIME_UNITS (sizeof(time_units) / sizeof(time_units[0]))

static const char not_a_size[] = "is not a size (write 4096, 64KiB, 64MiB, 2GiB or 1TiB)";
static const char not_a_duration[] = "is not a duration (write 250ms, 2s or 1min)";
static const char too_large[] = "is too large";

enum digits {
    DIGITS_OK,
    DIGITS_NONE,
    DIGITS_TOO_LARGE
};

/* Read leading digits of @base; @out_end is the first character that is none. */
static enum digits take_digits(const char *text, unsigned base, uint64_t *out_value,
                               const char **out_end)
{
    uint64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p < (char)('0' + base); p++) {
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value)) {
            return DIGITS_TOO_LARGE;
        }
    }
    if (p == text) {
        return DIGITS_NONE;
    }
    *out_value = value;
    *out_end = p;
    return DIGITS_OK;
}

static haul_status refuse(const char **out_why, const char *why)
{
    *out_why = why;
    return HAUL_INVALID;
}

static haul_status parse_with_unit(const char *text, const struct unit *units, size_t n_units,
                                   const char *what_not, uint64_t *out, const char **out_why)
{
    uint64_t value;
    const char *end;
    enum digits digits = take_digits(text, 10, &value, &end);
    if (digits != DIGITS_OK) {
        return refuse(out_why, digits == DIGITS_NONE ? what_not : too_large);
    }
    for (size_t i = 0; i < n_units; i++) {
        if (strcmp(end, units[i].name) != 0) {
            continue;
        }
        if (__builtin_mul_overflow(value, units[i].factor, &value)) {
            return refuse(out_why, too_large);
        }
        *out = value;
        return HAUL_OK;
    }
    return refuse(out_why, what_not);
}

haul_status units_parse_bytes(const char *text, uint64_t *out_bytes, const char **out_why)
{
    return parse_with_unit(text, byte_units, N_BYTE_UNITS, not_a_size, out_bytes, out_why);
}

haul_status units_parse_duration(const char *text, uint64_t *out_ns, const char **out_why)
{
    return parse_with_unit(text, time_units, N_TIME_UNITS, not_a_duration, out_ns, out_why);
}

haul_status units_parse_count(const char *text, uint32_t max, uint32_t *out_count,
                              const char **out_why)
{
    uint64_t value;
    const char *end;
    enum digits digits = take_digits(text, 10, &value, &end);
    if (digits == DIGITS_NONE || (digits == DIGITS_OK && *end != '\0')) {
        return refuse(out_why, "is not a count");
    }
    if (digits == DIGITS_TOO_LARGE || value > max) {
        return refuse(out_why, too_large);
    }
    *out_count = (uint32_t)value;
    return HAUL_OK;
}

haul_status units_parse_mode(const char *text, uint32_t *out_mode, const char **out_why)
{
    uint64_t value;
    const char *end;
    if (take_digits(text, 8, &value, &end) != DIGITS_OK || *end != '\0' || value > 07777) {
        return refuse(out_why, "is not a mode (write 0600 or 0660)");
    }
    *out_mode = (uint32_t)value;
    return HAUL_OK;
}

const char *units_format_bytes(uint64_t bytes, char out_text[UNITS_TEXT_BYTES])
{
    size_t i = 0;
    while (i + 1 < N_BYTE_UNITS && bytes < byte_units[i].factor) {
        i++;
    }
    const struct unit *unit = &byte_units[i];
    uint64_t whole = bytes / unit->factor;
    uint64_t rest = bytes % unit->factor;
    if (rest == 0) {
        (void)snprintf(out_text, UNITS_TEXT_BYTES, "%" PRIu64 "%s", whole, unit->name);
        return out_text;
    }
    /* Down, not to the nearest: 1023.96KiB must not read as a MiB. */
    (void)snprintf(out_text, UNITS_TEXT_BYTES, "%" PRIu64 ".%" PRIu64 "%s", whole,
                   rest * 10 / unit->factor, unit->name);
    return out_text;
}
