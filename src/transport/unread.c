/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Answers that gRPC has been handed and not written yet, because their callers do not read them.
 *
 * How many there can be is bounded by the calls of a connection; their bytes are bounded here, if
 * the server was told to. gRPC says when an answer has been written, or has come to nothing, and it
 * counts until then. One that does not fit is not sent: its caller is told so. But a caller that
 * reads nothing would so keep others from being answered, for as long as it likes; therefore those
 * that have been there for long give way, the oldest first: their calls are cancelled. What gRPC is
 * in the middle of writing of them it keeps a little longer, a write's worth to a connection.
 *
 * The trunk of a client that does not read it gives way as a whole.
 *
 * The calls are in a list of the server's, oldest first, from when their answer is handed over
 * until its event has come. Whatever thread answers; under the server's mutex, and gRPC is called
 * after it.
 */

#include "transport/server.h"

#include "transport/deadline.h"

/* With the lock held. */
static void take_out(haul_call *call)
{
    haul_server *server = call->server;
    haul__unread *u = &call->unread;
    *(u->prev ? &u->prev->unread.next : &server->unread_first) = u->next;
    *(u->next ? &u->next->unread.prev : &server->unread_last) = u->prev;
    server->unread_bytes -= u->n_bytes;
    u->n_bytes = 0;
}

/* With the lock held: whether @n more bytes may be handed over. */
static bool fits(const haul_server *server, uint64_t n)
{
    return server->unread_bytes == 0 ||
           (n <= server->max_unread_bytes && server->unread_bytes <= server->max_unread_bytes - n);
}

/* With the lock held: the oldest answer, which has been unread for too long; or NULL. For
 * grpc_call_unref(). */
static grpc_call *take_oldest(haul_server *server, uint64_t now_ns)
{
    haul_call *oldest = server->unread_first;
    if (!oldest || now_ns - oldest->unread.since_ns < server->max_unread_ns) {
        return NULL;
    }
    take_out(oldest);
    grpc_call *grpc = oldest->carried.carrier ? haul__carrier_stream(oldest) : oldest->grpc;
    grpc_call_ref(grpc);
    return grpc;
}

static void append(haul_call *call, uint64_t n, uint64_t now_ns)
{
    haul_server *server = call->server;
    call->unread = (haul__unread){.n_bytes = n, .since_ns = now_ns, .prev = server->unread_last};
    *(server->unread_last ? &server->unread_last->unread.next : &server->unread_first) = call;
    server->unread_last = call;
    server->unread_bytes += n;
}

bool haul__unread_enter(haul_call *call)
{
    haul_server *server = call->server;
    uint64_t n = grpc_byte_buffer_length(call->answer_bytes);
    if (server->max_unread_bytes == 0 || n == 0) {
        return true;
    }
    uint64_t now_ns = haul__clock_ns();
    for (;;) {
        grpc_call *oldest = NULL;
        (void)pthread_mutex_lock(&server->mutex);
        bool enters = fits(server, n);
        if (enters) {
            append(call, n, now_ns);
        } else {
            oldest = take_oldest(server, now_ns);
        }
        (void)pthread_mutex_unlock(&server->mutex);
        if (!oldest) {
            return enters;
        }
        (void)grpc_call_cancel_with_status(oldest, GRPC_STATUS_RESOURCE_EXHAUSTED,
                                           "the answer has not been read", NULL);
        grpc_call_unref(oldest);
    }
}

void haul__unread_leave(haul_call *call)
{
    haul_server *server = call->server;
    if (server->max_unread_bytes == 0) {
        return;
    }
    (void)pthread_mutex_lock(&server->mutex);
    if (call->unread.n_bytes > 0) {
        take_out(call);
    }
    (void)pthread_mutex_unlock(&server->mutex);
}
