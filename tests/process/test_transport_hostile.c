/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What a foreign or hostile client can send to a server: malformed messages, unknown methods,
 * probes that prove nothing. Each gets a status; no handler sees it, nothing is lost, and the next
 * call is served.
 */

#include "raw_exchange.h"

#include <stdlib.h>
#include <string.h>

#define LEN 3000

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
        raw_exchange(&pair, cases[i].bytes, cases[i].len, &answer);
        if (answer.code != GRPC_STATUS_INVALID_ARGUMENT) {
            fail_msg("%s: code %d, %s", cases[i].what, answer.code, answer.text);
        }
        assert_string_equal(answer.refused, "");
    }
    raw_exchange(&pair, NULL, 0, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_INVALID_ARGUMENT);
    raw_assert_serves(&pair, 0);
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
    size_t len = raw_pack(&request, bytes, sizeof(bytes));
    raw_answer answer;
    unsigned n_ok = 0;
    for (size_t n = 0; n < len; n++) {
        raw_exchange(&pair, bytes, n, &answer);
        if (answer.code == GRPC_STATUS_OK) {
            n_ok++;
        } else {
            assert_int_equal(answer.code, GRPC_STATUS_INVALID_ARGUMENT);
        }
    }
    assert_int_equal(test_service_entered(&pair.service), n_ok);
    raw_exchange(&pair, bytes, len, &answer);
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
    raw_exchange(&pair, key_then_inline, sizeof(key_then_inline) - 1, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_OK);
    assert_string_equal(answer.paths, "request=inline response=none");
    raw_exchange(&pair, inline_then_key, sizeof(inline_then_key) - 1, &answer);
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
    raw_exchange(&pair, bytes + at, ROOM - at, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_INVALID_ARGUMENT);
    free(bytes);
    raw_assert_serves(&pair, 0);
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
    raw_assert_serves(&pair, 0);
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
        cmocka_unit_test(unknown_methods),
        cmocka_unit_test(wrong_probes),
        cmocka_unit_test(messages_beyond_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
