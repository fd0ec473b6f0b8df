/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Data connections of a server: who may open one, what has come on them, and how many handlers run for calls on them.
 *
 * Nothing exists before the first client asks: then a socket listens and a thread accepts. Each
 * connection has a thread of its own (server_data_conn.c), which sleeps in the kernel but while bytes
 * come. Those who ask have called the server, with whatever credentials that takes, and are told a
 * token that they must show; a process that only shares the network namespace gets nowhere.
 *
 * What has come is in a list until the call comes that names it. A number is drawn at random, is good
 * once, and means nothing when the connection has ended: if a client dies, what it sent goes with
 * it. What a call has claimed is the call's.
 */

#include "transport/server_data.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shorthaul/v1/data.pb-c.h>

#include "transport/container.h"
#include "transport/server.h"

#define CONNS_MAX   64
#define BREATHER_MS 100 /* where the process has no descriptor left */

/* ---- Accepting ----------------------------------------------------------------------------- */

static void end_conn(haul__data_conn *conn)
{
    (void)pthread_join(conn->thread, NULL);
    (void)close(conn->reader.fd);
    (void)pthread_cond_destroy(&conn->answered);
    (void)pthread_mutex_destroy(&conn->mutex);
    free(conn);
}

/* Those whose threads have ended, and that nobody touches any more. */
static void reap_conns(haul__data_host *host)
{
    haul__data_conn **link = &host->conns;
    while (*link) {
        haul__data_conn *conn = *link;
        if (atomic_load(&conn->refs) == 0) {
            *link = conn->next;
            host->n_conns--;
            end_conn(conn);
        } else {
            link = &conn->next;
        }
    }
}

/* Threads here inherit that all signals are blocked, for those are the application's own threads'. Handlers run
 * in them, so their stacks are as large as any. Takes @fd. */
static void add_conn(haul__data_host *host, int fd)
{
    haul__data_conn *conn = host->n_conns < CONNS_MAX ? calloc(1, sizeof(*conn)) : NULL;
    if (conn) {
        *conn = (haul__data_conn){.next = host->conns, .host = host, .reader.fd = fd};
        atomic_init(&conn->refs, 1);
        (void)pthread_mutex_init(&conn->mutex, NULL);
        (void)pthread_cond_init(&conn->answered, NULL);
        if (pthread_create(&conn->thread, NULL, haul__data_conn_thread, conn) == 0) {
            host->conns = conn;
            host->n_conns++;
            return;
        }
    }
    free(conn);
    (void)close(fd);
}

static void *accept_all(void *ctx)
{
    haul__data_host *host = ctx;
    while (!atomic_load(&host->stopping)) {
        int fd = accept4(host->listener, NULL, NULL, SOCK_CLOEXEC);
        reap_conns(host);
        if (fd >= 0) {
            add_conn(host, fd);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            (void)poll(NULL, 0, BREATHER_MS);
        }
    }
    return NULL;
}

/* ---- Opening ------------------------------------------------------------------------------- */

/* Whether the server listens from now on. */
static bool start(haul__data_host *host)
{
    if (getrandom(&host->name, sizeof(host->name), 0) != (ssize_t)sizeof(host->name) ||
        getrandom(host->client_token, HAUL__DATA_TOKEN_BYTES, 0) != HAUL__DATA_TOKEN_BYTES ||
        getrandom(host->server_token, HAUL__DATA_TOKEN_BYTES, 0) != HAUL__DATA_TOKEN_BYTES) {
        return false;
    }
    host->listener = haul__data_listen(host->name);
    if (host->listener < 0) {
        return false;
    }
    if (pthread_create(&host->thread, NULL, accept_all, host) != 0) {
        (void)close(host->listener);
        return false;
    }
    return true;
}

static bool open_host(haul__data_host *host)
{
    (void)pthread_mutex_lock(&host->mutex);
    haul__data_phase found = host->phase;
    bool opens = found == HAUL__DATA_CLOSED && !host->draining;
    if (opens) {
        host->phase = HAUL__DATA_OPENING;
    }
    (void)pthread_mutex_unlock(&host->mutex);
    if (!opens) {
        return found == HAUL__DATA_OPEN;
    }
    bool opened = start(host);
    (void)pthread_mutex_lock(&host->mutex);
    host->phase = opened ? HAUL__DATA_OPEN : HAUL__DATA_CLOSED;
    (void)pthread_mutex_unlock(&host->mutex);
    (void)pthread_cond_signal(&host->opened);
    return opened;
}

static void invoke(ProtobufCService *service, unsigned method_index, const ProtobufCMessage *input,
                   ProtobufCClosure closure, void *closure_data)
{
    (void)method_index; /* there is one */
    (void)input;        /* it says nothing */
    haul__data_host *host = HAUL__CONTAINER_OF(service, haul__data_host, service);
    if (!open_host(host)) {
        haul_call_fail(closure_data, GRPC_STATUS_UNAVAILABLE, "no data connections now");
        return;
    }
    Shorthaul__V1__OpenDataResponse response = SHORTHAUL__V1__OPEN_DATA_RESPONSE__INIT;
    uint8_t letters_token[HAUL__DATA_TOKEN_BYTES];
    response.name = host->name;
    response.client_token = (ProtobufCBinaryData){HAUL__DATA_TOKEN_BYTES, host->client_token};
    if (host->n_handlers_max > 0 && haul__carrier_token(closure_data, letters_token)) {
        response.letters_token = (ProtobufCBinaryData){HAUL__DATA_TOKEN_BYTES, letters_token};
    }
    response.server_token = (ProtobufCBinaryData){HAUL__DATA_TOKEN_BYTES, host->server_token};
    closure(&response.base, closure_data);
}

haul__data_host *haul__data_host_create(haul_server *server, size_t max_bytes)
{
    haul__data_host *host = calloc(1, sizeof(*host));
    if (host) {
        host->service = (ProtobufCService){.descriptor = &shorthaul__v1__data_service__descriptor,
                                           .invoke = invoke};
        host->server = server;
        host->place = server->place;
        host->max_bytes = max_bytes;
        /* A server with one thread may rely on its handlers running one after the other. */
        host->n_handlers_max = server->n_threads > 1 ? server->n_threads : 0;
        (void)pthread_mutex_init(&host->mutex, NULL);
        (void)pthread_cond_init(&host->opened, NULL);
        (void)pthread_cond_init(&host->handler_done, NULL);
    }
    return host;
}

static void shut_down(haul__data_host *host, int how)
{
    for (haul__data_conn *conn = host->conns; conn; conn = conn->next) {
        (void)shutdown(conn->reader.fd, how);
    }
}

/* Nobody opens it any more; whether it was open. */
static bool take_open(haul__data_host *host)
{
    (void)pthread_mutex_lock(&host->mutex);
    host->draining = true;
    while (host->phase == HAUL__DATA_OPENING) {
        (void)pthread_cond_wait(&host->opened, &host->mutex);
    }
    bool open = host->phase == HAUL__DATA_OPEN;
    host->phase = HAUL__DATA_CLOSED;
    (void)pthread_mutex_unlock(&host->mutex);
    return open;
}

/* What has been sent before is still read, and sending fails from now on: so a client knows which of its
 * calls have not been begun. */
void haul__data_host_drain(haul__data_host *host)
{
    if (host && take_open(host)) {
        atomic_store(&host->stopping, true);
        (void)shutdown(host->listener, SHUT_RDWR);
        (void)pthread_join(host->thread, NULL);
        (void)close(host->listener);
        shut_down(host, SHUT_RD);
    }
}

void haul__data_host_cut(haul__data_host *host)
{
    if (host) {
        shut_down(host, SHUT_RDWR);
    }
}

void haul__data_host_stop(haul__data_host *host)
{
    haul__data_host_drain(host);
    haul__data_host_cut(host);
    while (host && host->conns) {
        haul__data_conn *conn = host->conns;
        host->conns = conn->next;
        end_conn(conn);
    }
}

void haul__data_host_free(haul__data_host *host)
{
    if (host) {
        (void)pthread_cond_destroy(&host->handler_done);
        (void)pthread_cond_destroy(&host->opened);
        (void)pthread_mutex_destroy(&host->mutex);
        free(host);
    }
}

void haul__data_host_enter(haul__data_host *host)
{
    (void)pthread_mutex_lock(&host->mutex);
    host->n_waiting++;
    while (host->n_handlers == host->n_handlers_max) {
        (void)pthread_cond_wait(&host->handler_done, &host->mutex);
    }
    host->n_waiting--;
    host->n_handlers++;
    (void)pthread_mutex_unlock(&host->mutex);
}

void haul__data_host_leave(haul__data_host *host)
{
    (void)pthread_mutex_lock(&host->mutex);
    host->n_handlers--;
    bool waited_for = host->n_waiting > 0;
    (void)pthread_mutex_unlock(&host->mutex);
    if (waited_for) {
        (void)pthread_cond_signal(&host->handler_done);
    }
}

/* ---- What has come ------------------------------------------------------------------------- */

haul__transfer *haul__data_claim(haul__data_host *host, uint64_t id, uint64_t len)
{
    if (!host) {
        return NULL;
    }
    (void)pthread_mutex_lock(&host->mutex);
    haul__transfer **link = &host->transfers;
    while (*link && ((*link)->id != id || (*link)->len != len)) {
        link = &(*link)->next;
    }
    haul__transfer *found = *link;
    if (found) {
        *link = found->next;
        found->next = NULL;
        found->conn->n_unclaimed--;
        found->conn->bytes_unclaimed -= found->len;
    }
    (void)pthread_mutex_unlock(&host->mutex);
    return found;
}

void haul__transfers_free(haul__transfer *transfers, haul__place *place)
{
    while (transfers) {
        haul__transfer *next = transfers->next;
        haul_detach(&transfers->view);
        haul__room_give_back(place, &transfers->room);
        free(transfers);
        transfers = next;
    }
}
