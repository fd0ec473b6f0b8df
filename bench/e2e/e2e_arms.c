/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The arms of the end-to-end benchmark: one call each, by key, inline, through a raw Unix socket,
 * through the C++ stub.
 *
 * Each knows two kinds of work. In the hand-over (@whole false) the bytes lie ready before the
 * clock starts and the server reads two of them. In produce + consume (@whole true) the clock also
 * runs while the sender writes the bytes to where they are sent from, and the server reads them
 * all. Every answer is checked against sums that were made beforehand, and every gRPC call against
 * the path it was meant to take.
 *
 * They run in main()'s thread. A peer that dies fails the arm, and with it the run.
 */
#include "e2e.h"

#include <stdio.h>
#include <string.h>

#include "bench.pb-c.h"

#define TIMEOUT_NS (60 * 1000000000ll)

/* A call over the one channel, of which the sum and the path are checked. */
static bool call_touch(e2e *e, haul_payload *data, bool whole, haul_path path, uint64_t sum)
{
    Bench__V1__TouchRequest request = BENCH__V1__TOUCH_REQUEST__INIT;
    request.data = data;
    request.whole = whole;
    haul_call_opts opts = {.struct_size = sizeof(opts), .timeout_ns = TIMEOUT_NS};
    haul_reply *reply = NULL;
    haul_status status = haul_channel_call(e->channel, &bench__v1__bench_service__descriptor, 0,
                                           &request.base, &opts, &reply);
    if (status != HAUL_OK) {
        (void)fprintf(stderr, "bench_e2e: call: %s\n", haul_status_name(status));
        return false;
    }
    const Bench__V1__TouchResponse *got = (const void *)haul_reply_message(reply);
    bool ok = got != NULL && got->sum == sum && haul_reply_request_path(reply) == path;
    if (!ok) {
        (void)fprintf(stderr, "bench_e2e: gRPC status %d, path %s: %s\n",
                      (int)haul_reply_code(reply), haul_path_name(haul_reply_request_path(reply)),
                      got != NULL ? "a wrong sum or path" : haul_reply_text(reply));
    }
    haul_reply_free(reply);
    return ok;
}

bool e2e_empty(e2e *e, e2e_size *size, bool whole, uint64_t *out_ns)
{
    (void)size;
    uint64_t start_ns = bench_now_ns();
    bool ok = call_touch(e, NULL, whole, HAUL_PATH_NONE, 0);
    *out_ns = bench_now_ns() - start_ns;
    return ok;
}

bool e2e_inline(e2e *e, e2e_size *size, bool whole, uint64_t *out_ns)
{
    const uint8_t *from = whole ? e->message : e->source;
    uint64_t start_ns = bench_now_ns();
    if (whole) {
        memcpy(e->message, e->source, size->n_bytes);
    }
    haul_payload_out out;
    haul_payload_set_inline(&out, from, size->n_bytes);
    bool ok = call_touch(e, &out.payload, whole, HAUL_PATH_INLINE, size->sums[whole]);
    *out_ns = bench_now_ns() - start_ns;
    return ok;
}

static bool produce_and_call(e2e *e, e2e_size *size)
{
    haul_buf *buf = NULL;
    haul_payload_out out;
    if (haul_buf_alloc(e->pool, size->n_bytes, NULL, &buf) != HAUL_OK) {
        return false;
    }
    memcpy(haul_buf_data(buf), e->source, size->n_bytes);
    bool ok = haul_payload_set_buf(&out, buf, size->n_bytes) == HAUL_OK &&
              call_touch(e, &out.payload, true, HAUL_PATH_SHM, size->sums[true]);
    haul_buf_release(buf);
    return ok;
}

bool e2e_key(e2e *e, e2e_size *size, bool whole, uint64_t *out_ns)
{
    uint64_t start_ns = bench_now_ns();
    bool ok = whole ? produce_and_call(e, size)
                    : call_touch(e, &size->by_key.payload, false, HAUL_PATH_SHM, size->sums[false]);
    *out_ns = bench_now_ns() - start_ns;
    return ok;
}

bool e2e_raw_socket(e2e *e, e2e_size *size, bool whole, uint64_t *out_ns)
{
    raw_head head = {.n_bytes = size->n_bytes, .whole = whole};
    const uint8_t *from = whole ? e->message : e->source;
    uint64_t sum = 0;
    uint64_t start_ns = bench_now_ns();
    if (whole) {
        memcpy(e->message, e->source, size->n_bytes);
    }
    bool ok = bench_write_all(e->raw.fd, &head, sizeof(head)) &&
              bench_write_all(e->raw.fd, from, size->n_bytes) &&
              bench_read_all(e->raw.fd, &sum, sizeof(sum));
    *out_ns = bench_now_ns() - start_ns;
    return ok && sum == size->sums[whole];
}

/* The stub's client is a process of its own, which times and reports one call per byte written. */
bool e2e_cpp_stub(e2e *e, e2e_size *size, bool whole, uint64_t *out_ns)
{
    char kind = whole ? 'w' : 'h';
    uint64_t answer[2]; /* nanoseconds, sum */
    if (!bench_write_all(e->cpp_client.fd, &kind, 1) ||
        !bench_read_all(e->cpp_client.fd, answer, sizeof(answer))) {
        (void)fprintf(stderr, "bench_e2e: the C++ client has ended\n");
        return false;
    }
    *out_ns = answer[0];
    return answer[1] == size->sums[whole];
}
