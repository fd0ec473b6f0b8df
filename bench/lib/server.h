/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_BENCH_SERVER_H
#define SHORTHAUL_BENCH_SERVER_H

/* A benchmark's process that serves. */

#include <shorthaul/transport.h>

/* Give @server what it is to serve. */
typedef haul_status (*bench_add_fn)(haul_server *server, haul_error *err);

/*
 * Join the pool, serve at @address what @add adds, say ready, and go on until the parent closes the
 * process' input. @program: for what goes wrong, and as the participant's name. @busy_poll_ns: as in
 * haul_server_opts.
 *
 * Returns the process' exit status.
 */
int bench_be_server(const char *program, const char *address, const char *pool_name,
                    uint64_t busy_poll_ns, bench_add_fn add);

#endif
