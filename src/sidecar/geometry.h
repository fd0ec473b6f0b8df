/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_SIDECAR_GEOMETRY_H
#define SHORTHAUL_SIDECAR_GEOMETRY_H

#include "sidecar/config.h"

/*
 * Whether a pool that exists is the configured one.
 *
 * Conditions: HAUL_EXISTS  it is another; the text says in what
 */
HAUL_MUST_CHECK haul_status geometry_compare(const pool_spec *spec, const haul_pool_info *info,
                                             haul_error *err);

#endif
