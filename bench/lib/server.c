/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The server of a benchmark.
 *
 * A process of its own, which ends with its standard input, that is, with its parent. The handlers
 * run in the server's threads; what it held in the pool when it dies is reaped by the parent.
 */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define GRACE_NS 1000000000ull

static haul_status serve(const char *address, haul_pool *pool, uint64_t busy_poll_ns,
                         bench_add_fn add, haul_error *err)
{
    haul_pool *const pools[] = {pool};
    haul_server_opts opts = {
        .struct_size = sizeof(opts), .pools = pools, .n_pools = 1, .busy_poll_ns = busy_poll_ns};
    haul_server *server = NULL;
    haul_status status = haul_server_create(&opts, &server, err);
    if (status == HAUL_OK) {
        status = add(server, err);
    }
    if (status == HAUL_OK) {
        status = haul_server_listen(server, address, 0600, NULL, err);
    }
    if (status == HAUL_OK) {
        status = haul_server_start(server, err);
    }
    if (status == HAUL_OK) {
        if (bench_peer_say_ready()) {
            bench_peer_wait_for_end();
        }
        haul_server_stop(server, GRACE_NS);
    }
    haul_server_destroy(server);
    return status;
}

int bench_be_server(const char *program, const char *address, const char *pool_name,
                    uint64_t busy_poll_ns, bench_add_fn add)
{
    bench_catch_signals();
    haul_error err = {0};
    haul_pool *pool = NULL;
    const haul_open_opts opts = {.struct_size = sizeof(opts), .participant_name = program};
    haul_status status = haul_pool_open(pool_name, &opts, &pool, &err);
    if (status == HAUL_OK) {
        status = serve(address, pool, busy_poll_ns, add, &err);
    }
    haul_pool_close(pool);
    if (status != HAUL_OK) {
        (void)fprintf(stderr, "%s: server: %s\n", program, err.text);
    }
    return status == HAUL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
