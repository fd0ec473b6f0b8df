/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Who calls: what gRPC knows of a call's connection, in one block of memory that belongs to the
 * call. Read when a handler asks for it, by the thread that asks. A name out of a certificate may
 * hold anything; one with a NUL byte would be read as a shorter one, so it is left out.
 */

#include <stdlib.h>
#include <string.h>

#include <grpc/support/alloc.h>

#include "transport/server.h"

/* The block: the public part, the names' pointers, and behind them their characters. */
typedef struct block {
    haul_peer peer;
    const char *alt_names[];
} block;

static bool is_text(const grpc_auth_property *property)
{
    return !memchr(property->value, '\0', property->value_length);
}

static const grpc_auth_property *next_text(grpc_auth_property_iterator *at)
{
    const grpc_auth_property *property;
    do {
        property = grpc_auth_property_iterator_next(at);
    } while (property && !is_text(property));
    return property;
}

static const grpc_auth_property *first_text(const grpc_auth_context *context, const char *name)
{
    grpc_auth_property_iterator at = grpc_auth_context_find_properties_by_name(context, name);
    return next_text(&at);
}

static haul_security security_of(const grpc_auth_context *context)
{
    const grpc_auth_property *type =
        first_text(context, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME);
    if (type && strcmp(type->value, GRPC_SSL_TRANSPORT_SECURITY_TYPE) == 0) {
        return HAUL_SECURITY_TLS;
    }
    return type && strcmp(type->value, "local") == 0 ? HAUL_SECURITY_LOCAL : HAUL_SECURITY_NONE;
}

/* Copy a text to *@end and move that behind it. */
static const char *put(char **end, const char *text, size_t len)
{
    char *start = *end;
    memcpy(start, text, len);
    start[len] = '\0';
    *end = start + len + 1;
    return start;
}

static haul_status collect(const grpc_auth_context *context, const char *address,
                           haul_peer **out_peer)
{
    static const char alt[] = GRPC_X509_SAN_PROPERTY_NAME;
    const grpc_auth_property *common = first_text(context, GRPC_X509_CN_PROPERTY_NAME);
    const grpc_auth_property *name;
    size_t n = 0;
    size_t n_bytes = strlen(address) + 1 + (common ? common->value_length + 1 : 0);
    grpc_auth_property_iterator at = grpc_auth_context_find_properties_by_name(context, alt);
    while ((name = next_text(&at)) != NULL) {
        n++;
        n_bytes += name->value_length + 1;
    }
    block *b = calloc(1, sizeof(*b) + n * sizeof(b->alt_names[0]) + n_bytes);
    if (!b) {
        return HAUL_NOMEM;
    }
    char *end = (char *)&b->alt_names[n];
    b->peer.address = put(&end, address, strlen(address));
    b->peer.security = security_of(context);
    if (common) {
        b->peer.common_name = put(&end, common->value, common->value_length);
    }
    at = grpc_auth_context_find_properties_by_name(context, alt);
    for (size_t i = 0; i < n && (name = next_text(&at)) != NULL; i++) {
        b->alt_names[i] = put(&end, name->value, name->value_length);
    }
    b->peer.alt_names = b->alt_names;
    b->peer.n_alt_names = n;
    *out_peer = &b->peer;
    return HAUL_OK;
}

haul_status haul__peer_read(grpc_call *call, haul_peer **out_peer)
{
    grpc_auth_context *context = grpc_call_auth_context(call);
    char *address = grpc_call_get_peer(call);
    haul_status status = collect(context, address ? address : "", out_peer);
    gpr_free(address);
    grpc_auth_context_release(context);
    return status;
}

haul_status haul_call_peer(haul_call *call, const haul_peer **out_peer)
{
    haul_status status = HAUL_OK;
    if (!call->peer) {
        status = haul__peer_read(call->grpc, &call->peer);
    }
    if (status == HAUL_OK) {
        *out_peer = call->peer;
    }
    return status;
}
