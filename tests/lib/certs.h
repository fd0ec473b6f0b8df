/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_CERTS_H
#define SHORTHAUL_TESTS_CERTS_H

/* Certificates, made when a test needs them: no key lies about in a file. */

#include <stdbool.h>
#include <stddef.h>

typedef struct test_cert {
    char *cert_pem;
    char *key_pem;
    void *cert; /* libcrypto's */
    void *key;
} test_cert;

typedef struct test_cert_opts {
    const char *common_name;
    size_t common_name_bytes; /* 0: up to the terminator */
    const char *alt_names;    /* as openssl writes them, "DNS:a,URI:b"; NULL: none */
    bool ca;
    bool expired; /* yesterday */
} test_cert_opts;

/* A certificate of a new key, signed by @issuer, or by itself if that is NULL. */
void test_cert_make(test_cert *out, const test_cert *issuer, const test_cert_opts *opts);

void test_cert_free(test_cert *cert);

#endif
