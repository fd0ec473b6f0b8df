/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_STATS_H
#define SHORTHAUL_TRANSPORT_STATS_H

/* What a server or channel counts. */

#include <stdatomic.h>

#include "transport/path.h"

typedef struct haul__traffic {
    _Atomic uint64_t n_by_key;
    _Atomic uint64_t n_inline;
    _Atomic uint64_t bytes_by_key;
    _Atomic uint64_t bytes_inline;
} haul__traffic;

/* Starts zeroed. Any thread. */
typedef struct haul__counters {
    _Atomic uint64_t n_calls;
    _Atomic uint64_t n_failed;
    haul__traffic requests;
    haul__traffic answers;
    _Atomic uint64_t n_copied;      /* payloads copied to a buffer */
    _Atomic uint64_t n_transferred; /* payloads that went over a data connection */
    _Atomic uint64_t n_direct;      /* calls that went on data connections */
    _Atomic uint64_t n_refused;     /* calls: keys not attached; on the client, sent again */
    _Atomic uint64_t n_exhausted;   /* buffers that could not be had */
} haul__counters;

void haul__count(_Atomic uint64_t *counter);

/* A call has ended. */
void haul__count_call(haul__counters *counters, bool ok, const haul__tally *request,
                      const haul__tally *answer);

#endif
