/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Credentials: who may talk to whom, and what a handler learns of its caller. Whoever is turned
 * away gets UNAVAILABLE, and the server goes on serving those who are welcome. Payloads go by key
 * whatever protects the connection.
 */

#include <stdio.h>
#include <string.h>

#include "certs.h"
#include "transport_test.h"

#define LEN 50000

/* The certificates of all tests: made once, for making keys takes time. */
static test_cert ca;
static test_cert other_ca;
static test_cert server_cert; /* for "localhost" and 127.0.0.1 */
static test_cert client_cert;

static int make_certs(void **state)
{
    (void)state;
    const test_cert_opts root = {.common_name = "test CA", .ca = true};
    const test_cert_opts server = {.common_name = "server",
                                   .alt_names = "DNS:localhost,IP:127.0.0.1"};
    const test_cert_opts client = {.common_name = "camera 7",
                                   .alt_names = "DNS:camera7.test,URI:spiffe://test/camera/7"};
    test_cert_make(&ca, NULL, &root);
    test_cert_make(&other_ca, NULL, &root);
    test_cert_make(&server_cert, &ca, &server);
    test_cert_make(&client_cert, &ca, &client);
    return 0;
}

static int free_certs(void **state)
{
    (void)state;
    test_cert_free(&ca);
    test_cert_free(&other_ca);
    test_cert_free(&server_cert);
    test_cert_free(&client_cert);
    return 0;
}

static haul_credentials *server_side(const test_cert *cert, haul_tls_client_auth auth)
{
    const haul_tls_server_opts opts = {
        .struct_size = sizeof(opts),
        .cert_pem = cert->cert_pem,
        .key_pem = cert->key_pem,
        .client_ca_pem = auth == HAUL_TLS_CLIENT_ANY ? NULL : ca.cert_pem,
        .client_auth = auth,
    };
    haul_credentials *credentials = NULL;
    assert_ok(haul_credentials_tls_server(&opts, &credentials, NULL));
    return credentials;
}

/* @cert: NULL = none. */
static haul_credentials *client_side(const test_cert *root, const test_cert *cert,
                                     const char *server_name)
{
    const haul_tls_client_opts opts = {
        .struct_size = sizeof(opts),
        .ca_pem = root->cert_pem,
        .cert_pem = cert ? cert->cert_pem : NULL,
        .key_pem = cert ? cert->key_pem : NULL,
        .server_name = server_name,
    };
    haul_credentials *credentials = NULL;
    assert_ok(haul_credentials_tls_client(&opts, &credentials, NULL));
    return credentials;
}

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
    open_pair(&pair, tcp, server_side(&server_cert, HAUL_TLS_CLIENT_ANY),
              client_side(&ca, NULL, NULL));
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
    open_pair(&pair, false, server_side(&server_cert, HAUL_TLS_CLIENT_REQUIRED),
              client_side(&ca, &client_cert, NULL));
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
    test_cert_make(&cert, &ca, &opts);
    open_pair(&pair, false, server_side(&server_cert, HAUL_TLS_CLIENT_REQUIRED),
              client_side(&ca, &cert, NULL));
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
    test_cert_make(&expired, &ca, &late);
    test_cert_make(&foreign, &other_ca, &plain);
    open_pair(&pair, false, server_side(&server_cert, HAUL_TLS_CLIENT_REQUIRED),
              client_side(&ca, &client_cert, NULL));
    assert_turned_away(&pair, client_side(&ca, NULL, NULL));
    assert_turned_away(&pair, client_side(&ca, &expired, NULL));
    assert_turned_away(&pair, client_side(&ca, &foreign, NULL));
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
    test_cert_make(&foreign, &other_ca, &plain);
    open_pair(&pair, false, server_side(&server_cert, HAUL_TLS_CLIENT_OPTIONAL),
              client_side(&ca, NULL, NULL));
    const haul_peer *peer = hold(&held, &pair);
    assert_int_equal(peer->security, HAUL_SECURITY_TLS);
    assert_null(peer->common_name);
    let_go(&held);
    assert_turned_away(&pair, client_side(&ca, &foreign, NULL));
    haul_channel *known = open_channel(&pair, client_side(&ca, &client_cert, NULL));
    assert_int_equal(try_call(known), GRPC_STATUS_OK);
    haul_channel_close(known);
    test_pair_close(&pair);
    test_cert_free(&foreign);
}

static void servers_that_are_not_trusted(void **state)
{
    (void)state;
    test_pair pair;
    open_pair(&pair, false, server_side(&server_cert, HAUL_TLS_CLIENT_ANY),
              client_side(&ca, NULL, NULL));
    assert_turned_away(&pair, client_side(&other_ca, NULL, NULL));
    assert_turned_away(&pair, client_side(&ca, NULL, "elsewhere.test"));
    assert_moves(&pair, false);
    test_pair_close(&pair);

    const test_cert_opts late = {
        .common_name = "server", .alt_names = "DNS:localhost", .expired = true};
    test_cert expired;
    test_cert_make(&expired, &ca, &late);
    open_pair(&pair, false, server_side(&expired, HAUL_TLS_CLIENT_ANY),
              client_side(&ca, NULL, NULL));
    assert_int_equal(try_call(pair.channel), GRPC_STATUS_UNAVAILABLE);
    test_pair_close(&pair);

    open_pair(&pair, false, NULL, client_side(&ca, NULL, NULL)); /* a server without TLS */
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
    test_cert_make(&cert, &ca, &named);
    open_pair(&pair, true, server_side(&cert, HAUL_TLS_CLIENT_ANY),
              client_side(&ca, NULL, "store.test"));
    assert_moves(&pair, false);
    assert_turned_away(&pair, client_side(&ca, NULL, NULL));
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
    haul_credentials *secure = server_side(&server_cert, HAUL_TLS_CLIENT_ANY);
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
    haul_credentials *client = client_side(&ca, NULL, NULL);
    co.credentials = client;
    assert_ok(haul_channel_open(address, &co, &channel, NULL));
    haul_credentials_destroy(client);
    assert_int_equal(try_call(channel), GRPC_STATUS_OK);
    haul_channel_close(channel);
    haul_server_destroy(server);
    test_service_fini(&service);
}

static void assert_invalid(haul_status status, const haul_error *err, const char *word)
{
    assert_int_equal(status, HAUL_INVALID);
    if (!strstr(err->text, word)) {
        fail_msg("'%s' says nothing of '%s'", err->text, word);
    }
}

static void texts_that_are_not_what_they_should_be(void **state)
{
    (void)state;
    static const char cut[] = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    haul_credentials *credentials;
    haul_error err = {0};
    haul_tls_client_opts client = {.struct_size = sizeof(client), .ca_pem = "no certificate"};
    assert_invalid(haul_credentials_tls_client(&client, &credentials, &err), &err, "CA");
    client.ca_pem = cut;
    assert_invalid(haul_credentials_tls_client(&client, &credentials, &err), &err, "CA");
    client.ca_pem = ca.cert_pem;
    client.cert_pem = client_cert.cert_pem;
    assert_invalid(haul_credentials_tls_client(&client, &credentials, &err), &err, "together");
    client.key_pem = server_cert.key_pem;
    assert_invalid(haul_credentials_tls_client(&client, &credentials, &err), &err, "not the cert");
    client.key_pem = "-----BEGIN PRIVATE KEY-----\n";
    assert_invalid(haul_credentials_tls_client(&client, &credentials, &err), &err, "private key");

    haul_tls_server_opts server = {.struct_size = sizeof(server),
                                   .cert_pem = server_cert.key_pem,
                                   .key_pem = server_cert.key_pem};
    assert_invalid(haul_credentials_tls_server(&server, &credentials, &err), &err, "certificate");
    server.cert_pem = server_cert.cert_pem;
    server.client_ca_pem = ca.cert_pem; /* and nobody is asked for one */
    assert_invalid(haul_credentials_tls_server(&server, &credentials, &err), &err, "options");
    server.client_ca_pem = NULL;
    server.client_auth = HAUL_TLS_CLIENT_REQUIRED; /* by whom? */
    assert_invalid(haul_credentials_tls_server(&server, &credentials, &err), &err, "options");
    server.client_ca_pem = cut;
    assert_invalid(haul_credentials_tls_server(&server, &credentials, &err), &err, "clients' CA");
    server.client_ca_pem = NULL;
    server.client_auth = HAUL_TLS_CLIENT_ANY;
    server.struct_size--;
    assert_invalid(haul_credentials_tls_server(&server, &credentials, &err), &err, "options");
}

static void credentials_in_the_wrong_place(void **state)
{
    (void)state;
    haul_server *server;
    haul_channel *channel;
    haul_credentials *local = NULL;
    haul_error err = {0};
    haul_credentials *for_server = server_side(&server_cert, HAUL_TLS_CLIENT_ANY);
    haul_credentials *for_client = client_side(&ca, NULL, NULL);
    assert_ok(haul_credentials_local(&local, NULL));
    haul_channel_opts co = {.struct_size = sizeof(co), .credentials = for_server};
    assert_invalid(haul_channel_open("unix:/x", &co, &channel, &err), &err, "other side");
    co.credentials = local;
    assert_invalid(haul_channel_open("127.0.0.1:1", &co, &channel, &err), &err, "Unix");

    assert_ok(haul_server_create(NULL, &server, NULL));
    haul_listen_opts lo = {.struct_size = sizeof(lo), .credentials = for_client};
    assert_invalid(haul_server_listen_with(server, "127.0.0.1:0", &lo, NULL, &err), &err,
                   "other side");
    lo.credentials = local;
    assert_invalid(haul_server_listen_with(server, "127.0.0.1:0", &lo, NULL, &err), &err, "Unix");
    lo.struct_size++;
    assert_invalid(haul_server_listen_with(server, "127.0.0.1:0", &lo, NULL, &err), &err,
                   "options");
    haul_server_destroy(server);
    haul_credentials_destroy(for_server);
    haul_credentials_destroy(for_client);
    haul_credentials_destroy(local);
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
        cmocka_unit_test(texts_that_are_not_what_they_should_be),
        cmocka_unit_test(credentials_in_the_wrong_place),
    };
    return cmocka_run_group_tests(tests, make_certs, free_certs);
}
