/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_TRANSPORT_RAW_H
#define SHORTHAUL_TESTS_TRANSPORT_RAW_H

/* A gRPC client that sends whatever bytes it is told to: what a foreign or hostile peer can do. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <grpc/status.h>

#define RAW_EXCHANGE "/haul.test.TestService/Exchange"
#define RAW_PROBE    "/shorthaul.v1.LaneService/Probe"

typedef struct raw_request {
    const char *address;
    const char *path;
    const void *bytes; /* NULL: no message at all */
    size_t len;
    const char *accept; /* the value of shorthaul-accept; NULL: none */
    const void *lend;   /* that of shorthaul-lend-bin; NULL: none */
    size_t n_lend;
    int64_t timeout_ns; /* 0: none */
} raw_request;

typedef struct raw_answer {
    grpc_status_code code;
    char text[256];
    char refused[64]; /* values of trailing metadata; "" where there was none */
    char paths[64];
    char lane[64];
    uint8_t bytes[4096];
    size_t len;
} raw_answer;

/* One call on a connection of its own. */
void raw_call(const raw_request *request, raw_answer *answer);

/*
 * A server that knows nothing of Shorthaul: LaneService is UNIMPLEMENTED, any other method takes
 * any message and answers an empty one.
 */
typedef struct raw_server raw_server;

raw_server *raw_server_start(const char *address);

/* Stop it; the largest message it was sent. */
size_t raw_server_stop(raw_server *server);

#endif
