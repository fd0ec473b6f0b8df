/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_CREDS_H
#define SHORTHAUL_TRANSPORT_CREDS_H

/* Credentials, as channels and servers use them. */

#include <grpc/grpc_security.h>

#include <shorthaul/credentials.h>

/* ---- creds.c ---- */

/*
 * gRPC's credentials for a channel to @address.
 *
 * @credentials: NULL = insecure.
 * Ownership: @out_grpc is the caller's, until haul__channel_creds_release().
 * Failures:  HAUL_INVALID (made for servers, or not for such an address)
 */
HAUL_MUST_CHECK haul_status haul__channel_creds(const haul_credentials *credentials,
                                                const char *address,
                                                grpc_channel_credentials **out_grpc,
                                                haul_error *err);
void haul__channel_creds_release(const haul_credentials *credentials,
                                 grpc_channel_credentials *grpc);

/* Whether what is sent with them is encrypted. NULL is allowed. */
bool haul__creds_encrypt(const haul_credentials *credentials);

/* What the server's certificate must be made out to; NULL = what the address says. */
const char *haul__creds_server_name(const haul_credentials *credentials);

/* The same for a server that listens at @address. */
HAUL_MUST_CHECK haul_status haul__server_creds(const haul_credentials *credentials,
                                               const char *address,
                                               grpc_server_credentials **out_grpc, haul_error *err);
void haul__server_creds_release(const haul_credentials *credentials, grpc_server_credentials *grpc);

/* ---- creds_pem.c ---- */

/* Whether @pem holds certificates and nothing that cannot be read. @what names it in the error.
 * Failures: HAUL_INVALID, HAUL_NOMEM */
HAUL_MUST_CHECK haul_status haul__pem_check_certs(const char *pem, const char *what,
                                                  haul_error *err);

/* Whether @key_pem is the private key of the first certificate of @cert_pem. Failures: HAUL_INVALID,
 * HAUL_NOMEM */
HAUL_MUST_CHECK haul_status haul__pem_check_pair(const char *cert_pem, const char *key_pem,
                                                 haul_error *err);

/* ---- creds_peer.c ---- */

/*
 * Who is at the other end of @call.
 *
 * Ownership: @out_peer is the caller's, until free().
 * Failures:  HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status haul__peer_read(grpc_call *call, haul_peer **out_peer);

#endif
