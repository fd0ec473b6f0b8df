/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * One data connection of a server: a client proves that it has been told the token, and then sends
 * payloads, each of which is received straight to where a handler will see it.
 *
 * A client may stop at any byte, for good. One that stops within a payload is given up after a while,
 * and its room with it; what has come and is named by no call is let go of when the connection has
 * been idle as long. So the most that a client can keep without calling is what it has really sent.
 * Whatever is wrong ends the connection, which is all the answer there is: its client then sends
 * inline. If the server dies the room is reaped with its other buffers.
 */

#include "transport/server_data.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "transport/deadline.h"

#define LOOK_NS UINT64_C(10000000000)

/* A connection that has brought nothing for a look is given up. */
static bool while_it_moves(void *ctx, bool moved)
{
    (void)ctx;
    return moved;
}

static bool are_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
    unsigned differing = 0;
    for (size_t i = 0; i < n; i++) { /* in the same time wherever they differ */
        differing |= (unsigned)(a[i] ^ b[i]);
    }
    return differing == 0;
}

static bool greet(const haul__data_conn *conn)
{
    const haul__data_host *host = conn->host;
    haul__data_hello hello;
    return haul__data_receive(conn->fd, &hello, sizeof(hello), while_it_moves, NULL) &&
           memcmp(hello.magic, HAUL__DATA_MAGIC, sizeof(hello.magic)) == 0 &&
           are_equal(hello.token, host->client_token, sizeof(hello.token)) &&
           haul__data_send(conn->fd, host->server_token, sizeof(host->server_token), while_it_moves,
                           NULL);
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
static bool while_wanted(void *ctx, bool moved)
{
    if (!moved) {
        drop_unclaimed(ctx);
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

static bool fill(const haul__data_conn *conn, haul__transfer *t)
{
    t->id = draw_id();
    return t->id != 0 && haul__room_take(conn->host->place, t->len, true, &t->room) == HAUL_OK &&
           haul__data_receive(conn->fd, t->room.data, t->len, while_it_moves, NULL) &&
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

static bool take_one(haul__data_conn *conn)
{
    uint8_t head[8];
    if (!haul__data_receive(conn->fd, head, sizeof(head), while_wanted, conn)) {
        return false;
    }
    uint64_t len = haul__data_get_u64(head);
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
    return haul__data_send(conn->fd, answer, sizeof(answer), while_it_moves, NULL);
}

void *haul__data_conn_thread(void *ctx)
{
    haul__data_conn *conn = ctx;
    haul__data_set_look(conn->fd, LOOK_NS);
    if (greet(conn)) {
        while (take_one(conn)) {
        }
    }
    drop_unclaimed(conn);
    (void)shutdown(conn->fd, SHUT_RDWR); /* it is closed by who joins this thread */
    atomic_store(&conn->done, true);
    return NULL;
}
