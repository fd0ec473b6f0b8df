/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_FUZZ_POOL_H
#define SHORTHAUL_TESTS_FUZZ_POOL_H

/* What programs share that spoil a pool: the pool itself, a hand on its control segment, and
 * clearing away what a spoilt header does not tell the names of. */

#include <stdbool.h>
#include <stddef.h>

#include <shorthaul/pool.h>

#include "fuzz_require.h"
#include "pool/geometry.h"

/* Two small classes with room to grow, buffers made to measure, slots for two holder words. */
extern const haul_pool_config fuzz_pool_config;

/* Map the control segment of pool @name for writing, and compute its geometry from its header. */
uint8_t *fuzz_map_control(const char *name, haul__geometry *out_geometry);
void fuzz_unmap_control(uint8_t *base, const haul__geometry *g);

/* Unlink whatever object of pool @name is left. Returns how many there were. */
size_t fuzz_sweep(const char *name);

#endif
