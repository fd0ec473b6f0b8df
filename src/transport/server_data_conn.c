/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * One data connection of a server: a client proves that it has been told the token, and then sends
 * payloads, each of which is received straight to where a handler will see it, and calls, if it is a
 * trunk's (server_direct.c).
 *
 * A client may stop at any byte, for good. One that stops within a payload is given up after a while,
 * and its room with it; what has come and is named by no call is let go of when the connection has
 * been idle as long. So the most that a client can keep without calling is what it has really sent.
 * Whatever is wrong ends the connection, which is all the answer there is: its client then sends
 * inline. If the server dies the room is reaped with its other buffers.
 */

#include "transport/server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "transport/deadline.h"

#define LOOK_NS   UINT64_C(2000000000)
#define LOOKS_MAX 5

bool haul__data_while_it_moves(void *ctx, bool moved)
{
    unsigned *looks = ctx;
    *looks = moved ? 0 : *looks + 1;
    return *looks < LOOKS_MAX;
}

/* Receive what must follow, straight to @to but for what has been read ahead. */
static bool receive(haul__data_conn *conn, void *to, size_t n)
{
    unsigned looks = 0;
    return haul__data_read(&conn->reader, to, n, haul__data_while_it_moves, &looks);
}

static bool send_all(const haul__data_conn *conn, const void *bytes, size_t n)
{
    unsigned looks = 0;
    return haul__data_send(conn->reader.fd, bytes, n, haul__data_while_it_moves, &looks);
}

/* Whether the client has been told to come here, and by which trunk. */
static bool greet(haul__data_conn *conn)
{
    const haul__data_host *host = conn->host;
    haul__data_hello hello;
    if (!receive(conn, &hello, sizeof(hello)) ||
        memcmp(hello.magic, HAUL__DATA_MAGIC, sizeof(hello.magic)) != 0) {
        return false;
    }
    if (!haul__data_tokens_equal(hello.token, host->client_token)) {
        conn->carrier = haul__carrier_find(host->server, hello.token);
        if (!conn->carrier) {
            return false;
        }
    }
    return send_all(conn, host->server_token, sizeof(host->server_token));
}

/* Let go of what has come on @conn and is in no call. */
static void drop_unclaimed(haul__data_conn *conn)
{
    haul__data_host *host = conn->host;
    haul__transfer *dropped = NULL;
    (void)pthread_mutex_lock(&host->mutex);
    haul__transfer **link = &host->transfers;
    while (*link) {
        haul__transfer *t = *link;
        if (t->conn == conn) {
            *link = t->next;
            t->next = dropped;
            dropped = t;
        } else {
            link = &t->next;
        }
    }
    conn->n_unclaimed = 0;
    conn->bytes_unclaimed = 0;
    (void)pthread_mutex_unlock(&host->mutex);
    haul__transfers_free(dropped, host->place);
}

/* Between payloads a connection may be idle for as long as it likes. */
typedef struct idling {
    haul__data_conn *conn;
    uint64_t busy_until_ns;
    bool awake;
    unsigned looks;
} idling;

static void fall_asleep(idling *i)
{
    if (i->awake) {
        i->awake = false;
        i->conn->reader.flags = 0;
        atomic_store(&i->conn->host->awake, false);
    }
}

static bool while_idle(void *ctx, bool moved)
{
    idling *i = ctx;
    if (i->awake) {
        if (haul__clock_ns() >= i->busy_until_ns) {
            fall_asleep(i);
        }
    } else if (!moved && ++i->looks == LOOKS_MAX) {
        drop_unclaimed(i->conn);
    }
    return true;
}

static bool may_come(haul__data_conn *conn, uint64_t len)
{
    haul__data_host *host = conn->host;
    (void)pthread_mutex_lock(&host->mutex);
    uint64_t sum;
    bool may = len > 0 && len <= SIZE_MAX && conn->n_unclaimed < HAUL__DATA_UNCLAIMED_MAX &&
               !__builtin_add_overflow(conn->bytes_unclaimed, len, &sum) &&
               (host->max_bytes == 0 || sum <= host->max_bytes);
    (void)pthread_mutex_unlock(&host->mutex);
    return may;
}

/* A number that nobody can guess; 0 is none. */
static uint64_t draw_id(void)
{
    uint64_t id;
    return getrandom(&id, sizeof(id), 0) == (ssize_t)sizeof(id) ? id : 0;
}

static bool fill(haul__data_conn *conn, haul__transfer *t)
{
    t->id = draw_id();
    return t->id != 0 && haul__room_take(conn->host->place, t->len, true, &t->room) == HAUL_OK &&
           receive(conn, t->room.data, t->len) &&
           haul__room_seal(&t->room, t->len, &t->view) == HAUL_OK;
}

/* From here on a call may claim it. */
static void show(haul__data_conn *conn, haul__transfer *t)
{
    haul__data_host *host = conn->host;
    (void)pthread_mutex_lock(&host->mutex);
    t->conn = conn;
    t->next = host->transfers;
    host->transfers = t;
    conn->n_unclaimed++;
    conn->bytes_unclaimed += t->len;
    (void)pthread_mutex_unlock(&host->mutex);
}

static bool take_transfer(haul__data_conn *conn, uint64_t len)
{
    haul__transfer *t = may_come(conn, len) ? calloc(1, sizeof(*t)) : NULL;
    if (!t) {
        return false;
    }
    t->len = (size_t)len;
    if (!fill(conn, t)) {
        haul__transfers_free(t, conn->host->place);
        return false;
    }
    uint8_t answer[8];
    haul__data_put_u64(answer, t->id);
    show(conn, t);
    return send_all(conn, answer, sizeof(answer));
}

/* Awake for a while, if the server is to be; one thread at a time, for the others need the core. */
static bool wait_for_number(haul__data_conn *conn, uint8_t bytes[8])
{
    haul__data_host *host = conn->host;
    idling idle = {.conn = conn};
    idle.awake = host->server->busy_poll_ns > 0 && !atomic_exchange(&host->awake, true);
    if (idle.awake) {
        idle.busy_until_ns = haul__after_ns(host->server->busy_poll_ns);
        conn->reader.flags = MSG_DONTWAIT;
    }
    bool come = haul__data_read(&conn->reader, bytes, 8, while_idle, &idle);
    fall_asleep(&idle);
    return come;
}

/* Everything begins with a number. */
static bool take_one(haul__data_conn *conn)
{
    uint8_t bytes[8];
    if (!wait_for_number(conn, bytes)) {
        return false;
    }
    uint64_t number = haul__data_get_u64(bytes);
    return number & HAUL__DATA_LETTERS ? haul__direct_serve(conn, number)
                                       : take_transfer(conn, number);
}

void *haul__data_conn_thread(void *ctx)
{
    haul__data_conn *conn = ctx;
    haul__data_set_look(conn->reader.fd, LOOK_NS);
    if (greet(conn)) {
        while (take_one(conn)) {
        }
    }
    drop_unclaimed(conn);
    (void)shutdown(conn->reader.fd, SHUT_RDWR); /* it is closed by who joins this thread */
    if (conn->carrier) {
        haul__carrier_unref(conn->carrier);
    }
    (void)atomic_fetch_sub(&conn->refs, 1);
    return NULL;
}
