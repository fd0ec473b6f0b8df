/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_FUZZ_REQUIRE_H
#define SHORTHAUL_TESTS_FUZZ_REQUIRE_H

/* What every fuzz target needs, also those that must not see the pool's inside. */

/* Says what is wrong and ends the program in a way that a fuzzer keeps the input. */
#define FUZZ_REQUIRE(condition) ((condition) ? (void)0 : fuzz_wrong(#condition, __FILE__, __LINE__))
_Noreturn void fuzz_wrong(const char *what, const char *file, int line);

/* The name of this process's pool. */
const char *fuzz_pool_name(void);

#endif
