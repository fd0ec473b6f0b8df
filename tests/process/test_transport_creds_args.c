/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Credentials that are refused before there is a connection: texts that are no certificate or key,
 * and sides and addresses that they are not for. The error says which.
 */

#include <string.h>

#include "creds_test.h"
#include "transport_test.h"

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
    client.ca_pem = certs.ca.cert_pem;
    client.cert_pem = certs.client.cert_pem;
    assert_invalid(haul_credentials_tls_client(&client, &credentials, &err), &err, "together");
    client.key_pem = certs.server.key_pem;
    assert_invalid(haul_credentials_tls_client(&client, &credentials, &err), &err, "not the cert");
    client.key_pem = "-----BEGIN PRIVATE KEY-----\n";
    assert_invalid(haul_credentials_tls_client(&client, &credentials, &err), &err, "private key");

    haul_tls_server_opts server = {.struct_size = sizeof(server),
                                   .cert_pem = certs.server.key_pem,
                                   .key_pem = certs.server.key_pem};
    assert_invalid(haul_credentials_tls_server(&server, &credentials, &err), &err, "certificate");
    server.cert_pem = certs.server.cert_pem;
    server.client_ca_pem = certs.ca.cert_pem; /* and nobody is asked for one */
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
    haul_credentials *for_server = test_tls_server(&certs.server, HAUL_TLS_CLIENT_ANY);
    haul_credentials *for_client = test_tls_client(&certs.ca, NULL, NULL);
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
        cmocka_unit_test(texts_that_are_not_what_they_should_be),
        cmocka_unit_test(credentials_in_the_wrong_place),
    };
    return cmocka_run_group_tests(tests, certs_make, certs_free);
}
