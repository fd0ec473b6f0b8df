/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_SERVER_DATA_H
#define SHORTHAUL_TRANSPORT_SERVER_DATA_H

/* The server's half of data connections: payloads that come beside gRPC. */

#include <pthread.h>
#include <stdatomic.h>

#include <shorthaul/transport.h>

#include "transport/data_frame.h"
#include "transport/place.h"

typedef struct haul__data_host haul__data_host;

/* One client's connection, and the thread that reads from it. */
typedef struct haul__data_conn {
    struct haul__data_conn *next; /* of the accepting thread's */
    haul__data_host *host;
    pthread_t thread;
    /* Of the thread, and of whoever is about to wake it; at 0 it is to be joined and freed. */
    atomic_uint refs;
    struct haul__carrier *carrier; /* the trunk that it belongs to, with a reference; NULL: none */
    haul__data_reader reader;      /* the thread's, and the descriptor */

    /* The answer to the call that is being served, if it has come. */
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    struct haul__outgoing_letter *letter;

    /* Under the host's mutex. */
    unsigned n_unclaimed;
    size_t bytes_unclaimed;
} haul__data_conn;

/* A payload that has come. */
typedef struct haul__transfer {
    struct haul__transfer *next;
    haul__data_conn *conn; /* until it is claimed */
    uint64_t id;
    size_t len;
    haul__room room;
    haul_view view; /* of the room, if it is a pool's; may be taken */
} haul__transfer;

typedef enum haul__data_phase {
    HAUL__DATA_CLOSED,
    HAUL__DATA_OPENING, /* by some thread; the others do without */
    HAUL__DATA_OPEN,
} haul__data_phase;

/* Of one server. */
struct haul__data_host {
    /* Constant; what only matters while it is open, from then on. */
    ProtobufCService service;
    haul_server *server;
    haul__place *place;
    unsigned n_handlers_max; /* that may run in connections' threads at a time; 0: none do */
    size_t max_bytes;        /* of what is unclaimed on one connection; 0 = no bound */
    uint64_t name;
    uint8_t client_token[HAUL__DATA_TOKEN_BYTES];
    uint8_t server_token[HAUL__DATA_TOKEN_BYTES];
    int listener;
    pthread_t thread;
    atomic_bool stopping;
    atomic_bool awake; /* some connection's thread looks for what comes without sleeping */

    haul__data_conn *conns; /* the accepting thread's, and when it has ended the stopping one's */
    unsigned n_conns;

    pthread_mutex_t mutex; /* the following; never held across a system call */
    haul__data_phase phase;
    bool draining; /* nobody opens it any more */
    pthread_cond_t opened;
    haul__transfer *transfers; /* unclaimed */
    unsigned n_handlers;
    unsigned n_waiting; /* to run one */
    pthread_cond_t handler_done;
};

/* ---- server_data.c ---- */

/* Of a server that has its place and its threads counted. @max_bytes: of a message. NULL without memory. */
haul__data_host *haul__data_host_create(haul_server *server, size_t max_bytes);

/*
 * The server is being stopped: take no more connections, and end each when its client's last word has been
 * answered; end those that are left, whatever happens on them; and wait until their threads have ended. In this
 * order. What has been claimed stays. NULL is allowed.
 */
void haul__data_host_drain(haul__data_host *host);
void haul__data_host_cut(haul__data_host *host);
void haul__data_host_stop(haul__data_host *host);

/* Around a handler that runs in a connection's thread. */
void haul__data_host_enter(haul__data_host *host);
void haul__data_host_leave(haul__data_host *host);

/* Once stopped. NULL is allowed. */
void haul__data_host_free(haul__data_host *host);

/* The transfer of that number and length, which is the caller's then, haul__transfers_free(). NULL: there
 * is none. @host: NULL is allowed. Any thread. */
haul__transfer *haul__data_claim(haul__data_host *host, uint64_t id, uint64_t len);

/* Free a list of them, which lay in @place. */
void haul__transfers_free(haul__transfer *transfers, haul__place *place);

/* ---- server_data_conn.c ---- */

/* A haul__data_patience for what has begun: until nothing has moved for 10 s, which is counted in @looks, an
 * unsigned that starts with 0. */
bool haul__data_while_it_moves(void *looks, bool moved);

/* A connection's thread. */
void *haul__data_conn_thread(void *conn);

#endif
