/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Whether keys may be sent: servers that lose the pool, come back different, are somebody else's or
 * change unseen. The caller sees good calls throughout, and the path that was taken.
 */

#include "transport_raw.h"
#include "transport_test.h"

#include <string.h>

#include "transport/channel.h"
#include "transport/server.h"

#define LEN     50000
#define FOREVER 60000000000

static haul_reply *send_one(test_pair *pair, haul_payload *data)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = data;
    const haul_call_opts opts = {
        .struct_size = sizeof(opts), .timeout_ns = FOREVER, .wait_for_ready = true};
    return test_exchange(pair, &request, &opts);
}

static void assert_path(test_pair *pair, haul_payload *data, haul_path path, bool resent)
{
    haul_reply *reply = send_one(pair, data);
    assert_true(test_response(reply)->sums[0] == test_payload_sum(LEN, 1));
    assert_int_equal(haul_reply_request_path(reply), path);
    assert_true(haul_reply_was_resent(reply) == resent);
    haul_reply_free(reply);
}

/* Forged: no key can be attached any more. gRPC orders this with the server's threads, between
 * calls, which ThreadSanitizer cannot see. */
__attribute__((no_sanitize("thread"))) static void set_pools(test_pair *pair, size_t n)
{
    pair->server->n_pools = n;
}

/* The server refuses a key, the library sends again, and the caller sees one good call. */
static void a_server_that_loses_the_pool(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    assert_path(&pair, &out.payload, HAUL_PATH_SHM, false);
    set_pools(&pair, 0);
    assert_path(&pair, &out.payload, HAUL_PATH_INLINE, true);
    assert_int_equal(test_service_entered(&pair.service), 2);
    assert_path(&pair, &out.payload, HAUL_PATH_INLINE, false); /* probed anew */
    set_pools(&pair, 1);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

/* The probe's answer says to which slot buffers can be given, for as long as it holds. */
static void the_slot_of_the_server(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    assert_int_equal(haul__lane_peer(pair.channel), 0);
    assert_path(&pair, &out.payload, HAUL_PATH_SHM, false);
    assert_int_equal(haul__lane_peer(pair.channel), haul_pool_participant(pair.server_pool));
    set_pools(&pair, 0);
    assert_path(&pair, &out.payload, HAUL_PATH_INLINE, true);
    assert_path(&pair, &out.payload, HAUL_PATH_INLINE, false);
    assert_int_equal(haul__lane_peer(pair.channel), 0);
    set_pools(&pair, 1);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

/* A key that the caller got wrong is the caller's fault, not the lane's. */
static void a_key_that_is_stale_here_too(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    assert_path(&pair, &out.payload, HAUL_PATH_SHM, false);
    haul_buf_release(buf);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    haul_reply *reply = NULL;
    assert_status(haul_channel_call(pair.channel, &haul__test__test_service__descriptor, 1,
                                    &request.base, NULL, &reply),
                  HAUL_INVALID);
    assert_null(reply);
    assert_int_equal(test_service_entered(&pair.service), 1);
    test_pair_close(&pair);
}

/* After a restart the lane is proven anew, whichever way it then is. Calls that meet the old
 * connection may fail UNAVAILABLE, and one whose probe did goes inline; the caller calls again. */
static void assert_path_after_restart(test_pair *pair, haul_payload *data, haul_path path)
{
    haul_reply *reply = send_one(pair, data);
    while (haul_reply_code(reply) == GRPC_STATUS_UNAVAILABLE ||
           pair->channel->lane == HAUL__LANE_UNPROVEN) {
        haul_reply_free(reply);
        reply = send_one(pair, data);
    }
    assert_true(test_response(reply)->sums[0] == test_payload_sum(LEN, 1));
    assert_int_equal(haul_reply_request_path(reply), path);
    haul_reply_free(reply);
}

static void a_server_that_comes_back(void **state)
{
    (void)state;
    const test_pair_opts poolless = {.server_without_pool = true};
    const test_pair_opts with_pool = {0};
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    assert_path(&pair, &out.payload, HAUL_PATH_SHM, false);
    test_pair_restart_server(&pair, &poolless);
    assert_path_after_restart(&pair, &out.payload, HAUL_PATH_INLINE);
    test_pair_restart_server(&pair, &with_pool);
    assert_path_after_restart(&pair, &out.payload, HAUL_PATH_SHM);
    test_pair_restart_server(&pair, &with_pool);
    assert_path_after_restart(&pair, &out.payload, HAUL_PATH_SHM);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

/* An answer from another server than the one that was probed. */
static void a_lane_that_changes_unseen(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    assert_path(&pair, &out.payload, HAUL_PATH_SHM, false);
    memcpy(pair.server->lane_text, "0123456789abcdef", 16);
    assert_path(&pair, &out.payload, HAUL_PATH_SHM, false);
    assert_int_equal(pair.channel->lane, HAUL__LANE_UNPROVEN);
    assert_path(&pair, &out.payload, HAUL_PATH_SHM, false);
    assert_int_equal(pair.channel->lane, HAUL__LANE_SHARED);
    assert_true(pair.channel->lane_id == 0x0123456789abcdef);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

/* A server that has never heard of lanes is sent bytes, and is asked only once. */
static void a_server_of_somebody_else(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_server_stop(pair.server, 0);
    raw_server *foreign = raw_server_start(pair.address);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    for (int i = 0; i < 2; i++) {
        haul_reply *reply = send_one(&pair, &out.payload);
        assert_int_equal(test_response(reply)->n_sums, 0);
        assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_INLINE);
        assert_false(haul_reply_was_resent(reply));
        haul_reply_free(reply);
        assert_int_equal(pair.channel->lane, HAUL__LANE_APART);
    }
    assert_in_range(raw_server_stop(foreign), LEN, LEN + 100);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_loses_the_pool), cmocka_unit_test(the_slot_of_the_server),
        cmocka_unit_test(a_key_that_is_stale_here_too), cmocka_unit_test(a_server_that_comes_back),
        cmocka_unit_test(a_lane_that_changes_unseen),   cmocka_unit_test(a_server_of_somebody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
