/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Trunks at the server: streams on which clients send short unary calls as letters.
 *
 * What comes is made into calls like any others, which wait in the server's list of those that are
 * ready until one of its threads runs them (server_loop.c); what they answer goes to the trunk's
 * outbox. Several letters of one message may so be served by several threads at once.
 *
 * A trunk lives as long as anything refers to it: the events gRPC owes for it, its calls, and notes
 * that are to be sent. If the client dies the stream ends; its calls are cancelled as gRPC's would
 * be and run to their end, and what they give is revoked. If the server stops, what has not been
 * begun is answered so, or not at all before the stream ends OK, for the client to make it again
 * elsewhere.
 *
 * A client may be anybody. It is told how many calls it may have at a time; one that takes no notice
 * loses the stream, and so does one whose messages cannot be read. The mutex is held across no call
 * into gRPC and no handler.
 */

#include <string.h>
#include <sys/random.h>

#include "transport/carrier.h"
#include "transport/deadline.h"
#include "transport/grpc_args.h"

/* With fewer streams to a connection the trunk would take one that is needed. */
#define STREAMS_MIN 8

/* ---- Lives --------------------------------------------------------------------------------- */

void haul__carrier_unref(haul__carrier *carrier)
{
    if (atomic_fetch_sub(&carrier->refs, 1) != 1) {
        return;
    }
    haul_server *server = carrier->server;
    grpc_metadata_array_destroy(&carrier->metadata);
    if (carrier->grpc) {
        grpc_call_unref(carrier->grpc);
    }
    (void)pthread_mutex_lock(&server->mutex);
    *carrier->link = carrier->next;
    if (carrier->next) {
        carrier->next->link = carrier->link;
    }
    (void)pthread_mutex_unlock(&server->mutex);
    (void)pthread_mutex_destroy(&carrier->mutex);
    haul__block_give_back(server->place, carrier);
    (void)pthread_mutex_lock(&server->mutex);
    server->n_carriers--;
    bool last = server->phase == HAUL__SERVER_STOPPED && server->n_carriers == 0;
    if (last) {
        (void)pthread_cond_broadcast(&server->changed);
    }
    (void)pthread_mutex_unlock(&server->mutex);
}

static void start(haul__carrier *carrier, const grpc_op *ops, size_t n, haul__tag *tag,
                  bool (*fire)(haul__tag *tag, bool ok))
{
    atomic_fetch_add(&carrier->refs, 1);
    haul__tag_post(tag, fire);
    if (grpc_call_start_batch(carrier->grpc, ops, n, tag, NULL) != GRPC_CALL_OK) {
        haul__carrier_unref(carrier);
    }
}

static bool on_finished(haul__tag *tag, bool ok)
{
    (void)ok;
    haul__carrier_unref(HAUL__CONTAINER_OF(tag, haul__carrier, on_finished));
    return true;
}

/* One side has said its last word: when everything is answered, end the stream. OK tells the client
 * that what has no answer has not been begun. */
void haul__carrier_finish_if_done(haul__carrier *carrier)
{
    (void)pthread_mutex_lock(&carrier->mutex);
    bool last = carrier->half_closed || (carrier->stopping && carrier->greeted);
    bool done = last && carrier->n_calls == 0 && !carrier->finished &&
                haul__outbox_is_empty(&carrier->outbox);
    carrier->finished |= done;
    (void)pthread_mutex_unlock(&carrier->mutex);
    if (done) {
        grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
        op.data.send_status_from_server.status = GRPC_STATUS_OK;
        start(carrier, &op, 1, &carrier->on_finished, on_finished);
    }
}

/* ---- Events -------------------------------------------------------------------------------- */

static bool on_received(haul__tag *tag, bool ok);

static void receive_next(haul__carrier *carrier)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &carrier->incoming;
    start(carrier, &op, 1, &carrier->on_received, on_received);
}

/* Behind the calls that the last message brought: their answers are under way then. If there are
 * many, or they last, another thread leads and comes here. */
static bool go_on(haul__ready *ready, size_t n_calls)
{
    (void)n_calls;
    haul__carrier *carrier = HAUL__CONTAINER_OF(ready, haul__carrier, ready);
    receive_next(carrier);
    haul__carrier_unref(carrier);
    return true;
}

static bool on_received(haul__tag *tag, bool ok)
{
    haul__carrier *carrier = HAUL__CONTAINER_OF(tag, haul__carrier, on_received);
    grpc_byte_buffer *bytes = carrier->incoming;
    carrier->incoming = NULL;
    if (!bytes) {
        (void)pthread_mutex_lock(&carrier->mutex);
        carrier->half_closed = ok;
        (void)pthread_mutex_unlock(&carrier->mutex);
        haul__carrier_finish_if_done(carrier);
    } else {
        grpc_slice frame = haul__frame_of(bytes);
        bool is_right = haul__carrier_read(carrier, frame);
        grpc_slice_unref(frame);
        grpc_byte_buffer_destroy(bytes);
        if (!is_right) {
            (void)grpc_call_cancel_with_status(carrier->grpc, GRPC_STATUS_RESOURCE_EXHAUSTED,
                                               "more calls than may be, or no calls at all", NULL);
        }
        atomic_fetch_add(&carrier->refs, 1);
        haul__ready_add(carrier->server, &carrier->ready, go_on);
    }
    haul__carrier_unref(carrier);
    return true;
}

static bool on_sent(haul__tag *tag, bool ok)
{
    haul__carrier *carrier = HAUL__CONTAINER_OF(tag, haul__carrier, on_sent);
    (void)pthread_mutex_lock(&carrier->mutex);
    bool first = !carrier->greeted;
    carrier->greeted = true;
    (void)pthread_mutex_unlock(&carrier->mutex);
    atomic_fetch_add(&carrier->refs, 1);
    haul__tag_post(tag, on_sent); /* for the next message */
    haul__outbox_sent(&carrier->outbox, ok);
    haul__carrier_finish_if_done(carrier);
    haul__carrier_unref(carrier);
    if (first) {
        haul__carrier_unref(carrier);
    }
    return true;
}

static bool on_closed(haul__tag *tag, bool ok)
{
    (void)ok;
    haul__carrier *carrier = HAUL__CONTAINER_OF(tag, haul__carrier, on_closed);
    (void)pthread_mutex_lock(&carrier->mutex);
    carrier->closed = true;
    for (haul_call *call = carrier->calls; call; call = call->carried.next) {
        atomic_store(&call->cancelled, true);
    }
    (void)pthread_mutex_unlock(&carrier->mutex);
    haul__outbox_close(&carrier->outbox);
    haul__carrier_unref(carrier);
    return true;
}

static void greet(haul__carrier *carrier)
{
    grpc_slice hello = haul__letters_hello(carrier->server->max_calls);
    grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&hello, 1);
    grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    close.data.recv_close_on_server.cancelled = &carrier->closed_early;
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_SEND_MESSAGE}};
    ops[1].data.send_message.send_message = bytes;
    start(carrier, &close, 1, &carrier->on_closed, on_closed);
    start(carrier, ops, 2, &carrier->on_sent, on_sent);
    grpc_byte_buffer_destroy(bytes);
    grpc_slice_unref(hello);
}

static bool on_new(haul__tag *tag, bool ok)
{
    haul__carrier *carrier = HAUL__CONTAINER_OF(tag, haul__carrier, on_new);
    if (!ok) {
        haul__carrier_unref(carrier); /* the server is shutting down */
        return true;
    }
    (void)!haul__server_request_trunk(carrier->server); /* without memory, this is the last */
    haul__outbox_init(&carrier->outbox, carrier->grpc, &carrier->on_sent, &carrier->mutex, true);
    greet(carrier);
    receive_next(carrier);
    haul__carrier_unref(carrier);
    return true;
}

haul_status haul__server_request_trunk(haul_server *server)
{
    if (!server->trunk || !haul__server_begin_request(server)) {
        return HAUL_OK;
    }
    _Static_assert(sizeof(haul__carrier) <= HAUL__BLOCK_BYTES, "a carrier fits into a block");
    haul__carrier *carrier = haul__block_take(server->place);
    if (!carrier) {
        haul__server_end_request(server);
        return HAUL_NOMEM;
    }
    *carrier = (haul__carrier){.server = server};
    (void)pthread_mutex_init(&carrier->mutex, NULL);
    atomic_init(&carrier->refs, 1);
    (void)pthread_mutex_lock(&server->mutex);
    carrier->next = server->carriers;
    carrier->link = &server->carriers;
    if (carrier->next) {
        carrier->next->link = &carrier->next;
    }
    server->carriers = carrier;
    server->n_carriers++;
    (void)pthread_mutex_unlock(&server->mutex);
    haul__tag_post(&carrier->on_new, on_new);
    grpc_call_error error = grpc_server_request_registered_call(
        server->grpc, server->trunk, &carrier->grpc, &carrier->deadline, &carrier->metadata, NULL,
        server->cq, server->cq, &carrier->on_new);
    haul__server_end_request(server);
    if (error != GRPC_CALL_OK) {
        haul__carrier_unref(carrier);
        return HAUL_SYSTEM;
    }
    return HAUL_OK;
}

/* A reference, unless the carrier is about to be freed. */
static bool try_ref(haul__carrier *carrier)
{
    unsigned refs = atomic_load(&carrier->refs);
    while (refs > 0 && !atomic_compare_exchange_weak(&carrier->refs, &refs, refs + 1)) {
    }
    return refs > 0;
}

/* With the server's lock: a carrier that has not been told, with a reference; NULL: there is none. */
static haul__carrier *find_untold(const haul_server *server)
{
    for (haul__carrier *carrier = server->carriers; carrier; carrier = carrier->next) {
        if (!carrier->told && try_ref(carrier)) {
            carrier->told = true;
            return carrier;
        }
    }
    return NULL;
}

bool haul__carrier_token(haul_call *call, uint8_t out_token[HAUL__DATA_TOKEN_BYTES])
{
    haul__carrier *carrier = call->carried.carrier;
    uint8_t drawn[HAUL__DATA_TOKEN_BYTES];
    if (!carrier || getrandom(drawn, sizeof(drawn), 0) != (ssize_t)sizeof(drawn)) {
        return false;
    }
    (void)pthread_mutex_lock(&carrier->mutex);
    if (!carrier->has_token) {
        memcpy(carrier->token, drawn, sizeof(drawn));
        carrier->has_token = true;
    }
    memcpy(out_token, carrier->token, sizeof(drawn));
    (void)pthread_mutex_unlock(&carrier->mutex);
    return true;
}

static bool has_told(haul__carrier *carrier, const uint8_t token[HAUL__DATA_TOKEN_BYTES])
{
    (void)pthread_mutex_lock(&carrier->mutex);
    bool told = carrier->has_token && haul__data_tokens_equal(carrier->token, token);
    (void)pthread_mutex_unlock(&carrier->mutex);
    return told;
}

haul__carrier *haul__carrier_find(haul_server *server, const uint8_t token[HAUL__DATA_TOKEN_BYTES])
{
    (void)pthread_mutex_lock(&server->mutex);
    haul__carrier *found = server->carriers;
    while (found && !(has_told(found, token) && try_ref(found))) {
        found = found->next;
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return found;
}

void haul__server_end_trunks(haul_server *server)
{
    haul__carrier *carrier;
    do {
        (void)pthread_mutex_lock(&server->mutex);
        carrier = find_untold(server);
        (void)pthread_mutex_unlock(&server->mutex);
        if (carrier) {
            (void)pthread_mutex_lock(&carrier->mutex);
            carrier->stopping = true;
            (void)pthread_mutex_unlock(&carrier->mutex);
            haul__carrier_finish_if_done(carrier);
            haul__carrier_unref(carrier);
        }
    } while (carrier);
}

void haul__server_trunk_init(haul_server *server, const haul_server_opts *opts)
{
    uint32_t n_streams = haul__stream_bound(opts->max_streams);
    server->max_calls = n_streams;
    server->max_metadata_bytes = haul__metadata_bound(opts->max_metadata_bytes);
    if (!opts->no_trunk && n_streams >= STREAMS_MIN &&
        haul__trunk_fits(opts->max_message_bytes, opts->max_metadata_bytes)) {
        server->trunk = grpc_server_register_method(server->grpc, HAUL__TRUNK_METHOD, NULL,
                                                    GRPC_SRM_PAYLOAD_NONE, 0);
    }
}
