/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Credentials: gRPC's own, made from what was checked first.
 *
 * gRPC takes whatever text it is given and finds out when a connection is made, on stderr. So texts
 * are looked at here (creds_pem.c), where their owner is still listening. The object belongs to the
 * application; gRPC counts the references that channels and listeners keep. Constant once made, so
 * any thread may use it. It dies with its process.
 */

#include "transport/creds.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct haul_credentials {
    grpc_channel_credentials *channel; /* NULL: not for channels */
    grpc_server_credentials *server;   /* NULL: not for servers */
    char *server_name;                 /* NULL: what the address says */
    bool local;
};

/* NULL without memory. */
static haul_credentials *create(void)
{
    haul_credentials *credentials = calloc(1, sizeof(*credentials));
    if (credentials) {
        grpc_init();
    }
    return credentials;
}

void haul_credentials_destroy(haul_credentials *credentials)
{
    if (!credentials) {
        return;
    }
    if (credentials->channel) {
        grpc_channel_credentials_release(credentials->channel);
    }
    if (credentials->server) {
        grpc_server_credentials_release(credentials->server);
    }
    free(credentials->server_name);
    free(credentials);
    grpc_shutdown();
}

/* Certificate and key, both or neither. */
static haul_status check_pair(const char *cert_pem, const char *key_pem, haul_error *err)
{
    if (!cert_pem != !key_pem) {
        return haul__fail(err, HAUL_INVALID, "credentials: a certificate and its key go together");
    }
    return cert_pem ? haul__pem_check_pair(cert_pem, key_pem, err) : HAUL_OK;
}

static haul_status check_client(const haul_tls_client_opts *opts, haul_error *err)
{
    if (!opts || opts->struct_size != sizeof(*opts) ||
        (opts->server_name && opts->server_name[0] == '\0')) {
        return haul__fail(err, HAUL_INVALID, "credentials: the options are not valid");
    }
    haul_status status = HAUL_OK;
    if (opts->ca_pem) {
        status = haul__pem_check_certs(opts->ca_pem, "CA", err);
    }
    return status == HAUL_OK ? check_pair(opts->cert_pem, opts->key_pem, err) : status;
}

haul_status haul_credentials_tls_client(const haul_tls_client_opts *opts,
                                        haul_credentials **out_credentials, haul_error *err)
{
    haul_status status = check_client(opts, err);
    if (status != HAUL_OK) {
        return status;
    }
    haul_credentials *credentials = create();
    char *server_name = credentials && opts->server_name ? strdup(opts->server_name) : NULL;
    if (!credentials || !server_name != !opts->server_name) {
        haul_credentials_destroy(credentials);
        return haul__fail(err, HAUL_NOMEM, "credentials: out of memory");
    }
    credentials->server_name = server_name;
    grpc_ssl_pem_key_cert_pair pair = {.private_key = opts->key_pem, .cert_chain = opts->cert_pem};
    credentials->channel =
        grpc_ssl_credentials_create_ex(opts->ca_pem, opts->cert_pem ? &pair : NULL, NULL, NULL);
    *out_credentials = credentials;
    return HAUL_OK;
}

static haul_status check_server(const haul_tls_server_opts *opts, haul_error *err)
{
    if (!opts || opts->struct_size != sizeof(*opts) || !opts->cert_pem || !opts->key_pem ||
        (unsigned)opts->client_auth > HAUL_TLS_CLIENT_REQUIRED ||
        !opts->client_ca_pem != (opts->client_auth == HAUL_TLS_CLIENT_ANY)) {
        return haul__fail(err, HAUL_INVALID, "credentials: the options are not valid");
    }
    haul_status status = HAUL_OK;
    if (opts->client_ca_pem) {
        status = haul__pem_check_certs(opts->client_ca_pem, "clients' CA", err);
    }
    return status == HAUL_OK ? check_pair(opts->cert_pem, opts->key_pem, err) : status;
}

haul_status haul_credentials_tls_server(const haul_tls_server_opts *opts,
                                        haul_credentials **out_credentials, haul_error *err)
{
    static const grpc_ssl_client_certificate_request_type requests[] = {
        [HAUL_TLS_CLIENT_ANY] = GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        [HAUL_TLS_CLIENT_OPTIONAL] = GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY,
        [HAUL_TLS_CLIENT_REQUIRED] = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
    };
    haul_status status = check_server(opts, err);
    if (status != HAUL_OK) {
        return status;
    }
    haul_credentials *credentials = create();
    if (!credentials) {
        return haul__fail(err, HAUL_NOMEM, "credentials: out of memory");
    }
    grpc_ssl_pem_key_cert_pair pair = {.private_key = opts->key_pem, .cert_chain = opts->cert_pem};
    credentials->server = grpc_ssl_server_credentials_create_ex(opts->client_ca_pem, &pair, 1,
                                                                requests[opts->client_auth], NULL);
    *out_credentials = credentials;
    return HAUL_OK;
}

haul_status haul_credentials_local(haul_credentials **out_credentials, haul_error *err)
{
    haul_credentials *credentials = create();
    if (!credentials) {
        return haul__fail(err, HAUL_NOMEM, "credentials: out of memory");
    }
    credentials->local = true;
    credentials->channel = grpc_local_credentials_create(UDS);
    credentials->server = grpc_local_server_credentials_create(UDS);
    *out_credentials = credentials;
    return HAUL_OK;
}

/* "unix:" and "unix-abstract:". */
static bool is_unix(const char *address)
{
    return strncmp(address, "unix:", 5) == 0 || strncmp(address, "unix-abstract:", 14) == 0;
}

static haul_status check_use(const haul_credentials *credentials, bool right_side,
                             const char *address, haul_error *err)
{
    if (!right_side) {
        return haul__fail(err, HAUL_INVALID, "address %s: credentials made for the other side",
                          address);
    }
    if (credentials->local && !is_unix(address)) {
        return haul__fail(err, HAUL_INVALID, "address %s: local credentials are for Unix sockets",
                          address);
    }
    return HAUL_OK;
}

haul_status haul__channel_creds(const haul_credentials *credentials, const char *address,
                                grpc_channel_credentials **out_grpc, haul_error *err)
{
    if (!credentials) {
        *out_grpc = grpc_insecure_credentials_create();
        return HAUL_OK;
    }
    haul_status status = check_use(credentials, credentials->channel != NULL, address, err);
    if (status == HAUL_OK) {
        *out_grpc = credentials->channel;
    }
    return status;
}

void haul__channel_creds_release(const haul_credentials *credentials,
                                 grpc_channel_credentials *grpc)
{
    if (!credentials) {
        grpc_channel_credentials_release(grpc);
    }
}

bool haul__creds_encrypt(const haul_credentials *credentials)
{
    return credentials && !credentials->local;
}

const char *haul__creds_server_name(const haul_credentials *credentials)
{
    return credentials ? credentials->server_name : NULL;
}

haul_status haul__server_creds(const haul_credentials *credentials, const char *address,
                               grpc_server_credentials **out_grpc, haul_error *err)
{
    if (!credentials) {
        *out_grpc = grpc_insecure_server_credentials_create();
        return HAUL_OK;
    }
    haul_status status = check_use(credentials, credentials->server != NULL, address, err);
    if (status == HAUL_OK) {
        *out_grpc = credentials->server;
    }
    return status;
}

void haul__server_creds_release(const haul_credentials *credentials, grpc_server_credentials *grpc)
{
    if (!credentials) {
        grpc_server_credentials_release(grpc);
    }
}
