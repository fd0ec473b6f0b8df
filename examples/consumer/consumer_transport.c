/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * consumer_transport: compiles and links against an installed gRPC transport. It starts a server
 * that serves nothing but the lane, on an address of the kernel's choice, and ends it again; the
 * server's threads are gone when it returns, and nothing is left if it is killed.
 */
#include <stdio.h>

#include <shorthaul/transport.h>

int main(void)
{
    haul_server_opts opts = {.struct_size = sizeof(opts), .n_threads = 1};
    haul_server *server = NULL;
    haul_error err;
    int port = 0;
    haul_status status = haul_server_create(&opts, &server, &err);
    if (status == HAUL_OK) {
        status = haul_server_listen(server, "127.0.0.1:0", 0, &port, &err);
    }
    if (status == HAUL_OK) {
        status = haul_server_start(server, &err);
    }
    if (status == HAUL_OK) {
        printf("served on port %d\n", port);
    } else {
        fprintf(stderr, "consumer_transport: %s\n", err.text);
    }
    haul_server_destroy(server);
    return status == HAUL_OK ? 0 : 1;
}
