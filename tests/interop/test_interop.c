/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Unary calls between Shorthaul and a stock gRPC of another language, both ways:
 *
 *   test_interop WAY COMMAND...
 *
 * Every byte of every payload is compared, by whoever gets it back. The peer is a process of its
 * own and ends when this one does, for its input ends then.
 */

#include "interop.h"
#include "transport_raw.h"
#include "transport_test.h"

#define MIB (UINT64_C(1) << 20)

static const uint64_t sizes[] = {0, 1, MIB, 20000000, 64 * MIB};

/* ---- Their client, our server ---- */

static void call_ours(bool tcp)
{
    const test_pair_opts opts = {.large = true, .tcp = tcp};
    test_pair pair;
    test_pair_open(&pair, &opts);
    peer p = interop_start("call", pair.address, pair.server_pool);
    peer_stop(&p);
    test_pair_close(&pair);
}

static void their_client(void **state)
{
    (void)state;
    call_ours(false);
}

static void their_client_over_tcp(void **state)
{
    (void)state;
    if (interop_has_pool()) {
        skip(); /* it is all the same to the pool */
    }
    call_ours(true);
}

/* ---- Our client, their server ---- */

static haul_reply *exchange(const interop_visit *v, const Haul__Test__ExchangeRequest *request)
{
    haul_reply *reply;
    assert_ok(haul_channel_call(v->channel, &haul__test__test_service__descriptor, 1,
                                &request->base, NULL, &reply));
    return reply;
}

/* The answer's payload is what test_fill() makes of @seed. */
static void assert_bytes(const haul_reply *reply, uint64_t len, uint8_t seed)
{
    haul_view view;
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
    const ProtobufCMessage *message = haul_reply_message(reply);
    assert_ok(haul_reply_view(reply, ((const Haul__Test__ExchangeResponse *)message)->data, &view));
    assert_int_equal(view.len, len);
    assert_true(test_is_filled(view.data, len, seed));
}

static void echo(const interop_visit *v, uint64_t len)
{
    haul_payload_out out;
    haul_buf *buf = test_payload(v->pool, len, 1, &out);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_ECHO;
    request.data = &out.payload;
    haul_reply *reply = exchange(v, &request);
    assert_bytes(reply, len, 1);
    assert_int_equal(haul_reply_request_path(reply),
                     interop_has_pool() ? HAUL_PATH_SHM : HAUL_PATH_INLINE);
    assert_int_equal(haul_reply_path(reply), HAUL_PATH_INLINE);
    assert_false(haul_reply_was_resent(reply));
    haul_reply_free(reply);
    haul_buf_release(buf);
}

static void put(const interop_visit *v, uint64_t len)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_PUT;
    request.size = len;
    haul_reply *reply = exchange(v, &request);
    assert_bytes(reply, len, 7);
    assert_int_equal(haul_reply_path(reply),
                     interop_is_participant() ? HAUL_PATH_SHM : HAUL_PATH_INLINE);
    haul_reply_free(reply);
}

static void their_server(void **state)
{
    (void)state;
    interop_visit v;
    interop_begin(&v, test_pool_create_large("interop"));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        echo(&v, sizes[i]);
        put(&v, sizes[i]);
    }
    interop_end(&v);
}

static void their_server_refuses(void **state)
{
    (void)state;
    interop_visit v;
    haul_payload_out out;
    Haul__Test__ExchangeRequest message = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    interop_begin(&v, test_pool_create_large("interop"));
    message.data = &out.payload;
    interop_assert_refuses(&v, RAW_EXCHANGE, &message.base, &out);
    interop_end(&v);
}

/* A status of the other side's making arrives as it was meant. */
static void their_server_fails(void **state)
{
    (void)state;
    interop_visit v;
    interop_begin(&v, test_pool_create_large("interop"));
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_FAIL;
    haul_reply *reply = exchange(&v, &request);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_FAILED_PRECONDITION);
    assert_string_equal(haul_reply_text(reply), "as asked");
    haul_reply_free(reply);
    interop_end(&v);
}

/* The pool is empty but for the buffer that we lend: an answer by key can only be in that. What is
 * lent and not used comes back. */
static void their_server_is_lent_room(void **state)
{
    (void)state;
    enum {
        SIZE = 65536
    };
    interop_visit v;
    interop_begin(&v, test_pool_create_one("interop", SIZE, 2));
    echo(&v, 100); /* which finds out how we stand to each other */
    haul_buf *taken = test_alloc(v.pool, SIZE);
    const haul_call_opts opts = {.struct_size = sizeof(opts), .lend_bytes = SIZE};
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    for (uint64_t len = SIZE; len <= SIZE + 1; len++) {
        request.mode = HAUL__TEST__MODE__MODE_PUT;
        request.size = len;
        haul_reply *reply;
        assert_ok(haul_channel_call(v.channel, &haul__test__test_service__descriptor, 1,
                                    &request.base, &opts, &reply));
        assert_bytes(reply, len, 7);
        assert_int_equal(haul_reply_path(reply), interop_is_participant() && len == SIZE
                                                     ? HAUL_PATH_SHM
                                                     : HAUL_PATH_INLINE);
        haul_reply_free(reply);
    }
    haul_buf_release(taken);
    interop_end(&v);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(their_client),       cmocka_unit_test(their_client_over_tcp),
        cmocka_unit_test(their_server),       cmocka_unit_test(their_server_refuses),
        cmocka_unit_test(their_server_fails), cmocka_unit_test(their_server_is_lent_room),
    };
    return interop_run(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
