/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A server that is killed (SIGKILL) or frozen (SIGSTOP) with several calls on one trunk. The server
 * is transport_peer, a process of its own.
 */

#include <sched.h>

#include "transport/deadline.h"
#include "transport/trunk_parts.h"
#include "transport_process.h"

enum {
    N = 4
};

#define MS UINT64_C(1000000)

typedef struct scene {
    haul_pool *pool;
    haul_channel *channel;
    transport_peer p;
    char address[128];
} scene;

typedef struct caller {
    pthread_t thread;
    haul_channel *channel;
    Haul__Test__Mode mode;
    haul_call_opts opts;
    haul_status status;
    grpc_status_code code;
} caller;

static void *call(void *arg)
{
    caller *c = arg;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_reply *reply = NULL;
    request.mode = c->mode;
    c->opts.struct_size = sizeof(c->opts);
    c->status = haul_channel_call(c->channel, &haul__test__test_service__descriptor, 1,
                                  &request.base, &c->opts, &reply);
    c->code = c->status == HAUL_OK ? haul_reply_code(reply) : GRPC_STATUS_UNKNOWN;
    haul_reply_free(reply);
    return NULL;
}

static void assert_works(const scene *s)
{
    caller c = {.channel = s->channel, .opts = {.wait_for_ready = true}};
    (void)call(&c);
    assert_ok(c.status);
    assert_int_equal(c.code, GRPC_STATUS_OK);
    assert_non_null(s->channel->trunk);
}

static void set_up(scene *s)
{
    *s = (scene){.pool = test_pool_create("trunk-death")};
    transport_peer_serve(&s->p, s->pool, "trunk-death", s->address);
    const haul_channel_opts opts = {.struct_size = sizeof(opts)};
    assert_ok(haul_channel_open(s->address, &opts, &s->channel, NULL));
    assert_works(s);
}

static void tear_down(scene *s)
{
    haul_channel_close(s->channel);
    transport_peer_kill(&s->p);
    transport_peer_remove_socket(s->address);
    assert_reaped(s->pool);
    test_pool_destroy(s->pool);
}

static uint64_t n_on_trunk(haul__trunk *trunk)
{
    (void)pthread_mutex_lock(&trunk->mutex);
    uint64_t n = trunk->n_live;
    (void)pthread_mutex_unlock(&trunk->mutex);
    return n;
}

/* Calls that get no answer, all on the trunk. */
static void start(const scene *s, caller callers[N], Haul__Test__Mode mode, int64_t timeout_ns)
{
    for (int i = 0; i < N; i++) {
        callers[i] =
            (caller){.channel = s->channel, .mode = mode, .opts = {.timeout_ns = timeout_ns}};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
}

static void join(caller callers[N], grpc_status_code expected)
{
    for (int i = 0; i < N; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_ok(callers[i].status);
        assert_int_equal(callers[i].code, expected);
    }
}

static void the_server_is_killed(void **state)
{
    (void)state;
    scene s;
    caller callers[N];
    set_up(&s);
    start(&s, callers, HAUL__TEST__MODE__MODE_HOLD, 0);
    transport_peer_expect(&s.p, "held");
    while (n_on_trunk(s.channel->trunk) < N) {
        (void)sched_yield();
    }
    transport_peer_freeze(&s.p); /* what is on its way by now is begun by nobody */
    transport_peer_kill(&s.p);
    join(callers, GRPC_STATUS_UNAVAILABLE);
    transport_peer_remove_socket(s.address);
    transport_peer_serve(&s.p, s.pool, "trunk-death", s.address);
    assert_works(&s);
    tear_down(&s);
}

static void calls_to_a_frozen_server_end_at_their_deadlines(void **state)
{
    (void)state;
    scene s;
    caller callers[N];
    set_up(&s);
    haul__trunk *trunk = s.channel->trunk;
    transport_peer_freeze(&s.p);
    uint64_t begun = haul__clock_ns();
    start(&s, callers, HAUL__TEST__MODE__MODE_SUM, 100 * (int64_t)MS);
    join(callers, GRPC_STATUS_DEADLINE_EXCEEDED);
    assert_in_range(haul__clock_ns() - begun, 100 * MS, 30000 * MS);
    transport_peer_thaw(&s.p);
    assert_works(&s);
    assert_ptr_equal(s.channel->trunk, trunk);
    tear_down(&s);
}

static void a_channel_to_a_frozen_server_can_be_closed(void **state)
{
    (void)state;
    scene s;
    caller callers[N];
    set_up(&s);
    transport_peer_freeze(&s.p);
    start(&s, callers, HAUL__TEST__MODE__MODE_SUM, 0);
    while (n_on_trunk(s.channel->trunk) < N) {
        (void)sched_yield();
    }
    uint64_t begun = haul__clock_ns();
    haul_channel_close(s.channel);
    assert_in_range(haul__clock_ns() - begun, 0, 30000 * MS);
    join(callers, GRPC_STATUS_CANCELLED);
    transport_peer_thaw(&s.p);
    s.channel = NULL;
    tear_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_is_killed),
        cmocka_unit_test(calls_to_a_frozen_server_end_at_their_deadlines),
        cmocka_unit_test(a_channel_to_a_frozen_server_can_be_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
