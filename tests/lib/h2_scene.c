/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Scenes for clients below gRPC's rules. One thread visits; the server's own threads serve. */

#include "h2_scene.h"

#include "transport/server.h"

void h2_assert_serves(test_pair *pair)
{
    haul_payload_out out;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_payload_set_inline(&out, "hello", 5);
    request.data = &out.payload;
    haul_reply *reply = test_exchange(pair, &request, NULL);
    assert_true(test_response(reply)->sums[0] == test_sum("hello", 5));
    haul_reply_free(reply);
}

size_t h2_calls_of(test_pair *pair)
{
    (void)pthread_mutex_lock(&pair->server->mutex);
    size_t n = pair->server->n_calls;
    (void)pthread_mutex_unlock(&pair->server->mutex);
    return n;
}

void h2_wait_until_gone(test_pair *pair, size_t n_descriptors)
{
    while (limits_descriptors() > n_descriptors || h2_calls_of(pair) > 0) {
        h2_assert_serves(pair);
    }
}

void h2_begin(h2_scene *s)
{
    static const haul_channel_opts channel = {.no_data_connections =
                                                  true}; /* descriptors are counted */
    static const test_pair_opts opts = {.channel = &channel};
    test_pair_open(&s->pair, &opts);
    h2_assert_serves(&s->pair);
    s->n_descriptors = limits_descriptors();
}

void h2_end(h2_scene *s)
{
    h2_wait_until_gone(&s->pair, s->n_descriptors);
    test_pair_close(&s->pair);
}

void h2_add_exchange(h2_bytes *bytes, uint32_t stream, Haul__Test__Mode mode, uint64_t size)
{
    static const uint8_t some[500] = {1};
    uint8_t packed[600];
    haul_payload_out out;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_payload_set_inline(&out, some, sizeof(some));
    request.mode = mode;
    request.size = size;
    request.data = &out.payload;
    size_t n = haul__test__exchange_request__pack(&request, packed);
    h2_add_call(bytes, stream, EXCHANGE, NULL);
    h2_add_message(bytes, stream, packed, n, (uint32_t)n);
}
