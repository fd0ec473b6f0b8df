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
#include <stdlib.h>
#include <unistd.h>

#include "bench.pb-c.h"
#include "e2e.h"
#include "server.h"

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

static haul_status add_services(haul_server *server, haul_error *err)
{
    static Bench__V1__BenchService_Service service = BENCH__V1__BENCH_SERVICE__INIT(handle_);
    haul_status status = haul_server_add_service(server, &service.base, err);
    return status == HAUL_OK
               ? haul_server_add_stream(server, &bench__v1__bench_stream_service__descriptor, 0,
                                        e2e_be_poured, NULL, err)
               : status;
}

int e2e_be_server(const char *address, const char *pool_name, bool polls)
{
    return bench_be_server("bench_e2e", address, pool_name, polls ? E2E_BUSY_POLL_NS : 0,
                           add_services);
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
