/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* The server that knows nothing of Shorthaul: one thread, one call at a time, gRPC's core API. */

#include "transport_raw.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

struct raw_server {
    grpc_server *grpc;
    grpc_completion_queue *queue;
    pthread_t thread;
    size_t largest;
};

/* Wait for the one thing that was started; false when the server is going down. */
static bool wait_for(raw_server *server)
{
    grpc_event event =
        grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    return event.type == GRPC_OP_COMPLETE && event.success && event.tag != server;
}

static void answer(raw_server *server, grpc_call *call, bool known)
{
    grpc_byte_buffer *message = NULL;
    int cancelled = 0;
    grpc_op take = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &message};
    (void)grpc_call_start_batch(call, &take, 1, call, NULL);
    (void)wait_for(server);
    if (message && grpc_byte_buffer_length(message) > server->largest) {
        server->largest = grpc_byte_buffer_length(message);
    }
    grpc_slice nothing = grpc_empty_slice();
    grpc_byte_buffer *empty = grpc_raw_byte_buffer_create(&nothing, 1);
    grpc_op ops[4] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER},
                      {.op = GRPC_OP_SEND_MESSAGE}};
    ops[1].data.send_status_from_server.status = known ? GRPC_STATUS_OK : GRPC_STATUS_UNIMPLEMENTED;
    ops[2].data.recv_close_on_server.cancelled = &cancelled;
    ops[3].data.send_message.send_message = empty;
    (void)grpc_call_start_batch(call, ops, known ? 4 : 3, call, NULL);
    (void)wait_for(server);
    grpc_byte_buffer_destroy(empty);
    grpc_byte_buffer_destroy(message);
}

static void *serve(void *arg)
{
    raw_server *server = arg;
    bool going = true;
    while (going) {
        grpc_call *call = NULL;
        grpc_call_details details;
        grpc_metadata_array metadata;
        grpc_call_details_init(&details);
        grpc_metadata_array_init(&metadata);
        (void)grpc_server_request_call(server->grpc, &call, &details, &metadata, server->queue,
                                       server->queue, &details);
        going = wait_for(server) && call;
        if (going) {
            static const char lane[] = "/shorthaul.v1.LaneService/";
            answer(server, call, !grpc_slice_buf_start_eq(details.method, lane, sizeof(lane) - 1));
        }
        if (call) {
            grpc_call_unref(call);
        }
        grpc_call_details_destroy(&details);
        grpc_metadata_array_destroy(&metadata);
    }
    return NULL;
}

raw_server *raw_server_start(const char *address)
{
    raw_server *server = calloc(1, sizeof(*server));
    if (!server) {
        return NULL;
    }
    grpc_init();
    server->grpc = grpc_server_create(NULL, NULL);
    server->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server->grpc, server->queue, NULL);
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server->grpc, address, credentials);
    grpc_server_credentials_release(credentials);
    grpc_server_start(server->grpc);
    if (port == 0 || pthread_create(&server->thread, NULL, serve, server) != 0) {
        abort();
    }
    return server;
}

size_t raw_server_stop(raw_server *server)
{
    grpc_server_shutdown_and_notify(server->grpc, server->queue, server);
    grpc_server_cancel_all_calls(server->grpc);
    (void)pthread_join(server->thread, NULL);
    grpc_completion_queue_shutdown(server->queue);
    while (
        grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
        GRPC_QUEUE_SHUTDOWN) {
    }
    size_t largest = server->largest;
    grpc_server_destroy(server->grpc);
    grpc_completion_queue_destroy(server->queue);
    grpc_shutdown();
    free(server);
    return largest;
}
