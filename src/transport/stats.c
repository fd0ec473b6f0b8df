/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Counters of a server or channel.
 *
 * Each is added to by whatever thread ends a call, and read by whoever asks; they need not agree
 * with each other at any one moment, so all of it is relaxed. They belong to their server or channel
 * and end with it.
 */

#include "transport/stats.h"
#include "transport/channel.h"
#include "transport/server.h"

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    if (n > 0) {
        atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
    }
}

static uint64_t read_one(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_tally(haul__traffic *traffic, const haul__tally *tally)
{
    add(&traffic->n_by_key, tally->n_key);
    add(&traffic->n_inline, tally->n_inline);
    add(&traffic->bytes_by_key, tally->key_bytes);
    add(&traffic->bytes_inline, tally->inline_bytes);
}

void haul__count(_Atomic uint64_t *counter)
{
    add(counter, 1);
}

void haul__count_call(haul__counters *counters, bool ok, const haul__tally *request,
                      const haul__tally *answer)
{
    add(&counters->n_calls, 1);
    add(&counters->n_failed, !ok);
    add_tally(&counters->requests, request);
    add_tally(&counters->answers, answer);
}

static haul_traffic read_traffic(const haul__traffic *traffic)
{
    return (haul_traffic){
        .n_by_key = read_one(&traffic->n_by_key),
        .n_inline = read_one(&traffic->n_inline),
        .bytes_by_key = read_one(&traffic->bytes_by_key),
        .bytes_inline = read_one(&traffic->bytes_inline),
    };
}

/* The fields that channels and servers both have, under the same names. */
#define READ_COMMON(c)                                                                             \
    .n_calls = read_one(&(c)->n_calls), .n_failed = read_one(&(c)->n_failed),                      \
    .requests = read_traffic(&(c)->requests), .answers = read_traffic(&(c)->answers),              \
    .n_copied = read_one(&(c)->n_copied), .n_exhausted = read_one(&(c)->n_exhausted),              \
    .n_transferred = read_one(&(c)->n_transferred), .n_direct = read_one(&(c)->n_direct)

haul_status haul_channel_get_stats(haul_channel *channel, haul_channel_stats *out)
{
    if (out->struct_size != sizeof(*out)) {
        return HAUL_INVALID;
    }
    const haul__counters *c = &channel->counters;
    *out = (haul_channel_stats){
        .struct_size = sizeof(*out),
        READ_COMMON(c),
        .n_resent = read_one(&c->n_refused),
        .key_threshold_bytes = haul__threshold_bytes(&channel->threshold),
    };
    return HAUL_OK;
}

haul_status haul_server_get_stats(haul_server *server, haul_server_stats *out)
{
    if (out->struct_size != sizeof(*out)) {
        return HAUL_INVALID;
    }
    const haul__counters *c = &server->counters;
    *out = (haul_server_stats){
        .struct_size = sizeof(*out),
        READ_COMMON(c),
        .n_refused = read_one(&c->n_refused),
    };
    return HAUL_OK;
}
