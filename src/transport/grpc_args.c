/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * How gRPC is set up: our options in the terms of its arguments, and what is the same for every
 * channel and server of ours. Stateless; the application's thread that opens or creates one.
 */

#include "transport/grpc_args.h"

#include <limits.h>

#include "transport/creds.h"
#include "transport/letter.h"

#define RECONNECT_FIRST_MS     100
#define RECONNECT_MAX_MS       2000
#define STREAMS_DEFAULT        1024
#define METADATA_BYTES_DEFAULT 8192 /* gRPC's own */
#define PING_TIMEOUT_MS        20000
#define TRUNK_METADATA_MIN     1024 /* what gRPC itself says at a stream's beginning, and some */
#define CHANNEL_ARGS_MAX       20   /* with room for those that are not always there, and an end */

/* gRPC's clients send at most one ping a second, whatever the interval. What a server accepts leaves
 * room for pings that catch up with each other on the way. */
#define PING_MIN_MS    100
#define PING_ACCEPT_MS 500

static grpc_arg integer_arg(const char *key, int value)
{
    return (grpc_arg){
        .type = GRPC_ARG_INTEGER,
        .key = (char *)key, /* gRPC's type has no const, and it does not write */
        .value.integer = value,
    };
}

/* @value is borrowed for as long as the argument is. */
static grpc_arg string_arg(const char *key, const char *value)
{
    return (grpc_arg){.type = GRPC_ARG_STRING, .key = (char *)key, .value.string = (char *)value};
}

/* A bound on messages: 0 is none for us, -1 is none for gRPC. */
static int message_bound(size_t bytes)
{
    if (bytes == 0) {
        return -1;
    }
    return bytes > INT_MAX ? INT_MAX : (int)bytes;
}

size_t haul__metadata_bound(size_t bytes)
{
    bytes = bytes == 0 ? METADATA_BYTES_DEFAULT : bytes;
    return bytes > INT_MAX ? INT_MAX : bytes;
}

bool haul__trunk_fits(size_t max_message_bytes, size_t max_metadata_bytes)
{
    return (max_message_bytes == 0 || max_message_bytes >= HAUL__TRUNK_MESSAGE_MAX) &&
           (max_metadata_bytes == 0 || max_metadata_bytes >= TRUNK_METADATA_MIN);
}

/* A time in milliseconds, rounded up: a shorter one would not be what was asked for. */
static int ms_of_ns(uint64_t ns)
{
    uint64_t ms = ns / 1000000 + (ns % 1000000 != 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* gRPC's way to say "never" is INT_MAX. */
static int ping_interval_ms(uint64_t ns)
{
    int ms = ms_of_ns(ns);
    if (ns == 0) {
        return INT_MAX;
    }
    return ms < PING_MIN_MS ? PING_MIN_MS : ms;
}

static int ping_timeout_ms(uint64_t ns)
{
    return ns == 0 ? PING_TIMEOUT_MS : ms_of_ns(ns);
}

uint32_t haul__stream_bound(uint32_t asked)
{
    uint32_t n = asked == 0 ? STREAMS_DEFAULT : asked;
    return n > INT_MAX ? INT_MAX : n;
}

grpc_channel *haul__grpc_channel_create(const char *address, const haul_channel_opts *opts,
                                        grpc_channel_credentials *credentials,
                                        haul__connections *connections)
{
    const char *server_name = haul__creds_server_name(opts->credentials);
    grpc_arg args[CHANNEL_ARGS_MAX] = {
        integer_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, message_bound(opts->max_message_bytes)),
        /* A connection of our own: what is proven of it is not changed by other channels. */
        integer_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        /* gRPC would send a request again to whoever answers next, with keys meant for another. */
        integer_arg(GRPC_ARG_ENABLE_RETRIES, 0),
        /* The server is on this machine: no proxies, no service configuration from DNS, and it is
         * back soon after a restart. */
        integer_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
        integer_arg(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        integer_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_FIRST_MS),
        integer_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MAX_MS),
        integer_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
        integer_arg(GRPC_ARG_MAX_METADATA_SIZE,
                    (int)haul__metadata_bound(opts->max_metadata_bytes)),
        integer_arg(GRPC_ARG_KEEPALIVE_TIME_MS, ping_interval_ms(opts->keepalive_interval_ns)),
        integer_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, ping_timeout_ms(opts->keepalive_timeout_ns)),
        integer_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, opts->keepalive_idle),
        integer_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
    };
    size_t n = 0;
    while (args[n].key) {
        n++;
    }
    if (server_name) {
        args[n++] = string_arg(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, server_name);
    }
    if (connections) {
        args[n++] = haul__connections_arg(connections);
    }
    const grpc_channel_args all = {.num_args = n, .args = args};
    return grpc_channel_create(address, credentials, &all);
}

grpc_server *haul__grpc_server_create(const haul_server_opts *opts)
{
    grpc_arg args[] = {
        integer_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, message_bound(opts->max_message_bytes)),
        /* A port that is taken is an error, not a port to share. */
        integer_arg(GRPC_ARG_ALLOW_REUSEPORT, 0),
        integer_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
        integer_arg(GRPC_ARG_MAX_METADATA_SIZE,
                    (int)haul__metadata_bound(opts->max_metadata_bytes)),
        /* What a client that does not read its answers can pile up. */
        integer_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, (int)haul__stream_bound(opts->max_streams)),
        integer_arg(GRPC_ARG_KEEPALIVE_TIME_MS, ping_interval_ms(opts->keepalive_interval_ns)),
        integer_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, ping_timeout_ms(opts->keepalive_timeout_ns)),
        integer_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        /* Clients may ping, also while they have no calls. */
        integer_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        integer_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, PING_ACCEPT_MS),
    };
    const grpc_channel_args all = {.num_args = sizeof(args) / sizeof(args[0]), .args = args};
    return grpc_server_create(&all, NULL);
}
