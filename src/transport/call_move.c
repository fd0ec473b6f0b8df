/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Payloads of a response that lie in ordinary memory, and are worth a buffer.
 *
 * A handler that knows nothing of pools answers with bytes of its own. If the caller takes answers by
 * key, those from the threshold on are copied to a buffer, which is given to the caller as if the
 * handler had put it (call_answer.c). Where the pool has none they go inline, and nobody waits for
 * one. Bytes that lie in a buffer already, such as the request's, are not copied again: they go
 * inline from where they are. The handler's response is only read.
 *
 * Runs in the thread that answers. If the process dies the buffers are the caller's or the reaper's.
 */

#include "transport/server.h"

#include "transport/bulk.h"

static bool is_moved(haul_call *call, const haul_payload *payload)
{
    haul__payload_kind kind;
    return haul__payload_inspect(payload, &kind) == HAUL_OK && kind == HAUL__PAYLOAD_INLINE &&
           haul__threshold_passed(&call->server->threshold, call->accept_pool, payload->length) &&
           !haul__views_cover(&call->request_views, payload->inline_.data, payload->length) &&
           !haul__views_cover(&call->answer_views, payload->inline_.data, payload->length);
}

typedef struct moving {
    haul_call *call;
    haul__rewrite *rewrite;
    size_t n; /* payloads to be moved */
} moving;

static haul_status count(void *ctx, const haul_payload *payload)
{
    moving *m = ctx;
    m->n += is_moved(m->call, payload);
    return HAUL_OK;
}

static haul_status move(void *ctx, const haul_payload *original, haul_payload *copy)
{
    const moving *m = ctx;
    haul_call *call = m->call;
    haul_buf *buf;
    if (!is_moved(call, original)) {
        return HAUL_OK;
    }
    haul_payload_out *out =
        haul__arena_take(&m->rewrite->arena, sizeof(*out), _Alignof(max_align_t));
    if (!out) {
        return HAUL_NOMEM;
    }
    haul_status status = haul_call_alloc(call, original->length, NULL, &buf);
    if (status != HAUL_OK) {
        return status > 0 ? HAUL_OK : status;
    }
    haul__bulk_copy(haul_buf_data(buf), original->inline_.data, original->length);
    status = haul_call_put(call, buf, original->length, out);
    if (status != HAUL_OK) {
        return status;
    }
    haul__count(&call->server->counters.n_copied);
    out->payload.base = copy->base; /* with what is unknown in it */
    *copy = out->payload;
    return HAUL_OK;
}

haul_status haul__call_move_payloads(haul_call *call, const ProtobufCMessage *response,
                                     haul__rewrite *rewrite, const ProtobufCMessage **out_response)
{
    const haul__plan *plan = call->method->output.root;
    moving m = {.call = call, .rewrite = rewrite};
    *out_response = response;
    if (!plan || !call->accept_pool) {
        return HAUL_OK;
    }
    haul_status status = haul__plan_walk(plan, response, count, &m);
    if (status != HAUL_OK || m.n == 0) {
        return status;
    }
    ProtobufCMessage *rewritten;
    status = haul__rewrite_message(rewrite, plan, response, move, &m, &rewritten);
    if (status == HAUL_OK) {
        *out_response = rewritten;
    }
    return status;
}
