/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * busy_poll_ns: who is told to look before it sleeps looks, and nobody else does. Looks are counted
 * where gRPC is asked for an event and given no time to wait in. That everything else is as ever is
 * the conformance list's to show, which is run this way, too.
 */

#include "transport_test.h"

#include <stdatomic.h>

#include <grpc/grpc.h>

#define BUSY_NS UINT64_C(1000000)

static atomic_uint n_looks;

static void count(gpr_timespec deadline)
{
    if (gpr_time_cmp(deadline, gpr_inf_past(deadline.clock_type)) == 0) {
        atomic_fetch_add(&n_looks, 1);
    }
}

grpc_event __real_grpc_completion_queue_next(grpc_completion_queue *queue, gpr_timespec deadline,
                                             void *reserved);
grpc_event __wrap_grpc_completion_queue_next(grpc_completion_queue *queue, gpr_timespec deadline,
                                             void *reserved);
grpc_event __real_grpc_completion_queue_pluck(grpc_completion_queue *queue, void *tag,
                                              gpr_timespec deadline, void *reserved);
grpc_event __wrap_grpc_completion_queue_pluck(grpc_completion_queue *queue, void *tag,
                                              gpr_timespec deadline, void *reserved);

grpc_event __wrap_grpc_completion_queue_next(grpc_completion_queue *queue, gpr_timespec deadline,
                                             void *reserved)
{
    count(deadline);
    return __real_grpc_completion_queue_next(queue, deadline, reserved);
}

grpc_event __wrap_grpc_completion_queue_pluck(grpc_completion_queue *queue, void *tag,
                                              gpr_timespec deadline, void *reserved)
{
    count(deadline);
    return __real_grpc_completion_queue_pluck(queue, tag, deadline, reserved);
}

/* Looks taken for a few calls. */
static unsigned looks(uint64_t server_ns, uint64_t channel_ns, bool no_trunk)
{
    const haul_server_opts server = {.struct_size = sizeof(server), .busy_poll_ns = server_ns};
    const haul_channel_opts channel = {
        .struct_size = sizeof(channel), .busy_poll_ns = channel_ns, .no_trunk = no_trunk};
    const test_pair_opts opts = {.server = &server, .channel = &channel};
    test_pair pair;
    atomic_store(&n_looks, 0);
    test_pair_open(&pair, &opts);
    for (uint8_t i = 0; i < 5; i++) {
        haul_payload_out out;
        haul_buf *buf = test_payload(pair.client_pool, 50000, i, &out);
        Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        request.data = &out.payload;
        haul_reply *reply = test_exchange(&pair, &request, NULL);
        assert_true(test_response(reply)->sums[0] == test_payload_sum(50000, i));
        haul_reply_free(reply);
        haul_buf_release(buf);
    }
    test_pair_close(&pair);
    return atomic_load(&n_looks);
}

static void who_is_told_to_looks(void **state)
{
    (void)state;
    for (int no_trunk = 0; no_trunk < 2; no_trunk++) {
        assert_int_equal(looks(0, 0, no_trunk), 0);
        assert_true(looks(BUSY_NS, 0, no_trunk) > 0);
        assert_true(looks(0, BUSY_NS, no_trunk) > 0);
    }
}

static void more_than_a_millisecond_is_not_valid(void **state)
{
    (void)state;
    const haul_server_opts server = {.struct_size = sizeof(server), .busy_poll_ns = BUSY_NS + 1};
    const haul_channel_opts channel = {.struct_size = sizeof(channel), .busy_poll_ns = BUSY_NS + 1};
    haul_server *no_server;
    haul_channel *no_channel;
    assert_status(haul_server_create(&server, &no_server, NULL), HAUL_INVALID);
    assert_status(haul_channel_open("unix-abstract:nobody", &channel, &no_channel, NULL),
                  HAUL_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_told_to_looks),
        cmocka_unit_test(more_than_a_millisecond_is_not_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
