/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Answering a call, from whatever thread: the response or a status, and the buffers given with it.
 *
 * A buffer that goes by key belongs to the caller from haul_call_put() on. If the answer then does
 * not reach gRPC's transport, or does not hold it, it is revoked; the caller may claim it at the
 * same moment, and the pool lets exactly one of the two have it. If this process dies in between,
 * the caller claims it or a reaper takes it after the deadline.
 */

#include <stdlib.h>
#include <string.h>

#include "transport/deadline.h"
#include "transport/pack.h"
#include "transport/server.h"

haul_status haul_call_alloc(haul_call *call, uint64_t len, const haul_alloc_opts *opts,
                            haul_buf **out_buf)
{
    if (haul__loan_claim(&call->loan, len, out_buf) == HAUL_OK) {
        return HAUL_OK;
    }
    haul_pool *pool = call->accept_pool;
    if (!pool && call->server->n_pools > 0) {
        pool = call->server->pools[0];
    }
    if (!pool) {
        return HAUL_NOT_FOUND;
    }
    haul_status status = call->stream
                             ? haul__sending_alloc(&call->stream->sending, pool, len, opts, out_buf)
                             : haul_buf_alloc(pool, len, opts, out_buf);
    if (status == HAUL_EXHAUSTED || status == HAUL_TIMEOUT) {
        haul__count(&call->server->counters.n_exhausted);
    }
    return status;
}

static haul__given *given_of(haul_call *call)
{
    return call->given ? call->given : call->given_small;
}

/* Room for one more, so that nothing is given that would not be remembered. */
static haul_status reserve_given(haul_call *call)
{
    const size_t n_small = sizeof(call->given_small) / sizeof(call->given_small[0]);
    if (call->n_given < n_small) {
        return HAUL_OK;
    }
    haul__given *grown = realloc(call->given, (call->n_given + 1) * sizeof(*grown));
    if (!grown) {
        return HAUL_NOMEM;
    }
    if (!call->given) {
        memcpy(grown, call->given_small, sizeof(call->given_small));
    }
    call->given = grown;
    return HAUL_OK;
}

/* Give the buffer to the caller; inline if nobody is there to take it. Takes @buf. */
static haul_status give(haul_call *call, haul_buf *buf, uint64_t len, haul_payload_out *out)
{
    uint64_t until = call->deadline_ns == HAUL__NEVER ? haul__after_ns(call->server->give_ns)
                                                      : call->deadline_ns;
    haul_key key;
    haul_status status = haul_buf_give(buf, len, call->accept_slot, until, &key);
    if (status == HAUL_PEER_GONE || status == HAUL_INVALID) {
        return haul__views_put_inline(&call->answer_views, buf, len,
                                      out); /* a slot that is empty, or none of the pool's */
    }
    if (status != HAUL_OK) {
        haul_buf_release(buf);
        return status;
    }
    haul__given *given = &given_of(call)[call->n_given++];
    *given = (haul__given){.key = key, .pool = call->accept_pool};
    haul_payload_set_key(out, &key, len);
    return HAUL_OK;
}

haul_status haul_call_put(haul_call *call, haul_buf *buf, uint64_t len, haul_payload_out *out)
{
    if (call->stream) {
        return haul__call_stream_put(call, buf, len, out);
    }
    if (!call->accept_pool || haul_buf_pool(buf) != call->accept_pool) {
        return haul__views_put_inline(&call->answer_views, buf, len, out);
    }
    haul_status status = reserve_given(call);
    if (status != HAUL_OK) {
        haul_buf_release(buf);
        return status;
    }
    return give(call, buf, len, out);
}

void haul__call_revoke(haul_call *call, bool all)
{
    for (size_t i = 0; i < call->n_given; i++) {
        const haul__given *given = &given_of(call)[i];
        if (all || !given->in_answer) {
            /* HAUL_STALE: it has been claimed, or has run out. Then it is no longer ours. */
            (void)!haul_pool_revoke(given->pool, &given->key);
        }
    }
    call->n_given = 0;
}

static haul__given *find_given(haul_call *call, const haul_payload *payload)
{
    haul_key key = haul__key_of(payload->key);
    for (size_t i = 0; i < call->n_given; i++) {
        if (memcmp(&given_of(call)[i].key, &key, sizeof(key)) == 0) {
            return &given_of(call)[i];
        }
    }
    return NULL;
}

/* One payload of the response: a key must be one that was put, and once. */
static haul_status check_answer(void *ctx, const haul_payload *payload)
{
    haul_call *call = ctx;
    haul__payload_kind kind;
    haul_status status = haul__payload_inspect(payload, &kind);
    if (status != HAUL_OK) {
        return status;
    }
    if (kind == HAUL__PAYLOAD_KEY) {
        haul__given *given = find_given(call, payload);
        if (!given || given->in_answer) {
            return HAUL_INVALID;
        }
        given->in_answer = true;
    }
    haul__tally_add(&call->answer_tally, kind, payload->length);
    return HAUL_OK;
}

static haul_status pack_message(haul_call *call, const ProtobufCMessage *response)
{
    const haul__pack_from from = {.views = {&call->answer_views, &call->request_views},
                                  .pins = &call->server->pins,
                                  .place = call->server->place,
                                  .max_bytes = call->server->max_send_bytes};
    const haul__plan *root = call->method->output.root;
    haul_status status = root ? haul__plan_walk(root, response, check_answer, call) : HAUL_OK;
    return status == HAUL_OK ? haul__pack(response, &from, &call->answer_bytes) : status;
}

static haul_status pack_answer(haul_call *call, const ProtobufCMessage *response)
{
    haul__place *place = call->server->place;
    if (!response || response->descriptor != call->method->output.type ||
        !protobuf_c_message_check(response)) {
        return HAUL_INVALID;
    }
    haul__rewrite rewrite;
    void *block = haul__block_take(place);
    haul__arena_init(&rewrite.arena, _Alignof(max_align_t), block, HAUL__BLOCK_BYTES);
    haul_status status = haul__call_move_payloads(call, response, &rewrite, &response);
    if (status == HAUL_OK) {
        status = pack_message(call, response);
    }
    haul__rewrite_fini(&rewrite);
    haul__block_give_back(place, block);
    return status;
}

static grpc_metadata metadata(const char *key, grpc_slice value)
{
    return (grpc_metadata){.key = grpc_slice_from_static_string(key), .value = value};
}

haul_status haul_call_add_metadata(haul_call *call, haul_metadata_when when,
                                   const haul_metadata *md)
{
    bool late = call->stream && when == HAUL_METADATA_INITIAL && call->stream->initial_sent;
    if (atomic_load(&call->answered) || late || !md ||
        (when != HAUL_METADATA_INITIAL && when != HAUL_METADATA_TRAILING)) {
        return HAUL_INVALID;
    }
    return haul__metadata_add(&call->answer_metadata[when], md);
}

/* What Shorthaul tells the client beside status and response. @out has room for three. */
static size_t own_metadata(const haul_call *call, grpc_metadata *out)
{
    const haul__method *method = call->method;
    size_t n = 0;
    if (!method->input.root && !method->output.root) {
        return 0;
    }
    const char *paths = haul__path_metadata(haul__tally_path(&call->request_tally),
                                            haul__tally_path(&call->answer_tally));
    out[n++] = metadata(HAUL__MD_PATH, grpc_slice_from_static_string(paths));
    /* Short enough to be stored in the slice itself. */
    out[n++] = metadata(HAUL__MD_LANE, grpc_slice_from_copied_string(call->server->lane_text));
    if (call->key_refused) {
        out[n++] = metadata(HAUL__MD_REFUSED, grpc_slice_from_static_string("key"));
    }
    return n;
}

void haul__call_initial_metadata(haul_call *call, grpc_op *out_op)
{
    const haul__metadata_list *list = &call->answer_metadata[HAUL_METADATA_INITIAL];
    *out_op = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    out_op->data.send_initial_metadata.metadata = list->items;
    out_op->data.send_initial_metadata.count = list->n;
}

void haul__call_trailing_metadata(haul_call *call, grpc_metadata ours[HAUL__METADATA_SPARE],
                                  struct grpc_op_send_status_from_server *out)
{
    haul__metadata_list *list = &call->answer_metadata[HAUL_METADATA_TRAILING];
    grpc_metadata *items = list->n > 0 ? list->items : ours;
    out->trailing_metadata = items;
    out->trailing_metadata_count = list->n + own_metadata(call, items + list->n);
}

static bool on_sent(haul__tag *tag, bool ok)
{
    haul_call *call = HAUL__CONTAINER_OF(tag, haul_call, on_sent);
    call->sent = ok;
    haul__unread_leave(call);
    if (call->closes_with_answer && call->closed_early) {
        atomic_store(&call->cancelled, true);
    }
    haul__call_unref(call);
    return true;
}

/* The one batch that ends the call on the wire. Most calls have nobody watching for their end yet;
 * then the batch does that too, which saves one of its own. */
static void send_answer(haul_call *call, grpc_status_code code, grpc_slice *text)
{
    if (call->carried.carrier) {
        haul__carrier_answer(call, code, text);
        return;
    }
    grpc_metadata ours[HAUL__METADATA_SPARE];
    grpc_op ops[4] = {0};
    haul__call_initial_metadata(call, &ops[0]);
    size_t n = 1;
    if (call->answer_bytes) {
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = call->answer_bytes;
    }
    ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[n].data.send_status_from_server.status = code;
    ops[n].data.send_status_from_server.status_details = text;
    haul__call_trailing_metadata(call, ours, &ops[n++].data.send_status_from_server);

    call->closes_with_answer = !atomic_exchange(&call->watched, true);
    if (call->closes_with_answer) {
        ops[n].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
        ops[n++].data.recv_close_on_server.cancelled = &call->closed_early;
    }
    atomic_fetch_add(&call->refs, 1);
    haul__tag_post(&call->on_sent, on_sent);
    if (grpc_call_start_batch(call->grpc, ops, n, &call->on_sent, NULL) != GRPC_CALL_OK) {
        haul__unread_leave(call);
        haul__call_unref(call);
    }
}

/* The request goes after the answer has been handed to gRPC, so that the caller need not wait for
 * it; its views go before, so that he finds his buffers free. */
static void finish(haul_call *call, grpc_status_code code, const char *text)
{
    haul__count_call(&call->server->counters, code == GRPC_STATUS_OK, &call->request_tally,
                     &call->answer_tally);
    haul__views_fini(&call->request_views);
    haul__views_fini(&call->answer_views);
    grpc_slice slice;
    if (text) {
        slice = grpc_slice_from_copied_string(text);
    }
    send_answer(call, code, text ? &slice : NULL);
    if (text) {
        grpc_slice_unref(slice);
    }
    haul__unpacked_free(call->request);
    call->request = NULL;
    haul__call_unref(call);
}

void haul__call_respond(const ProtobufCMessage *response, void *closure_data)
{
    haul_call *call = closure_data;
    if (atomic_exchange(&call->answered, true)) {
        return;
    }
    haul_status status = pack_answer(call, response);
    if (status == HAUL_OK && haul__unread_enter(call)) {
        finish(call, GRPC_STATUS_OK, NULL);
        return;
    }
    bool is_full = status == HAUL_OK;
    grpc_byte_buffer_destroy(call->answer_bytes);
    call->answer_bytes = NULL;
    haul__call_revoke(call, true);
    call->answer_tally = (haul__tally){0};
    if (is_full) {
        finish(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "too many answers have not been read yet");
    } else if (status == HAUL_TOO_BIG || status == HAUL_NOMEM) {
        finish(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "the response cannot be sent");
    } else {
        finish(call, GRPC_STATUS_INTERNAL, "the handler's response is not valid");
    }
}

void haul_call_fail(haul_call *call, grpc_status_code code, const char *text)
{
    if (call->stream) {
        haul_call_finish(call, code == GRPC_STATUS_OK ? GRPC_STATUS_UNKNOWN : code, text);
        return;
    }
    if (atomic_exchange(&call->answered, true)) {
        return;
    }
    haul__call_revoke(call, true);
    call->answer_tally = (haul__tally){0};
    finish(call, code == GRPC_STATUS_OK ? GRPC_STATUS_UNKNOWN : code, text);
}
