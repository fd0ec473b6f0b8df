/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Keys of all wrong kinds, and gifts to nobody, sent by a client that is not Shorthaul's. The
 * server refuses each before a handler sees it, repeats nothing of it, and loses no buffer.
 */

#include "raw_exchange.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LEN 3000

static void send_key(const test_pair *pair, const haul_key *key, uint64_t len, raw_answer *answer)
{
    haul_payload_out out;
    haul_payload_set_key(&out, key, len);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    uint8_t bytes[256];
    size_t n = raw_pack(&request, bytes, sizeof(bytes));
    raw_exchange(pair, bytes, n, answer);
}

static void assert_refused(const test_pair *pair, const haul_key *key, uint64_t len)
{
    raw_answer answer;
    char ticket[32];
    send_key(pair, key, len, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_FAILED_PRECONDITION);
    assert_string_equal(answer.refused, "key");
    assert_int_equal(answer.len, 0);
    (void)snprintf(ticket, sizeof(ticket), "%" PRIu64, key->ticket);
    assert_null(strstr(answer.text, ticket));
    (void)snprintf(ticket, sizeof(ticket), "%" PRIx64, key->ticket);
    assert_null(strstr(answer.text, ticket));
    assert_null(strstr(answer.text, haul_pool_name(pair->client_pool)));
}

static void wrong_keys(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    haul_key good;
    assert_ok(haul_payload_get_key(&out.payload, &good));
    haul_key key = good;
    key.ticket ^= 1;
    assert_refused(&pair, &key, LEN);
    key = good;
    key.generation++;
    assert_refused(&pair, &key, LEN);
    key = good;
    key.index++;
    assert_refused(&pair, &key, LEN);
    key = good;
    key.index = UINT32_MAX;
    assert_refused(&pair, &key, LEN);
    key = good;
    key.offset = 1u << 20;
    assert_refused(&pair, &key, LEN);
    key = good;
    key.offset = UINT64_MAX - 1;
    assert_refused(&pair, &key, LEN);
    key = good;
    key.pool_id ^= 1;
    assert_refused(&pair, &key, LEN);
    assert_refused(&pair, &good, 1u << 20);
    assert_refused(&pair, &good, UINT64_MAX);
    assert_int_equal(test_service_entered(&pair.service), 0);

    raw_answer answer;
    send_key(&pair, &good, LEN, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_OK);
    assert_string_equal(answer.paths, "request=shm response=none");
    haul_buf_release(buf);
    assert_refused(&pair, &good, LEN);
    raw_assert_serves(&pair, 1);
    test_pair_close(&pair);
}

/* One good key and one bad: nothing of the good one is held afterwards. */
static void one_wrong_key_of_two(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_payload_out out[2];
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out[0]);
    haul_key key;
    assert_ok(haul_payload_get_key(&out[0].payload, &key));
    key.ticket ^= 1;
    haul_payload_set_key(&out[1], &key, LEN);
    haul_payload *row[] = {&out[1].payload};
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out[0].payload;
    request.row = row;
    request.n_row = 1;
    uint8_t bytes[256];
    raw_answer answer;
    raw_exchange(&pair, bytes, raw_pack(&request, bytes, sizeof(bytes)), &answer);
    assert_int_equal(answer.code, GRPC_STATUS_FAILED_PRECONDITION);
    haul_buf_release(buf);
    assert_all_free(pair.client_pool);
    raw_assert_serves(&pair, 0);
    test_pair_close(&pair);
}

static void ask_for_answer(const test_pair *pair, const char *accept, raw_answer *answer)
{
    Haul__Test__ExchangeRequest message = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    message.mode = HAUL__TEST__MODE__MODE_PUT;
    message.size = LEN;
    uint8_t bytes[64];
    const raw_request request = {.address = pair->address,
                                 .path = RAW_EXCHANGE,
                                 .bytes = bytes,
                                 .len = raw_pack(&message, bytes, sizeof(bytes)),
                                 .accept = accept};
    raw_call(&request, answer);
}

/* Somebody who asks for answers by key in a wrong way gets them inline. */
static void wrong_accept_metadata(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    uint64_t id = haul_pool_id(pair.client_pool);
    char texts[12][64];
    (void)snprintf(texts[0], 64, "%016" PRIx64 ".0", id);
    (void)snprintf(texts[1], 64, "%016" PRIx64 ".4294967296", id);
    (void)snprintf(texts[2], 64, "%016" PRIx64 ".99999999999999999999999999", id);
    (void)snprintf(texts[3], 64, "%016" PRIx64 ".1x", id);
    (void)snprintf(texts[4], 64, "%016" PRIx64 ".-1", id);
    (void)snprintf(texts[5], 64, "%016" PRIx64 ".", id);
    (void)snprintf(texts[6], 64, "%016" PRIx64, id);
    (void)snprintf(texts[7], 64, "%016" PRIx64 ".1", id ^ 1);
    (void)snprintf(texts[8], 64, "%016" PRIX64 " 1", id);
    (void)snprintf(texts[9], 64, "x");
    (void)snprintf(texts[10], 64, "%016" PRIx64 ".16", id);   /* nobody has joined there */
    (void)snprintf(texts[11], 64, "%016" PRIx64 ".5000", id); /* no such slot */
    for (size_t i = 0; i < 12; i++) {
        raw_answer answer;
        ask_for_answer(&pair, texts[i], &answer);
        assert_int_equal(answer.code, GRPC_STATUS_OK);
        assert_string_equal(answer.paths, "request=none response=inline");
        assert_in_range(answer.len, LEN, LEN + 64);
    }
    test_pair_close(&pair);
}

/* The key in an answer, as the receiver sees it. */
static void key_in_answer(const raw_answer *answer, haul_key *out_key, uint64_t *out_len)
{
    Haul__Test__ExchangeResponse *response =
        haul__test__exchange_response__unpack(NULL, answer->len, answer->bytes);
    assert_non_null(response);
    assert_non_null(response->data);
    assert_ok(haul_payload_get_key(response->data, out_key));
    *out_len = response->data->length;
    haul__test__exchange_response__free_unpacked(response, NULL);
}

/* Given, never claimed, and taken back by whoever reaps after the deadline. */
static void a_gift_that_nobody_claims(void **state)
{
    (void)state;
    const test_pair_opts opts = {.give_ns = 1};
    test_pair pair;
    test_pair_open(&pair, &opts);
    char accept[64];
    (void)snprintf(accept, sizeof(accept), "%016" PRIx64 ".%" PRIu32,
                   haul_pool_id(pair.client_pool), haul_pool_participant(pair.client_pool));
    raw_answer answer;
    ask_for_answer(&pair, accept, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_OK);
    assert_string_equal(answer.paths, "request=none response=shm");
    haul_key key;
    uint64_t len;
    key_in_answer(&answer, &key, &len);
    assert_int_equal(len, LEN);
    size_t n = 0;
    assert_ok(haul_pool_reap(pair.client_pool, &n, NULL));
    assert_int_equal(n, 1);
    haul_buf *buf;
    assert_status(haul_buf_claim(pair.client_pool, &key, len, &buf), HAUL_STALE);
    assert_all_free(pair.client_pool);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_keys),
        cmocka_unit_test(one_wrong_key_of_two),
        cmocka_unit_test(wrong_accept_metadata),
        cmocka_unit_test(a_gift_that_nobody_claims),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
