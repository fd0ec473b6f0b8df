/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What a hostile client can send below gRPC's own rules: lengths that lie, conversations that break
 * off at any byte, frames that HTTP/2 forbids. Each call ends in a status or with its connection; the
 * server serves others meanwhile and afterwards, and has in the end what it had before: calls,
 * descriptors, buffers.
 */

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "h2_scene.h"
#include "transport_raw.h"

/* The status of a call with these bytes after its headers. */
static int send_after_headers(const test_pair *pair, const h2_bytes *frames)
{
    h2_bytes bytes = {0};
    int fd = h2_open(pair->address, WINDOW);
    h2_add_call(&bytes, 1, EXCHANGE, NULL);
    h2_add(&bytes, frames->data, frames->len);
    (void)h2_write(fd, &bytes);
    int status = h2_read_status(fd, 1);
    (void)close(fd);
    h2_free(&bytes);
    return status;
}

/* Lengths in front of messages, and what else is not a message. */
static void frames_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *bytes;
        size_t len;
        grpc_status_code code;
    } cases[] = {
        {"4 GiB that do not come", "\0\xff\xff\xff\xff hello", 11, GRPC_STATUS_INVALID_ARGUMENT},
        {"2 GiB that do not come", "\0\x80\0\0\0 hello", 11, GRPC_STATUS_INVALID_ARGUMENT},
        {"one byte that does not come", "\0\0\0\0\x06hello", 10, GRPC_STATUS_INVALID_ARGUMENT},
        {"a length that is cut", "\0\0\0", 3, GRPC_STATUS_INVALID_ARGUMENT},
        {"nothing", "", 0, GRPC_STATUS_INVALID_ARGUMENT},
        {"compressed, nobody says how", "\1\0\0\0\5hello", 10, GRPC_STATUS_INVALID_ARGUMENT},
        {"another message behind", "\0\0\0\0\0\0\0\0\0\0", 10, GRPC_STATUS_OK}, /* not read */
    };
    h2_scene s;
    h2_begin(&s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        h2_bytes frame = {0};
        h2_add_frame(&frame, H2_DATA, H2_END_STREAM, 1, cases[i].bytes, cases[i].len);
        int status = send_after_headers(&s.pair, &frame);
        if (status != (int)cases[i].code) {
            fail_msg("%s: %d", cases[i].what, status);
        }
        h2_free(&frame);
    }
    assert_int_equal(test_service_entered(&s.pair.service), 2);
    h2_end(&s);
}

/* Fields of a later version of the message, of every wire type, in the message and in a payload. */
static void fields_that_nobody_knows(void **state)
{
    (void)state;
    static const char unknown[] = "\xa8\x7d\x96\x01"                 /* a varint */
                                  "\xa9\x7d\1\2\3\4\5\6\7\x08"       /* 64 bits */
                                  "\xad\x7d\1\2\3\4"                 /* 32 bits */
                                  "\xaa\x7d\3\xff\xff\xff"           /* bytes that are no message */
                                  "\xf8\xff\xff\xff\x0f\1";          /* the largest number */
    static const char payload[] = "\x1a\x0b\x08\5\x12\5hello\x50\1"; /* data, with a field 10 */
    test_pair pair;
    h2_bytes message = {0};
    raw_answer answer;
    test_pair_open(&pair, NULL);
    h2_add(&message, payload, sizeof(payload) - 1);
    for (int i = 0; i < 10000; i++) {
        h2_add(&message, unknown, sizeof(unknown) - 1);
    }
    const raw_request request = {
        .address = pair.address, .path = RAW_EXCHANGE, .bytes = message.data, .len = message.len};
    raw_call(&request, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_OK);
    Haul__Test__ExchangeResponse *response =
        haul__test__exchange_response__unpack(NULL, answer.len, answer.bytes);
    assert_non_null(response);
    assert_int_equal(response->n_sums, 1);
    assert_true(response->sums[0] == test_sum("hello", 5));
    haul__test__exchange_response__free_unpacked(response, NULL);
    h2_free(&message);
    test_pair_close(&pair);
}

static void connections_that_break_off(void **state)
{
    (void)state;
    h2_scene s;
    h2_bytes all = {0};
    h2_begin(&s);
    h2_add_preface(&all, WINDOW);
    h2_add_exchange(&all, 1, HAUL__TEST__MODE__MODE_PUT, 60000);
    for (size_t n = 0; n <= all.len; n++) {
        const h2_bytes part = {.data = all.data, .len = n};
        int fd = h2_connect(s.pair.address);
        assert_true(h2_write(fd, &part));
        (void)close(fd);
    }
    h2_free(&all);
    h2_end(&s);
}

/* What is no HTTP/2, and what HTTP/2 forbids. The server hangs up, or waits for more and hangs up
 * when there is none. */
static void conversations_of_another_kind(void **state)
{
    (void)state;
    static const struct {
        unsigned type;
        unsigned flags;
        uint32_t stream;
        const char *bytes;
        size_t len;
    } frames[] = {
        {H2_DATA, 0, 0, "hello", 5},
        {H2_DATA, 0, 99, "hello", 5},
        {H2_HEADERS, H2_END_HEADERS, 2, "\x83", 1},
        {H2_HEADERS, H2_END_HEADERS, 1, "\xff\xff\xff\xff\xff\xff\xff", 7},
        {H2_HEADERS, H2_END_HEADERS, 1, "\0\x7f\xff", 3},
        {H2_HEADERS, 0, 1, "\x83", 1},
        {H2_CONTINUATION, H2_END_HEADERS, 1, "\x83", 1},
        {H2_SETTINGS, 0, 0, "\0\4\xff", 3},
        {H2_SETTINGS, 0, 0, "\0\4\xff\xff\xff\xff", 6},
        {H2_PING, 0, 0, "seven..", 7},
        {H2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4},
        {H2_WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4},
        {H2_GOAWAY, 0, 0, "", 0},
        {255, 255, UINT32_MAX, "a frame of no type", 18},
    };
    static const char *const other[] = {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "PRI * HTTP/2",
                                        "\x16\x03\x01\x02"};
    h2_scene s;
    h2_begin(&s);
    const size_t n_frames = sizeof(frames) / sizeof(frames[0]);
    for (size_t i = 0; i < n_frames + sizeof(other) / sizeof(other[0]); i++) {
        h2_bytes bytes = {0};
        if (i < n_frames) {
            h2_add_preface(&bytes, WINDOW);
            h2_add_frame(&bytes, frames[i].type, frames[i].flags, frames[i].stream, frames[i].bytes,
                         frames[i].len);
        } else {
            h2_add(&bytes, other[i - n_frames], strlen(other[i - n_frames]));
        }
        int fd = h2_connect(s.pair.address);
        (void)h2_write(fd, &bytes);
        (void)shutdown(fd, SHUT_WR);
        h2_read_to_end(fd);
        (void)close(fd);
        h2_free(&bytes);
    }
    h2_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_that_lie),
        cmocka_unit_test(fields_that_nobody_knows),
        cmocka_unit_test(connections_that_break_off),
        cmocka_unit_test(conversations_of_another_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
