/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_PIN_H
#define SHORTHAUL_TRANSPORT_PIN_H

/* gRPC slices over pool memory. */

#include <pthread.h>

#include <grpc/slice.h>

#include <shorthaul/pool.h>

/* How many slices over pool memory gRPC still has, of one server or channel. */
typedef struct haul__pins {
    pthread_mutex_t mutex;
    pthread_cond_t none;
    size_t n;
    bool ending; /* somebody waits for the last one */
} haul__pins;

/* Failures: HAUL_NOMEM. */
HAUL_MUST_CHECK haul_status haul__pins_init(haul__pins *pins);

/* Whether gRPC still has slices. */
bool haul__pins_are_left(haul__pins *pins);

/* Wait until gRPC has let go of every slice, and free. Server or channel is destroyed by then. */
void haul__pins_fini(haul__pins *pins);

/*
 * A slice of all bytes of @view that lets go of it when gRPC lets go of the slice.
 *
 * Ownership:  takes @view and empties it but for its address and length.
 * Failures:   HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status haul__pin_take(haul__pins *pins, haul_view *view,
                                           grpc_slice *out_slice);

#endif
