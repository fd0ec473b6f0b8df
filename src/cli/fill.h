/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_CLI_FILL_H
#define SHORTHAUL_CLI_FILL_H

#include <shorthaul/pool.h>

/*
 * Read @fd to its end into a buffer of @pool.
 *
 * @stop_fd: ends the reading when it becomes readable (a signalfd).
 * @out_len: bytes read.
 *
 * Ownership:  the buffer is the caller's.
 * Blocking:   until the end of @fd.
 * Conditions: those of haul_buf_alloc(); HAUL_AGAIN  @stop_fd said so
 * Failures:   those of haul_buf_alloc(); HAUL_SYSTEM (@err says why @fd cannot be read)
 */
HAUL_MUST_CHECK haul_status fill_from(haul_pool *pool, int fd, int stop_fd, haul_buf **out_buf,
                                      uint64_t *out_len, haul_error *err);

#endif
