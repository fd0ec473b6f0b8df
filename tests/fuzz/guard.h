/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_GUARD_H
#define SHORTHAUL_TESTS_GUARD_H

/*
 * Shared mappings with fences.
 *
 * The kernel lays mappings side by side, where an access beyond the end of one is an access to
 * another, and gives addresses out again, where a pointer into what was unmapped points into
 * something else. A program linked with --wrap=mmap,--wrap=munmap gets an inaccessible page on
 * either side of each shared mapping, and addresses that stay inaccessible after munmap() until
 * guard_reset(). So any access outside a living mapping is a signal, and the fuzzer sees it.
 */

#include <stddef.h>

/* Give back the addresses of what was unmapped. Returns how many shared mappings are still there. */
size_t guard_reset(void);

#endif
