/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* One call each, from a message in memory to the server's answer, which is checked. One thread. */

#include <stdlib.h>

#include "message_bench.h"

enum {
    METHOD_PUT,
    METHOD_PUT_PLAIN,
    METHOD_FETCH
};

static bool call(const message_lab *lab, unsigned method, const ProtobufCMessage *request,
                 bool inline_only, uint64_t lend_bytes, haul_reply **out_reply)
{
    const haul_call_opts opts = {
        .struct_size = sizeof(opts), .inline_only = inline_only, .lend_bytes = lend_bytes};
    haul_status status = haul_channel_call(lab->channel, &bench__v1__table_service__descriptor,
                                           method, request, &opts, out_reply);
    return status == HAUL_OK && haul_reply_code(*out_reply) == GRPC_STATUS_OK;
}

static bool put(const message_lab *lab, unsigned method, const ProtobufCMessage *request,
                bool inline_only, haul_path wanted_path)
{
    haul_reply *reply = NULL;
    bool ok = call(lab, method, request, inline_only, 0, &reply);
    if (ok) {
        const Bench__V1__PutResponse *response =
            (const Bench__V1__PutResponse *)haul_reply_message(reply);
        ok = response->sum == lab->wanted && haul_reply_request_path(reply) == wanted_path;
    }
    haul_reply_free(reply);
    return ok;
}

/* Serialised into the pool, by key, large fields left in place. */
static bool run_pool(const message_lab *lab)
{
    haul_buf *buf;
    uint64_t len;
    haul_payload_out out;
    if (haul_message_pack(lab->pool, &lab->table->base, NULL, &buf, &len) != HAUL_OK) {
        return false;
    }
    bool ok = haul_payload_set_buf(&out, buf, len) == HAUL_OK;
    if (ok) {
        Bench__V1__PutRequest request = BENCH__V1__PUT_REQUEST__INIT;
        request.table = &out.payload;
        ok = put(lab, METHOD_PUT, &request.base, false, HAUL_PATH_SHM);
    }
    haul_buf_release(buf);
    return ok;
}

/* Serialised by protobuf-c, inline, unpacked by protobuf-c. */
static bool run_inline(const message_lab *lab)
{
    size_t n = protobuf_c_message_get_packed_size(&lab->table->base);
    uint8_t *bytes = malloc(n);
    if (!bytes) {
        return false;
    }
    (void)protobuf_c_message_pack(&lab->table->base, bytes);
    haul_payload_out out;
    haul_payload_set_inline(&out, bytes, n);
    Bench__V1__PutRequest request = BENCH__V1__PUT_REQUEST__INIT;
    request.table = &out.payload;
    bool ok = put(lab, METHOD_PUT, &request.base, true, HAUL_PATH_INLINE);
    free(bytes);
    return ok;
}

/* A field of the request like any other: plain gRPC. */
static bool run_plain(const message_lab *lab)
{
    Bench__V1__PutPlainRequest request = BENCH__V1__PUT_PLAIN_REQUEST__INIT;
    request.table = (Bench__V1__Table *)lab->table;
    return put(lab, METHOD_PUT_PLAIN, &request.base, false, HAUL_PATH_NONE);
}

static bool fetch(const message_lab *lab, uint64_t lend_bytes)
{
    haul_reply *reply = NULL;
    haul_view view = {0};
    Bench__V1__FetchRequest request = BENCH__V1__FETCH_REQUEST__INIT;
    request.size = lab->fetch_bytes;
    bool ok = call(lab, METHOD_FETCH, &request.base, false, lend_bytes, &reply);
    if (ok) {
        const Bench__V1__FetchResponse *response =
            (const Bench__V1__FetchResponse *)haul_reply_message(reply);
        ok = haul_reply_path(reply) == HAUL_PATH_SHM &&
             haul_reply_view(reply, response->data, &view) == HAUL_OK && view.data[0] == 1;
    }
    haul_reply_free(reply);
    return ok;
}

static bool run_fetch(const message_lab *lab)
{
    return fetch(lab, 0);
}

static bool run_fetch_lent(const message_lab *lab)
{
    return fetch(lab, lab->fetch_bytes);
}

const message_arm message_arms[] = {
    {.name = "message_pool", .run = run_pool},
    {.name = "message_inline", .run = run_inline},
    {.name = "message_plain", .run = run_plain},
    {.name = "answer_servers_buffer", .fetches = true, .run = run_fetch},
    {.name = "answer_lent_buffer", .fetches = true, .run = run_fetch_lent},
};

const size_t n_message_arms = sizeof(message_arms) / sizeof(message_arms[0]);
