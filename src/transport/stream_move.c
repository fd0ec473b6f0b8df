/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A client's stream: sending and receiving.
 *
 * One thread sends and one receives, each waiting for its own operation on the stream's queue. The
 * sender must also find out that the stream is over while it waits for the pool. gRPC tells that
 * only once what came before it has been received; so the sender may ask for one message ahead of
 * the receiver, who then finds it there.
 *
 * For what happens when a process dies see stream.c.
 */

#include "transport/stream.h"

#include "transport/deadline.h"
#include "transport/event.h"

/* How often a thread that waits for its message to be written looks whether the stream is over. */
#define LOOK_NS UINT64_C(20000000)

static bool pluck(haul_stream *s, haul__mark *mark, uint64_t until_ns, bool *out_ok)
{
    grpc_event event = haul__event_pluck(s->queue, mark, until_ns, s->channel->busy_poll_ns);
    *out_ok = event.success != 0;
    return event.type == GRPC_OP_COMPLETE;
}

bool haul__stream_ask(haul_stream *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    if (!s->receiving && !s->all_received) {
        grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &s->incoming};
        s->receiving =
            grpc_call_start_batch(s->grpc, &op, 1, &s->on_received, NULL) == GRPC_CALL_OK;
    }
    bool receiving = s->receiving;
    (void)pthread_mutex_unlock(&s->mutex);
    return receiving;
}

bool haul__stream_is_over(void *stream)
{
    haul_stream *s = stream;
    bool ok;
    (void)haul__stream_ask(s);
    (void)pthread_mutex_lock(&s->mutex);
    if (!s->over) {
        s->over = pluck(s, &s->on_status, 0, &ok);
    }
    bool over = s->over;
    (void)pthread_mutex_unlock(&s->mutex);
    return over;
}

/* ---- Sending ------------------------------------------------------------------------------- */

haul_status haul_stream_alloc(haul_stream *s, uint64_t len, const haul_alloc_opts *opts,
                              haul_buf **out_buf)
{
    haul_pool *pool = s->channel->pool;
    return pool ? haul__sending_alloc(&s->sending, pool, len, opts, out_buf) : HAUL_NOT_FOUND;
}

haul_status haul_stream_put(haul_stream *s, haul_buf *buf, uint64_t len, int64_t wait_ns,
                            haul_payload_out *out)
{
    haul_status status = haul__sending_room(&s->sending, buf, len, wait_ns);
    if (status == HAUL_OK) {
        return haul__sending_put(&s->sending, buf, len, out);
    }
    if (status != HAUL_TIMEOUT) {
        haul_buf_release(buf);
    }
    return status;
}

/* One operation of the sending thread's. Where the server does not read, gRPC says that it is over
 * only when it is written, not when the stream is over. */
static haul_status send_op(haul_stream *s, const grpc_op *op)
{
    bool ok = false;
    if (s->send_stuck || grpc_call_start_batch(s->grpc, op, 1, &s->on_sent, NULL) != GRPC_CALL_OK) {
        return HAUL_END;
    }
    while (!pluck(s, &s->on_sent, haul__after_ns(LOOK_NS), &ok)) {
        if (haul__stream_is_over(s)) {
            s->send_stuck = !pluck(s, &s->on_sent, 0, &ok);
            break;
        }
    }
    return ok ? HAUL_OK : HAUL_END;
}

haul_status haul_stream_send(haul_stream *s, const ProtobufCMessage *message)
{
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    if (s->send_closed) {
        return HAUL_INVALID;
    }
    haul_status status =
        haul__sending_pack(&s->sending, message, &op.data.send_message.send_message);
    if (status == HAUL_OK) {
        size_t n = grpc_byte_buffer_length(op.data.send_message.send_message);
        s->reply->n_request_bytes += n;
        (void)haul__backlog_enter(&s->channel->backlog, n);
        status = send_op(s, &op);
        haul__backlog_leave(&s->channel->backlog, n, false);
        grpc_byte_buffer_destroy(op.data.send_message.send_message);
    }
    return status;
}

haul_status haul_stream_close_send(haul_stream *s)
{
    const grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    if (s->send_closed) {
        return HAUL_END;
    }
    s->send_closed = true;
    return send_op(s, &op);
}

/* ---- Receiving ----------------------------------------------------------------------------- */

static haul_pool *pool_of(const void *owner, uint64_t pool_id)
{
    const haul_stream *s = owner;
    haul_pool *pool = s->attempt.accept ? s->channel->pool : NULL;
    return pool && haul_pool_id(pool) == pool_id ? pool : NULL;
}

/* What came cannot be shown: the stream ends here, and not as the server says. */
static haul_status spoil(haul_stream *s, haul_status status)
{
    if (status == HAUL_STALE) {
        s->spoiled = GRPC_STATUS_ABORTED;
        s->spoiled_text = "a message's payload was taken back";
    } else if (status == HAUL_NOMEM) {
        s->spoiled = GRPC_STATUS_RESOURCE_EXHAUSTED;
        s->spoiled_text = "no memory for a message";
    } else {
        s->spoiled = GRPC_STATUS_INTERNAL;
        s->spoiled_text = "a message is malformed";
    }
    haul_stream_cancel(s);
    return status;
}

haul_status haul_stream_receive(haul_stream *s, int64_t timeout_ns, haul_received **out_received)
{
    uint64_t until = timeout_ns < 0 ? HAUL__NEVER : haul__after_ns((uint64_t)timeout_ns);
    bool ok;
    if (s->all_received) {
        return HAUL_END;
    }
    if (haul__stream_ask(s) && !pluck(s, &s->on_received, until, &ok)) {
        return HAUL_TIMEOUT;
    }
    (void)pthread_mutex_lock(&s->mutex);
    s->receiving = false;
    grpc_byte_buffer *bytes = s->incoming;
    s->incoming = NULL;
    s->all_received = bytes == NULL;
    (void)pthread_mutex_unlock(&s->mutex);
    if (!bytes) {
        return HAUL_END;
    }
    haul_received *received;
    haul_status status = haul__received_open(&s->attempt.method->output, bytes, s->channel->place,
                                             pool_of, s, &received);
    grpc_byte_buffer_destroy(bytes);
    if (status != HAUL_OK) {
        return spoil(s, status);
    }
    haul__backlog_heard(&s->channel->backlog);
    haul__tally_merge(&s->reply->answer_tally, &received->tally);
    *out_received = received;
    return HAUL_OK;
}
