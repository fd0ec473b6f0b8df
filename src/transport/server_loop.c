/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The server's threads: wait for the lead, then for an event, let its tag handle it, again.
 *
 * For each method gRPC is asked for as many calls as there are threads. A thread that has taken one
 * asks for the next when its handler has returned, after the answer: so there are always as many
 * requests as threads that could serve them, and asking delays nobody. gRPC keeps the calls that
 * wait meanwhile.
 *
 * Nobody may be asking when gRPC is told to shut the server down. It looks whether it has been told,
 * and then puts the request where the shutdown looks for those that will not be served: one that
 * comes there after the shutdown has been there is never heard of again, and the queue waits for it
 * without end.
 */

#include "transport/server.h"

#include "transport/deadline.h"
#include "transport/event.h"

/* A little more than it costs to let another thread lead: docs/adr/0006. */
#define BRIEF_NS UINT64_C(100000)

/* With so few threads, which is to say cores, the callers need the others: docs/adr/0006. */
#define FEW_THREADS 2

static bool run_ready(haul_server *server, bool *out_leads);

void *haul__server_thread(void *arg)
{
    haul_server *server = arg;
    while (haul__lead_take(&server->lead)) {
        bool leads = true;
        while (leads) {
            if (run_ready(server, &leads)) {
                continue;
            }
            grpc_event event = haul__event_next(server->cq, HAUL__NEVER, server->busy_poll_ns);
            if (event.type == GRPC_QUEUE_SHUTDOWN) {
                haul__lead_end(&server->lead);
                return NULL;
            }
            leads = haul__tag_fire(event.tag, event.success != 0);
        }
    }
    return NULL;
}

static bool on_closed(haul__tag *tag, bool ok)
{
    haul_call *call = HAUL__CONTAINER_OF(tag, haul_call, on_closed);
    if (!ok || call->closed_early) {
        atomic_store(&call->cancelled, true);
    }
    haul__call_unref(call);
    return true;
}

void haul__call_watch(haul_call *call)
{
    if (call->carried.carrier || atomic_exchange(&call->watched, true)) {
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

/* Learn from a call how long those of its method take. One that took very long counts as one that
 * was too long: else a thread that loses its core for a time slice would spoil the next dozens. */
static void learn(haul__method *method, uint64_t took)
{
    uint64_t typical = atomic_load_explicit(&method->typical_ns, memory_order_relaxed);
    took = took < 2 * BRIEF_NS ? took : 2 * BRIEF_NS;
    typical = typical == UINT64_MAX ? took : typical - typical / 8 + took / 8;
    atomic_store_explicit(&method->typical_ns, typical, memory_order_relaxed);
}

void haul__serve(haul_call *call)
{
    haul_server *server = call->server;
    haul__method *method = call->method;
    uint64_t begun = haul__clock_ns();
    atomic_fetch_add(&call->refs, 1);
    haul__call_run(call);
    if (!atomic_load(&call->answered)) {
        haul__call_watch(call); /* somebody else will answer, and may want to know */
    }
    if (!call->carried.carrier && !request_next(server, method)) {
        atomic_store(&call->reuse, true);
    }
    haul__call_unref(call);

    learn(method, haul__clock_ns() - begun);
}

/* Whether it is better to keep the lead than to wake another thread for it: the method is known to
 * be short, and there is no other call that could be served meanwhile or hardly a core for it. */
static bool is_brief(haul_server *server, const haul__method *method, size_t n_calls)
{
    bool alone = n_calls == 1 || server->n_threads <= FEW_THREADS;
    return server->n_threads == 1 ||
           (alone && atomic_load_explicit(&method->typical_ns, memory_order_relaxed) < BRIEF_NS);
}

/* Serve the call, and keep the lead if that is better; whether it has been kept. */
static bool lead_through(haul_call *call, size_t n_calls)
{
    haul_server *server = call->server;
    if (is_brief(server, call->method, n_calls)) {
        uint64_t run = haul__lead_begin_run(&server->lead);
        haul__serve(call);
        return haul__lead_end_run(&server->lead, run);
    }
    haul__lead_pass(&server->lead);
    haul__serve(call);
    return false;
}

static bool run_call(haul__ready *ready, size_t n_calls)
{
    return lead_through(HAUL__CONTAINER_OF(ready, haul_call, carried.ready), n_calls);
}

void haul__ready_call(haul_server *server, haul_call *call)
{
    haul__ready_add(server, &call->carried.ready, run_call);
}

void haul__ready_add(haul_server *server, haul__ready *ready,
                     bool (*run)(haul__ready *ready, size_t n_calls))
{
    *ready = (haul__ready){.run = run};
    (void)pthread_mutex_lock(&server->mutex);
    if (server->ready) {
        server->last_ready->next = ready;
    } else {
        server->ready = ready;
    }
    server->last_ready = ready;
    atomic_store(&server->has_ready, true);
    (void)pthread_mutex_unlock(&server->mutex);
}

/* Do the first of what is ready, if there is anything; whether the thread still leads then. Who takes
 * over the lead looks here first, so that the next one does not wait for this one. */
static bool run_ready(haul_server *server, bool *out_leads)
{
    if (!atomic_load(&server->has_ready)) {
        return false;
    }
    (void)pthread_mutex_lock(&server->mutex);
    haul__ready *ready = server->ready;
    server->ready = ready->next;
    atomic_store(&server->has_ready, server->ready != NULL);
    size_t n_calls = server->n_calls;
    (void)pthread_mutex_unlock(&server->mutex);
    *out_leads = ready->run(ready, n_calls);
    return true;
}

static bool on_new(haul__tag *tag, bool ok)
{
    haul_call *call = HAUL__CONTAINER_OF(tag, haul_call, on_new);
    haul_server *server = call->server;
    if (!ok) {
        haul__call_discard(call); /* the server is shutting down */
        return true;
    }
    haul__method *method = call->method;
    (void)pthread_mutex_lock(&server->mutex);
    size_t n_calls = ++server->n_calls;
    (void)pthread_mutex_unlock(&server->mutex);
    call->deadline_ns = haul__ns_of_gpr(call->details.deadline);
    if (method->stream) {
        atomic_store(&call->reuse, !request_next(server, method));
        haul__hall_enter(call);
        return true;
    }
    return lead_through(call, n_calls);
}

/* False: the server is being stopped. */
bool haul__server_begin_request(haul_server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    bool running = server->phase != HAUL__SERVER_STOPPED;
    server->n_requesting += running;
    (void)pthread_mutex_unlock(&server->mutex);
    return running;
}

void haul__server_end_request(haul_server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    if (--server->n_requesting == 0 && server->phase == HAUL__SERVER_STOPPED) {
        (void)pthread_cond_broadcast(&server->changed);
    }
    (void)pthread_mutex_unlock(&server->mutex);
}

haul_status haul__server_request(haul_call *call)
{
    haul_server *server = call->server;
    void *registered = call->method->registered;
    grpc_completion_queue *cq = call->stream ? call->stream->queue : server->cq;
    grpc_byte_buffer **request_bytes = call->stream ? NULL : &call->request_bytes;
    grpc_call_error error;
    if (!haul__server_begin_request(server)) {
        return HAUL_END;
    }
    haul__tag_post(&call->on_new, on_new); /* from here on the call may be another thread's */
    if (registered) {
        error = grpc_server_request_registered_call(server->grpc, registered, &call->grpc,
                                                    &call->details.deadline, &call->metadata,
                                                    request_bytes, cq, server->cq, &call->on_new);
    } else {
        error = grpc_server_request_call(server->grpc, &call->grpc, &call->details, &call->metadata,
                                         server->cq, server->cq, &call->on_new);
    }
    haul__server_end_request(server);
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
    haul_status status = haul__server_request_trunk(server);
    for (uint32_t i = 0; i < server->n_threads && status == HAUL_OK; i++) {
        status = request_one(server, server->unknown);
        for (haul__method *method = server->methods; method && status == HAUL_OK;
             method = method->next) {
            status = request_one(server, method);
        }
    }
    return status;
}
