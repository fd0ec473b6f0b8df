/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The arms of the end-to-end benchmark: bursts of calls by key, inline, through a raw Unix socket,
 * through the C++ stub, and the same work without any call.
 *
 * Each knows two kinds of work. In the hand-over (whole false) the bytes lie ready before the clock
 * starts and the server reads two of them. In produce + consume (whole true) the clock also runs
 * while the sender writes the bytes to where they are sent from, and the server reads them all.
 * Every answer is checked against sums that were made beforehand, and every call of ours against
 * the path it was meant to take. No call has a deadline: the baselines have none either.
 *
 * They run in main()'s thread. A peer that dies fails the arm, and with it the run.
 */
#include "e2e.h"

#include <stdio.h>
#include <string.h>

#include "bench.pb-c.h"
#include "order.h"

#define ANY_PATH    (-1)
#define SMALL_BYTES 256

/* A call of which the sum and the path are checked. */
static bool call_touch(haul_channel *channel, haul_payload *data, bool whole, int path,
                       uint64_t sum)
{
    Bench__V1__TouchRequest request = BENCH__V1__TOUCH_REQUEST__INIT;
    request.data = data;
    request.whole = whole;
    /* What is to be timed inline would go by key otherwise. */
    haul_call_opts opts = {.struct_size = sizeof(opts), .inline_only = path == HAUL_PATH_INLINE};
    haul_reply *reply = NULL;
    haul_status status = haul_channel_call(channel, &bench__v1__bench_service__descriptor, 0,
                                           &request.base, &opts, &reply);
    if (status != HAUL_OK) {
        (void)fprintf(stderr, "bench_e2e: call: %s\n", haul_status_name(status));
        return false;
    }
    const Bench__V1__TouchResponse *got = (const void *)haul_reply_message(reply);
    bool ok = got != NULL && got->sum == sum &&
              (path == ANY_PATH || (int)haul_reply_request_path(reply) == path);
    if (!ok) {
        (void)fprintf(stderr, "bench_e2e: gRPC status %d, path %s: %s\n",
                      (int)haul_reply_code(reply), haul_path_name(haul_reply_request_path(reply)),
                      got != NULL ? "a wrong sum or path" : haul_reply_text(reply));
    }
    haul_reply_free(reply);
    return ok;
}

bool e2e_call_empty(e2e *e)
{
    return call_touch(e->channel, NULL, false, HAUL_PATH_NONE, 0);
}

bool e2e_call_small(e2e *e)
{
    haul_payload_out out;
    haul_payload_set_inline(&out, e->source, SMALL_BYTES);
    return call_touch(e->channel, &out.payload, false, HAUL_PATH_INLINE,
                      bench_touch(e->source, SMALL_BYTES, false));
}

bool e2e_call_key(e2e *e, const e2e_size *size)
{
    haul_buf *buf = NULL;
    haul_payload_out out;
    if (haul_buf_alloc(e->pool, size->n_bytes, NULL, &buf) != HAUL_OK) {
        return false;
    }
    uint8_t *data = haul_buf_data(buf);
    data[0] = e->source[0];
    data[size->n_bytes - 1] = e->source[size->n_bytes - 1];
    bool ok = haul_payload_set_buf(&out, buf, size->n_bytes) == HAUL_OK &&
              call_touch(e->channel, &out.payload, false, HAUL_PATH_SHM, size->sums[false]);
    haul_buf_release(buf);
    return ok;
}

static haul_channel *channel_of(const e2e *e, const e2e_arm *arm)
{
    switch (arm->client) {
    case E2E_POLLING:
        return e->polling;
    case E2E_PLAIN:
        return e->plain;
    default:
        return e->channel;
    }
}

bool e2e_empty(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns)
{
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        uint64_t start_ns = bench_now_ns();
        ok = call_touch(channel_of(e, arm), NULL, false, HAUL_PATH_NONE, 0);
        out_ns[i] = bench_now_ns() - start_ns;
    }
    return ok;
}

bool e2e_memory(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns)
{
    const e2e_size *size = arm->size;
    const uint8_t *from = arm->whole ? e->message : e->source;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        uint64_t start_ns = bench_now_ns();
        if (arm->whole) {
            memcpy(e->message, e->source, size->n_bytes);
        }
        haul_payload_out out;
        haul_payload_set_inline(&out, from, size->n_bytes);
        ok = call_touch(channel_of(e, arm), &out.payload, arm->whole, HAUL_PATH_INLINE,
                        size->sums[arm->whole]);
        out_ns[i] = bench_now_ns() - start_ns;
    }
    return ok;
}

static bool produce_and_call(e2e *e, const e2e_arm *arm, int path)
{
    const e2e_size *size = arm->size;
    haul_buf *buf = NULL;
    haul_payload_out out;
    if (haul_buf_alloc(e->pool, size->n_bytes, NULL, &buf) != HAUL_OK) {
        return false;
    }
    memcpy(haul_buf_data(buf), e->source, size->n_bytes);
    bool ok = haul_payload_set_buf(&out, buf, size->n_bytes) == HAUL_OK &&
              call_touch(channel_of(e, arm), &out.payload, true, path, size->sums[true]);
    haul_buf_release(buf);
    return ok;
}

/* The payload lies in the pool. */
static bool from_pool(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns, int path)
{
    e2e_size *size = arm->size;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        uint64_t start_ns = bench_now_ns();
        ok = arm->whole ? produce_and_call(e, arm, path)
                        : call_touch(channel_of(e, arm), &size->by_key.payload, false, path,
                                     size->sums[false]);
        out_ns[i] = bench_now_ns() - start_ns;
    }
    return ok;
}

bool e2e_key(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns)
{
    return from_pool(e, arm, n, out_ns, HAUL_PATH_SHM);
}

bool e2e_inline(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns)
{
    return from_pool(e, arm, n, out_ns, HAUL_PATH_INLINE);
}

/* The payload lies in the pool, and the library decides how it goes. */
bool e2e_default(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns)
{
    return from_pool(e, arm, n, out_ns, ANY_PATH);
}

static bool through_socket(e2e *e, const e2e_size *size, bool whole)
{
    e2e_raw_head head = {.n_bytes = size->n_bytes, .whole = whole};
    const uint8_t *from = whole ? e->message : e->source;
    uint64_t sum = 0;
    if (whole) {
        memcpy(e->message, e->source, size->n_bytes);
    }
    return bench_write_all(e->raw.fd, &head, sizeof(head)) &&
           bench_write_all(e->raw.fd, from, size->n_bytes) &&
           bench_read_all(e->raw.fd, &sum, sizeof(sum)) && sum == size->sums[whole];
}

bool e2e_raw_socket(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns)
{
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        uint64_t start_ns = bench_now_ns();
        ok = through_socket(e, arm->size, arm->whole);
        out_ns[i] = bench_now_ns() - start_ns;
    }
    return ok;
}

/* What producing and consuming costs by itself: no process, no call, the same memory. */
bool e2e_one_process(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns)
{
    const e2e_size *size = arm->size;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        uint64_t start_ns = bench_now_ns();
        uint8_t *data = haul_buf_data(e->scratch);
        memcpy(data, e->source, size->n_bytes);
        ok = bench_touch(data, size->n_bytes, true) == size->sums[true];
        out_ns[i] = bench_now_ns() - start_ns;
    }
    return ok;
}

bool e2e_cpp_stub(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns)
{
    e2e_order order = {.n = n, .kind = arm->whole ? E2E_ORDER_WHOLE : E2E_ORDER_HANDOVER};
    if (arm->size == NULL) {
        order.kind = E2E_ORDER_EMPTY;
    }
    uint64_t wanted = arm->size != NULL ? arm->size->sums[arm->whole] : 0;
    uint64_t sum = 0;
    if (!bench_write_all(e->cpp_client.fd, &order, sizeof(order)) ||
        !bench_read_all(e->cpp_client.fd, &sum, sizeof(sum)) ||
        !bench_read_all(e->cpp_client.fd, out_ns, n * sizeof(*out_ns))) {
        (void)fprintf(stderr, "bench_e2e: the C++ client has ended\n");
        return false;
    }
    return sum == wanted;
}
