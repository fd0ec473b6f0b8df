/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Certificates for tests, with libcrypto. A failure ends the test program: nothing here is what is
 * being tested. One thread. */

#include "certs.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define DAY_S 86400L

static void require(bool made)
{
    if (!made) {
        abort();
    }
}

/* What was written to @bio, as a string. */
static char *text_of(BIO *bio)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    char *text = calloc(1, (size_t)n + 1);
    require(text != NULL);
    memcpy(text, data, (size_t)n);
    BIO_free_all(bio);
    return text;
}

static char *cert_text(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    require(bio && PEM_write_bio_X509(bio, cert) == 1);
    return text_of(bio);
}

static char *key_text(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    require(bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    return text_of(bio);
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    require(extension && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void set_serial(X509 *cert)
{
    uint8_t bytes[8];
    require(RAND_bytes(bytes, sizeof(bytes)) == 1);
    bytes[0] &= 0x7f;
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    require(number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL);
    BN_free(number);
}

static void set_subject(X509 *cert, const test_cert_opts *opts)
{
    size_t n = opts->common_name_bytes ? opts->common_name_bytes : strlen(opts->common_name);
    require(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                       (const unsigned char *)opts->common_name, (int)n, -1,
                                       0) == 1);
}

void test_cert_make(test_cert *out, const test_cert *issuer, const test_cert_opts *opts)
{
    X509 *cert = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    require(cert && key);
    X509 *issuer_cert = issuer ? issuer->cert : cert;
    EVP_PKEY *issuer_key = issuer ? issuer->key : key;
    set_serial(cert);
    set_subject(cert, opts);
    require(X509_set_version(cert, 2) == 1 && X509_set_pubkey(cert, key) == 1 &&
            X509_set_issuer_name(cert, X509_get_subject_name(issuer_cert)) == 1 &&
            X509_gmtime_adj(X509_getm_notBefore(cert), -2 * DAY_S) != NULL &&
            X509_gmtime_adj(X509_getm_notAfter(cert), opts->expired ? -DAY_S : DAY_S) != NULL);
    add_extension(cert, NID_basic_constraints, opts->ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (opts->alt_names) {
        add_extension(cert, NID_subject_alt_name, opts->alt_names);
    }
    require(X509_sign(cert, issuer_key, EVP_sha256()) > 0);
    *out = (test_cert){
        .cert_pem = cert_text(cert), .key_pem = key_text(key), .cert = cert, .key = key};
}

void test_cert_free(test_cert *cert)
{
    free(cert->cert_pem);
    free(cert->key_pem);
    X509_free(cert->cert);
    EVP_PKEY_free(cert->key);
    *cert = (test_cert){0};
}
