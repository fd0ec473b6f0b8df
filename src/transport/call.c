/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A call on the server, up to its handler.
 *
 * gRPC fills a haul_call in; the thread that learns of it unpacks the request, attaches what came
 * by key and runs the handler. What is wrong with a request is answered here, before any handler
 * sees it, in words that repeat nothing of what was sent. The call belongs to whoever answers it,
 * which may be another thread later, and to gRPC's batches; the last of them to finish frees it.
 *
 * If the caller dies meanwhile the handler may go on reading: the attached views hold the buffers.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "transport/deadline.h"
#include "transport/pack.h"
#include "transport/server.h"

haul_call *haul__call_create(haul_server *server, haul__method *method)
{
    _Static_assert(sizeof(haul_call) <= HAUL__BLOCK_BYTES, "a call fits into a block");
    haul_call *call = haul__block_take(server->place);
    if (call) {
        *call = (haul_call){.server = server, .method = method};
        atomic_init(&call->refs, 1);
        grpc_metadata_array_init(&call->metadata);
        grpc_call_details_init(&call->details);
        if (method->stream && haul__call_stream_init(call) != HAUL_OK) {
            haul__call_discard(call);
            return NULL;
        }
    }
    return call;
}

void haul__call_discard(haul_call *call)
{
    haul__call_stream_fini(call);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    haul__block_give_back(call->server->place, call);
}

/* Everything but the struct and what gRPC gave us with it. */
static void release(haul_call *call)
{
    /* Past the deadline gRPC may have sent what the caller no longer waits for. */
    bool lost = !call->sent || atomic_load(&call->cancelled) ||
                (call->n_given > 0 && haul__clock_ns() >= call->deadline_ns);
    haul__call_revoke(call, lost);
    haul__loan_close(&call->loan);
    haul__views_fini(&call->request_views);
    haul__views_fini(&call->answer_views);
    haul__unpacked_free(call->request);
    haul__transfers_free(call->transfers, call->server->place);
    grpc_byte_buffer_destroy(call->answer_bytes);
    grpc_byte_buffer_destroy(call->request_bytes);
    free(call->given);
    free(call->peer);
    haul__metadata_set_fini(&call->metadata_set);
    haul__metadata_list_fini(&call->answer_metadata[HAUL_METADATA_INITIAL]);
    haul__metadata_list_fini(&call->answer_metadata[HAUL_METADATA_TRAILING]);
    if (call->carried.carrier) {
        haul__carrier_leave(call);
    }
    grpc_call_unref(call->grpc);
}

static void end(haul_call *call)
{
    haul_server *server = call->server;
    haul__method *method = call->method;
    bool reuse = atomic_load(&call->reuse);
    release(call);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    if (!reuse) {
        haul__call_stream_fini(call);
        haul__block_give_back(server->place, call);
    } else {
        haul__call_stream *stream = call->stream;
        if (stream) {
            haul__call_stream_reset(stream);
        }
        *call = (haul_call){.server = server, .method = method, .stream = stream};
        atomic_init(&call->refs, 1);
        grpc_metadata_array_init(&call->metadata);
        grpc_call_details_init(&call->details);
        if (haul__server_request(call) != HAUL_OK) {
            haul__call_discard(call);
        }
    }
    haul__server_call_ended(server);
}

void haul__call_unref(haul_call *call)
{
    if (atomic_fetch_sub(&call->refs, 1) == 1) {
        end(call);
    }
}

static void read_accept(haul_call *call, grpc_slice value)
{
    uint64_t pool_id;
    uint32_t slot;
    if (haul__accept_parse(value, &pool_id, &slot)) {
        call->accept_pool = haul__server_pool(call->server, pool_id);
        call->accept_slot = slot;
    }
}

void haul__call_read_metadata(haul_call *call)
{
    if (!call->method->output.root || call->server->n_pools == 0) {
        return;
    }
    for (size_t i = 0; i < call->metadata.count; i++) {
        if (grpc_slice_str_cmp(call->metadata.metadata[i].key, HAUL__MD_ACCEPT) == 0) {
            read_accept(call, call->metadata.metadata[i].value);
        }
    }
    haul__loan_read(&call->loan, call->accept_pool, &call->metadata);
}

static haul_status open_key(haul_call *call, const haul_payload *payload, haul_view *out_view)
{
    haul_key key = haul__key_of(payload->key);
    haul_pool *pool = haul__server_pool(call->server, key.pool_id);
    return pool ? haul_attach(pool, &key, payload->length, out_view) : HAUL_NOT_FOUND;
}

static haul_status refuse(haul_call *call)
{
    call->key_refused = true;
    haul__count(&call->server->counters.n_refused);
    return HAUL_STALE;
}

/* What was sent ahead of the call becomes inline, and is the call's. */
static haul_status open_transfer(haul_call *call, const haul_payload *payload)
{
    haul__transfer *t = haul__data_claim(call->server->data, payload->transfer, payload->length);
    if (!t) {
        return refuse(call);
    }
    t->next = call->transfers;
    call->transfers = t;
    call->n_request_bytes += t->len;
    haul_view view = t->view;
    t->view = (haul_view){0};
    if (!view.data) {
        view = (haul_view){.data = t->room.data, .len = t->len};
    }
    /* The walk is for readers, the message is ours. */
    haul__payload_become_inline((haul_payload *)payload, view.data, t->len);
    haul__tally_add(&call->request_tally, HAUL__PAYLOAD_INLINE, t->len);
    haul__count(&call->server->counters.n_transferred);
    return haul__views_add(&call->request_views, payload, &view);
}

static haul_status open_payload(void *ctx, const haul_payload *payload)
{
    haul_call *call = ctx;
    haul_view view = {0};
    haul__payload_kind kind;
    if (payload->source_case == SHORTHAUL__V1__PAYLOAD__SOURCE_TRANSFER) {
        return open_transfer(call, payload);
    }
    haul_status status = haul__payload_inspect(payload, &kind);
    if (status != HAUL_OK) {
        return status;
    }
    if (kind == HAUL__PAYLOAD_INLINE) {
        haul__unpacked_view(call->request, payload, &view);
    } else if (kind == HAUL__PAYLOAD_KEY) {
        status = open_key(call, payload, &view);
        if (status != HAUL_OK) {
            return refuse(call);
        }
    }
    haul__tally_add(&call->request_tally, kind, payload->length);
    return haul__views_add(&call->request_views, payload, &view);
}

static haul_status open_request(haul_call *call)
{
    const haul__method *method = call->method;
    if (call->request_bytes) {
        call->n_request_bytes = grpc_byte_buffer_length(call->request_bytes);
    }
    haul_status status =
        haul__unpack_into(&method->input, call->request_bytes, call->server->place, &call->request);
    grpc_byte_buffer_destroy(call->request_bytes);
    call->request_bytes = NULL;
    if (status == HAUL_OK && method->input.root && !method->attaches_itself) {
        status = haul__plan_walk(method->input.root, call->request, open_payload, call);
        haul__views_seal(&call->request_views);
    }
    return status;
}

void haul__call_run(haul_call *call)
{
    const haul__method *method = call->method;
    if (!method->service) {
        haul_call_fail(call, GRPC_STATUS_UNIMPLEMENTED, "unknown method");
        return;
    }
    if (call->carried.carrier &&
        haul__metadata_bytes(call->metadata.metadata, call->metadata.count) >
            call->server->max_metadata_bytes) {
        haul_call_fail(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "more metadata than allowed");
        return;
    }
    haul__call_read_metadata(call);
    haul_status status = open_request(call);
    if (status == HAUL_OK) {
        method->service->invoke(method->service, method->index, call->request, haul__call_respond,
                                call);
    } else if (call->key_refused) {
        haul_call_fail(call, GRPC_STATUS_FAILED_PRECONDITION,
                       "a payload cannot be had here by what stands for it");
    } else if (status == HAUL_PROTOCOL) {
        haul_call_fail(call, GRPC_STATUS_INVALID_ARGUMENT, "the request is malformed");
    } else {
        haul_call_fail(call, haul_status_to_grpc(status), "the request cannot be taken");
    }
}

haul_status haul_call_view(haul_call *call, const haul_payload *payload, haul_view *out_view)
{
    return haul__views_find(&call->request_views, payload, out_view);
}

uint64_t haul_call_deadline_ns(const haul_call *call)
{
    return call->deadline_ns;
}

bool haul_call_is_cancelled(haul_call *call)
{
    if (call->stream) {
        return haul__call_stream_is_over(call) || haul__clock_ns() >= call->deadline_ns;
    }
    haul__call_watch(call);
    if (call->carried.conn && haul__direct_is_gone(call->carried.conn)) {
        atomic_store(&call->cancelled, true);
    }
    return atomic_load(&call->cancelled) || haul__clock_ns() >= call->deadline_ns;
}

size_t haul_call_request_bytes(const haul_call *call)
{
    return call->n_request_bytes;
}

haul_status haul_call_metadata(haul_call *call, const char *key, size_t index,
                               haul_metadata *out_metadata)
{
    if (!call->has_metadata_set) {
        haul_status status = haul__metadata_take(&call->metadata, &call->metadata_set);
        if (status != HAUL_OK) {
            return status;
        }
        call->has_metadata_set = true;
    }
    return haul__metadata_find(&call->metadata_set, key, index, out_metadata);
}
