/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Short calls go over a trunk where the server offers one, and else as calls of gRPC's; answers and
 * requests of any size are right either way, also when many are on the trunk at once.
 */

#include "transport_test.h"

#include <stdlib.h>
#include <string.h>

#include "transport/server.h"
#include "transport/trunk_parts.h"

#define EDGE ((uint64_t)64 << 10) /* the longest message that goes over a trunk */

/* Letters that the channel has sent. */
static uint64_t n_carried(const test_pair *pair)
{
    return pair->channel->trunk ? atomic_load(&pair->channel->trunk->last_id) : 0;
}

/* All short calls go over the trunk. */
static const haul_channel_opts plain = {.no_data_connections = true};

/* One call with an answer of @size bytes. */
static void call(test_pair *pair, Haul__Test__Mode mode, uint64_t size)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = mode;
    request.size = size;
    haul_reply *reply = test_exchange(pair, &request, NULL);
    const Haul__Test__ExchangeResponse *response = test_response(reply);
    haul_view view = {0};
    if (response->data) {
        assert_ok(haul_reply_view(reply, response->data, &view));
    }
    assert_int_equal(view.len, size);
    assert_true(test_is_filled(view.data, size, 7));
    haul_reply_free(reply);
}

/* ---- Which way ----------------------------------------------------------------------------- */

static void short_calls_go_over_the_trunk(void **state)
{
    (void)state;
    const test_pair_opts opts = {.client_without_pool = true, .channel = &plain};
    test_pair pair;
    test_pair_open(&pair, &opts);
    for (int i = 0; i < 20; i++) {
        call(&pair, HAUL__TEST__MODE__MODE_SUM, 0);
    }
    assert_int_equal(n_carried(&pair), 20);
    assert_int_equal(pair.server->n_carriers,
                     2); /* this one, and the next that gRPC is asked for */
    test_pair_close(&pair);
}

static void assert_without(const test_pair_opts *opts)
{
    test_pair pair;
    test_pair_open(&pair, opts);
    for (int i = 0; i < 5; i++) {
        call(&pair, HAUL__TEST__MODE__MODE_SUM, 0);
    }
    assert_int_equal(n_carried(&pair), 0);
    test_pair_close(&pair);
}

static void where_there_is_none_calls_go_by_themselves(void **state)
{
    (void)state;
    const haul_channel_opts channel = {.no_trunk = true};
    const haul_server_opts server = {.no_trunk = true};
    const haul_server_opts few_streams = {.max_streams = 4};
    const test_pair_opts pairs[] = {
        {.channel = &channel},
        {.server = &server},
        {.server = &few_streams},
        {.max_message_bytes = 100000},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        assert_without(&pairs[i]);
    }
}

/* ---- Sizes --------------------------------------------------------------------------------- */

static void answers_of_any_size_come(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 2047, 2048, 2049, EDGE - 64, EDGE, EDGE + 1, 5 << 20};
    const test_pair_opts opts = {.large = true,
                                 .client_without_pool = true,
                                 .channel = &plain,
                                 .max_message_bytes = 64 << 20};
    test_pair pair;
    test_pair_open(&pair, &opts);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        call(&pair, HAUL__TEST__MODE__MODE_PUT, sizes[i]);
        assert_int_equal(n_carried(&pair), i + 1);
    }
    test_pair_close(&pair);
}

/* Answers as large as may be received come, and larger ones do not. */
static void answers_have_a_bound(void **state)
{
    (void)state;
    const test_pair_opts opts = {.large = true,
                                 .client_without_pool = true,
                                 .channel = &plain,
                                 .max_message_bytes = 1 << 20};
    test_pair pair;
    test_pair_open(&pair, &opts);
    call(&pair, HAUL__TEST__MODE__MODE_PUT, (1 << 20) - 100);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_PUT;
    request.size = 1 << 20;
    haul_reply *reply = test_exchange(&pair, &request, NULL);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_null(haul_reply_message(reply));
    haul_reply_free(reply);
    call(&pair, HAUL__TEST__MODE__MODE_PUT, 1000);
    assert_int_equal(n_carried(&pair), 3);
    test_pair_close(&pair);
}

/* The message has some bytes beyond the payload's, so that both sides of the edge are met. */
static void requests_of_any_size_arrive(void **state)
{
    (void)state;
    const test_pair_opts opts = {.client_without_pool = true, .channel = &plain};
    static uint8_t bytes[EDGE + 64];
    uint64_t n_by_trunk = 0;
    test_pair pair;
    test_pair_open(&pair, &opts);
    test_fill(bytes, sizeof(bytes), 3);
    for (uint64_t n = EDGE - 24; n < EDGE + 8; n++) {
        Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        haul_payload_out out;
        haul_payload_set_inline(&out, bytes, n);
        request.data = &out.payload;
        haul_reply *reply = test_exchange(&pair, &request, NULL);
        assert_true(test_response(reply)->sums[0] == test_sum(bytes, n));
        n_by_trunk += haul_reply_request_bytes(reply) <= EDGE;
        assert_int_equal(n_carried(&pair), n_by_trunk);
        haul_reply_free(reply);
    }
    assert_in_range(n_by_trunk, 1, 31);
    test_pair_close(&pair);
}

/* ---- At once ------------------------------------------------------------------------------- */

enum {
    N_CALLERS = 8
};

typedef struct caller {
    pthread_t thread;
    test_pair *pair;
    unsigned index;
    unsigned n_calls;
    uint64_t n_max;  /* bytes of a request's payload */
    uint64_t answer; /* bytes of each answer; 0: the sum of what was sent */
    unsigned n_wrong;
} caller;

static bool is_right(const haul_reply *reply, const caller *c, uint64_t sum)
{
    const Haul__Test__ExchangeResponse *response =
        (const Haul__Test__ExchangeResponse *)haul_reply_message(reply);
    haul_view view;
    if (!response) {
        return false;
    }
    if (c->answer == 0) {
        return response->n_sums == 1 && response->sums[0] == sum;
    }
    return response->data && haul_reply_view(reply, response->data, &view) == HAUL_OK &&
           view.len == c->answer && test_is_filled(view.data, view.len, 7);
}

static void *call_often(void *arg)
{
    caller *c = arg;
    uint8_t *bytes = malloc(c->n_max);
    for (unsigned i = 0; i < c->n_calls && bytes; i++) {
        uint64_t n = (c->index * UINT64_C(7919) + i * UINT64_C(104729)) % c->n_max;
        Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        haul_payload_out out;
        haul_reply *reply = NULL;
        test_fill(bytes, n, (uint8_t)(i + c->index));
        haul_payload_set_inline(&out, bytes, n);
        request.mode = c->answer > 0 ? HAUL__TEST__MODE__MODE_PUT : HAUL__TEST__MODE__MODE_SUM;
        request.size = c->answer;
        request.data = &out.payload;
        bool ok = haul_channel_call(c->pair->channel, &haul__test__test_service__descriptor, 1,
                                    &request.base, NULL, &reply) == HAUL_OK;
        c->n_wrong += !ok || !is_right(reply, c, test_sum(bytes, n));
        haul_reply_free(reply);
    }
    c->n_wrong += !bytes;
    free(bytes);
    return NULL;
}

static void call_all(caller callers[N_CALLERS])
{
    for (unsigned i = 0; i < N_CALLERS; i++) {
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
    }
    for (unsigned i = 0; i < N_CALLERS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].n_wrong, 0);
    }
}

static void many_callers_get_each_its_own_answer(void **state)
{
    (void)state;
    const test_pair_opts opts = {.client_without_pool = true, .channel = &plain, .n_threads = 4};
    caller callers[N_CALLERS];
    test_pair pair;
    test_pair_open(&pair, &opts);
    for (unsigned i = 0; i < N_CALLERS; i++) {
        callers[i] = (caller){.pair = &pair, .index = i, .n_calls = 1000, .n_max = 5000 + i * 8000};
    }
    call_all(callers);
    assert_true(n_carried(&pair) > N_CALLERS * 100);
    test_pair_close(&pair);
}

/* Large answers in parts, and small ones in between. */
static void large_answers_come_beside_small_ones(void **state)
{
    (void)state;
    const test_pair_opts opts = {.large = true,
                                 .client_without_pool = true,
                                 .channel = &plain,
                                 .max_message_bytes = 64 << 20,
                                 .n_threads = 4};
    caller callers[N_CALLERS];
    test_pair pair;
    test_pair_open(&pair, &opts);
    for (unsigned i = 0; i < N_CALLERS; i++) {
        callers[i] = (caller){.pair = &pair, .index = i, .n_calls = 200, .n_max = 3000};
        if (i < 3) {
            callers[i].answer = (i + 1) * UINT64_C(300001);
            callers[i].n_calls = 20;
        }
    }
    call_all(callers);
    test_pair_close(&pair);
}

/* A pool's buffers go by key over a trunk as they do without. */
static void payloads_go_by_key(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, &(test_pair_opts){.channel = &plain});
    for (int i = 0; i < 50; i++) {
        Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        haul_payload_out out;
        haul_buf *buf = test_payload(pair.client_pool, 50000, (uint8_t)i, &out);
        request.mode = HAUL__TEST__MODE__MODE_PUT;
        request.size = 40000;
        request.data = &out.payload;
        haul_reply *reply = test_exchange(&pair, &request, NULL);
        const Haul__Test__ExchangeResponse *response = test_response(reply);
        haul_view view;
        assert_ok(haul_reply_view(reply, response->data, &view));
        assert_true(response->sums[0] == test_payload_sum(50000, (uint8_t)i));
        assert_true(view.len == 40000 && test_is_filled(view.data, view.len, 7));
        assert_int_equal(haul_reply_path(reply), HAUL_PATH_SHM);
        assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_SHM);
        haul_reply_free(reply);
        haul_buf_release(buf);
    }
    assert_int_equal(n_carried(&pair), 51); /* with the probe of the lane */
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_calls_go_over_the_trunk),
        cmocka_unit_test(where_there_is_none_calls_go_by_themselves),
        cmocka_unit_test(answers_of_any_size_come),
        cmocka_unit_test(answers_have_a_bound),
        cmocka_unit_test(requests_of_any_size_arrive),
        cmocka_unit_test(many_callers_get_each_its_own_answer),
        cmocka_unit_test(large_answers_come_beside_small_ones),
        cmocka_unit_test(payloads_go_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
