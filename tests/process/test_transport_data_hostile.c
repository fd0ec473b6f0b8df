/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What clients may do to a server's data connections, by malice or by dying: the server lives and
 * serves others, what they sent is nobody's and is let go of, and a number is good once, for the call
 * that was meant.
 */

#include "data_scene.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raw_exchange.h"
#include "transport/data_frame.h"
#include "transport/letter.h"
#include "transport_process.h"

#define LOOK_NS UINT64_C(30000000000)
#define LEN     ((size_t)1000000)

typedef struct scene {
    test_pair pair;
    data_server server;
} scene;

static void set_up_with(scene *s, const test_pair_opts *opts)
{
    test_pair_open(&s->pair, opts);
    data_ask(s->pair.channel, &s->server);
}

static void set_up(scene *s)
{
    set_up_with(s, &(test_pair_opts){.large = true});
}

/* The server takes payloads as ever, and holds nothing at the end. */
static void tear_down(scene *s)
{
    int fd = data_connect(&s->server);
    (void)data_put(fd, LEN, 1);
    assert_int_equal(close(fd), 0);
    test_pair_close(&s->pair);
}

/* Call with the number of a transfer, of so many bytes. */
static void call_with(const scene *s, uint64_t number, uint64_t len, raw_answer *answer)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    Shorthaul__V1__Payload payload = SHORTHAUL__V1__PAYLOAD__INIT;
    uint8_t bytes[256];
    payload.length = len;
    payload.source_case = SHORTHAUL__V1__PAYLOAD__SOURCE_TRANSFER;
    payload.transfer = number;
    request.data = &payload;
    raw_exchange(&s->pair, bytes, raw_pack(&request, bytes, sizeof(bytes)), answer);
}

static void assert_refused(scene *s, uint64_t number, uint64_t len)
{
    raw_answer answer;
    unsigned n = test_service_entered(&s->pair.service);
    call_with(s, number, len, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_FAILED_PRECONDITION);
    assert_string_equal(answer.refused, "key");
    assert_int_equal(test_service_entered(&s->pair.service), n);
}

static void assert_taken(scene *s, uint64_t number, uint64_t len)
{
    raw_answer answer;
    unsigned n = test_service_entered(&s->pair.service);
    call_with(s, number, len, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_OK);
    assert_int_equal(test_service_entered(&s->pair.service), n + 1);
}

/* ---- Numbers ---- */

static void a_number_is_good_once(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    int fd = data_connect(&s.server);
    uint64_t number = data_put(fd, LEN, 1);
    assert_taken(&s, number, LEN);
    assert_refused(&s, number, LEN);
    assert_int_equal(close(fd), 0);
    tear_down(&s);
}

static void a_number_goes_with_its_length(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    int fd = data_connect(&s.server);
    uint64_t number = data_put(fd, LEN, 1);
    assert_refused(&s, number, LEN - 1);
    assert_refused(&s, number, LEN + 1);
    assert_refused(&s, number, 0);
    assert_refused(&s, 0, LEN);
    assert_refused(&s, number + 1, LEN);
    assert_taken(&s, number, LEN);
    assert_int_equal(close(fd), 0);
    tear_down(&s);
}

/* What one call has named twice it gets once, and so not at all; nothing stays behind. */
static void twice_in_one_call(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    int fd = data_connect(&s.server);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    Shorthaul__V1__Payload payload = SHORTHAUL__V1__PAYLOAD__INIT;
    uint8_t bytes[256];
    payload.length = LEN;
    payload.source_case = SHORTHAUL__V1__PAYLOAD__SOURCE_TRANSFER;
    payload.transfer = data_put(fd, LEN, 1);
    haul_payload *row[] = {&payload, &payload};
    request.n_row = 2;
    request.row = row;
    raw_answer answer;
    raw_exchange(&s.pair, bytes, raw_pack(&request, bytes, sizeof(bytes)), &answer);
    assert_int_equal(answer.code, GRPC_STATUS_FAILED_PRECONDITION);
    assert_int_equal(close(fd), 0);
    tear_down(&s);
}

/* Wait until the server has let go of what came on connections that are closed. */
static void wait_until_free(haul_pool *pool)
{
    for (uint32_t c = 0; c < 4; c++) {
        for (;;) {
            haul_class_info info = test_class_info(pool, c);
            if (info.n_owned + info.n_shared + info.n_retired == 0) {
                break;
            }
            (void)sched_yield();
        }
    }
}

static void a_number_ends_with_its_connection(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    int fd = data_connect(&s.server);
    uint64_t number = data_put(fd, LEN, 1);
    assert_int_equal(close(fd), 0);
    wait_until_free(s.pair.client_pool);
    assert_refused(&s, number, LEN);
    tear_down(&s);
}

/* Streams have none, and an application does not get to forge one. */
static void only_servers_read_numbers(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    Shorthaul__V1__Payload payload = SHORTHAUL__V1__PAYLOAD__INIT;
    payload.length = LEN;
    payload.source_case = SHORTHAUL__V1__PAYLOAD__SOURCE_TRANSFER;
    payload.transfer = 1;
    request.data = &payload;
    haul_reply *reply;
    assert_status(haul_channel_call(s.pair.channel, &haul__test__test_service__descriptor, 1,
                                    &request.base, NULL, &reply),
                  HAUL_INVALID);
    tear_down(&s);
}

/* ---- Connections ---- */

static void without_the_token(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    for (size_t i = 0; i < 2; i++) {
        haul__data_hello hello;
        memcpy(hello.magic, HAUL__DATA_MAGIC, sizeof(hello.magic));
        memcpy(hello.token, s.server.client_token, sizeof(hello.token));
        if (i == 0) {
            hello.token[HAUL__DATA_TOKEN_BYTES - 1] ^= 1;
        } else {
            hello.magic[7] = '2';
        }
        int fd = haul__data_connect(s.server.name, LOOK_NS);
        assert_true(fd >= 0);
        data_write(fd, &hello, sizeof(hello));
        data_assert_closed(fd);
    }
    tear_down(&s);
}

static void assert_closed_by_length(const scene *s, uint64_t len)
{
    uint8_t head[8];
    int fd = data_connect(&s->server);
    haul__data_put_u64(head, len);
    data_write(fd, head, sizeof(head));
    data_assert_closed(fd);
}

static void absurd_lengths(void **state)
{
    (void)state;
    scene s;
    set_up_with(&s, &(test_pair_opts){.large = true, .max_message_bytes = 4 * LEN});
    assert_closed_by_length(&s, 0);
    assert_closed_by_length(&s, 4 * LEN + 1);
    assert_closed_by_length(&s, UINT64_MAX);
    assert_closed_by_length(&s, UINT64_MAX / 2);
    tear_down(&s);
    set_up(&s); /* without a bound it is memory that there is none of */
    assert_closed_by_length(&s, UINT64_MAX);
    assert_closed_by_length(&s, UINT64_MAX - 100);
    assert_closed_by_length(&s, UINT64_MAX / 2);
    tear_down(&s);
}

/* The bound on a message holds for all that is sent for one. */
static void more_than_may_be_unclaimed(void **state)
{
    (void)state;
    scene s;
    uint8_t head[8];
    set_up_with(&s, &(test_pair_opts){.large = true, .max_message_bytes = 3 * LEN});
    int fd = data_connect(&s.server);
    uint64_t first = data_put(fd, 2 * LEN, 1);
    haul__data_put_u64(head, LEN + 1);
    data_write(fd, head, sizeof(head));
    data_assert_closed(fd);
    wait_until_free(s.pair.client_pool);
    assert_refused(&s, first, 2 * LEN);

    fd = data_connect(&s.server);
    for (int i = 0; i < HAUL__DATA_UNCLAIMED_MAX; i++) {
        (void)data_put(fd, 1000, 1);
    }
    haul__data_put_u64(head, 1000);
    data_write(fd, head, sizeof(head));
    data_assert_closed(fd);
    tear_down(&s);
}

/* As many as there may be, silent ones. Those beyond are hung up on, and calls go on, inline. */
static void more_connections_than_there_may_be(void **state)
{
    (void)state;
    enum {
        N = 64
    };
    scene s;
    int fds[N];
    set_up(&s);
    for (int i = 0; i < N; i++) {
        fds[i] = data_connect(&s.server);
    }
    int beyond = haul__data_connect(s.server.name, LOOK_NS);
    assert_true(beyond >= 0);
    data_assert_closed(beyond);

    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .inline_only = true};
    haul_payload_out out;
    haul_buf *buf = test_payload(s.pair.client_pool, LEN, 3, &out);
    request.data = &out.payload;
    haul_reply *reply = test_exchange(&s.pair, &request, &opts);
    assert_true(test_response(reply)->sums[0] == test_payload_sum(LEN, 3));
    haul_reply_free(reply);
    haul_buf_release(buf);

    for (int i = 0; i < N; i++) {
        (void)shutdown(fds[i], SHUT_WR);
        data_assert_closed(fds[i]); /* its thread is about to end */
    }
    test_pair_close(&s.pair);
}

/* ---- Letters ---- */

/* Append a call of the test service with that request to the @n bytes at @to. */
static size_t add_call(uint8_t *to, size_t n, uint64_t id,
                       const Haul__Test__ExchangeRequest *request)
{
    const haul__letter_fields fields = {.id = id, .method = RAW_EXCHANGE};
    uint8_t packed[256];
    size_t n_packed = raw_pack(request, packed, sizeof(packed));
    grpc_slice rest = haul__letter_write(&fields);
    size_t n_rest = GRPC_SLICE_LENGTH(rest);
    n += haul__letter_head(n_rest, n_packed, true, to + n);
    memcpy(to + n, GRPC_SLICE_START_PTR(rest), n_rest);
    n += n_rest;
    n += haul__letter_message_head(n_packed, to + n);
    memcpy(to + n, packed, n_packed);
    grpc_slice_unref(rest);
    return n + n_packed;
}

static void send_letters(int fd, const void *bytes, uint64_t n)
{
    uint8_t number[8];
    haul__data_put_u64(number, HAUL__DATA_LETTERS | n);
    data_write(fd, number, sizeof(number));
    (void)!send(fd, bytes, n, MSG_NOSIGNAL); /* it may have hung up at the number */
}

/* The number of the next frame, which is read and thrown away. */
static uint64_t skip_letters(int fd)
{
    uint8_t number[8];
    data_read(fd, number, sizeof(number));
    uint64_t n = haul__data_get_u64(number) & ~HAUL__DATA_LETTERS;
    uint8_t *bytes = malloc(n);
    assert_non_null(bytes);
    data_read(fd, bytes, n);
    free(bytes);
    return haul__data_get_u64(number);
}

static void letters_that_are_none(void **state)
{
    (void)state;
    scene s;
    const Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    uint8_t bytes[1024];
    set_up(&s);

    int fd = data_connect(&s.server); /* not for calls */
    send_letters(fd, bytes, add_call(bytes, 0, 1, &request));
    data_assert_closed(fd);

    fd = data_connect_letters(&s.server);
    send_letters(fd, bytes, 0);
    data_assert_closed(fd);

    fd = data_connect_letters(&s.server);
    memset(bytes, 0xff, sizeof(bytes));
    send_letters(fd, bytes, sizeof(bytes));
    data_assert_closed(fd);

    fd = data_connect_letters(&s.server);
    haul__data_put_u64(bytes, HAUL__DATA_LETTERS | (HAUL__TRUNK_MESSAGE_MAX + 1));
    data_write(fd, bytes, 8);
    data_assert_closed(fd);

    fd = data_connect_letters(&s.server); /* there is nothing to be cancelled */
    const haul__letter_fields fields = {.id = 1, .cancelled = true};
    grpc_slice rest = haul__letter_write(&fields);
    size_t n = haul__letter_head(GRPC_SLICE_LENGTH(rest), 0, false, bytes);
    memcpy(bytes + n, GRPC_SLICE_START_PTR(rest), GRPC_SLICE_LENGTH(rest));
    send_letters(fd, bytes, n + GRPC_SLICE_LENGTH(rest));
    grpc_slice_unref(rest);
    data_assert_closed(fd);

    assert_int_equal(test_service_entered(&s.pair.service), 0);
    tear_down(&s);
}

/* The first is served and answered, and that is the end of it. */
static void two_calls_at_once(void **state)
{
    (void)state;
    scene s;
    const Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    uint8_t bytes[1024];
    set_up(&s);
    int fd = data_connect_letters(&s.server);
    for (uint64_t i = 0; i < 3;
         i++) { /* one after the other they are welcome, whatever their ids */
        send_letters(fd, bytes, add_call(bytes, 0, i, &request));
        assert_true(skip_letters(fd) & HAUL__DATA_LETTERS);
    }
    assert_int_equal(test_service_entered(&s.pair.service), 3);
    size_t n = add_call(bytes, 0, 4, &request);
    send_letters(fd, bytes, add_call(bytes, n, 5, &request));
    (void)skip_letters(fd);
    data_assert_closed(fd);
    assert_int_equal(test_service_entered(&s.pair.service), 4);
    tear_down(&s);
}

static void a_token_ends_with_its_trunk(void **state)
{
    (void)state;
    scene s;
    set_up(&s);
    haul_channel_close(s.pair.channel);
    s.pair.channel = NULL;
    for (bool told = true; told;) { /* until the server has noticed */
        haul__data_hello hello;
        uint8_t byte;
        memcpy(hello.magic, HAUL__DATA_MAGIC, sizeof(hello.magic));
        memcpy(hello.token, s.server.letters_token, sizeof(hello.token));
        int fd = haul__data_connect(s.server.name, LOOK_NS);
        assert_true(fd >= 0);
        data_write(fd, &hello, sizeof(hello));
        told = recv(fd, &byte, 1, 0) > 0;
        assert_int_equal(close(fd), 0);
    }
    tear_down(&s);
}

/* An answer that nobody reads: the server can stop all the same. */
static void answers_that_are_not_read(void **state)
{
    (void)state;
    scene s;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    uint8_t bytes[1024];
    set_up(&s);
    request.mode = HAUL__TEST__MODE__MODE_PUT;
    request.size = 20 * LEN;
    int fd = data_connect_letters(&s.server);
    send_letters(fd, bytes, add_call(bytes, 0, 1, &request));
    assert_int_equal(recv(fd, bytes, 1, MSG_PEEK), 1); /* it has begun to come */
    test_pair_close(&s.pair);
    assert_int_equal(close(fd), 0);
}

/* ---- Deaths ---- */

static void a_client_dies_in_the_middle(void **state)
{
    (void)state;
    scene s;
    transport_peer p;
    set_up(&s);
    transport_peer_start(&p, "half", haul_pool_name(s.pair.server_pool), s.pair.address, NULL);
    transport_peer_expect(&p, "half");
    assert_int_equal(test_class_info(s.pair.client_pool, 2).n_owned, 1); /* it is being received */
    transport_peer_kill(&p);
    wait_until_free(s.pair.client_pool);
    assert_reaped(s.pair.client_pool);
    tear_down(&s);
}

typedef struct caller {
    haul_channel *channel;
    haul_pool *pool;
} caller;

static void *call_large(void *arg)
{
    const caller *c = arg;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .inline_only = true};
    haul_payload_out out;
    haul_reply *reply;
    haul_buf *buf = test_payload(c->pool, 20 * LEN, 4, &out);
    request.data = &out.payload;
    assert_ok(haul_channel_call(c->channel, &haul__test__test_service__descriptor, 1, &request.base,
                                &opts, &reply));
    haul_buf_release(buf);
    return reply;
}

/* Wherever the call has come to by then. */
static void a_server_dies_in_the_middle(void **state)
{
    (void)state;
    for (int warm = 0; warm < 2; warm++) {
        char address[128];
        transport_peer p;
        caller c = {.pool = test_pool_create_large("data-death")};
        pthread_t thread;
        void *reply;
        transport_peer_serve(&p, c.pool, "data-death", address);
        const haul_channel_opts opts = {.struct_size = sizeof(opts), .pool = c.pool};
        assert_ok(haul_channel_open(address, &opts, &c.channel, NULL));
        if (warm) {
            reply = call_large(&c);
            assert_true(test_response(reply)->sums[0] == test_payload_sum(20 * LEN, 4));
            haul_reply_free(reply);
        }
        transport_peer_freeze(&p);
        assert_int_equal(pthread_create(&thread, NULL, call_large, &c), 0);
        transport_peer_kill(&p);
        assert_int_equal(pthread_join(thread, &reply), 0);
        assert_int_equal(haul_reply_code(reply), GRPC_STATUS_UNAVAILABLE);
        haul_reply_free(reply);
        haul_channel_close(c.channel);
        transport_peer_remove_socket(address);
        assert_reaped(c.pool);
        test_pool_destroy(c.pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_good_once),
        cmocka_unit_test(a_number_goes_with_its_length),
        cmocka_unit_test(twice_in_one_call),
        cmocka_unit_test(a_number_ends_with_its_connection),
        cmocka_unit_test(only_servers_read_numbers),
        cmocka_unit_test(without_the_token),
        cmocka_unit_test(absurd_lengths),
        cmocka_unit_test(more_than_may_be_unclaimed),
        cmocka_unit_test(more_connections_than_there_may_be),
        cmocka_unit_test(letters_that_are_none),
        cmocka_unit_test(two_calls_at_once),
        cmocka_unit_test(a_token_ends_with_its_trunk),
        cmocka_unit_test(answers_that_are_not_read),
        cmocka_unit_test(a_client_dies_in_the_middle),
        cmocka_unit_test(a_server_dies_in_the_middle),
    };
    return cmocka_run_group_tests_name("test_transport_data_hostile", tests, NULL, NULL);
}
