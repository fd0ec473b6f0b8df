/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Bounds on messages and metadata, of both sides and in both directions, and waiting for a server.
 * What is beyond a bound gets RESOURCE_EXHAUSTED; the connection stays, which the caller's port
 * tells, and payloads by key are no part of a message's size.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport_raw.h"
#include "transport_test.h"

#define BOUND 10000
#define LARGE 20000

static void *call_hold(void *arg)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_HOLD;
    return test_exchange(arg, &request, NULL);
}

/* The address that the server sees calls of the pair's channel come from. */
static void source_of(test_pair *pair, char *out, size_t size)
{
    const haul_peer *peer;
    pthread_t thread;
    void *reply;
    assert_int_equal(pthread_create(&thread, NULL, call_hold, pair), 0);
    test_service_wait_held(&pair->service);
    assert_ok(haul_call_peer(pair->service.held, &peer));
    (void)snprintf(out, size, "%s", peer->address);
    test_service_let_go(&pair->service);
    assert_int_equal(pthread_join(thread, &reply), 0);
    haul_reply_free(reply);
}

/* The code of a call that sends and asks for so many bytes inline. */
static grpc_status_code move(test_pair *pair, size_t request_bytes, size_t answer_bytes)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .inline_only = true};
    uint8_t *bytes = calloc(1, request_bytes + 1);
    haul_payload_out out;
    assert_non_null(bytes);
    haul_payload_set_inline(&out, bytes, request_bytes);
    request.data = &out.payload;
    request.mode = HAUL__TEST__MODE__MODE_PUT;
    request.size = answer_bytes;
    haul_reply *reply = test_exchange(pair, &request, &opts);
    grpc_status_code code = haul_reply_code(reply);
    haul_reply_free(reply);
    free(bytes);
    return code;
}

/* Large requests and large answers, of which some are too large; a handler runs for those requests
 * that come through. */
static void try_bounds(const test_pair_opts *opts, bool requests_pass, bool answers_pass)
{
    char before[128];
    char after[128];
    test_pair pair;
    test_pair_open(&pair, opts);
    source_of(&pair, before, sizeof(before));
    unsigned n = test_service_entered(&pair.service);
    assert_int_equal(move(&pair, LARGE, 10),
                     requests_pass ? GRPC_STATUS_OK : GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(test_service_entered(&pair.service), n + requests_pass);
    n = test_service_entered(&pair.service);
    assert_int_equal(move(&pair, 10, LARGE),
                     answers_pass ? GRPC_STATUS_OK : GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(test_service_entered(&pair.service), n + 1);
    assert_int_equal(move(&pair, BOUND - 100, BOUND - 100), GRPC_STATUS_OK);

    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LARGE, 1, &out);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    haul_reply *reply = test_exchange(&pair, &request, NULL);
    assert_true(test_response(reply)->sums[0] == test_payload_sum(LARGE, 1));
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_SHM);
    haul_reply_free(reply);
    haul_buf_release(buf);

    source_of(&pair, after, sizeof(after));
    assert_string_equal(before, after);
    test_pair_close(&pair);
}

static void what_both_sides_receive(void **state)
{
    (void)state;
    const test_pair_opts opts = {.tcp = true, .max_message_bytes = BOUND};
    try_bounds(&opts, false, false);
}

static void what_a_client_sends(void **state)
{
    (void)state;
    const haul_channel_opts channel = {.max_send_bytes = BOUND};
    const test_pair_opts opts = {.tcp = true, .channel = &channel};
    try_bounds(&opts, false, true);
}

static void what_a_server_sends(void **state)
{
    (void)state;
    const haul_server_opts server = {.max_send_bytes = BOUND};
    const test_pair_opts opts = {.tcp = true, .server = &server};
    try_bounds(&opts, true, false);
}

/* A call with @n bytes of metadata. */
static grpc_status_code send_metadata(const test_pair *pair, size_t n)
{
    char *value = malloc(n + 1);
    assert_non_null(value);
    memset(value, 'a', n);
    value[n] = '\0';
    const raw_request request = {
        .address = pair->address, .path = RAW_EXCHANGE, .bytes = "", .accept = value};
    raw_answer answer;
    raw_call(&request, &answer);
    free(value);
    return answer.code;
}

static void metadata_of_requests(void **state)
{
    (void)state;
    const haul_server_opts server = {.max_metadata_bytes = 40000};
    const test_pair_opts generous = {.server = &server};
    test_pair pair;
    test_pair_open(&pair, NULL);
    assert_int_equal(send_metadata(&pair, 7000), GRPC_STATUS_OK);
    assert_int_equal(send_metadata(&pair, 9000), GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(send_metadata(&pair, 1000000), GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(test_service_entered(&pair.service), 1);
    assert_int_equal(move(&pair, 10, 10), GRPC_STATUS_OK);
    test_pair_close(&pair);

    test_pair_open(&pair, &generous);
    assert_int_equal(send_metadata(&pair, 38000), GRPC_STATUS_OK);
    assert_int_equal(send_metadata(&pair, 41000), GRPC_STATUS_RESOURCE_EXHAUSTED);
    test_pair_close(&pair);
}

static void metadata_of_answers(void **state)
{
    (void)state;
    const haul_channel_opts channel = {.max_metadata_bytes = 150}; /* less than ours and gRPC's */
    const test_pair_opts opts = {.channel = &channel};
    test_pair pair;
    test_pair_open(&pair, &opts);
    assert_int_equal(move(&pair, 10, 10), GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(test_service_entered(&pair.service), 1);
    test_pair_close(&pair);
}

static void *call_patiently(void *arg)
{
    const Haul__Test__EmptyRequest request = HAUL__TEST__EMPTY_REQUEST__INIT;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .wait_for_ready = true};
    haul_reply *reply = NULL;
    assert_ok(haul_channel_call(arg, &haul__test__test_service__descriptor, 0, &request.base, &opts,
                                &reply));
    return reply;
}

/* A server that is not there yet: those who wait for it are served when it comes. */
static void waiting_for_a_server(void **state)
{
    (void)state;
    test_pair pair;
    pthread_t thread;
    void *reply;
    test_pair_open(&pair, NULL);
    haul_server_destroy(pair.server);
    haul_channel_close(pair.channel);
    assert_ok(haul_channel_open(pair.address, NULL, &pair.channel, NULL));
    assert_int_equal(move(&pair, 10, 10), GRPC_STATUS_UNAVAILABLE);
    assert_int_equal(pthread_create(&thread, NULL, call_patiently, pair.channel), 0);
    const test_pair_opts none = {0};
    pair.server = NULL;
    test_pair_restart_server(&pair, &none);
    assert_int_equal(pthread_join(thread, &reply), 0);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
    haul_reply_free(reply);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_both_sides_receive), cmocka_unit_test(what_a_client_sends),
        cmocka_unit_test(what_a_server_sends),     cmocka_unit_test(metadata_of_requests),
        cmocka_unit_test(metadata_of_answers),     cmocka_unit_test(waiting_for_a_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
