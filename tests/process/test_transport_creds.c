/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Credentials: who may talk to whom, and what a handler learns of its caller. Whoever is turned
 * away gets UNAVAILABLE, and the server goes on serving those who are welcome. Payloads go by key
 * whatever protects the connection.
 */

#include <stdio.h>
#include <string.h>

#include "creds_test.h"
#include "transport_test.h"

#define LEN 50000

/* Takes both. */
static void open_pair(test_pair *pair, bool tcp, haul_credentials *server, haul_credentials *client)
{
    const test_pair_opts opts = {
        .tcp = tcp, .server_credentials = server, .client_credentials = client};
    test_pair_open(pair, &opts);
    haul_credentials_destroy(server);
    haul_credentials_destroy(client);
}

/* A payload there and back. */
static void assert_moves(test_pair *pair, bool inline_only)
{
    haul_payload_out out;
    haul_buf *buf = test_payload(pair->client_pool, LEN, 1, &out);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_PUT;
    request.size = LEN;
    request.data = &out.payload;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .inline_only = inline_only};
    haul_path expected = inline_only ? HAUL_PATH_INLINE : HAUL_PATH_SHM;
    haul_reply *reply = test_exchange(pair, &request, &opts);
    const Haul__Test__ExchangeResponse *response = test_response(reply);
    assert_true(response->sums[0] == test_payload_sum(LEN, 1));
    assert_int_equal(haul_reply_request_path(reply), expected);
    assert_int_equal(haul_reply_path(reply), expected);
    haul_view view;
    assert_ok(haul_reply_view(reply, response->data, &view));
    assert_true(test_sum(view.data, view.len) == test_payload_sum(LEN, 7));
    haul_reply_free(reply);
    haul_buf_release(buf);
}

static haul_channel *open_channel(const test_pair *pair, haul_credentials *credentials)
{
    const haul_channel_opts opts = {.struct_size = sizeof(opts), .credentials = credentials};
    haul_channel *channel = NULL;
    assert_ok(haul_channel_open(pair->address, &opts, &channel, NULL));
    haul_credentials_destroy(credentials);
    return channel;
}

static grpc_status_code try_call(haul_channel *channel)
{
    const Haul__Test__EmptyRequest request = HAUL__TEST__EMPTY_REQUEST__INIT;
    haul_reply *reply = NULL;
    assert_ok(haul_channel_call(channel, &haul__test__test_service__descriptor, 0, &request.base,
                                NULL, &reply));
    grpc_status_code code = haul_reply_code(reply);
    haul_reply_free(reply);
    return code;
}

/* A channel with these credentials (taken) gets nowhere; NULL: an insecure one. */
static void assert_turned_away(const test_pair *pair, haul_credentials *credentials)
{
    haul_channel *channel = open_channel(pair, credentials);
    assert_int_equal(try_call(channel), GRPC_STATUS_UNAVAILABLE);
    haul_channel_close(channel);
}

/* Make a call that the handler holds, and read who made it. */
typedef struct held_call {
    test_pair *pair;
    pthread_t thread;
} held_call;

static void *call_hold(void *arg)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_HOLD;
    return test_exchange(arg, &request, NULL);
}

static const haul_peer *hold(held_call *h, test_pair *pair)
{
    const haul_peer *peer = NULL;
    const haul_peer *again = NULL;
    h->pair = pair;
    assert_int_equal(pthread_create(&h->thread, NULL, call_hold, pair), 0);
    test_service_wait_held(&pair->service);
    assert_ok(haul_call_peer(pair->service.held, &peer));
    assert_ok(haul_call_peer(pair->service.held, &again));
    assert_ptr_equal(peer, again);
    return peer;
}

static void let_go(held_call *h)
{
    void *reply;
    test_service_let_go(&h->pair->service);
    assert_int_equal(pthread_join(h->thread, &reply), 0);
    (void)test_response(reply);
    haul_reply_free(reply);
}

static void tls(bool tcp)
{
    test_pair pair;
    held_call held;
    open_pair(&pair, tcp, test_tls_server(&certs.server, HAUL_TLS_CLIENT_ANY),
              test_tls_client(&certs.ca, NULL, NULL));
    assert_moves(&pair, false);
    assert_moves(&pair, true);
    const haul_peer *peer = hold(&held, &pair);
    assert_int_equal(peer->security, HAUL_SECURITY_TLS);
    assert_null(peer->common_name);
    assert_int_equal(peer->n_alt_names, 0);
    let_go(&held);
    test_pair_close(&pair);
}

static void tls_over_unix(void **state)
{
    (void)state;
    tls(false);
}

static void tls_over_tcp(void **state)
{
    (void)state;
    tls(true);
}

static void insecure_peers_have_an_address_only(void **state)
{
    (void)state;
    test_pair pair;
    held_call held;
    open_pair(&pair, true, NULL, NULL);
    const haul_peer *peer = hold(&held, &pair);
    assert_memory_equal(peer->address, "ipv4:127.0.0.1:", 15);
    assert_int_equal(peer->security, HAUL_SECURITY_NONE);
    assert_null(peer->common_name);
    assert_int_equal(peer->n_alt_names, 0);
    let_go(&held);
    test_pair_close(&pair);
}

static void mutual_tls_tells_who_calls(void **state)
{
    (void)state;
    test_pair pair;
    held_call held;
    open_pair(&pair, false, test_tls_server(&certs.server, HAUL_TLS_CLIENT_REQUIRED),
              test_tls_client(&certs.ca, &certs.client, NULL));
    assert_moves(&pair, false);
    const haul_peer *peer = hold(&held, &pair);
    assert_memory_equal(peer->address, "unix:", 5);
    assert_int_equal(peer->security, HAUL_SECURITY_TLS);
    assert_string_equal(peer->common_name, "camera 7");
    assert_int_equal(peer->n_alt_names, 2);
    assert_string_equal(peer->alt_names[0], "camera7.test");
    assert_string_equal(peer->alt_names[1], "spiffe://test/camera/7");
    let_go(&held);
    test_pair_close(&pair);
}

/* A CA that lets a NUL byte pass must not make one name look like another. */
static void a_name_with_a_nul_is_no_name(void **state)
{
    (void)state;
    static const char name[] = "admin\0.example";
    const test_cert_opts opts = {.common_name = name, .common_name_bytes = sizeof(name) - 1};
    test_cert cert;
    test_pair pair;
    held_call held;
    test_cert_make(&cert, &certs.ca, &opts);
    open_pair(&pair, false, test_tls_server(&certs.server, HAUL_TLS_CLIENT_REQUIRED),
              test_tls_client(&certs.ca, &cert, NULL));
    const haul_peer *peer = hold(&held, &pair);
    assert_int_equal(peer->security, HAUL_SECURITY_TLS);
    assert_null(peer->common_name);
    let_go(&held);
    test_pair_close(&pair);
    test_cert_free(&cert);
}

static void clients_that_are_not_welcome(void **state)
{
    (void)state;
    const test_cert_opts late = {.common_name = "camera 7", .expired = true};
    const test_cert_opts plain = {.common_name = "camera 7"};
    test_cert expired;
    test_cert foreign;
    test_pair pair;
    test_cert_make(&expired, &certs.ca, &late);
    test_cert_make(&foreign, &certs.other_ca, &plain);
    open_pair(&pair, false, test_tls_server(&certs.server, HAUL_TLS_CLIENT_REQUIRED),
              test_tls_client(&certs.ca, &certs.client, NULL));
    assert_turned_away(&pair, test_tls_client(&certs.ca, NULL, NULL));
    assert_turned_away(&pair, test_tls_client(&certs.ca, &expired, NULL));
    assert_turned_away(&pair, test_tls_client(&certs.ca, &foreign, NULL));
    assert_turned_away(&pair, NULL);
    assert_int_equal(test_service_entered(&pair.service), 0);
    assert_moves(&pair, false);
    test_pair_close(&pair);
    test_cert_free(&expired);
    test_cert_free(&foreign);
}

static void a_certificate_that_may_be_missing_must_be_good(void **state)
{
    (void)state;
    const test_cert_opts plain = {.common_name = "camera 7"};
    test_cert foreign;
    test_pair pair;
    held_call held;
    test_cert_make(&foreign, &certs.other_ca, &plain);
    open_pair(&pair, false, test_tls_server(&certs.server, HAUL_TLS_CLIENT_OPTIONAL),
              test_tls_client(&certs.ca, NULL, NULL));
    const haul_peer *peer = hold(&held, &pair);
    assert_int_equal(peer->security, HAUL_SECURITY_TLS);
    assert_null(peer->common_name);
    let_go(&held);
    assert_turned_away(&pair, test_tls_client(&certs.ca, &foreign, NULL));
    haul_channel *known = open_channel(&pair, test_tls_client(&certs.ca, &certs.client, NULL));
    assert_int_equal(try_call(known), GRPC_STATUS_OK);
    haul_channel_close(known);
    test_pair_close(&pair);
    test_cert_free(&foreign);
}

static void servers_that_are_not_trusted(void **state)
{
    (void)state;
    test_pair pair;
    open_pair(&pair, false, test_tls_server(&certs.server, HAUL_TLS_CLIENT_ANY),
              test_tls_client(&certs.ca, NULL, NULL));
    assert_turned_away(&pair, test_tls_client(&certs.other_ca, NULL, NULL));
    assert_turned_away(&pair, test_tls_client(&certs.ca, NULL, "elsewhere.test"));
    assert_moves(&pair, false);
    test_pair_close(&pair);

    const test_cert_opts late = {
        .common_name = "server", .alt_names = "DNS:localhost", .expired = true};
    test_cert expired;
    test_cert_make(&expired, &certs.ca, &late);
    open_pair(&pair, false, test_tls_server(&expired, HAUL_TLS_CLIENT_ANY),
              test_tls_client(&certs.ca, NULL, NULL));
    assert_int_equal(try_call(pair.channel), GRPC_STATUS_UNAVAILABLE);
    test_pair_close(&pair);

    open_pair(&pair, false, NULL,
              test_tls_client(&certs.ca, NULL, NULL)); /* a server without TLS */
    assert_int_equal(try_call(pair.channel), GRPC_STATUS_UNAVAILABLE);
    assert_int_equal(test_service_entered(&pair.service), 0);
    test_pair_close(&pair);
    test_cert_free(&expired);
}

/* Made out to a name that the address does not have. */
static void a_server_by_another_name(void **state)
{
    (void)state;
    const test_cert_opts named = {.common_name = "server", .alt_names = "DNS:store.test"};
    test_cert cert;
    test_pair pair;
    test_cert_make(&cert, &certs.ca, &named);
    open_pair(&pair, true, test_tls_server(&cert, HAUL_TLS_CLIENT_ANY),
              test_tls_client(&certs.ca, NULL, "store.test"));
    assert_moves(&pair, false);
    assert_turned_away(&pair, test_tls_client(&certs.ca, NULL, NULL));
    test_pair_close(&pair);
    test_cert_free(&cert);
}

static void local_credentials(void **state)
{
    (void)state;
    haul_credentials *server = NULL;
    haul_credentials *client = NULL;
    test_pair pair;
    held_call held;
    assert_ok(haul_credentials_local(&server, NULL));
    assert_ok(haul_credentials_local(&client, NULL));
    open_pair(&pair, false, server, client);
    assert_moves(&pair, false);
    assert_moves(&pair, true);
    const haul_peer *peer = hold(&held, &pair);
    assert_int_equal(peer->security, HAUL_SECURITY_LOCAL);
    assert_null(peer->common_name);
    let_go(&held);
    test_pair_close(&pair);
}

/* One server, several addresses, each with its own. */
static void an_address_for_each(void **state)
{
    (void)state;
    haul_server *server;
    haul_channel *channel;
    haul_credentials *local = NULL;
    test_service service;
    char address[128];
    char path[100];
    int port = 0;
    test_service_init(&service);
    test_socket_path(path, sizeof(path), "each");
    (void)snprintf(address, sizeof(address), "unix:%s", path);
    assert_ok(haul_server_create(NULL, &server, NULL));
    assert_ok(haul_server_add_service(server, (ProtobufCService *)&service, NULL));
    assert_ok(haul_credentials_local(&local, NULL));
    haul_credentials *secure = test_tls_server(&certs.server, HAUL_TLS_CLIENT_ANY);
    haul_listen_opts opts = {.struct_size = sizeof(opts), .credentials = secure};
    assert_ok(haul_server_listen_with(server, "127.0.0.1:0", &opts, &port, NULL));
    opts.credentials = local;
    opts.socket_mode = 0600;
    assert_ok(haul_server_listen_with(server, address, &opts, NULL, NULL));
    haul_credentials_destroy(secure);
    assert_ok(haul_server_start(server, NULL));

    haul_channel_opts co = {.struct_size = sizeof(co), .credentials = local};
    assert_ok(haul_channel_open(address, &co, &channel, NULL));
    haul_credentials_destroy(local);
    assert_int_equal(try_call(channel), GRPC_STATUS_OK);
    haul_channel_close(channel);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    haul_credentials *client = test_tls_client(&certs.ca, NULL, NULL);
    co.credentials = client;
    assert_ok(haul_channel_open(address, &co, &channel, NULL));
    haul_credentials_destroy(client);
    assert_int_equal(try_call(channel), GRPC_STATUS_OK);
    haul_channel_close(channel);
    haul_server_destroy(server);
    test_service_fini(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_over_unix),
        cmocka_unit_test(tls_over_tcp),
        cmocka_unit_test(insecure_peers_have_an_address_only),
        cmocka_unit_test(mutual_tls_tells_who_calls),
        cmocka_unit_test(a_name_with_a_nul_is_no_name),
        cmocka_unit_test(clients_that_are_not_welcome),
        cmocka_unit_test(a_certificate_that_may_be_missing_must_be_good),
        cmocka_unit_test(servers_that_are_not_trusted),
        cmocka_unit_test(a_server_by_another_name),
        cmocka_unit_test(local_credentials),
        cmocka_unit_test(an_address_for_each),
    };
    return cmocka_run_group_tests(tests, certs_make, certs_free);
}
