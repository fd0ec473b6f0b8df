/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_CREDS_TEST_H
#define SHORTHAUL_TESTS_CREDS_TEST_H

/* Certificates for a group of tests, and credentials made of them. */

#include <shorthaul/credentials.h>

#include "certs.h"

typedef struct test_certs {
    test_cert ca;
    test_cert other_ca;
    test_cert server; /* for "localhost" and 127.0.0.1 */
    test_cert client; /* of "camera 7" */
} test_certs;

/* Made once for all tests of a program, for making keys takes time. */
extern test_certs certs;

/* The group's set-up and tear-down. */
int certs_make(void **state);
int certs_free(void **state);

/* The caller's. Clients that show a certificate need one of certs.ca. */
haul_credentials *test_tls_server(const test_cert *cert, haul_tls_client_auth auth);

/* The caller's. @root: whom the server's certificate must be of. @cert: to show; NULL = none.
 * @server_name: NULL = the address'. */
haul_credentials *test_tls_client(const test_cert *root, const test_cert *cert,
                                  const char *server_name);

#endif
