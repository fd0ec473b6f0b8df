/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Whether PEM texts are what they are said to be.
 *
 * Only the form is judged: whether a certificate is valid today and who vouches for it is seen when
 * a connection is made, which may be much later. No state; any thread. What libcrypto leaves in its
 * queue of errors, which is the thread's, is taken away again.
 */

#include <limits.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/error.h"
#include "transport/creds.h"

/* A source of @pem's bytes; NULL without memory or for a text that is too long to be one. */
static BIO *open_text(const char *pem)
{
    size_t n = strlen(pem);
    return n <= INT_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;
}

/* The next certificate, or NULL at the end; @out_bad if what ends them is not the end. */
static X509 *next_cert(BIO *text, bool *out_bad)
{
    X509 *cert = PEM_read_bio_X509_AUX(text, NULL, NULL, NULL);
    if (!cert) {
        *out_bad = ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
    }
    return cert;
}

static haul_status check_certs(BIO *text, const char *what, haul_error *err)
{
    bool bad = false;
    size_t n = 0;
    X509 *cert;
    while ((cert = next_cert(text, &bad)) != NULL) {
        n++;
        X509_free(cert);
    }
    if (bad || n == 0) {
        return haul__fail(err, HAUL_INVALID, "credentials: the %s is not a PEM certificate", what);
    }
    return HAUL_OK;
}

haul_status haul__pem_check_certs(const char *pem, const char *what, haul_error *err)
{
    (void)ERR_set_mark();
    BIO *text = open_text(pem);
    haul_status status = text ? check_certs(text, what, err)
                              : haul__fail(err, HAUL_NOMEM, "credentials: out of memory");
    BIO_free_all(text);
    (void)ERR_pop_to_mark();
    return status;
}

/* An empty passphrase, so that nobody is asked for one at the terminal. */
static EVP_PKEY *read_key(const char *pem)
{
    char nothing[] = "";
    BIO *text = open_text(pem);
    EVP_PKEY *key = text ? PEM_read_bio_PrivateKey(text, NULL, NULL, nothing) : NULL;
    BIO_free_all(text);
    return key;
}

static X509 *read_first_cert(const char *pem)
{
    bool bad;
    BIO *text = open_text(pem);
    X509 *cert = text ? next_cert(text, &bad) : NULL;
    BIO_free_all(text);
    return cert;
}

haul_status haul__pem_check_pair(const char *cert_pem, const char *key_pem, haul_error *err)
{
    haul_status status = haul__pem_check_certs(cert_pem, "certificate", err);
    if (status != HAUL_OK) {
        return status;
    }
    (void)ERR_set_mark();
    X509 *cert = read_first_cert(cert_pem);
    EVP_PKEY *key = read_key(key_pem);
    if (!cert) {
        status = haul__fail(err, HAUL_NOMEM, "credentials: out of memory");
    } else if (!key) {
        status = haul__fail(err, HAUL_INVALID,
                            "credentials: the key is not a PEM private key without passphrase");
    } else if (X509_check_private_key(cert, key) != 1) {
        status = haul__fail(err, HAUL_INVALID, "credentials: the key is not the certificate's");
    }
    EVP_PKEY_free(key);
    X509_free(cert);
    (void)ERR_pop_to_mark();
    return status;
}
