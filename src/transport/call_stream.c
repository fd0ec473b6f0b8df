/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A streaming call on the server, in the thread that is its handler's.
 *
 * It has a completion queue of its own, on which the handler's threads wait for their operations
 * and drive the connection meanwhile. Everything begun on it is waited for before the call ends.
 *
 * The handler's status goes out when the caller has claimed what was sent to it, because until then
 * the call is the one place from which it could be taken back. A caller that dies or cancels ends
 * that wait; what it has not claimed goes back to the pool, and so does what it has given without
 * its message having come. If this process dies, what was given can still be claimed, or is refused
 * by a caller whose stream ends so, or a reaper takes it after its time.
 */

#include <stdlib.h>

#include "transport/deadline.h"
#include "transport/event.h"
#include "transport/server.h"

haul_status haul__call_stream_init(haul_call *call)
{
    haul__call_stream *s = calloc(1, sizeof(*s));
    if (!s || pthread_mutex_init(&s->mutex, NULL) != 0) {
        free(s);
        return HAUL_NOMEM;
    }
    s->queue = grpc_completion_queue_create_for_pluck(NULL);
    call->stream = s;
    return HAUL_OK;
}

void haul__call_stream_fini(haul_call *call)
{
    haul__call_stream *s = call->stream;
    if (s) {
        haul__queue_destroy(s->queue);
        (void)pthread_mutex_destroy(&s->mutex);
        free(s);
    }
}

void haul__call_stream_reset(haul__call_stream *s)
{
    grpc_completion_queue *queue = s->queue;
    (void)pthread_mutex_destroy(&s->mutex);
    *s = (haul__call_stream){.queue = queue};
    (void)pthread_mutex_init(&s->mutex, NULL);
}

static bool pluck(haul__call_stream *s, haul__mark *mark, uint64_t until_ns, bool *out_ok)
{
    grpc_event event = haul__event_pluck(s->queue, mark, until_ns, s->busy_poll_ns);
    *out_ok = event.success != 0;
    return event.type == GRPC_OP_COMPLETE;
}

/* ---- Its course ---------------------------------------------------------------------------- */

static haul_pool *pool_of(const void *owner, uint64_t pool_id)
{
    return haul__server_pool(((const haul_call *)owner)->server, pool_id);
}

static uint64_t read_group(const haul_call *call)
{
    uint64_t group = 0;
    for (size_t i = 0; i < call->metadata.count && group == 0; i++) {
        if (grpc_slice_str_cmp(call->metadata.metadata[i].key, HAUL__MD_STREAM) == 0) {
            (void)haul__stream_parse(call->metadata.metadata[i].value, &group);
        }
    }
    return group;
}

/* The client may be dead, and what it gave and did not say is then nobody's but for a time. */
static void refuse_rest(const haul_call *call)
{
    const haul__call_stream *s = call->stream;
    uint64_t group = s->sending.gifts.group;
    if (group == 0 || (s->heard_all && !call->closed_early)) {
        return;
    }
    for (size_t i = 0; i < call->server->n_pools; i++) {
        (void)!haul_pool_refuse(call->server->pools[i], group, NULL);
    }
}

static void begin(haul_call *call)
{
    haul__call_stream *s = call->stream;
    haul_server *server = call->server;
    s->busy_poll_ns = server->busy_poll_ns;
    haul__call_read_metadata(call);
    s->sending = (haul__sending){
        .plans = &call->method->output,
        .pins = &server->pins,
        .place = server->place,
        .max_bytes = server->max_send_bytes,
        .threshold = &server->threshold,
        .alloc = {.struct_size = sizeof(haul_alloc_opts)}, /* nobody waits for one */
        .counters = &server->counters,
        .by_key = call->accept_pool != NULL,
        .pool_of = pool_of,
        .owner = call,
        .is_over = haul__call_stream_is_over,
        .stream = call,
        .gifts = {.pool = call->accept_pool,
                  .peer = call->accept_slot,
                  .window = server->stream_window,
                  .deadline_ns = call->deadline_ns,
                  .give_ns = server->stream_give_ns,
                  .group = read_group(call)},
    };
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                  .data.recv_close_on_server.cancelled = &call->closed_early};
    s->watching = grpc_call_start_batch(call->grpc, &op, 1, &s->on_closed, NULL) == GRPC_CALL_OK;
}

static void end(haul_call *call)
{
    haul__call_stream *s = call->stream;
    bool ok;
    if (s->receiving) {
        (void)pluck(s, &s->on_received, HAUL__NEVER, &ok);
        grpc_byte_buffer_destroy(s->incoming);
    }
    if (s->watching && !s->over) {
        (void)pluck(s, &s->on_closed, HAUL__NEVER, &ok);
    }
    haul__sending_fini(&s->sending);
    refuse_rest(call);
}

void haul__call_stream_run(haul_call *call)
{
    const haul__method *method = call->method;
    begin(call);
    if (!haul__call_stream_is_over(call)) { /* it may have waited for long */
        method->stream(call, method->stream_ctx);
    }
    if (!call->stream->finished) {
        haul_call_finish(call, GRPC_STATUS_INTERNAL, "the handler ended without a status");
    }
    end(call);
}

bool haul__call_stream_is_over(void *arg)
{
    haul_call *call = arg;
    haul__call_stream *s = call->stream;
    bool ok;
    (void)pthread_mutex_lock(&s->mutex);
    if (s->watching && !s->over) {
        s->over = pluck(s, &s->on_closed, 0, &ok);
    }
    bool over = s->over || !s->watching;
    (void)pthread_mutex_unlock(&s->mutex);
    return over;
}

/* ---- Receiving ----------------------------------------------------------------------------- */

static haul_status spoil(haul_call *call, haul_status status)
{
    haul__call_stream *s = call->stream;
    if (status == HAUL_STALE) {
        call->key_refused = true;
        s->spoiled = GRPC_STATUS_FAILED_PRECONDITION;
        s->spoiled_text = "a payload's key cannot be attached here";
    } else if (status == HAUL_PROTOCOL) {
        s->spoiled = GRPC_STATUS_INVALID_ARGUMENT;
        s->spoiled_text = "a message is malformed";
    } else {
        s->spoiled = haul_status_to_grpc(status);
        s->spoiled_text = "a message cannot be taken";
    }
    s->all_received = true;
    return status;
}

/* Wait for the answer to the question that gRPC has been or is now asked. */
static haul_status receive_bytes(haul_call *call, int64_t timeout_ns, grpc_byte_buffer **out_bytes)
{
    haul__call_stream *s = call->stream;
    uint64_t until = timeout_ns < 0 ? HAUL__NEVER : haul__after_ns((uint64_t)timeout_ns);
    bool ok;
    if (!s->receiving) {
        grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &s->incoming};
        s->receiving =
            grpc_call_start_batch(call->grpc, &op, 1, &s->on_received, NULL) == GRPC_CALL_OK;
    }
    if (s->receiving && !pluck(s, &s->on_received, until, &ok)) {
        return HAUL_TIMEOUT;
    }
    s->receiving = false;
    *out_bytes = s->incoming;
    s->incoming = NULL;
    return HAUL_OK;
}

haul_status haul_call_receive(haul_call *call, int64_t timeout_ns, haul_received **out_received)
{
    haul__call_stream *s = call->stream;
    if (!s || s->finished) {
        return HAUL_INVALID;
    }
    if (s->all_received) {
        return HAUL_END;
    }
    grpc_byte_buffer *bytes;
    haul_status status = receive_bytes(call, timeout_ns, &bytes);
    if (status != HAUL_OK) {
        return status;
    }
    if (!bytes) {
        s->all_received = true;
        s->heard_all = true;
        return HAUL_END;
    }
    haul_received *received;
    call->n_request_bytes += grpc_byte_buffer_length(bytes);
    status = haul__received_open(&call->method->input, bytes, call->server->place, pool_of, call,
                                 &received);
    grpc_byte_buffer_destroy(bytes);
    if (status != HAUL_OK) {
        return spoil(call, status);
    }
    haul__tally_merge(&call->request_tally, &received->tally);
    *out_received = received;
    return HAUL_OK;
}

/* ---- Sending ------------------------------------------------------------------------------- */

haul_status haul__call_stream_put(haul_call *call, haul_buf *buf, uint64_t len,
                                  haul_payload_out *out)
{
    haul__sending *sending = &call->stream->sending;
    haul_status status = haul__sending_room(sending, buf, len, -1);
    if (status != HAUL_OK) {
        haul_buf_release(buf);
        return status;
    }
    return haul__sending_put(sending, buf, len, out);
}

/* What goes out before anything else. */
static size_t add_initial(haul_call *call, grpc_op *op)
{
    if (call->stream->initial_sent) {
        return 0;
    }
    call->stream->initial_sent = true;
    haul__call_initial_metadata(call, op);
    return 1;
}

static haul_status send_ops(haul_call *call, const grpc_op *ops, size_t n)
{
    haul__call_stream *s = call->stream;
    bool ok;
    if (grpc_call_start_batch(call->grpc, ops, n, &s->on_sent, NULL) != GRPC_CALL_OK) {
        return HAUL_END;
    }
    (void)pluck(s, &s->on_sent, HAUL__NEVER, &ok);
    return ok ? HAUL_OK : HAUL_END;
}

haul_status haul_call_send(haul_call *call, const ProtobufCMessage *message)
{
    haul__call_stream *s = call->stream;
    grpc_byte_buffer *bytes;
    if (!s || s->finished) {
        return HAUL_INVALID;
    }
    haul_status status = haul__sending_pack(&s->sending, message, &bytes);
    if (status != HAUL_OK) {
        return status;
    }
    grpc_op ops[2];
    size_t n = add_initial(call, ops);
    ops[n] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = bytes};
    status = send_ops(call, ops, n + 1);
    grpc_byte_buffer_destroy(bytes);
    return status;
}

void haul_call_finish(haul_call *call, grpc_status_code code, const char *text)
{
    haul__call_stream *s = call->stream;
    if (!s || s->finished) {
        return;
    }
    haul__sending_settle(&s->sending);
    s->finished = true;
    atomic_store(&call->answered, true);
    call->answer_tally = s->sending.tally;
    if (s->spoiled != GRPC_STATUS_OK) {
        code = s->spoiled;
        text = s->spoiled_text;
    }
    haul__count_call(&call->server->counters, code == GRPC_STATUS_OK, &call->request_tally,
                     &call->answer_tally);
    grpc_slice slice = grpc_slice_from_copied_string(text ? text : "");
    grpc_metadata ours[HAUL__METADATA_SPARE];
    grpc_op ops[2];
    size_t n = add_initial(call, ops);
    ops[n] = (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    ops[n].data.send_status_from_server.status = code;
    ops[n].data.send_status_from_server.status_details = text ? &slice : NULL;
    haul__call_trailing_metadata(call, ours, &ops[n].data.send_status_from_server);
    (void)!send_ops(call, ops, n + 1);
    grpc_slice_unref(slice);
}
