/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The processes at the other end of the end-to-end benchmark: a gRPC server that serves
 * BenchService by key and inline, and the far end of a raw Unix socket.
 *
 * Each is bench_e2e started again in a role of its own, and ends with its standard input, that is,
 * with its parent. The server's handlers run in its polling threads; what it held in the pool when
 * it dies is reaped by the parent.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.pb-c.h"
#include "e2e.h"

#define GRACE_NS 1000000000ull

static void handle_touch(Bench__V1__BenchService_Service *service,
                         const Bench__V1__TouchRequest *request,
                         Bench__V1__TouchResponse_Closure closure, void *closure_data)
{
    (void)service;
    haul_view view = {0};
    if (request->data != NULL && haul_call_view(closure_data, request->data, &view) != HAUL_OK) {
        haul_call_fail(closure_data, GRPC_STATUS_INTERNAL, "no view of the payload");
        return;
    }
    Bench__V1__TouchResponse response = BENCH__V1__TOUCH_RESPONSE__INIT;
    response.sum = bench_touch(view.data, view.len, request->whole);
    closure(&response, closure_data);
}

static haul_status serve(const char *address, haul_pool *pool, haul_error *err)
{
    haul_pool *const pools[] = {pool};
    haul_server_opts opts = {.struct_size = sizeof(opts), .pools = pools, .n_pools = 1};
    Bench__V1__BenchService_Service service = BENCH__V1__BENCH_SERVICE__INIT(handle_);
    haul_server *server = NULL;
    haul_status status = haul_server_create(&opts, &server, err);
    if (status == HAUL_OK) {
        status = haul_server_add_service(server, &service.base, err);
    }
    if (status == HAUL_OK) {
        status = haul_server_add_stream(server, &bench__v1__bench_stream_service__descriptor, 0,
                                        e2e_be_poured, NULL, err);
    }
    if (status == HAUL_OK) {
        status = haul_server_listen(server, address, 0, NULL, err);
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

int e2e_be_server(const char *address, const char *pool_name)
{
    bench_catch_signals();
    haul_error err = {0};
    haul_pool *pool = NULL;
    haul_open_opts opts = {.struct_size = sizeof(opts), .participant_name = "bench_e2e server"};
    haul_status status = haul_pool_open(pool_name, &opts, &pool, &err);
    if (status == HAUL_OK) {
        status = serve(address, pool, &err);
    }
    haul_pool_close(pool);
    if (status != HAUL_OK) {
        (void)fprintf(stderr, "bench_e2e: server: %s\n", err.text);
    }
    return status == HAUL_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Read a head and its bytes into memory that is kept and grows, answer with their sum; until the
 * stream ends. */
int e2e_be_raw_socket(void)
{
    bench_catch_signals();
    uint8_t *bytes = NULL;
    uint64_t capacity = 0;
    e2e_raw_head head;
    bool ok = bench_peer_say_ready();
    while (ok && bench_read_all(STDIN_FILENO, &head, sizeof(head))) {
        if (head.n_bytes > capacity) {
            free(bytes);
            capacity = head.n_bytes;
            bytes = malloc(capacity);
        }
        ok = bytes != NULL && bench_read_all(STDIN_FILENO, bytes, head.n_bytes);
        uint64_t sum = ok ? bench_touch(bytes, head.n_bytes, head.whole != 0) : 0;
        ok = ok && bench_write_all(STDOUT_FILENO, &sum, sizeof(sum));
    }
    free(bytes);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
