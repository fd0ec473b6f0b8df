/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TOOLS_UNITS_H
#define SHORTHAUL_TOOLS_UNITS_H

/* Sizes, counts, durations and permission bits as people write them. */

#include <stdint.h>

#include <shorthaul/status.h>

#define UNITS_TEXT_BYTES 48 /* with the terminator */

/*
 * Read a number. The whole text must be it: no sign, no space, no other base.
 *
 *   bytes     "4096", "64KiB", "64MiB", "2GiB", "1TiB"
 *   count     "0" to @max
 *   duration  "250ms", "2s", "1min"
 *   mode      "0600", "0660", with or without the leading zero; which modes are right is for the
 *             caller to say
 *
 * @out_why: on failure what the text is not, to follow the text itself in a sentence.
 *
 * Failures: HAUL_INVALID
 */
HAUL_MUST_CHECK haul_status units_parse_bytes(const char *text, uint64_t *out_bytes,
                                              const char **out_why);
HAUL_MUST_CHECK haul_status units_parse_count(const char *text, uint32_t max, uint32_t *out_count,
                                              const char **out_why);
HAUL_MUST_CHECK haul_status units_parse_duration(const char *text, uint64_t *out_ns,
                                                 const char **out_why);
HAUL_MUST_CHECK haul_status units_parse_mode(const char *text, uint32_t *out_mode,
                                             const char **out_why);

/* Write a size in the largest unit that fits, with one decimal where it does not come out even.
 * Returns @out_text. */
const char *units_format_bytes(uint64_t bytes, char out_text[UNITS_TEXT_BYTES]);

#endif
