/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_CLI_REPORT_H
#define SHORTHAUL_CLI_REPORT_H

#include <stddef.h>

#include <shorthaul/status.h>

#include "cli/command.h"

/* Say what went wrong, on stderr behind the program's name. Returns @code. */
enum cli_exit report(enum cli_exit code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Say that @what ended with @status. @err may be NULL or empty. Returns the exit code for it. */
enum cli_exit report_status(const char *what, haul_status status, const haul_error *err);

/* Say that what was to be done with buffer name @name of @pool ended with @status. Likewise. */
enum cli_exit report_name(const char *pool, const char *name, haul_status status);

/* Flush stdout. Says so if it cannot be written. Returns @code, or CLI_FAILURE. */
enum cli_exit report_written(enum cli_exit code);

#endif
