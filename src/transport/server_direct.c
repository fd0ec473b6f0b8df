/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Calls that come on data connections: the same letters as on a trunk, and calls of the trunk that told the
 * client where to connect, but each read, served and answered by the thread of its connection.
 *
 * As many handlers run so at a time as the server has threads. An answer may come from another thread and
 * later; it is this one that writes it, so that a client that does not read holds up nobody else. If it
 * hangs up before, the call goes on, as it would with gRPC; the handler finds it cancelled if it looks.
 */

#include <sys/socket.h>

#include "transport/carrier.h"

/* While an answer is written. */
typedef struct writing {
    haul__carrier *carrier;
    unsigned looks;
} writing;

/* An answer that is given up ends its trunk (unread.c), which is seen here. */
static bool while_it_is_read(void *ctx, bool moved)
{
    writing *w = ctx;
    (void)pthread_mutex_lock(&w->carrier->mutex);
    bool closed = w->carrier->closed;
    (void)pthread_mutex_unlock(&w->carrier->mutex);
    return !closed && haul__data_while_it_moves(&w->looks, moved);
}

/* Once the letter can be seen the answer may be written and the connection end, before its thread has been
 * woken; so it is held until then. A server that stops waits for the call, which its answerer holds. */
void haul__direct_answer(haul__data_conn *conn, haul__outgoing_letter *letter)
{
    atomic_fetch_add(&conn->refs, 1);
    (void)pthread_mutex_lock(&conn->mutex);
    conn->letter = letter;
    (void)pthread_mutex_unlock(&conn->mutex);
    (void)pthread_cond_signal(&conn->answered);
    (void)atomic_fetch_sub(&conn->refs, 1);
}

bool haul__direct_is_gone(const haul__data_conn *conn)
{
    uint8_t byte;
    return recv(conn->reader.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static haul__outgoing_letter *wait_for_answer(haul__data_conn *conn)
{
    (void)pthread_mutex_lock(&conn->mutex);
    while (!conn->letter) {
        (void)pthread_cond_wait(&conn->answered, &conn->mutex);
    }
    haul__outgoing_letter *letter = conn->letter;
    conn->letter = NULL;
    (void)pthread_mutex_unlock(&conn->mutex);
    return letter;
}

static bool write_answer(haul__data_conn *conn, haul__outgoing_letter *letter)
{
    writing w = {.carrier = conn->carrier};
    bool good = true;
    bool last = false;
    while (!last) { /* also what is not sent has to be used up */
        grpc_slice_buffer part;
        grpc_slice_buffer_init(&part);
        last = haul__outgoing_letter_part(letter, &part);
        good = good && haul__data_send_frame(conn->reader.fd, &part, while_it_is_read, &w);
        grpc_slice_buffer_destroy(&part);
    }
    letter->over(letter, good);
    return good;
}

bool haul__direct_serve(haul__data_conn *conn, uint64_t number)
{
    grpc_slice frame;
    unsigned looks = 0;
    if (!conn->carrier ||
        !haul__data_read_frame(&conn->reader, number, haul__data_while_it_moves, &looks, &frame)) {
        return false;
    }
    haul__data_host_enter(conn->host);
    bool answered;
    bool good = haul__carrier_read_direct(conn->carrier, frame, conn, &answered);
    haul__data_host_leave(conn->host);
    grpc_slice_unref(frame);
    return (!answered || write_answer(conn, wait_for_answer(conn))) && good;
}
