/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Keepalive: a process that is frozen is noticed by the other side, which nothing else would tell:
 * its sockets stay open. The frozen side is transport_peer, a process of its own, stopped with
 * SIGSTOP while a call is under way, and it is as useful as before when it goes on.
 */

#include "transport/deadline.h"
#include "transport_process.h"
#include "transport_test.h"

#define MS UINT64_C(1000000)

/* Calls and answers without a deadline, so that nothing but the pings can end them. */
typedef struct caller {
    haul_channel *channel;
    Haul__Test__Mode mode;
    int64_t timeout_ns;
    haul_reply *reply;
} caller;

static void *call(void *arg)
{
    caller *c = arg;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    const haul_call_opts opts = {
        .struct_size = sizeof(opts), .timeout_ns = c->timeout_ns, .wait_for_ready = true};
    request.mode = c->mode;
    assert_ok(haul_channel_call(c->channel, &haul__test__test_service__descriptor, 1, &request.base,
                                &opts, &c->reply));
    return NULL;
}

static void a_frozen_server(void **state)
{
    (void)state;
    const haul_channel_opts opts = {.struct_size = sizeof(opts),
                                    .keepalive_interval_ns = 100 * MS,
                                    .keepalive_timeout_ns = 200 * MS};
    char address[128];
    transport_peer p;
    pthread_t thread;
    haul_pool *pool = test_pool_create("keepalive");
    caller c = {.mode = HAUL__TEST__MODE__MODE_HOLD};
    transport_peer_serve(&p, pool, "keepalive", address);
    assert_ok(haul_channel_open(address, &opts, &c.channel, NULL));
    assert_int_equal(pthread_create(&thread, NULL, call, &c), 0);
    transport_peer_expect(&p, "held");

    uint64_t frozen_ns = haul__clock_ns();
    transport_peer_freeze(&p);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(haul_reply_code(c.reply), GRPC_STATUS_UNAVAILABLE);
    assert_in_range(haul__clock_ns() - frozen_ns, 0, 10000 * MS); /* gRPC's own would be hours */
    haul_reply_free(c.reply);

    transport_peer_thaw(&p);
    c.mode = HAUL__TEST__MODE__MODE_SUM;
    (void)call(&c);
    while (haul_reply_code(c.reply) == GRPC_STATUS_UNAVAILABLE) { /* it met the old connection */
        haul_reply_free(c.reply);
        (void)call(&c);
    }
    (void)test_response(c.reply);
    haul_reply_free(c.reply);
    haul_channel_close(c.channel);
    transport_peer_kill(&p);
    transport_peer_remove_socket(address);
    assert_ok(haul_pool_reap(pool, NULL, NULL));
    test_pool_destroy(pool);
}

/* The handler learns that its caller has gone, and the caller that its call came to nothing. */
static void a_frozen_client(void **state)
{
    (void)state;
    const haul_server_opts server = {.keepalive_interval_ns = 100 * MS,
                                     .keepalive_timeout_ns = 200 * MS};
    const test_pair_opts opts = {.server = &server};
    test_pair pair;
    transport_peer p;
    test_pair_open(&pair, &opts);
    transport_peer_call(&p, "call", &pair, HAUL__TEST__MODE__MODE_HOLD);
    transport_peer_expect(&p, "called");
    test_service_wait_held(&pair.service);
    transport_peer_freeze(&p);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    transport_peer_thaw(&p);
    transport_peer_expect(&p, "answered");
    transport_peer_kill(&p);
    assert_ok(haul_pool_reap(pair.server_pool, NULL, NULL));
    test_pair_close(&pair);
}

/* As often as a channel can ping, once a second, our server must not take it for an attack. A server
 * with gRPC's own settings would, and end the connection at the fifth or so. */
static void pings_are_welcome(void **state)
{
    (void)state;
    const haul_channel_opts channel = {.keepalive_interval_ns = 1, .keepalive_idle = true};
    const test_pair_opts opts = {.channel = &channel};
    test_pair pair;
    test_pair_open(&pair, &opts);
    caller c = {.channel = pair.channel,
                .mode = HAUL__TEST__MODE__MODE_HOLD,
                .timeout_ns = (int64_t)(6000 * MS)};
    (void)call(&c);
    assert_int_equal(haul_reply_code(c.reply), GRPC_STATUS_DEADLINE_EXCEEDED);
    haul_reply_free(c.reply);
    test_service_let_go(&pair.service);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frozen_server),
        cmocka_unit_test(a_frozen_client),
        cmocka_unit_test(pings_are_welcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
