/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_CLI_SHOW_H
#define SHORTHAUL_CLI_SHOW_H

/* What the commands print about pools. docs/cli.md lists the JSON members, which are stable. */

#include <stdbool.h>
#include <stdio.h>

#include <shorthaul/pool.h>

/* A pool of a list. */
typedef struct listed_pool {
    const char *name;
    haul_status status;         /* of the attempt to look at it */
    const haul_pool_info *info; /* with HAUL_OK only */
} listed_pool;

/* Failures of all: HAUL_NOMEM. */
HAUL_MUST_CHECK haul_status show_list(const listed_pool *pools, size_t n, bool json, FILE *out);
HAUL_MUST_CHECK haul_status show_pools(const haul_pool_info *const *infos, size_t n, bool json,
                                       FILE *out);
HAUL_MUST_CHECK haul_status show_findings(const char *pool, char *const *findings, size_t n,
                                          bool json, FILE *out);

#endif
