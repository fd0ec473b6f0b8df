/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Senders and receivers of streams, on the server and on the client.
 *
 * Each side sends what it is told to and counts what it receives; the sums prove that the bytes
 * arrived. A sender takes its buffers from the pool and waits when the receiver is behind.
 */

#include "stream_roles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "server.h"

enum {
    SINK,
    SOURCE
};

static const haul_alloc_opts wait_for_buffer = {
    .struct_size = sizeof(wait_for_buffer), .policy = 0, .wait_ns = -1};

/* The first and the last byte, so that hand-over is proven and costs next to nothing. */
static void mark(void *data, uint64_t size, bool whole)
{
    uint8_t *bytes = data;
    if (whole) {
        memset(bytes, 3, size);
    }
    bytes[0] = 1;
    bytes[size - 1] = 2;
}

uint64_t load_sum(const load *l)
{
    if (l->size == 0) {
        return 0;
    }
    void *data = malloc(l->size);
    if (!data) {
        return 0;
    }
    mark(data, l->size, l->whole);
    uint64_t one = bench_touch(data, l->size, l->whole);
    free(data);
    return one * l->count;
}

static void read_item(const haul_received *received, load *l)
{
    const Bench__Item *item = (const Bench__Item *)haul_received_message(received);
    haul_view view;
    l->count++;
    if (item->data && haul_received_view(received, item->data, &view) == HAUL_OK) {
        l->sum += bench_touch(view.data, view.len, item->whole);
    }
}

/* ---- Server -------------------------------------------------------------------------------- */

static void sink(haul_call *call, void *ctx)
{
    (void)ctx;
    load got = {0};
    haul_received *received;
    while (haul_call_receive(call, -1, &received) == HAUL_OK) {
        read_item(received, &got);
        haul_received_free(received);
    }
    Bench__Item answer = BENCH__ITEM__INIT;
    answer.count = got.count;
    answer.sum = got.sum;
    (void)!haul_call_send(call, &answer.base);
    haul_call_finish(call, GRPC_STATUS_OK, NULL);
}

static haul_status send_one(haul_call *call, const load *l)
{
    Bench__Item item = BENCH__ITEM__INIT;
    haul_payload_out out;
    haul_buf *buf;
    haul_status status = HAUL_OK;
    item.whole = l->whole;
    if (l->size > 0) {
        status = haul_call_alloc(call, l->size, &wait_for_buffer, &buf);
        if (status == HAUL_OK) {
            mark(haul_buf_data(buf), l->size, l->whole);
            status = haul_call_put(call, buf, l->size, &out);
            item.data = &out.payload;
        }
    }
    return status == HAUL_OK ? haul_call_send(call, &item.base) : status;
}

static void source(haul_call *call, void *ctx)
{
    (void)ctx;
    load l = {0};
    haul_received *received;
    haul_status status = haul_call_receive(call, -1, &received);
    if (status == HAUL_OK) {
        const Bench__Item *item = (const Bench__Item *)haul_received_message(received);
        l = (load){.count = item->count, .size = item->size, .whole = item->whole};
        haul_received_free(received);
    }
    for (uint64_t i = 0; i < l.count && status == HAUL_OK; i++) {
        status = send_one(call, &l);
    }
    haul_call_finish(call, haul_status_to_grpc(status), NULL);
}

static haul_status add_streams(haul_server *server, haul_error *err)
{
    const ProtobufCServiceDescriptor *service = &bench__stream_service__descriptor;
    haul_status status = haul_server_add_stream(server, service, SINK, sink, NULL, err);
    return status == HAUL_OK ? haul_server_add_stream(server, service, SOURCE, source, NULL, err)
                             : status;
}

int serve(const char *pool_name, const char *address)
{
    return bench_be_server("bench_stream", address, pool_name, 0, add_streams);
}

/* ---- Client -------------------------------------------------------------------------------- */

static bool finish(haul_stream *stream, haul_status status)
{
    haul_reply *reply;
    haul_stream_finish(stream, &reply);
    grpc_status_code code = haul_reply_code(reply);
    bool by_key = haul_reply_request_path(reply) != HAUL_PATH_INLINE &&
                  haul_reply_path(reply) != HAUL_PATH_INLINE;
    if (status != HAUL_OK || code != GRPC_STATUS_OK || !by_key) {
        (void)fprintf(stderr, "bench_stream: %s, status %d, %s: %s\n", haul_status_name(status),
                      code, by_key ? "by key" : "inline", haul_reply_text(reply));
        status = status == HAUL_OK ? HAUL_PROTOCOL : status;
    }
    haul_reply_free(reply);
    return status == HAUL_OK;
}

static haul_status send_item(haul_stream *stream, const load *l)
{
    Bench__Item item = BENCH__ITEM__INIT;
    haul_payload_out out;
    haul_buf *buf;
    haul_status status = HAUL_OK;
    item.whole = l->whole;
    if (l->size > 0) {
        status = haul_stream_alloc(stream, l->size, &wait_for_buffer, &buf);
        if (status == HAUL_OK) {
            mark(haul_buf_data(buf), l->size, l->whole);
            status = haul_stream_put(stream, buf, l->size, -1, &out);
            item.data = &out.payload;
        }
    }
    return status == HAUL_OK ? haul_stream_send(stream, &item.base) : status;
}

bool send_load(haul_channel *channel, load *l)
{
    haul_stream *stream;
    haul_received *received = NULL;
    haul_status status =
        haul_channel_stream(channel, &bench__stream_service__descriptor, SINK, NULL, &stream);
    if (status != HAUL_OK) {
        return false;
    }
    for (uint64_t i = 0; i < l->count && status == HAUL_OK; i++) {
        status = send_item(stream, l);
    }
    if (status == HAUL_OK) {
        status = haul_stream_close_send(stream);
    }
    if (status == HAUL_OK) {
        status = haul_stream_receive(stream, -1, &received);
    }
    if (status == HAUL_OK) {
        const Bench__Item *answer = (const Bench__Item *)haul_received_message(received);
        l->sum = answer->count == l->count ? answer->sum : UINT64_MAX;
        haul_received_free(received);
    }
    return finish(stream, status);
}

bool receive_load(haul_channel *channel, load *l)
{
    Bench__Item request = BENCH__ITEM__INIT;
    haul_stream *stream;
    haul_received *received;
    load got = {0};
    haul_status status =
        haul_channel_stream(channel, &bench__stream_service__descriptor, SOURCE, NULL, &stream);
    if (status != HAUL_OK) {
        return false;
    }
    request.count = l->count;
    request.size = l->size;
    request.whole = l->whole;
    status = haul_stream_send(stream, &request.base);
    while (status == HAUL_OK && (status = haul_stream_receive(stream, -1, &received)) == HAUL_OK) {
        read_item(received, &got);
        haul_received_free(received);
    }
    l->sum = got.count == l->count ? got.sum : UINT64_MAX;
    return finish(stream, status == HAUL_END ? HAUL_OK : status);
}
