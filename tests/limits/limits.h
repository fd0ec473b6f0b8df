/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_LIMITS_H
#define SHORTHAUL_TESTS_LIMITS_H

/* What the tests of limits and leaks share: what the process has, and which tools watch it. */

#include <stddef.h>
#include <stdint.h>

#define LIMITS_SKIPPED 77 /* to ctest: SKIP_RETURN_CODE */

/* Objects in /dev/shm whose names begin with that of pool @name. */
size_t limits_objects(const char *name);

/* Open descriptors of this process, and lines of its map. */
size_t limits_descriptors(void);
size_t limits_mappings(void);

/*
 * Start the program anew without malloc()'s caches of each thread, unless it is that already: what they
 * keep counts as used, and every thread that a busy machine makes gRPC add has one.
 */
void limits_without_caches(char **argv);

/* A line of /proc/meminfo or /proc/self/status such as "VmSize:", in bytes; 0 if there is none. */
uint64_t limits_proc_bytes(const char *path, const char *key);

#endif
