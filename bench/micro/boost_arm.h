/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef BOOST_ARM_H
#define BOOST_ARM_H

/* What users would take instead: Boost.Interprocess, a heap in one shared-memory segment. */

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A segment of its own, removed by boost_arm_close(). NULL if there is no room. */
typedef struct boost_arm boost_arm;
boost_arm *boost_arm_open(const char *name);
void boost_arm_close(boost_arm *arm);

/* Allocate and deallocate @bytes, @n_ops times. */
bool boost_arm_run(boost_arm *arm, size_t bytes, size_t n_ops);

#ifdef __cplusplus
}
#endif

#endif
