/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_PATH_H
#define SHORTHAUL_TRANSPORT_PATH_H

/* Counting how the payloads of one message went. */

#include <shorthaul/transport.h>

#include "transport/payload.h"

typedef struct haul__tally {
    size_t n_key;
    size_t n_inline;
    uint64_t key_bytes;
    uint64_t inline_bytes;
} haul__tally;

/* An empty payload travels no way at all and is not counted. */
void haul__tally_add(haul__tally *tally, haul__payload_kind kind, uint64_t len);

/* Add what @more has counted. */
void haul__tally_merge(haul__tally *tally, const haul__tally *more);

haul_path haul__tally_path(const haul__tally *tally);

/* The value of the trailing metadata `shorthaul-path`; a string literal. */
const char *haul__path_metadata(haul_path request, haul_path response);

#endif
