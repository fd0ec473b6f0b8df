/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_CREDENTIALS_H
#define SHORTHAUL_CREDENTIALS_H

/*
 * How the two ends of a connection know each other.
 *
 * A channel or an address of a server that is given no credentials is insecure: bytes travel as
 * they are, and who may connect is left to the permissions of the socket file or to the network.
 * TLS works over TCP and over Unix sockets alike. Whichever is chosen, payloads go by key where the
 * two processes share a pool: what credentials protect is the connection, not the pool.
 *
 * A haul_credentials may be used by any number of channels and servers of its process, from any
 * thread, and may be destroyed as soon as they have been opened. gRPC's own library is initialised
 * while one exists; do not fork() then.
 */

#include <stdbool.h>
#include <stddef.h>

#include <shorthaul/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct haul_credentials haul_credentials;

typedef struct haul_tls_client_opts {
    size_t struct_size; /* sizeof(haul_tls_client_opts) */

    /* Certificates that a server's must lead to. NULL = those of this machine, as gRPC finds them. */
    const char *ca_pem;

    /* The client's own certificate, with those between it and its CA behind it, and its private
     * key, not encrypted. Both NULL = none. */
    const char *cert_pem;
    const char *key_pem;

    /* What the server's certificate must be made out to. NULL = the host of the channel's address,
     * and "localhost" for a Unix socket. */
    const char *server_name;
} haul_tls_client_opts;

/*
 * TLS for channels. The texts are PEM and are copied.
 *
 * Ownership: the caller's, until haul_credentials_destroy().
 * Blocking:  never; computes.
 * Failures:  HAUL_INVALID (options; a text that is not what it should be, a key that is not the
 *            certificate's: the error says which), HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_credentials_tls_client(const haul_tls_client_opts *opts,
                                                                 haul_credentials **out_credentials,
                                                                 haul_error *err);

/* What a server wants to see of its clients. */
typedef enum haul_tls_client_auth {
    HAUL_TLS_CLIENT_ANY = 0, /* nothing: they are not asked for a certificate */
    HAUL_TLS_CLIENT_OPTIONAL =
        1, /* a certificate may be missing, but must be good if it is there */
    HAUL_TLS_CLIENT_REQUIRED = 2, /* a good certificate */
} haul_tls_client_auth;

typedef struct haul_tls_server_opts {
    size_t struct_size;        /* sizeof(haul_tls_server_opts) */
    const char *cert_pem;      /* the server's certificate, those between it and its CA behind it */
    const char *key_pem;       /* its private key, not encrypted */
    const char *client_ca_pem; /* certificates that a client's must lead to; NULL exactly if
                                * @client_auth is HAUL_TLS_CLIENT_ANY */
    haul_tls_client_auth client_auth;
} haul_tls_server_opts;

/*
 * TLS for servers. The texts are PEM and are copied.
 *
 * Ownership: the caller's, until haul_credentials_destroy().
 * Blocking:  never; computes.
 * Failures:  HAUL_INVALID (options; a text that is not what it should be, a key that is not the
 *            certificate's: the error says which), HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_credentials_tls_server(const haul_tls_server_opts *opts,
                                                                 haul_credentials **out_credentials,
                                                                 haul_error *err);

/*
 * For Unix sockets, of channels and of servers: nothing is encrypted, and gRPC makes sure that the
 * connection really is a Unix socket's. Both ends must use them.
 *
 * Ownership: the caller's, until haul_credentials_destroy().
 * Blocking:  never.
 * Failures:  HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_credentials_local(haul_credentials **out_credentials,
                                                            haul_error *err);

/* Channels and servers that were opened with them keep what they need. NULL is allowed. */
HAUL_API void haul_credentials_destroy(haul_credentials *credentials);

/* ---- Who calls ----------------------------------------------------------------------------- */

typedef enum haul_security {
    HAUL_SECURITY_NONE = 0,
    HAUL_SECURITY_LOCAL = 1, /* haul_credentials_local() */
    HAUL_SECURITY_TLS = 2,
} haul_security;

/* The other end of a call's connection, as haul_call_peer() tells it. */
typedef struct haul_peer {
    const char
        *address; /* as gRPC writes it: "ipv4:127.0.0.1:50123", "unix:"; "" if it is unknown */
    haul_security security;
    /* Of the peer's certificate, which has been verified. A name with a NUL byte in it is left out:
     * it is made to be read as another. */
    const char *common_name;      /* NULL: there is no certificate, or it has none */
    const char *const *alt_names; /* subject alternative names of every kind, as bare text */
    size_t n_alt_names;           /* 0: there is no certificate, or it has none */
} haul_peer;

#ifdef __cplusplus
}
#endif

#endif
