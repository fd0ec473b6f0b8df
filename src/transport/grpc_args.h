/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_GRPC_ARGS_H
#define SHORTHAUL_TRANSPORT_GRPC_ARGS_H

/* Settings of gRPC's servers and channels. */

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include <grpc/grpc.h>

static inline grpc_arg haul__integer_arg(const char *key, int value)
{
    return (grpc_arg){
        .type = GRPC_ARG_INTEGER,
        .key = (char *)key, /* gRPC's type has no const, and it does not write */
        .value.integer = value,
    };
}

/* @value is borrowed for as long as the argument is. */
static inline grpc_arg haul__string_arg(const char *key, const char *value)
{
    return (grpc_arg){.type = GRPC_ARG_STRING, .key = (char *)key, .value.string = (char *)value};
}

/* A bound on messages: 0 is none for us, -1 is none for gRPC. */
static inline int haul__message_bound(size_t bytes)
{
    if (bytes == 0) {
        return -1;
    }
    return bytes > INT_MAX ? INT_MAX : (int)bytes;
}

#endif
