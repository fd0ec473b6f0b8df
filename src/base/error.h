/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_BASE_ERROR_H
#define SHORTHAUL_BASE_ERROR_H

/* Filling a haul_error and returning its status in one expression. */

#include <shorthaul/status.h>

/* @err may be NULL. Returns @status. */
haul_status haul__fail(haul_error *err, haul_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The status is haul__status_of_errno(@sys_errno), and the text ends with the errno's words. */
haul_status haul__fail_errno(haul_error *err, int sys_errno, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The one place where errno becomes a status. */
haul_status haul__status_of_errno(int sys_errno);

#endif
