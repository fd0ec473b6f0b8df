/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_SERVER_DATA_H
#define SHORTHAUL_TRANSPORT_SERVER_DATA_H

/* The server's half of data connections: payloads that come beside gRPC. */

#include <pthread.h>
#include <stdatomic.h>

#include <protobuf-c/protobuf-c.h>

#include "transport/data.h"
#include "transport/place.h"

typedef struct haul__data_host haul__data_host;

/* One client's connection, and the thread that reads from it. */
typedef struct haul__data_conn {
    struct haul__data_conn *next; /* of the accepting thread's */
    haul__data_host *host;
    int fd;
    pthread_t thread;
    atomic_bool done; /* the thread is about to end */

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
    haul__place *place;
    size_t max_bytes; /* of what is unclaimed on one connection; 0 = no bound */
    uint64_t name;
    uint8_t client_token[HAUL__DATA_TOKEN_BYTES];
    uint8_t server_token[HAUL__DATA_TOKEN_BYTES];
    int listener;
    pthread_t thread;
    atomic_bool stopping;

    haul__data_conn *conns; /* the accepting thread's, and when it has ended the stopping one's */
    unsigned n_conns;

    pthread_mutex_t mutex; /* the following; never held across a system call */
    haul__data_phase phase;
    haul__transfer *transfers; /* unclaimed */
};

/* ---- server_data.c ---- */

/* @place is borrowed. NULL without memory. */
haul__data_host *haul__data_host_create(haul__place *place, size_t max_bytes);

/* End all connections and their threads. What has been claimed stays. NULL is allowed. */
void haul__data_host_stop(haul__data_host *host);

/* Once stopped. NULL is allowed. */
void haul__data_host_free(haul__data_host *host);

/* The transfer of that number and length, which is the caller's then, haul__transfers_free(). NULL: there
 * is none. @host: NULL is allowed. Any thread. */
haul__transfer *haul__data_claim(haul__data_host *host, uint64_t id, uint64_t len);

/* Free a list of them, which lay in @place. */
void haul__transfers_free(haul__transfer *transfers, haul__place *place);

/* ---- server_data_conn.c ---- */

/* A connection's thread. */
void *haul__data_conn_thread(void *conn);

#endif
