/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Statuses and their texts.
 *
 * A haul_error belongs to the caller, who passes NULL if the status is enough. Nothing here keeps
 * state, so any thread may be here. Texts name pools, figures and errno; never a ticket, never a
 * shm object.
 */

#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *haul_status_name(haul_status status)
{
    switch (status) {
    case HAUL_OK:
        return "OK";
    case HAUL_AGAIN:
        return "AGAIN";
    case HAUL_STALE:
        return "STALE";
    case HAUL_PEER_GONE:
        return "PEER_GONE";
    case HAUL_TOO_BIG:
        return "TOO_BIG";
    case HAUL_TIMEOUT:
        return "TIMEOUT";
    case HAUL_EXHAUSTED:
        return "EXHAUSTED";
    case HAUL_NOT_FOUND:
        return "NOT_FOUND";
    case HAUL_EXISTS:
        return "EXISTS";
    case HAUL_BUSY:
        return "BUSY";
    case HAUL_END:
        return "END";
    case HAUL_NOMEM:
        return "NOMEM";
    case HAUL_INVALID:
        return "INVALID";
    case HAUL_CORRUPT:
        return "CORRUPT";
    case HAUL_PROTOCOL:
        return "PROTOCOL";
    case HAUL_VERSION:
        return "VERSION";
    case HAUL_SYSTEM:
        return "SYSTEM";
    case HAUL_DENIED:
        return "DENIED";
    }
    return "UNKNOWN";
}

haul_status haul__status_of_errno(int sys_errno)
{
    switch (sys_errno) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
        return HAUL_EXHAUSTED;
    case ENOMEM:
        return HAUL_NOMEM;
    case EACCES:
    case EPERM:
    case ELOOP:
        return HAUL_DENIED;
    case ENOENT:
        return HAUL_NOT_FOUND;
    case EEXIST:
        return HAUL_EXISTS;
    default:
        return HAUL_SYSTEM;
    }
}

__attribute__((format(printf, 4, 0))) static void fill(haul_error *err, haul_status status,
                                                       int sys_errno, const char *fmt, va_list args)
{
    err->status = status;
    err->sys_errno = sys_errno;
    (void)vsnprintf(err->text, sizeof(err->text), fmt, args);
    if (sys_errno != 0) {
        size_t n = strlen(err->text);
        char words[64];
        (void)snprintf(err->text + n, sizeof(err->text) - n, ": %s",
                       strerror_r(sys_errno, words, sizeof(words)));
    }
}

haul_status haul__fail(haul_error *err, haul_status status, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        fill(err, status, 0, fmt, args);
        va_end(args);
    }
    return status;
}

haul_status haul__fail_errno(haul_error *err, int sys_errno, const char *fmt, ...)
{
    haul_status status = haul__status_of_errno(sys_errno);
    if (err) {
        va_list args;
        va_start(args, fmt);
        fill(err, status, sys_errno, fmt, args);
        va_end(args);
    }
    return status;
}
