/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Short calls on data connections: that they are made there, that everything is as it is on the trunk,
 * and that they end well when either side gives up, stops or is not allowed to.
 */

#include <shorthaul/cancel.h>

#include <stdlib.h>
#include <string.h>

#include "transport_process.h"
#include "transport_test.h"

#define N_WARM 20 /* more than are made on the trunk first */
#define MS     INT64_C(1000000)

static uint64_t n_sent(const test_pair *pair)
{
    haul_channel_stats stats = {.struct_size = sizeof(stats)};
    assert_ok(haul_channel_get_stats(pair->channel, &stats));
    return stats.n_direct;
}

static uint64_t n_served(const test_pair *pair)
{
    haul_server_stats stats = {.struct_size = sizeof(stats)};
    assert_ok(haul_server_get_stats(pair->server, &stats));
    return stats.n_direct;
}

static void call_empty(test_pair *pair)
{
    const Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_reply *reply = test_exchange(pair, &request, NULL);
    (void)test_response(reply);
    haul_reply_free(reply);
}

/* Open a pair whose next call is made on a data connection. */
static void open_warm(test_pair *pair, const test_pair_opts *opts)
{
    test_pair_open(pair, opts);
    for (int i = 0; i < N_WARM; i++) {
        call_empty(pair);
    }
    assert_true(n_sent(pair) > 0);
    assert_int_equal(n_served(pair), n_sent(pair));
}

/* One call with @request bytes by key or inline, and @answer bytes back. */
static void exchange(test_pair *pair, uint64_t request_bytes, uint64_t answer_bytes, bool by_key)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .inline_only = !by_key};
    haul_payload_out out;
    haul_buf *buf = test_payload(pair->client_pool, request_bytes, 3, &out);
    request.data = &out.payload;
    request.mode = HAUL__TEST__MODE__MODE_PUT;
    request.size = answer_bytes;
    haul_reply *reply = test_exchange(pair, &request, &opts);
    const Haul__Test__ExchangeResponse *response = test_response(reply);
    assert_true(response->sums[0] == test_payload_sum(request_bytes, 3));
    haul_view view;
    assert_ok(haul_reply_view(reply, response->data, &view));
    assert_int_equal(view.len, answer_bytes);
    assert_true(test_is_filled(view.data, view.len, 7));
    haul_reply_free(reply);
    haul_buf_release(buf);
}

/* ---- What goes there ---- */

static void short_calls_do(void **state)
{
    (void)state;
    test_pair pair;
    open_warm(&pair, NULL);
    uint64_t before = n_sent(&pair);
    for (int i = 0; i < 100; i++) {
        call_empty(&pair);
    }
    assert_int_equal(n_sent(&pair), before + 100);
    assert_int_equal(n_served(&pair), before + 100);
    test_pair_close(&pair);
}

static void payloads_of_any_size_either_way(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 100, 4000, 60000, 66000, 300000, 5000000};
    test_pair pair;
    open_warm(&pair, &(test_pair_opts){.large = true});
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
            uint64_t before = n_sent(&pair);
            exchange(&pair, sizes[i], sizes[k], true);
            assert_int_equal(n_sent(&pair), before + 1);
            exchange(&pair, sizes[i], sizes[k], false);
        }
    }
    test_pair_close(&pair);
}

static void none_where_they_may_not(void **state)
{
    (void)state;
    const haul_channel_opts channels[] = {
        {.no_data_connections = true}, {.no_trunk = true}, {.keepalive_interval_ns = 1000 * MS}};
    const haul_server_opts servers[] = {{.no_data_connections = true}, {.no_trunk = true}};
    test_pair_opts opts[] = {{.channel = &channels[0]}, {.channel = &channels[1]},
                             {.channel = &channels[2]}, {.server = &servers[0]},
                             {.server = &servers[1]},   {.n_threads = 1}};
    for (size_t i = 0; i < sizeof(opts) / sizeof(opts[0]); i++) {
        test_pair pair;
        test_pair_open(&pair, &opts[i]);
        for (int k = 0; k < 2 * N_WARM; k++) {
            call_empty(&pair);
        }
        assert_int_equal(n_sent(&pair), 0);
        assert_int_equal(n_served(&pair), 0);
        test_pair_close(&pair);
    }
}

static void *call_some(void *arg)
{
    uint8_t bytes[1000];
    for (uint8_t i = 0; i < 100; i++) {
        Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        haul_payload_out out;
        test_fill(bytes, sizeof(bytes), i);
        haul_payload_set_inline(&out, bytes, sizeof(bytes));
        request.data = &out.payload;
        haul_reply *reply = test_exchange(arg, &request, NULL);
        assert_true(test_response(reply)->sums[0] == test_sum(bytes, sizeof(bytes)));
        haul_reply_free(reply);
    }
    return NULL;
}

/* More threads than there may be connections. */
static void from_many_threads(void **state)
{
    (void)state;
    enum {
        N = 24
    };
    test_pair pair;
    pthread_t threads[N];
    open_warm(&pair, &(test_pair_opts){.large = true});
    for (int i = 0; i < N; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_some, &pair), 0);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(n_sent(&pair), n_served(&pair));
    test_pair_close(&pair);
}

/* ---- What they are like ---- */

static void statuses_and_texts(void **state)
{
    (void)state;
    test_pair pair;
    open_warm(&pair, NULL);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    uint64_t before = n_sent(&pair);
    request.mode = HAUL__TEST__MODE__MODE_FAIL;
    haul_reply *reply = test_exchange(&pair, &request, NULL);
    assert_int_equal(haul_reply_code(reply), haul_status_to_grpc(HAUL_BUSY));
    assert_string_equal(haul_reply_text(reply), "as asked");
    haul_reply_free(reply);
    request.mode = HAUL__TEST__MODE__MODE_LATER; /* another thread answers */
    reply = test_exchange(&pair, &request, NULL);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
    haul_reply_free(reply);
    assert_int_equal(n_sent(&pair), before + 2);
    test_pair_close(&pair);
}

typedef struct caller {
    test_pair *pair;
    haul_call_opts opts;
    Haul__Test__Mode mode;
    pthread_t thread;
} caller;

static void *call_and_wait(void *arg)
{
    caller *c = arg;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = c->mode;
    request.size = 1000;
    return test_exchange(c->pair, &request, &c->opts);
}

/* A call that a handler holds. */
static void begin_held(caller *c, test_pair *pair, Haul__Test__Mode mode, haul_call_opts opts)
{
    opts.struct_size = sizeof(opts);
    *c = (caller){.pair = pair, .opts = opts, .mode = mode};
    uint64_t before = n_served(pair);
    assert_int_equal(pthread_create(&c->thread, NULL, call_and_wait, c), 0);
    test_service_wait_held(&pair->service);
    assert_int_equal(n_served(pair), before + 1);
}

static void end_held(caller *c, grpc_status_code code)
{
    void *reply;
    assert_int_equal(pthread_join(c->thread, &reply), 0);
    assert_int_equal(haul_reply_code(reply), code);
    haul_reply_free(reply);
}

static void who_calls_is_known(void **state)
{
    (void)state;
    test_pair pair;
    caller c;
    const haul_peer *peer;
    char *addresses[2];
    for (int direct = 0; direct < 2; direct++) {
        test_pair_open(&pair, &(test_pair_opts){.tcp = true});
        for (int i = 0; i < N_WARM && direct; i++) {
            call_empty(&pair);
        }
        c = (caller){.pair = &pair,
                     .mode = HAUL__TEST__MODE__MODE_HOLD,
                     .opts = {.struct_size = sizeof(c.opts)}};
        assert_int_equal(pthread_create(&c.thread, NULL, call_and_wait, &c), 0);
        test_service_wait_held(&pair.service);
        assert_ok(haul_call_peer(pair.service.held, &peer));
        assert_int_equal(peer->security, HAUL_SECURITY_NONE);
        assert_non_null(strstr(peer->address, "127.0.0.1"));
        addresses[direct] = strdup(peer->address);
        test_service_let_go(&pair.service);
        end_held(&c, GRPC_STATUS_OK);
        assert_int_equal(n_sent(&pair) > 0, direct);
        test_pair_close(&pair);
    }
    free(addresses[0]);
    free(addresses[1]);
}

static void metadata_both_ways(void **state)
{
    (void)state;
    test_pair pair;
    caller c;
    haul_metadata md = {"asked", "this", 4};
    haul_metadata found;
    open_warm(&pair, NULL);
    begin_held(&c, &pair, HAUL__TEST__MODE__MODE_HOLD,
               (haul_call_opts){.metadata = &md, .n_metadata = 1});
    assert_ok(haul_call_metadata(pair.service.held, "asked", 0, &found));
    assert_string_equal(found.value, "this");
    const haul_metadata back = {"answered", "that", 4};
    assert_ok(haul_call_add_metadata(pair.service.held, HAUL_METADATA_INITIAL, &back));
    assert_ok(haul_call_add_metadata(pair.service.held, HAUL_METADATA_TRAILING, &back));
    test_service_let_go(&pair.service);
    void *reply;
    assert_int_equal(pthread_join(c.thread, &reply), 0);
    for (int when = 0; when < 2; when++) {
        assert_ok(haul_reply_metadata(reply, (haul_metadata_when)when, "answered", 0, &found));
        assert_string_equal(found.value, "that");
    }
    haul_reply_free(reply);
    test_pair_close(&pair);
}

/* ---- Giving up ---- */

/* The handler finds out, and what it gives nobody takes. */
static void see_cancelled_and_go_on(test_pair *pair)
{
    test_service_wait_cancelled(&pair->service);
    test_service_let_go(&pair->service);
    uint64_t before = n_sent(pair);
    for (int i = 0; i < 3; i++) {
        exchange(pair, 100, 100, true);
    }
    assert_int_equal(n_sent(pair), before + 3);
    test_pair_close(pair);
}

static void late(void **state)
{
    (void)state;
    static const int64_t times[] = {10 * MS, 200 * MS}; /* it sleeps in two ways */
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        test_pair pair;
        caller c;
        open_warm(&pair, NULL);
        begin_held(&c, &pair, HAUL__TEST__MODE__MODE_PUT_HOLD,
                   (haul_call_opts){.timeout_ns = times[i]});
        end_held(&c, GRPC_STATUS_DEADLINE_EXCEEDED);
        see_cancelled_and_go_on(&pair);
    }
}

static void cancelled(void **state)
{
    (void)state;
    haul_cancel *cancel;
    test_pair pair;
    caller c;
    assert_ok(haul_cancel_create(&cancel));
    open_warm(&pair, NULL);
    begin_held(&c, &pair, HAUL__TEST__MODE__MODE_PUT_HOLD, (haul_call_opts){.cancel = cancel});
    haul_cancel_trigger(cancel);
    end_held(&c, GRPC_STATUS_CANCELLED);
    see_cancelled_and_go_on(&pair);
    haul_cancel_destroy(cancel);
}

typedef struct trigger {
    haul_cancel *cancel;
    pthread_barrier_t *start;
    unsigned n_spins;
} trigger;

static void *pull(void *arg)
{
    const trigger *t = arg;
    (void)pthread_barrier_wait(t->start);
    for (volatile unsigned i = 0; i < t->n_spins; i++) {
    }
    haul_cancel_trigger(t->cancel);
    return NULL;
}

/* Also when the answer is on its way: what was given with it is let go of. */
static void cancelled_at_any_moment(void **state)
{
    (void)state;
    enum {
        ROUNDS = 400
    };
    test_pair pair;
    unsigned n_ended[2] = {0};
    open_warm(&pair, NULL);
    for (unsigned i = 0; i < ROUNDS; i++) {
        pthread_barrier_t start;
        pthread_t thread;
        trigger t = {.start = &start, .n_spins = i * 200};
        assert_ok(haul_cancel_create(&t.cancel));
        assert_int_equal(pthread_barrier_init(&start, NULL, 2), 0);
        assert_int_equal(pthread_create(&thread, NULL, pull, &t), 0);
        Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        const haul_call_opts opts = {.struct_size = sizeof(opts), .cancel = t.cancel};
        request.mode = HAUL__TEST__MODE__MODE_PUT;
        request.size = 1000;
        (void)pthread_barrier_wait(&start);
        haul_reply *reply = test_exchange(&pair, &request, &opts);
        grpc_status_code code = haul_reply_code(reply);
        assert_true(code == GRPC_STATUS_OK || code == GRPC_STATUS_CANCELLED);
        n_ended[code == GRPC_STATUS_OK]++;
        haul_reply_free(reply);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(pthread_barrier_destroy(&start), 0);
        haul_cancel_destroy(t.cancel);
        call_empty(&pair);
    }
    assert_true(n_ended[0] > 0 && n_ended[1] > 0);
    test_pair_close(&pair);
}

static void closed(void **state)
{
    (void)state;
    test_pair pair;
    caller c;
    open_warm(&pair, NULL);
    begin_held(&c, &pair, HAUL__TEST__MODE__MODE_PUT_HOLD, (haul_call_opts){0});
    haul_channel_close(pair.channel);
    pair.channel = NULL;
    end_held(&c, GRPC_STATUS_CANCELLED);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    test_pair_close(&pair);
}

/* ---- Servers that stop ---- */

static void *stop(void *arg)
{
    haul_server_stop(arg, UINT64_MAX);
    return NULL;
}

/* What has begun is finished; what comes then is made again on the trunk, and as a call of gRPC's, which
 * nobody takes any more. */
static void a_server_stops(void **state)
{
    (void)state;
    test_pair pair;
    caller c;
    pthread_t stopper;
    open_warm(&pair, NULL);
    begin_held(&c, &pair, HAUL__TEST__MODE__MODE_PUT_HOLD, (haul_call_opts){0});
    assert_int_equal(pthread_create(&stopper, NULL, stop, pair.server), 0);
    unsigned n = test_service_entered(&pair.service);
    grpc_status_code code = GRPC_STATUS_OK;
    while (code == GRPC_STATUS_OK) { /* until it has been told */
        Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        haul_reply *reply = test_exchange(&pair, &request, NULL);
        code = haul_reply_code(reply);
        n += code == GRPC_STATUS_OK;
        haul_reply_free(reply);
    }
    assert_true(code == GRPC_STATUS_UNAVAILABLE ||
                code == GRPC_STATUS_CANCELLED);               /* gRPC's words */
    assert_int_equal(test_service_entered(&pair.service), n); /* no handler has seen that one */
    test_service_let_go(&pair.service);
    end_held(&c, GRPC_STATUS_OK);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    test_pair_close(&pair);
}

static void *destroy_server(void *arg)
{
    haul_server_destroy(arg);
    return NULL;
}

/* Without grace the call ends, though its handler has not answered. */
static void a_server_stops_at_once(void **state)
{
    (void)state;
    test_pair pair;
    caller c;
    pthread_t stopper;
    open_warm(&pair, NULL);
    begin_held(&c, &pair, HAUL__TEST__MODE__MODE_HOLD, (haul_call_opts){0});
    haul_server *server = pair.server;
    pair.server = NULL;
    assert_int_equal(pthread_create(&stopper, NULL, destroy_server, server), 0);
    end_held(&c, GRPC_STATUS_UNAVAILABLE);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    test_pair_close(&pair);
}

static void another_server_comes(void **state)
{
    (void)state;
    test_pair pair;
    open_warm(&pair, NULL);
    test_pair_restart_server(&pair, &(test_pair_opts){0});
    uint64_t before = n_sent(&pair);
    while (n_sent(&pair) < before + 3) {
        Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        const haul_call_opts opts = {.struct_size = sizeof(opts), .wait_for_ready = true};
        haul_reply *reply = test_exchange(&pair, &request, &opts);
        haul_reply_free(reply);
    }
    call_empty(&pair);
    test_pair_close(&pair);
}

/* ---- Deaths ---- */

/* With what the handler has given. */
static void a_client_dies(void **state)
{
    (void)state;
    test_pair pair;
    transport_peer p;
    test_pair_open(&pair, NULL);
    transport_peer_call(&p, "direct", &pair, HAUL__TEST__MODE__MODE_PUT_HOLD);
    transport_peer_expect(&p, "called");
    test_service_wait_held(&pair.service);
    assert_true(n_served(&pair) > 1);
    transport_peer_kill(&p);
    test_service_wait_cancelled(&pair.service);
    test_service_let_go(&pair.service);
    while (haul_pool_reap(pair.client_pool, NULL, NULL) != HAUL_OK) {
    }
    haul_channel_close(pair.channel);
    haul_server_destroy(pair.server);
    pair.channel = NULL;
    pair.server = NULL;
    assert_reaped(pair.client_pool);
    test_pair_close(&pair);
}

static void *call_held(void *arg)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_reply *reply = NULL;
    request.mode = HAUL__TEST__MODE__MODE_HOLD;
    assert_ok(haul_channel_call(arg, &haul__test__test_service__descriptor, 1, &request.base, NULL,
                                &reply));
    return reply;
}

static void a_server_dies(void **state)
{
    (void)state;
    char address[128];
    transport_peer p;
    pthread_t thread;
    void *reply;
    haul_pool *pool = test_pool_create("direct-death");
    transport_peer_serve(&p, pool, "direct-death", address);
    test_pair pair = {0};
    assert_ok(haul_channel_open(address, NULL, &pair.channel, NULL));
    for (int i = 0; i < N_WARM; i++) {
        call_empty(&pair);
    }
    assert_true(n_sent(&pair) > 0);
    assert_int_equal(pthread_create(&thread, NULL, call_held, pair.channel), 0);
    transport_peer_expect(&p, "held");
    transport_peer_kill(&p);
    assert_int_equal(pthread_join(thread, &reply), 0);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_UNAVAILABLE);
    haul_reply_free(reply);
    haul_channel_close(pair.channel);
    transport_peer_remove_socket(address);
    assert_reaped(pool);
    test_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_calls_do),
        cmocka_unit_test(payloads_of_any_size_either_way),
        cmocka_unit_test(none_where_they_may_not),
        cmocka_unit_test(from_many_threads),
        cmocka_unit_test(statuses_and_texts),
        cmocka_unit_test(who_calls_is_known),
        cmocka_unit_test(metadata_both_ways),
        cmocka_unit_test(late),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(cancelled_at_any_moment),
        cmocka_unit_test(closed),
        cmocka_unit_test(a_server_stops),
        cmocka_unit_test(a_server_stops_at_once),
        cmocka_unit_test(another_server_comes),
        cmocka_unit_test(a_client_dies),
        cmocka_unit_test(a_server_dies),
    };
    return cmocka_run_group_tests_name("test_transport_direct", tests, NULL, NULL);
}
