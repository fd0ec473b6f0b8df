/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * How a command says that something went wrong: one line on stderr, and the exit code that stands
 * for the status. The one table of docs/cli.md. One thread.
 */

#include "cli/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <shorthaul/pool.h>

enum cli_exit report(enum cli_exit code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fputs("shorthaul: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    return code;
}

static enum cli_exit exit_of(haul_status status)
{
    switch (status) {
    case HAUL_OK:
        return CLI_OK;
    case HAUL_INVALID:
        return CLI_USAGE;
    case HAUL_NOT_FOUND:
    case HAUL_STALE:
        return CLI_NOT_FOUND;
    default:
        return CLI_FAILURE;
    }
}

static const char *words_of(haul_status status)
{
    switch (status) {
    case HAUL_STALE:
        return "what the key named has been released";
    case HAUL_TOO_BIG:
        return "larger than anything the pool may hold";
    case HAUL_EXHAUSTED:
        return "no buffer is free, and no more may be made";
    case HAUL_NOT_FOUND:
        return "no such pool";
    case HAUL_NOMEM:
        return "out of memory";
    default:
        return haul_status_name(status);
    }
}

enum cli_exit report_status(const char *what, haul_status status, const haul_error *err)
{
    bool told = err && err->text[0] != '\0';
    return report(exit_of(status), "%s: %s", what, told ? err->text : words_of(status));
}

enum cli_exit report_name(const char *pool, const char *name, haul_status status)
{
    switch (status) {
    case HAUL_INVALID:
        return report(CLI_USAGE, "'%.64s' cannot be a buffer's name: 1 to %d characters, no spaces",
                      name, HAUL_BUF_NAME_MAX);
    case HAUL_NOT_FOUND:
        return report(CLI_NOT_FOUND, "%s: no buffer is published as '%s'", pool, name);
    case HAUL_EXISTS:
        return report(CLI_FAILURE, "%s: a buffer is published as '%s' already", pool, name);
    case HAUL_EXHAUSTED:
        return report(CLI_FAILURE, "%s: all of the pool's names are in use", pool);
    default:
        return report_status(name, status, NULL);
    }
}

enum cli_exit report_written(enum cli_exit code)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return report(CLI_FAILURE, "cannot write: %s", strerror(errno));
    }
    return code;
}
