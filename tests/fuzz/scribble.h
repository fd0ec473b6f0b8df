/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_SCRIBBLE_H
#define SHORTHAUL_TESTS_SCRIBBLE_H

/* One hostile write into a control segment, of every kind that layout.h has a word for. */

#include <stdbool.h>

#include "dice.h"
#include "pool/geometry.h"

/*
 * Write once into the control segment at @base, which has the geometry @g.
 *
 * Returns whether the header's constant part or its state word was hit: then the names of the
 * pool's objects, and whether it exists, are what the scribbler says.
 */
bool scribble(uint8_t *base, const haul__geometry *g, dice *d);

/* A number that is likely to be believed, or to overflow; @now: what stands there. */
uint64_t scribble_value(dice *d, uint64_t now);

#endif
