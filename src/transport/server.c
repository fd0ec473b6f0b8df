/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A server: its making, its end, and what is registered with it.
 *
 * The application owns it. N threads of its own take turns at one completion queue (lead.c) and run
 * the handlers. One queue rather than one per thread: gRPC ties a connection to a queue, so with a
 * queue each a call would wait behind a handler although other threads idle.
 *
 * When the process dies, its connections break and the callers get UNAVAILABLE; what it had
 * attached or given is for the pool's reapers. A socket file stays behind and is replaced by the
 * next server (listen_unix.c).
 */

#include "transport/server.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "transport/deadline.h"
#include "transport/event.h"
#include "transport/grpc_args.h"

#define GIVE_NS_DEFAULT        UINT64_C(60000000000)
#define CUT_NS                 UINT64_C(500000000) /* for clients to read that it is over */
#define UNREAD_NS_DEFAULT      UINT64_C(10000000000)
#define THREADS_MAX            1024
#define STREAM_GIVE_NS_DEFAULT UINT64_C(600000000000)
#define THREADS_MIN            2 /* so that one can notice what happens while the other runs a handler */

static uint32_t thread_count(uint32_t asked)
{
    if (asked == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        asked = cores < THREADS_MIN ? THREADS_MIN : (uint32_t)cores;
    }
    return asked < THREADS_MAX ? asked : THREADS_MAX;
}

static haul_status copy_pools(haul_server *server, const haul_server_opts *opts)
{
    if (opts->n_pools == 0) {
        return HAUL_OK;
    }
    server->pools = calloc(opts->n_pools, sizeof(haul_pool *));
    if (!server->pools) {
        return HAUL_NOMEM;
    }
    memcpy(server->pools, opts->pools, opts->n_pools * sizeof(haul_pool *));
    server->n_pools = opts->n_pools;
    return HAUL_OK;
}

static void draw_lane(haul_server *server)
{
    uint64_t id = 0;
    if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id)) {
        /* Only has to differ from the lanes of servers before and after this one. */
        id = haul__clock_ns() ^ ((uint64_t)getpid() << 40);
    }
    (void)snprintf(server->lane_text, sizeof(server->lane_text), "%016" PRIx64, id);
}

static bool on_shut_down(haul__tag *tag, bool ok)
{
    (void)ok;
    haul_server *server = HAUL__CONTAINER_OF(tag, haul_server, on_shut_down);
    (void)pthread_mutex_lock(&server->mutex);
    server->shut_down = true;
    (void)pthread_cond_broadcast(&server->changed);
    (void)pthread_mutex_unlock(&server->mutex);
    return true;
}

static haul_status init_sync(haul_server *server, const haul_server_opts *opts)
{
    if (haul__pins_init(&server->pins) != HAUL_OK) {
        return HAUL_NOMEM;
    }
    if (!haul__cond_init(&server->changed)) {
        haul__pins_fini(&server->pins);
        return HAUL_NOMEM;
    }
    if (!haul__hall_init(&server->hall, opts)) {
        (void)pthread_cond_destroy(&server->changed);
        haul__pins_fini(&server->pins);
        return HAUL_NOMEM;
    }
    if (!haul__lead_init(&server->lead)) {
        haul__hall_fini(&server->hall);
        (void)pthread_cond_destroy(&server->changed);
        haul__pins_fini(&server->pins);
        return HAUL_NOMEM;
    }
    (void)pthread_mutex_init(&server->mutex, NULL);
    return HAUL_OK;
}

haul_status haul_server_create(const haul_server_opts *opts, haul_server **out_server,
                               haul_error *err)
{
    haul_server_opts o = {0};
    if (opts) {
        if (opts->struct_size != sizeof(o) || (opts->n_pools > 0 && !opts->pools)) {
            return haul__fail(err, HAUL_INVALID, "server: the options are not valid");
        }
        o = *opts;
    }
    if (o.busy_poll_ns > HAUL__BUSY_MAX_NS) {
        return haul__fail(err, HAUL_INVALID, "server: busy_poll_ns is more than a millisecond");
    }
    haul_server *server = calloc(1, sizeof(*server));
    if (!server || init_sync(server, &o) != HAUL_OK) {
        free(server);
        return haul__fail(err, HAUL_NOMEM, "server: out of memory");
    }
    grpc_init();
    server->grpc = haul__grpc_server_create(&o);
    server->cq = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server->grpc, server->cq, NULL);
    server->n_threads = thread_count(o.n_threads);
    server->busy_poll_ns = o.busy_poll_ns;
    server->max_send_bytes = o.max_send_bytes;
    server->max_unread_bytes = o.max_unread_bytes;
    server->max_unread_ns = o.max_unread_ns ? o.max_unread_ns : UNREAD_NS_DEFAULT;
    server->give_ns = o.give_ns ? o.give_ns : GIVE_NS_DEFAULT;
    server->stream_give_ns = o.give_ns ? o.give_ns : STREAM_GIVE_NS_DEFAULT;
    server->stream_window = o.stream_window ? o.stream_window : HAUL_STREAM_WINDOW_DEFAULT;
    haul__tag_post(&server->on_shut_down, on_shut_down);
    server->unknown = calloc(1, sizeof(*server->unknown) + 1);
    draw_lane(server);
    haul__server_lane_init(server);
    haul__server_trunk_init(server, &o);
    haul_status status = server->unknown ? copy_pools(server, &o) : HAUL_NOMEM;
    haul__threshold_init(&server->threshold, o.key_threshold_bytes);
    server->place = haul__place_create(o.n_pools > 0 ? o.pools[0] : NULL);
    status = server->place ? status : HAUL_NOMEM;
    if (status == HAUL_OK) {
        server->unknown->server = server;
        status = haul__server_add(server, &server->lane, true, err);
    }
    if (status == HAUL_OK && !o.no_data_connections) {
        server->data = haul__data_host_create(server, o.max_message_bytes);
        status = server->data ? haul__server_add(server, &server->data->service, false, err)
                              : HAUL_NOMEM;
    }
    if (status != HAUL_OK) {
        haul_server_destroy(server);
        return haul__fail(err, status, "server: out of memory");
    }
    *out_server = server;
    return HAUL_OK;
}

void haul__server_call_ended(haul_server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    server->n_calls--;
    if (server->phase == HAUL__SERVER_STOPPED) {
        (void)pthread_cond_broadcast(&server->changed);
    }
    (void)pthread_mutex_unlock(&server->mutex);
}

haul_pool *haul__server_pool(const haul_server *server, uint64_t pool_id)
{
    for (size_t i = 0; i < server->n_pools; i++) {
        if (haul_pool_id(server->pools[i]) == pool_id) {
            return server->pools[i];
        }
    }
    return NULL;
}

/* The server's threads take no signals: those are for the application's own threads. */
static haul_status start_threads(haul_server *server, haul_error *err)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    uint32_t n = 0;
    int failed = 0;
    while (n < server->n_threads && failed == 0) {
        failed = pthread_create(&server->threads[n], NULL, haul__server_thread, server);
        n += failed == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    server->n_threads = n;
    if (failed != 0) {
        return haul__fail_errno(err, failed, "server: thread %" PRIu32 " cannot be started", n);
    }
    return HAUL_OK;
}

haul_status haul_server_start(haul_server *server, haul_error *err)
{
    if (server->phase != HAUL__SERVER_NEW) {
        return haul__fail(err, HAUL_INVALID, "server: started before");
    }
    if (!server->listeners) {
        return haul__fail(err, HAUL_INVALID, "server: no address to listen at");
    }
    server->threads = calloc(server->n_threads, sizeof(*server->threads));
    if (!server->threads) {
        return haul__fail(err, HAUL_NOMEM, "server: out of memory");
    }
    grpc_server_start(server->grpc);
    server->phase = HAUL__SERVER_RUNNING;
    haul_status status = start_threads(server, err);
    if (status == HAUL_OK && haul__server_request_all(server) != HAUL_OK) {
        status = haul__fail(err, HAUL_NOMEM, "server: out of memory");
    }
    if (status != HAUL_OK) {
        haul_server_stop(server, 0);
    }
    return status;
}

/* While we still listen, so that nobody takes a path for abandoned and has it removed under him. */
static void remove_socket_files(haul_server *server)
{
    while (server->socket_files) {
        haul__socket_file *file = server->socket_files;
        struct stat st;
        if (lstat(file->path, &st) == 0 && st.st_dev == file->device && st.st_ino == file->inode) {
            (void)unlink(file->path);
        }
        server->socket_files = file->next;
        free(file);
    }
}

static void end_calls(haul_server *server, uint64_t grace_ns)
{
    uint64_t until = haul__after_ns(grace_ns);
    haul__data_host_drain(server->data);
    haul__server_end_trunks(server);
    (void)pthread_mutex_lock(&server->mutex);
    bool in_time = true;
    while (in_time && (server->n_calls > 0 || server->n_carriers > 0)) {
        in_time = haul__cond_wait_until(&server->changed, &server->mutex, until);
    }
    (void)pthread_mutex_unlock(&server->mutex);
    haul__data_host_cut(server->data);
    /* Also closes the connections; left to themselves, idle clients would take seconds. */
    grpc_server_cancel_all_calls(server->grpc);
    (void)pthread_mutex_lock(&server->mutex);
    until = haul__after_ns(CUT_NS);
    while (!server->shut_down || server->n_calls > 0 || server->n_carriers > 0) {
        if (!haul__cond_wait_until(&server->changed, &server->mutex, until)) {
            (void)pthread_mutex_unlock(&server->mutex);
            haul__cut(server->listeners);
            (void)pthread_mutex_lock(&server->mutex);
            until = haul__after_ns(CUT_NS);
        }
    }
    (void)pthread_mutex_unlock(&server->mutex);
}

/* Without a thread to poll, do it here; after start() failed halfway. */
static void drain(haul_server *server)
{
    grpc_event event;
    do {
        event = grpc_completion_queue_next(server->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_OP_COMPLETE) {
            (void)haul__tag_fire(event.tag, event.success != 0);
        }
    } while (event.type != GRPC_QUEUE_SHUTDOWN);
}

void haul_server_stop(haul_server *server, uint64_t grace_ns)
{
    (void)pthread_mutex_lock(&server->mutex);
    bool running = server->phase == HAUL__SERVER_RUNNING;
    server->phase = HAUL__SERVER_STOPPED;
    while (server->n_requesting > 0) { /* server_loop.c says why */
        (void)pthread_cond_wait(&server->changed, &server->mutex);
    }
    (void)pthread_mutex_unlock(&server->mutex);
    remove_socket_files(server);
    if (running) {
        grpc_server_shutdown_and_notify(server->grpc, server->cq, &server->on_shut_down);
        if (server->n_threads > 0) {
            end_calls(server, grace_ns);
        } else {
            grpc_server_cancel_all_calls(server->grpc);
        }
    }
    if (running || server->threads) {
        grpc_completion_queue_shutdown(server->cq);
        for (uint32_t i = 0; i < server->n_threads; i++) {
            (void)pthread_join(server->threads[i], NULL);
        }
        if (server->n_threads == 0) {
            drain(server);
        }
        haul__data_host_stop(server->data);
        free(server->threads);
        server->threads = NULL;
        haul__hall_end(&server->hall);
    }
}

void haul_server_destroy(haul_server *server)
{
    if (!server) {
        return;
    }
    bool started = server->phase != HAUL__SERVER_NEW;
    haul_server_stop(server, 0);
    if (!started) {
        /* gRPC wants every server shut down before it is destroyed, also one never started. */
        grpc_server_shutdown_and_notify(server->grpc, server->cq, &server->on_shut_down);
        grpc_completion_queue_shutdown(server->cq);
        drain(server);
    }
    grpc_server_destroy(server->grpc);
    grpc_completion_queue_destroy(server->cq);
    haul__listeners_free(&server->listeners);
    while (server->methods) {
        haul__method *next = server->methods->next;
        haul__method_free(server->methods);
        server->methods = next;
    }
    haul__method_free(server->unknown);
    haul__data_host_free(server->data);
    haul__pins_fini(&server->pins);
    haul__place_unref(server->place);
    grpc_shutdown();
    haul__lead_fini(&server->lead);
    haul__hall_fini(&server->hall);
    (void)pthread_cond_destroy(&server->changed);
    (void)pthread_mutex_destroy(&server->mutex);
    free(server->pools);
    free(server);
}
