/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What a foreign or hostile client can send to a server: malformed messages, keys of all wrong
 * kinds, wrong metadata. Each gets a status; no handler sees it, nothing is lost, and the next call
 * is served.
 */

#include "transport_raw.h"
#include "transport_test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEN 3000

static size_t packed(const Haul__Test__ExchangeRequest *request, uint8_t *out, size_t size)
{
    assert_in_range(haul__test__exchange_request__get_packed_size(request), 0, size);
    return haul__test__exchange_request__pack(request, out);
}

static void send_bytes(const test_pair *pair, const void *bytes, size_t len, raw_answer *answer)
{
    const raw_request request = {
        .address = pair->address, .path = RAW_EXCHANGE, .bytes = bytes, .len = len};
    raw_call(&request, answer);
}

/* The server still serves, and no handler has run but ours. */
static void assert_serves(test_pair *pair, unsigned n_entered_before)
{
    assert_int_equal(test_service_entered(&pair->service), n_entered_before);
    raw_answer answer;
    send_bytes(pair, "", 0, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_OK);
    assert_int_equal(test_service_entered(&pair->service), n_entered_before + 1);
}

static void malformed_messages(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *bytes;
        size_t len;
    } cases[] = {
        {"a tag and nothing", "\x1a", 1},
        {"a length beyond the end", "\x1a\x7f\x08", 3},
        {"a length of 2^63", "\x1a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11},
        {"a varint without end", "\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12},
        {"tag zero", "\x02\x00", 2},
        {"a group", "\x1b\x1c", 2},
        {"a string where a message is", "\x1a\x03\x12\x7f\x00", 5},
        {"a payload of 5 bytes that says 6", "\x1a\x09\x08\x06\x12\x05hello", 11},
        {"a payload of 2^64-1 bytes and no source",
         "\x1a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13},
        {"inline bytes and length 2^63",
         "\x1a\x0d\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x12\x00", 15},
        {"a payload in a repeated field that lies", "\x42\x02\x08\x01", 4},
        {"a payload in a nested message that lies", "\x22\x04\x12\x02\x08\x01", 6},
    };
    test_pair pair;
    test_pair_open(&pair, NULL);
    raw_answer answer;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        send_bytes(&pair, cases[i].bytes, cases[i].len, &answer);
        if (answer.code != GRPC_STATUS_INVALID_ARGUMENT) {
            fail_msg("%s: code %d, %s", cases[i].what, answer.code, answer.text);
        }
        assert_string_equal(answer.refused, "");
    }
    send_bytes(&pair, NULL, 0, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_INVALID_ARGUMENT);
    assert_serves(&pair, 0);
    test_pair_close(&pair);
}

/* Truncations of a good message either still are one or are refused. */
static void truncated_messages(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_payload_out out[2];
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out[0]);
    haul_payload_set_inline(&out[1], "hello", 5);
    haul_payload *row[] = {&out[1].payload};
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.size = 3;
    request.data = &out[0].payload;
    request.row = row;
    request.n_row = 1;
    uint8_t bytes[256];
    size_t len = packed(&request, bytes, sizeof(bytes));
    raw_answer answer;
    unsigned n_ok = 0;
    for (size_t n = 0; n < len; n++) {
        send_bytes(&pair, bytes, n, &answer);
        if (answer.code == GRPC_STATUS_OK) {
            n_ok++;
        } else {
            assert_int_equal(answer.code, GRPC_STATUS_INVALID_ARGUMENT);
        }
    }
    assert_int_equal(test_service_entered(&pair.service), n_ok);
    send_bytes(&pair, bytes, len, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_OK);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

/* Of a oneof with both members on the wire the last one counts. */
static void both_sources(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    raw_answer answer;
    static const char key_then_inline[] = "\x1a\x0b\x08\x05\x1a\x00\x12\x05hello";
    static const char inline_then_key[] = "\x1a\x0b\x08\x05\x12\x05hello\x1a\x00";
    send_bytes(&pair, key_then_inline, sizeof(key_then_inline) - 1, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_OK);
    assert_string_equal(answer.paths, "request=inline response=none");
    send_bytes(&pair, inline_then_key, sizeof(inline_then_key) - 1, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_FAILED_PRECONDITION);
    assert_string_equal(answer.refused, "key");
    test_pair_close(&pair);
}

/* A type that contains itself, nested deeper than any stack would bear. */
static void endless_nesting(void **state)
{
    (void)state;
    enum {
        LEVELS = 200000,
        ROOM = 6 * LEVELS
    };
    test_pair pair;
    test_pair_open(&pair, NULL);
    uint8_t *bytes = malloc(ROOM);
    assert_non_null(bytes);
    /* From the inside out, written from the back: Tree.branches is field 2, request.tree 7. */
    size_t at = ROOM;
    for (int level = 0; level <= LEVELS; level++) {
        size_t len = ROOM - at;
        uint8_t varint[10];
        size_t n = 0;
        do {
            varint[n++] = (uint8_t)((len & 0x7f) | (len > 0x7f ? 0x80 : 0));
            len >>= 7;
        } while (len > 0);
        at -= n;
        memcpy(bytes + at, varint, n);
        bytes[--at] = level == LEVELS ? 0x3a : 0x12;
    }
    raw_answer answer;
    send_bytes(&pair, bytes + at, ROOM - at, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_INVALID_ARGUMENT);
    free(bytes);
    assert_serves(&pair, 0);
    test_pair_close(&pair);
}

static void send_key(const test_pair *pair, const haul_key *key, uint64_t len, raw_answer *answer)
{
    haul_payload_out out;
    haul_payload_set_key(&out, key, len);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    uint8_t bytes[256];
    size_t n = packed(&request, bytes, sizeof(bytes));
    send_bytes(pair, bytes, n, answer);
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
    assert_serves(&pair, 1);
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
    send_bytes(&pair, bytes, packed(&request, bytes, sizeof(bytes)), &answer);
    assert_int_equal(answer.code, GRPC_STATUS_FAILED_PRECONDITION);
    haul_buf_release(buf);
    assert_all_free(pair.client_pool);
    assert_serves(&pair, 0);
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
                                 .len = packed(&message, bytes, sizeof(bytes)),
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

static void unknown_methods(void **state)
{
    (void)state;
    static const char *const paths[] = {"/haul.test.TestService/Missing", "/no.Service/Exchange",
                                        "/", "/haul.test.TestService"};
    test_pair pair;
    test_pair_open(&pair, NULL);
    for (size_t i = 0; i < 4 * sizeof(paths) / sizeof(paths[0]); i++) {
        const raw_request request = {
            .address = pair.address, .path = paths[i / 4], .bytes = "", .len = 0};
        raw_answer answer;
        raw_call(&request, &answer);
        assert_int_equal(answer.code, GRPC_STATUS_UNIMPLEMENTED);
    }
    assert_serves(&pair, 0);
    test_pair_close(&pair);
}

/* Probes that prove nothing. */
static void wrong_probes(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    static const struct {
        const char *bytes;
        size_t len;
        grpc_status_code code;
    } cases[] = {
        {"", 0, GRPC_STATUS_INVALID_ARGUMENT},                 /* no nonce */
        {"\x0a\x00", 2, GRPC_STATUS_INVALID_ARGUMENT},         /* an empty one */
        {"\x0a\x02\x08\x0f", 4, GRPC_STATUS_INVALID_ARGUMENT}, /* 15 bytes */
        {"\x0a\x02\x08\x41", 4, GRPC_STATUS_INVALID_ARGUMENT}, /* 65 bytes */
        {"\x0a\x02\x08\x10", 4, GRPC_STATUS_OK},               /* 16 bytes of nowhere */
        {"\x0a\x04\x08\x10\x1a\x00", 6, GRPC_STATUS_OK},       /* and of an empty key */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const raw_request request = {.address = pair.address,
                                     .path = RAW_PROBE,
                                     .bytes = cases[i].bytes,
                                     .len = cases[i].len};
        raw_answer answer;
        raw_call(&request, &answer);
        assert_int_equal(answer.code, cases[i].code);
        assert_int_equal(answer.len, 0); /* attached is false and there is no nonce */
    }
    test_pair_close(&pair);
}

static void messages_beyond_the_bound(void **state)
{
    (void)state;
    const test_pair_opts opts = {.max_message_bytes = 10000, .client_without_pool = true};
    test_pair pair;
    test_pair_open(&pair, &opts);
    uint8_t *bytes = calloc(1, 20000);
    assert_non_null(bytes);
    haul_payload_out out;
    haul_payload_set_inline(&out, bytes, 20000);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    haul_reply *reply = test_exchange(&pair, &request, NULL);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_RESOURCE_EXHAUSTED);
    haul_reply_free(reply);
    assert_int_equal(test_service_entered(&pair.service), 0);
    request.data = NULL;
    request.mode = HAUL__TEST__MODE__MODE_PUT;
    request.size = 20000;
    reply = test_exchange(&pair, &request, NULL);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_RESOURCE_EXHAUSTED);
    haul_reply_free(reply);
    free(bytes);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_messages),
        cmocka_unit_test(truncated_messages),
        cmocka_unit_test(both_sources),
        cmocka_unit_test(endless_nesting),
        cmocka_unit_test(wrong_keys),
        cmocka_unit_test(one_wrong_key_of_two),
        cmocka_unit_test(wrong_accept_metadata),
        cmocka_unit_test(a_gift_that_nobody_claims),
        cmocka_unit_test(unknown_methods),
        cmocka_unit_test(wrong_probes),
        cmocka_unit_test(messages_beyond_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
