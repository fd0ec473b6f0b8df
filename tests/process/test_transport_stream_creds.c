/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Streams over connections that are protected: every kind of stream moves its frames by key and
 * inline as over any other, the handler learns who calls, and whoever is turned away never gets to
 * a handler.
 */

#include <string.h>

#include "creds_test.h"
#include "stream_test.h"

#define LEN 50000

/* How a connection is protected, and what the server's handler then knows of its caller. */
typedef struct terms {
    bool tcp;
    haul_credentials *server;
    haul_credentials *client;
    haul_security security;
    const char *caller;
} terms;

/* Takes both credentials. */
static void open_pair(stream_pair *pair, const terms *t)
{
    const stream_pair_opts opts = {
        .tcp = t->tcp, .server_credentials = t->server, .client_credentials = t->client};
    stream_pair_open(pair, &opts);
    haul_credentials_destroy(t->server);
    haul_credentials_destroy(t->client);
}

/* Frames that are larger than one record of TLS, so that each is cut and put together again. */
static void chat(stream_pair *pair, const haul_stream_opts *opts, haul_path path)
{
    haul_stream *stream = stream_open(pair, STREAM_CHAT, opts);
    for (unsigned i = 0; i < 20; i++) {
        assert_ok(stream_send(stream, i, LEN - i, (uint8_t)i));
        stream_expect(stream, i, LEN - i, (uint8_t)i, path);
    }
    stream_finish(stream, GRPC_STATUS_OK);
}

static void upload(stream_pair *pair, const haul_stream_opts *opts)
{
    uint64_t sum = 0;
    haul_received *received;
    haul_stream *stream = stream_open(pair, STREAM_UPLOAD, opts);
    for (unsigned i = 0; i < 40; i++) {
        assert_ok(stream_send(stream, i, LEN - i, (uint8_t)i));
        sum += test_payload_sum(LEN - i, (uint8_t)i);
    }
    assert_ok(haul_stream_close_send(stream));
    assert_ok(haul_stream_receive(stream, -1, &received));
    assert_int_equal(stream_frame(received)->number, 40);
    assert_true(stream_frame(received)->sum == sum);
    haul_received_free(received);
    stream_finish(stream, GRPC_STATUS_OK);
}

static void download(stream_pair *pair, const haul_stream_opts *opts, haul_path path)
{
    haul_stream *stream = stream_open(pair, STREAM_DOWNLOAD, opts);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_ECHO, 40, LEN));
    assert_ok(haul_stream_close_send(stream));
    for (unsigned i = 0; i < 40; i++) {
        stream_expect(stream, i, LEN, (uint8_t)i, path);
    }
    assert_status(stream_drop(stream), HAUL_END);
    stream_finish(stream, GRPC_STATUS_OK);
}

static void assert_streams(const terms *t)
{
    stream_pair pair;
    open_pair(&pair, t);
    for (int path = HAUL_PATH_SHM; path <= HAUL_PATH_INLINE; path++) {
        const haul_stream_opts opts = {.struct_size = sizeof(opts),
                                       .inline_only = path == HAUL_PATH_INLINE};
        chat(&pair, &opts, path);
        upload(&pair, &opts);
        download(&pair, &opts, path);
        stream_wait_ended(&pair.service, path == HAUL_PATH_SHM ? 3 : 6);
        assert_int_equal(pair.service.security, t->security);
        assert_string_equal(pair.service.caller, t->caller);
    }
    stream_pair_close(&pair);
}

static void over_tls(void **state)
{
    (void)state;
    for (int tcp = 0; tcp <= 1; tcp++) {
        assert_streams(&(terms){.tcp = tcp,
                                .server = test_tls_server(&certs.server, HAUL_TLS_CLIENT_ANY),
                                .client = test_tls_client(&certs.ca, NULL, NULL),
                                .security = HAUL_SECURITY_TLS,
                                .caller = ""});
    }
}

static terms mutual(void)
{
    return (terms){.server = test_tls_server(&certs.server, HAUL_TLS_CLIENT_REQUIRED),
                   .client = test_tls_client(&certs.ca, &certs.client, NULL),
                   .security = HAUL_SECURITY_TLS,
                   .caller = "camera 7"};
}

static void over_mutual_tls(void **state)
{
    (void)state;
    const terms unix_socket = mutual();
    assert_streams(&unix_socket);
    terms tcp = mutual();
    tcp.tcp = true;
    assert_streams(&tcp);
}

static void over_local_credentials(void **state)
{
    (void)state;
    terms t = {.security = HAUL_SECURITY_LOCAL, .caller = ""};
    assert_ok(haul_credentials_local(&t.server, NULL));
    assert_ok(haul_credentials_local(&t.client, NULL));
    assert_streams(&t);
}

/* A stream on a channel of its own with these credentials, which it takes; NULL: insecure. */
static void assert_turned_away(stream_pair *pair, haul_credentials *credentials)
{
    const haul_channel_opts opts = {
        .struct_size = sizeof(opts), .pool = pair->client_pool, .credentials = credentials};
    haul_channel *welcome = pair->channel;
    assert_ok(haul_channel_open(pair->address, &opts, &pair->channel, NULL));
    haul_credentials_destroy(credentials);
    haul_stream *stream = stream_open(pair, STREAM_CHAT, NULL);
    (void)!stream_send(stream, 0, LEN, 1); /* it may be over before or after */
    assert_status(stream_drop(stream), HAUL_END);
    stream_finish(stream, GRPC_STATUS_UNAVAILABLE);
    haul_channel_close(pair->channel);
    pair->channel = welcome;
}

static void clients_that_are_not_welcome(void **state)
{
    (void)state;
    const test_cert_opts plain = {.common_name = "camera 7"};
    test_cert foreign;
    stream_pair pair;
    const terms t = mutual();
    test_cert_make(&foreign, &certs.other_ca, &plain);
    open_pair(&pair, &t);
    assert_turned_away(&pair, test_tls_client(&certs.ca, NULL, NULL));
    assert_turned_away(&pair, test_tls_client(&certs.ca, &foreign, NULL));
    assert_turned_away(&pair, NULL);
    assert_int_equal(pair.service.n_entered, 0);
    chat(&pair, NULL, HAUL_PATH_SHM);
    stream_pair_close(&pair);
    test_cert_free(&foreign);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_tls),
        cmocka_unit_test(over_mutual_tls),
        cmocka_unit_test(over_local_credentials),
        cmocka_unit_test(clients_that_are_not_welcome),
    };
    return cmocka_run_group_tests(tests, certs_make, certs_free);
}
