/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * One side is killed, at the moments that the design's table names; the other gets a gRPC status,
 * and after one reap the pool is free and clean. The side that dies is transport_peer, a process of
 * its own, and it says when the moment has come.
 */

#include <inttypes.h>
#include <stdio.h>

#include "transport_process.h"
#include "transport_raw.h"
#include "transport_test.h"

#define LEN 50000

static void the_client_while_filling(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create("death");
    transport_peer p;
    transport_peer_start(&p, "fill", haul_pool_name(pool), NULL, NULL);
    transport_peer_expect(&p, "filling");
    assert_int_equal(test_class_info(pool, 1).n_owned, 1);
    transport_peer_kill(&p);
    assert_reaped(pool);
    test_pool_destroy(pool);
}

/* The server goes on reading; its bytes stay where they are. */
static void the_client_after_sending(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    transport_peer p;
    transport_peer_call(&p, "call", &pair, HAUL__TEST__MODE__MODE_HOLD);
    transport_peer_expect(&p, "called");
    test_service_wait_held(&pair.service);
    transport_peer_kill(&p);
    test_service_wait_cancelled(&pair.service);
    assert_ok(haul_pool_reap(pair.server_pool, NULL, NULL));
    const haul_view *view = &pair.service.held_view;
    assert_true(test_sum(view->data, view->len) == test_payload_sum(LEN, 1));
    assert_int_equal(test_class_info(pair.server_pool, 1).n_retired, 1);
    test_service_let_go(&pair.service);
    test_pair_close(&pair);
}

/* It was to be given an answer, and is not there to claim it. */
static void the_client_before_its_answer(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    transport_peer p;
    transport_peer_call(&p, "call", &pair, HAUL__TEST__MODE__MODE_PUT_HOLD);
    test_service_wait_held(&pair.service);
    assert_true(pair.service.held_has_out);
    assert_int_equal(test_class_info(pair.server_pool, 1).n_given, 1);
    transport_peer_kill(&p);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    haul_server_stop(pair.server, 0); /* returns when the call is over */
    assert_reaped(pair.server_pool);
    test_pair_close(&pair);
}

/* It holds an answer. */
static void the_client_with_an_answer(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    transport_peer p;
    transport_peer_call(&p, "call", &pair, HAUL__TEST__MODE__MODE_PUT);
    transport_peer_expect(&p, "called");
    transport_peer_expect(&p, "answered");
    assert_int_equal(test_free_count(pair.server_pool, 1), 0);
    transport_peer_kill(&p);
    haul_server_stop(pair.server, 0);
    assert_reaped(pair.server_pool);
    test_pair_close(&pair);
}

typedef struct client {
    haul_pool *pool;
    haul_channel *channel;
    haul_payload *data;
    haul_status status;
    haul_reply *reply;
} client;

static void *call_hold(void *arg)
{
    client *c = arg;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_HOLD;
    request.data = c->data;
    c->status = haul_channel_call(c->channel, &haul__test__test_service__descriptor, 1,
                                  &request.base, NULL, &c->reply);
    return NULL;
}

/* The call fails, and the client still owns its buffer and what is in it. */
static void the_server_while_reading(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create("death");
    char address[128];
    transport_peer p;
    transport_peer_serve(&p, pool, "death", address);
    client c = {.pool = pool};
    haul_payload_out out;
    haul_buf *buf = test_payload(pool, LEN, 1, &out);
    c.data = &out.payload;
    const haul_channel_opts opts = {.struct_size = sizeof(opts), .pool = pool};
    assert_ok(haul_channel_open(address, &opts, &c.channel, NULL));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, call_hold, &c), 0);
    transport_peer_expect(&p, "held");
    transport_peer_kill(&p);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ok(c.status);
    assert_int_equal(haul_reply_code(c.reply), GRPC_STATUS_UNAVAILABLE);
    haul_reply_free(c.reply);
    haul_channel_close(c.channel);

    haul_view view;
    assert_ok(haul_buf_view(buf, &view));
    assert_true(test_sum(view.data, view.len) == test_payload_sum(LEN, 1));
    haul_detach(&view);
    haul_buf_release(buf);
    assert_reaped(pool);
    test_pool_destroy(pool);
    transport_peer_remove_socket(address);
}

/* What it gave is claimed as if it were alive. */
static void the_server_after_giving(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create("death");
    char address[128];
    char accept[64];
    uint8_t bytes[64];
    transport_peer p;
    transport_peer_serve(&p, pool, "death", address);
    (void)snprintf(accept, sizeof(accept), "%016" PRIx64 ".%" PRIu32, haul_pool_id(pool),
                   haul_pool_participant(pool));
    Haul__Test__ExchangeRequest message = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    message.mode = HAUL__TEST__MODE__MODE_PUT;
    message.size = LEN;
    const raw_request request = {.address = address,
                                 .path = RAW_EXCHANGE,
                                 .bytes = bytes,
                                 .len = haul__test__exchange_request__pack(&message, bytes),
                                 .accept = accept};
    raw_answer answer;
    raw_call(&request, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_OK);
    transport_peer_kill(&p);
    assert_ok(haul_pool_reap(pool, NULL, NULL));

    Haul__Test__ExchangeResponse *response =
        haul__test__exchange_response__unpack(NULL, answer.len, answer.bytes);
    assert_non_null(response);
    haul_key key;
    haul_buf *buf;
    haul_view view;
    assert_ok(haul_payload_get_key(response->data, &key));
    assert_ok(haul_buf_claim(pool, &key, response->data->length, &buf));
    assert_ok(haul_buf_view(buf, &view));
    assert_true(test_sum(view.data, view.len) == test_payload_sum(LEN, 7));
    haul_detach(&view);
    haul_buf_release(buf);
    haul__test__exchange_response__free_unpacked(response, NULL);
    assert_reaped(pool);
    test_pool_destroy(pool);
    transport_peer_remove_socket(address);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_while_filling),     cmocka_unit_test(the_client_after_sending),
        cmocka_unit_test(the_client_before_its_answer), cmocka_unit_test(the_client_with_an_answer),
        cmocka_unit_test(the_server_while_reading),     cmocka_unit_test(the_server_after_giving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
