/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Messages per second of a stream whose payloads go by key: a thousand of 20 MB each, handed over.
 *
 * The client takes a buffer for each message, writes its first and its last byte, and gives it away;
 * the server reads the two and lets go, which makes the buffer free for a later message. The sum of
 * all is checked at the end, so every message has been received. One stream is one sample, from its
 * opening to its end.
 *
 * The client's half runs in main()'s thread, the server's in a thread of the server.
 */
#include "e2e.h"

#include <stdio.h>

#include "bench.pb-c.h"

#define N_MESSAGES        1000
#define N_MESSAGES_SMOKE  20
#define N_STREAMS         15
#define N_STREAMS_SMOKE   2
#define WANTED_PER_SECOND 15000
#define WAIT_NS           10000000000ll /* for a buffer; a receiver that is so late is stuck */

/* ---- Client -------------------------------------------------------------------------------- */

static bool send_one(haul_stream *stream, uint64_t i, uint64_t *sum)
{
    const haul_alloc_opts alloc = {.struct_size = sizeof(alloc), .wait_ns = WAIT_NS};
    haul_buf *buf = NULL;
    if (haul_stream_alloc(stream, E2E_STREAM_BYTES, &alloc, &buf) != HAUL_OK) {
        return false;
    }
    uint8_t *data = haul_buf_data(buf);
    data[0] = (uint8_t)i;
    data[E2E_STREAM_BYTES - 1] = (uint8_t)(i >> 8);
    *sum += bench_touch(data, E2E_STREAM_BYTES, false);
    haul_payload_out out;
    Bench__V1__TouchRequest request = BENCH__V1__TOUCH_REQUEST__INIT;
    request.data = &out.payload;
    return haul_stream_put(stream, buf, E2E_STREAM_BYTES, -1, &out) == HAUL_OK &&
           haul_stream_send(stream, &request.base) == HAUL_OK;
}

/* The server's one answer, which comes after the last message. */
static bool receive_sum(haul_stream *stream, uint64_t sum)
{
    haul_received *received = NULL;
    if (haul_stream_close_send(stream) != HAUL_OK ||
        haul_stream_receive(stream, -1, &received) != HAUL_OK) {
        return false;
    }
    const Bench__V1__TouchResponse *response = (const void *)haul_received_message(received);
    bool ok = response->sum == sum;
    haul_received_free(received);
    return ok;
}

static bool pour(e2e *e, uint64_t n_messages, uint64_t *out_ns)
{
    haul_stream *stream = NULL;
    uint64_t start_ns = bench_now_ns();
    if (haul_channel_stream(e->channel, &bench__v1__bench_stream_service__descriptor, 0, NULL,
                            &stream) != HAUL_OK) {
        return false;
    }
    uint64_t sum = 0;
    bool ok = true;
    for (uint64_t i = 0; ok && i < n_messages; i++) {
        ok = send_one(stream, i, &sum);
    }
    ok = ok && receive_sum(stream, sum);
    haul_reply *reply = NULL;
    haul_stream_finish(stream, &reply);
    *out_ns = bench_now_ns() - start_ns;
    if (!ok || haul_reply_code(reply) != GRPC_STATUS_OK ||
        haul_reply_request_path(reply) != HAUL_PATH_SHM) {
        (void)fprintf(stderr, "bench_e2e: stream: gRPC status %d, path %s: %s\n",
                      (int)haul_reply_code(reply), haul_path_name(haul_reply_request_path(reply)),
                      haul_reply_text(reply));
        ok = false;
    }
    haul_reply_free(reply);
    return ok;
}

static void print(bench_samples *rates, uint64_t n_messages)
{
    double rate = bench_samples_percentile(rates, 50);
    (void)printf("{\"name\": \"stream_20MB\", \"path\": \"shm\", \"bytes\": %llu, "
                 "\"messages\": %llu, \"messages_per_s\": %.0f, \"n\": %zu, ",
                 (unsigned long long)E2E_STREAM_BYTES, (unsigned long long)n_messages, rate,
                 rates->n);
    bench_print_facts();
    (void)puts("}");
    e2e_print_target(
        &(e2e_target){.name = "stream_messages_per_s", .value = rate, .wanted = WANTED_PER_SECOND});
}

bool e2e_measure_stream(e2e *e, bool smoke)
{
    uint64_t n_messages = smoke ? N_MESSAGES_SMOKE : N_MESSAGES;
    size_t n_streams = smoke ? N_STREAMS_SMOKE : N_STREAMS;
    bench_samples rates;
    uint64_t ns = 0;
    /* The first one maps the buffers, and is not counted. */
    bool ok = bench_samples_init(&rates, n_streams) && pour(e, n_messages, &ns);
    for (size_t i = 0; ok && i < n_streams; i++) {
        ok = !bench_interrupted() && pour(e, n_messages, &ns);
        bench_samples_add(&rates, (double)n_messages * 1e9 / (double)ns);
    }
    if (ok) {
        print(&rates, n_messages);
    }
    bench_samples_fini(&rates);
    return ok;
}

/* ---- Server -------------------------------------------------------------------------------- */

void e2e_be_poured(haul_call *call, void *ctx)
{
    (void)ctx;
    uint64_t sum = 0;
    haul_received *received = NULL;
    haul_status status = haul_call_receive(call, -1, &received);
    while (status == HAUL_OK) {
        const Bench__V1__TouchRequest *request = (const void *)haul_received_message(received);
        haul_view view = {0};
        status = haul_received_view(received, request->data, &view);
        if (status == HAUL_OK) {
            sum += bench_touch(view.data, view.len, request->whole);
        }
        haul_received_free(received);
        status = status == HAUL_OK ? haul_call_receive(call, -1, &received) : status;
    }
    Bench__V1__TouchResponse response = BENCH__V1__TOUCH_RESPONSE__INIT;
    response.sum = sum;
    bool ok = status == HAUL_END && haul_call_send(call, &response.base) == HAUL_OK;
    haul_call_finish(call, ok ? GRPC_STATUS_OK : GRPC_STATUS_INTERNAL, NULL);
}
