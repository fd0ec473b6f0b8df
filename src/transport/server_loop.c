/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The server's threads: wait for an event, let its tag handle it, again.
 *
 * For each method gRPC is asked for as many calls as there are threads. A thread that has taken one
 * asks for the next when its handler has returned, after the answer: so there are always as many
 * requests as threads that could serve them, and asking delays nobody. gRPC keeps the calls that
 * wait meanwhile. A thread that runs a handler is not there to poll; the others do.
 */

#include "transport/server.h"

#include "transport/deadline.h"

void *haul__server_thread(void *arg)
{
    haul_server *server = arg;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(server->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return NULL;
        }
        haul__tag_fire(event.tag, event.success != 0);
    }
}

static void on_closed(haul__tag *tag, bool ok)
{
    haul_call *call = HAUL__CONTAINER_OF(tag, haul_call, on_closed);
    if (!ok || call->closed_early) {
        atomic_store(&call->cancelled, true);
    }
    haul__call_unref(call);
}

void haul__call_watch(haul_call *call)
{
    if (atomic_exchange(&call->watched, true)) {
        return;
    }
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                  .data.recv_close_on_server.cancelled = &call->closed_early};
    atomic_fetch_add(&call->refs, 1);
    haul__tag_post(&call->on_closed, on_closed);
    if (grpc_call_start_batch(call->grpc, &op, 1, &call->on_closed, NULL) != GRPC_CALL_OK) {
        haul__call_unref(call);
    }
}

/* Ask for another call of @method, to come in place of one that has been taken. */
static bool request_next(haul_server *server, haul__method *method)
{
    haul_call *next = haul__call_create(server, method);
    if (!next) {
        return false;
    }
    if (haul__server_request(next) != HAUL_OK) {
        haul__call_discard(next);
    }
    return true;
}

static void on_new(haul__tag *tag, bool ok)
{
    haul_call *call = HAUL__CONTAINER_OF(tag, haul_call, on_new);
    haul_server *server = call->server;
    haul__method *method = call->method;
    if (!ok) {
        haul__call_discard(call); /* the server is shutting down */
        return;
    }
    (void)pthread_mutex_lock(&server->mutex);
    server->n_calls++;
    (void)pthread_mutex_unlock(&server->mutex);
    atomic_fetch_add(&call->refs, 1);
    call->deadline_ns = haul__ns_of_gpr(call->details.deadline);
    haul__call_run(call);
    if (!atomic_load(&call->answered)) {
        haul__call_watch(call); /* somebody else will answer, and may want to know */
    }
    if (!request_next(server, method)) {
        atomic_store(&call->reuse, true);
    }
    haul__call_unref(call);
}

haul_status haul__server_request(haul_call *call)
{
    haul__tag_post(&call->on_new, on_new);
    haul_server *server = call->server;
    grpc_call_error error;
    if (call->method->registered) {
        error = grpc_server_request_registered_call(
            server->grpc, call->method->registered, &call->grpc, &call->details.deadline,
            &call->metadata, &call->request_bytes, server->cq, server->cq, &call->on_new);
    } else {
        error = grpc_server_request_call(server->grpc, &call->grpc, &call->details, &call->metadata,
                                         server->cq, server->cq, &call->on_new);
    }
    return error == GRPC_CALL_OK ? HAUL_OK : HAUL_SYSTEM;
}

static haul_status request_one(haul_server *server, haul__method *method)
{
    haul_call *call = haul__call_create(server, method);
    if (!call) {
        return HAUL_NOMEM;
    }
    haul_status status = haul__server_request(call);
    if (status != HAUL_OK) {
        haul__call_discard(call);
    }
    return status;
}

haul_status haul__server_request_all(haul_server *server)
{
    haul_status status = HAUL_OK;
    for (uint32_t i = 0; i < server->n_threads && status == HAUL_OK; i++) {
        status = request_one(server, server->unknown);
        for (haul__method *method = server->methods; method && status == HAUL_OK;
             method = method->next) {
            status = request_one(server, method);
        }
    }
    return status;
}
