/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What a hostile client can do to a server below gRPC's own rules: lengths that lie, conversations
 * that break off at any byte, streams that are opened and left, answers that are never read. Each
 * call ends in a status or with its connection; the server serves others meanwhile and afterwards,
 * and has in the end what it had before: calls, descriptors, buffers, memory.
 */

#include <malloc.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../limits/limits.h"
#include "h2.h"
#include "transport/server.h"
#include "transport_raw.h"
#include "transport_test.h"

#define EXCHANGE "/haul.test.TestService/Exchange"
#define WINDOW   65535u
#define STREAMS  1024 /* what the server allows a connection */

/* An ordinary client is served, on the connection that the pair has had from the beginning. */
static void assert_serves(test_pair *pair)
{
    haul_payload_out out;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_payload_set_inline(&out, "hello", 5);
    request.data = &out.payload;
    haul_reply *reply = test_exchange(pair, &request, NULL);
    assert_true(test_response(reply)->sums[0] == test_sum("hello", 5));
    haul_reply_free(reply);
}

static size_t calls_of(test_pair *pair)
{
    (void)pthread_mutex_lock(&pair->server->mutex);
    size_t n = pair->server->n_calls;
    (void)pthread_mutex_unlock(&pair->server->mutex);
    return n;
}

/* Wait until nothing is left of those who have gone. */
static void wait_until_gone(test_pair *pair, size_t n_descriptors)
{
    while (limits_descriptors() > n_descriptors || calls_of(pair) > 0) {
        assert_serves(pair);
    }
}

/* A server that has served, and what the process had then. */
typedef struct scene {
    test_pair pair;
    size_t n_descriptors;
} scene;

static void begin(scene *s)
{
    test_pair_open(&s->pair, NULL);
    assert_serves(&s->pair);
    s->n_descriptors = limits_descriptors();
}

static void end(scene *s)
{
    wait_until_gone(&s->pair, s->n_descriptors);
    test_pair_close(&s->pair);
}

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
    scene s;
    begin(&s);
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
    end(&s);
}

/* A whole call, that sends some bytes inline and asks for an answer: the same or @size others. */
static void add_exchange(h2_bytes *bytes, uint32_t stream, Haul__Test__Mode mode, uint64_t size)
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
    scene s;
    h2_bytes all = {0};
    begin(&s);
    h2_add_preface(&all, WINDOW);
    add_exchange(&all, 1, HAUL__TEST__MODE__MODE_PUT, 60000);
    for (size_t n = 0; n <= all.len; n++) {
        const h2_bytes part = {.data = all.data, .len = n};
        int fd = h2_connect(s.pair.address);
        assert_true(h2_write(fd, &part));
        (void)close(fd);
    }
    h2_free(&all);
    end(&s);
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
    scene s;
    begin(&s);
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
    end(&s);
}

/* Streams @first and on, so many, with headers and nothing else. */
static void add_idle(h2_bytes *bytes, uint32_t first, uint32_t n, const char *timeout)
{
    for (uint32_t i = 0; i < n; i++) {
        h2_add_call(bytes, first + 2 * i, EXCHANGE, timeout);
    }
}

/* A connection full of streams that never say anything more. */
static int open_idle(const test_pair *pair)
{
    h2_bytes bytes = {0};
    int fd = h2_open(pair->address, WINDOW);
    add_idle(&bytes, 1, STREAMS, NULL);
    assert_true(h2_write(fd, &bytes));
    h2_free(&bytes);
    return fd;
}

/* One stream beyond what the server allows a connection: it hangs up. */
static void open_one_more(int fd)
{
    h2_bytes bytes = {0};
    add_idle(&bytes, 2 * STREAMS + 1, 1, NULL);
    (void)h2_write(fd, &bytes);
    h2_read_to_end(fd);
    (void)close(fd);
    h2_free(&bytes);
}

static void streams_that_say_nothing(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    unsigned n_entered = test_service_entered(&s.pair.service);
    int fd = open_idle(&s.pair);
    assert_serves(&s.pair);
    assert_int_equal(test_service_entered(&s.pair.service), n_entered + 1);
    open_one_more(fd);
    end(&s);
}

/* The server does not wait longer for a message than the caller would for the answer. */
static void a_deadline_on_silence(void **state)
{
    (void)state;
    scene s;
    h2_bytes bytes = {0};
    begin(&s);
    int fd = h2_open(s.pair.address, WINDOW);
    add_idle(&bytes, 1, 1, "50m");
    assert_true(h2_write(fd, &bytes));
    assert_int_equal(h2_read_status(fd, 1), GRPC_STATUS_DEADLINE_EXCEEDED);
    (void)close(fd);
    h2_free(&bytes);
    end(&s);
}

static void wait_until_entered(test_pair *pair, unsigned n)
{
    (void)pthread_mutex_lock(&pair->service.mutex);
    while (pair->service.n_entered < n) {
        (void)pthread_cond_wait(&pair->service.changed, &pair->service.mutex);
    }
    (void)pthread_mutex_unlock(&pair->service.mutex);
}

/* Ask for so many answers and read none: the server may not send a byte of them. */
static int leave_unread(test_pair *pair, uint32_t n, Haul__Test__Mode mode, uint64_t size)
{
    h2_bytes bytes = {0};
    unsigned n_before = test_service_entered(&pair->service);
    int fd = h2_open(pair->address, 0);
    for (uint32_t i = 0; i < n; i++) {
        add_exchange(&bytes, 1 + 2 * i, mode, size);
    }
    assert_true(h2_write(fd, &bytes));
    h2_free(&bytes);
    wait_until_entered(pair, n_before + n);
    return fd;
}

/* Answers pile up to as many as a connection may have calls. Others are served. */
static void answers_that_nobody_reads(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    int fd = leave_unread(&s.pair, STREAMS, HAUL__TEST__MODE__MODE_ECHO, 0);
    assert_serves(&s.pair);
    assert_in_range(calls_of(&s.pair), STREAMS, STREAMS + 1);
    open_one_more(fd);
    end(&s);
}

/* Answers in buffers of the pool, to somebody who has none: the last of the buffers is gone, and
 * those who ask for more are told so. All comes back with the end of the connection. */
static void buffers_that_nobody_reads(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    int fd = leave_unread(&s.pair, 20, HAUL__TEST__MODE__MODE_PUT, 60000);
    assert_int_equal(test_free_count(s.pair.server_pool, 1), 0);
    assert_serves(&s.pair);
    (void)close(fd);
    end(&s);
}

/* A server that is to stop does not wait for them. */
static void stopping_while_nobody_reads(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    int fd = open_idle(&pair); /* what tells it of so many ends fills the socket */
    assert_serves(&pair);
    haul_server_stop(pair.server, 0);
    assert_int_equal(calls_of(&pair), 0);
    h2_read_to_end(fd);
    (void)close(fd);
    test_pair_close(&pair);
}

/* Calls that are taken back as soon as they are made. */
static void calls_that_are_reset_at_once(void **state)
{
    (void)state;
    scene s;
    h2_bytes bytes = {0};
    begin(&s);
    int fd = h2_open(s.pair.address, WINDOW);
    for (uint32_t i = 0; i < 5 * STREAMS; i++) {
        add_exchange(&bytes, 1 + 2 * i, HAUL__TEST__MODE__MODE_PUT, 3000);
        h2_add_frame(&bytes, H2_RST_STREAM, 0, 1 + 2 * i, "\0\0\0\x08", 4);
    }
    (void)h2_write(fd, &bytes);
    assert_serves(&s.pair);
    (void)close(fd);
    h2_free(&bytes);
    end(&s);
}

/* Round after round of it leaves nothing behind, except that a thread more may have come to have
 * something of its own: less than anything that a stream could forget. */
static void memory_comes_back(void **state)
{
    (void)state;
    enum {
        WARM = 3,
        ROUNDS = 8,
        UNREAD = 200,
        ALLOWED = (ROUNDS - WARM) * (STREAMS + UNREAD) * 10
    };
    scene s;
    size_t before = 0;
    begin(&s);
    for (int i = 0; i < ROUNDS; i++) {
        int idle = open_idle(&s.pair);
        int unread = leave_unread(&s.pair, UNREAD, HAUL__TEST__MODE__MODE_ECHO, 0);
        assert_serves(&s.pair);
        (void)close(idle);
        (void)close(unread);
        wait_until_gone(&s.pair, s.n_descriptors);
        if (i == WARM - 1) {
            before = mallinfo2().uordblks;
        }
    }
    size_t after = mallinfo2().uordblks;
    if (!LIMITS_SANITIZED && after > before + ALLOWED) {
        fail_msg("%zu bytes have become %zu", before, after);
    }
    end(&s);
}

int main(int argc, char **argv)
{
    (void)argc;
    limits_without_caches(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_that_lie),
        cmocka_unit_test(fields_that_nobody_knows),
        cmocka_unit_test(connections_that_break_off),
        cmocka_unit_test(conversations_of_another_kind),
        cmocka_unit_test(streams_that_say_nothing),
        cmocka_unit_test(a_deadline_on_silence),
        cmocka_unit_test(answers_that_nobody_reads),
        cmocka_unit_test(buffers_that_nobody_reads),
        cmocka_unit_test(stopping_while_nobody_reads),
        cmocka_unit_test(calls_that_are_reset_at_once),
        cmocka_unit_test(memory_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
