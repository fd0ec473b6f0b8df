/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Certificates and credentials that the tests of connections share. Made and freed in the main
 * thread, and only read between. */

#include "creds_test.h"

#include "pool_test.h"

test_certs certs;

int certs_make(void **state)
{
    (void)state;
    const test_cert_opts root = {.common_name = "test CA", .ca = true};
    const test_cert_opts server = {.common_name = "server",
                                   .alt_names = "DNS:localhost,IP:127.0.0.1"};
    const test_cert_opts client = {.common_name = "camera 7",
                                   .alt_names = "DNS:camera7.test,URI:spiffe://test/camera/7"};
    test_cert_make(&certs.ca, NULL, &root);
    test_cert_make(&certs.other_ca, NULL, &root);
    test_cert_make(&certs.server, &certs.ca, &server);
    test_cert_make(&certs.client, &certs.ca, &client);
    return 0;
}

int certs_free(void **state)
{
    (void)state;
    test_cert_free(&certs.ca);
    test_cert_free(&certs.other_ca);
    test_cert_free(&certs.server);
    test_cert_free(&certs.client);
    return 0;
}

haul_credentials *test_tls_server(const test_cert *cert, haul_tls_client_auth auth)
{
    const haul_tls_server_opts opts = {
        .struct_size = sizeof(opts),
        .cert_pem = cert->cert_pem,
        .key_pem = cert->key_pem,
        .client_ca_pem = auth == HAUL_TLS_CLIENT_ANY ? NULL : certs.ca.cert_pem,
        .client_auth = auth,
    };
    haul_credentials *credentials = NULL;
    assert_ok(haul_credentials_tls_server(&opts, &credentials, NULL));
    return credentials;
}

haul_credentials *test_tls_client(const test_cert *root, const test_cert *cert,
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
