/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Servers and channels for tests, one pair per test, and the calls between them. */

#include "transport_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void test_socket_path(char *out, size_t size, const char *tag)
{
    const char *dir = getenv("TMPDIR");
    (void)snprintf(out, size, "%s/haul-%s-%ld.sock", dir ? dir : "/tmp", tag, (long)getpid());
}

static void open_server(test_pair *pair, const test_pair_opts *opts)
{
    bool again = pair->address[0] != '\0';
    haul_error err = {0};
    haul_pool *const pools[] = {pair->server_pool};
    haul_server_opts so = {0};
    if (opts->server) {
        so = *opts->server;
    }
    so.struct_size = sizeof(so);
    so.pools = pools;
    so.n_pools = opts->server_without_pool ? 0 : 1;
    so.n_threads = opts->n_threads;
    so.max_message_bytes = opts->max_message_bytes;
    so.give_ns = opts->give_ns;
    if (so.key_threshold_bytes == 0) {
        so.key_threshold_bytes = opts->key_threshold_bytes;
    }
    assert_ok(haul_server_create(&so, &pair->server, &err));
    assert_ok(haul_server_add_service(pair->server, (ProtobufCService *)&pair->service, &err));
    int port = 0;
    const haul_listen_opts lo = {
        .struct_size = sizeof(lo), .socket_mode = 0600, .credentials = opts->server_credentials};
    if (again) {
        assert_ok(haul_server_listen_with(pair->server, pair->address, &lo, NULL, &err));
    } else if (opts->tcp) {
        assert_ok(haul_server_listen_with(pair->server, "127.0.0.1:0", &lo, &port, &err));
        (void)snprintf(pair->address, sizeof(pair->address), "127.0.0.1:%d", port);
    } else {
        char path[100];
        test_socket_path(path, sizeof(path), "pair");
        (void)snprintf(pair->address, sizeof(pair->address), "unix:%s", path);
        assert_ok(haul_server_listen_with(pair->server, pair->address, &lo, NULL, &err));
    }
    assert_ok(haul_server_start(pair->server, &err));
}

void test_pair_open(test_pair *pair, const test_pair_opts *opts)
{
    static const test_pair_opts none = {0};
    opts = opts ? opts : &none;
    *pair = (test_pair){0};
    pair->server_pool =
        opts->large ? test_pool_create_large("transport") : test_pool_create("transport");
    assert_ok(haul_pool_open(haul_pool_name(pair->server_pool), NULL, &pair->client_pool, NULL));
    test_service_init(&pair->service);
    open_server(pair, opts);
    haul_channel_opts co = {0};
    if (opts->channel) {
        co = *opts->channel;
    }
    co.struct_size = sizeof(co);
    co.pool = opts->client_without_pool ? NULL : pair->client_pool;
    co.max_message_bytes = opts->max_message_bytes;
    co.key_threshold_bytes = opts->key_threshold_bytes;
    co.credentials = opts->client_credentials;
    assert_ok(haul_channel_open(pair->address, &co, &pair->channel, NULL));
}

void test_pair_restart_server(test_pair *pair, const test_pair_opts *opts)
{
    haul_server_destroy(pair->server);
    open_server(pair, opts);
}

void test_pair_close(test_pair *pair)
{
    haul_channel_close(pair->channel);
    haul_server_destroy(pair->server);
    test_service_fini(&pair->service);
    assert_audit_clean(pair->client_pool);
    assert_all_free(pair->client_pool);
    haul_pool_close(pair->client_pool);
    test_pool_destroy(pair->server_pool);
}

haul_reply *test_exchange(test_pair *pair, const Haul__Test__ExchangeRequest *request,
                          const haul_call_opts *opts)
{
    haul_reply *reply = NULL;
    assert_ok(haul_channel_call(pair->channel, &haul__test__test_service__descriptor, 1,
                                &request->base, opts, &reply));
    return reply;
}

const Haul__Test__ExchangeResponse *test_response(const haul_reply *reply)
{
    assert_string_equal(haul_reply_text(reply), "");
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
    const ProtobufCMessage *message = haul_reply_message(reply);
    assert_non_null(message);
    assert_ptr_equal(message->descriptor, &haul__test__exchange_response__descriptor);
    return (const Haul__Test__ExchangeResponse *)message;
}

haul_buf *test_payload(haul_pool *pool, uint64_t len, uint8_t seed, haul_payload_out *out)
{
    haul_buf *buf = test_alloc(pool, len);
    test_fill(haul_buf_data(buf), len, seed);
    assert_ok(haul_payload_set_buf(out, buf, len));
    return buf;
}

uint64_t test_payload_sum(uint64_t len, uint8_t seed)
{
    void *bytes = malloc(len ? len : 1);
    assert_non_null(bytes);
    test_fill(bytes, len, seed);
    uint64_t sum = test_sum(bytes, len);
    free(bytes);
    return sum;
}
