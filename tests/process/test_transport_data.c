/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Data connections: which payloads go over one, that the handler sees the same bytes in one aligned
 * piece either way, and that a call goes well without one, whatever happened to it.
 */

#include "data_scene.h"

#include <shorthaul/cancel.h>

#include <stdlib.h>
#include <string.h>

#include "transport/channel_data.h"

#define MIN    HAUL__TRANSFER_MIN
#define LARGE  ((size_t)6000000)
#define N_MANY (HAUL__DATA_UNCLAIMED_MAX + 2)

static uint64_t n_sent(const test_pair *pair)
{
    haul_channel_stats stats = {.struct_size = sizeof(stats)};
    assert_ok(haul_channel_get_stats(pair->channel, &stats));
    return stats.n_transferred;
}

static uint64_t n_received(const test_pair *pair)
{
    haul_server_stats stats = {.struct_size = sizeof(stats)};
    assert_ok(haul_server_get_stats(pair->server, &stats));
    return stats.n_transferred;
}

static void assert_transferred(const test_pair *pair, uint64_t n)
{
    assert_int_equal(n_sent(pair), n);
    assert_int_equal(n_received(pair), n);
}

/* Send @len bytes of @seed from ordinary memory, inline. */
static haul_reply *send_memory(test_pair *pair, size_t len, uint8_t seed)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    const haul_call_opts opts = {
        .struct_size = sizeof(opts), .inline_only = true, .wait_for_ready = true};
    haul_payload_out out;
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    test_fill(bytes, len, seed);
    haul_payload_set_inline(&out, bytes, len);
    request.data = &out.payload;
    haul_reply *reply = test_exchange(pair, &request, &opts);
    free(bytes);
    return reply;
}

static void assert_sends(test_pair *pair, size_t len, uint8_t seed)
{
    haul_reply *reply = send_memory(pair, len, seed);
    const Haul__Test__ExchangeResponse *response = test_response(reply);
    assert_true(response->sums[0] == test_payload_sum(len, seed));
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_INLINE);
    assert_false(haul_reply_was_resent(reply));
    assert_true(response->request_bytes > len);
    assert_int_equal(haul_reply_request_bytes(reply), response->request_bytes);
    haul_reply_free(reply);
}

/* ---- Which payloads ---- */

static void large_ones_from_memory(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, &(test_pair_opts){.large = true});
    assert_sends(&pair, MIN - 1, 1);
    assert_transferred(&pair, 0);
    assert_sends(&pair, MIN, 2);
    assert_transferred(&pair, 1);
    assert_sends(&pair, 64u << 20, 3);
    assert_transferred(&pair, 2);
    test_pair_close(&pair);
}

static void large_ones_from_a_pool(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, &(test_pair_opts){.large = true});
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LARGE, 1, &out);
    request.data = &out.payload;

    haul_reply *reply = test_exchange(&pair, &request, NULL);
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_SHM);
    haul_reply_free(reply);
    assert_transferred(&pair, 0);

    const haul_call_opts opts = {.struct_size = sizeof(opts), .inline_only = true};
    reply = test_exchange(&pair, &request, &opts);
    assert_true(test_response(reply)->sums[0] == test_payload_sum(LARGE, 1));
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_INLINE);
    haul_reply_free(reply);
    assert_transferred(&pair, 1);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

static void those_for_which_the_pool_has_no_buffer(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, &(test_pair_opts){.large = true, .key_threshold_bytes = 1});
    assert_sends(&pair, LARGE, 1);
    test_hoard hoard = test_hoard_take(pair.client_pool, LARGE, 0);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_payload_out out;
    uint8_t *bytes = malloc(LARGE);
    assert_non_null(bytes);
    test_fill(bytes, LARGE, 2);
    haul_payload_set_inline(&out, bytes, LARGE);
    request.data = &out.payload;
    haul_reply *reply = test_exchange(&pair, &request, NULL);
    assert_true(test_response(reply)->sums[0] == test_payload_sum(LARGE, 2));
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_INLINE);
    haul_reply_free(reply);
    assert_transferred(&pair, 2);
    test_hoard_release(&hoard);
    free(bytes);
    test_pair_close(&pair);
}

static void between_sides_without_a_pool(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(
        &pair,
        &(test_pair_opts){.client_without_pool = true, .server_without_pool = true, .large = true});
    for (uint8_t i = 0; i < 3; i++) {
        assert_sends(&pair, LARGE + i, i);
    }
    assert_transferred(&pair, 3);
    test_pair_close(&pair);
}

/* More than may be unclaimed, and small ones among them. */
static void many_in_one_message(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, &(test_pair_opts){.client_without_pool = true});
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_payload_out outs[2 * N_MANY];
    haul_payload *row[2 * N_MANY];
    uint8_t *bytes = malloc(2 * MIN);
    assert_non_null(bytes);
    test_fill(bytes, 2 * MIN, 1);
    for (size_t i = 0; i < 2 * N_MANY; i++) {
        haul_payload_set_inline(&outs[i], bytes + i, i % 2 ? 100 + i : MIN + i);
        row[i] = &outs[i].payload;
    }
    request.n_row = 2 * N_MANY;
    request.row = row;
    haul_reply *reply = test_exchange(&pair, &request, NULL);
    const Haul__Test__ExchangeResponse *response = test_response(reply);
    assert_int_equal(response->n_sums, 2 * N_MANY);
    for (size_t i = 0; i < 2 * N_MANY; i++) {
        assert_true(response->sums[i] == test_sum(bytes + i, i % 2 ? 100 + i : MIN + i));
    }
    haul_reply_free(reply);
    assert_transferred(&pair, HAUL__DATA_UNCLAIMED_MAX);
    free(bytes);
    test_pair_close(&pair);
}

static void the_handler_sees_one_aligned_piece(void **state)
{
    (void)state;
    test_pair pair;
    for (int without = 0; without < 2; without++) {
        test_pair_open(&pair, &(test_pair_opts){.large = true, .server_without_pool = without});
        Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        const haul_call_opts opts = {.struct_size = sizeof(opts), .inline_only = true};
        haul_payload_out out;
        haul_buf *buf = test_payload(pair.client_pool, LARGE, 5, &out);
        request.data = &out.payload;
        request.mode = HAUL__TEST__MODE__MODE_ECHO;
        haul_reply *reply = test_exchange(&pair, &request, &opts);
        haul_view view;
        assert_ok(haul_reply_view(reply, test_response(reply)->data, &view));
        assert_int_equal(view.len, LARGE);
        assert_true(test_is_filled(view.data, view.len, 5));
        haul_reply_free(reply);
        assert_transferred(&pair, 1);
        haul_buf_release(buf);
        test_pair_close(&pair);
    }
}

static void *call_and_hold(void *arg)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_payload_out out;
    uint8_t *bytes = malloc(LARGE);
    assert_non_null(bytes);
    test_fill(bytes, LARGE, 9);
    haul_payload_set_inline(&out, bytes, LARGE);
    request.data = &out.payload;
    request.mode = HAUL__TEST__MODE__MODE_HOLD;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .inline_only = true};
    haul_reply *reply = test_exchange(arg, &request, &opts);
    free(bytes);
    return reply;
}

/* What was sent is the call's until it is answered, while other calls come and go on others. */
static void a_call_keeps_what_it_was_sent(void **state)
{
    (void)state;
    test_pair pair;
    pthread_t thread;
    void *reply;
    test_pair_open(&pair, &(test_pair_opts){.large = true});
    assert_int_equal(pthread_create(&thread, NULL, call_and_hold, &pair), 0);
    test_service_wait_held(&pair.service);
    for (uint8_t i = 0; i < 4; i++) {
        assert_sends(&pair, LARGE, i);
    }
    const haul_view *view = &pair.service.held_view;
    assert_int_equal((uintptr_t)view->data % 64, 0);
    assert_true(view->len == LARGE && test_is_filled(view->data, view->len, 9));
    test_service_let_go(&pair.service);
    assert_int_equal(pthread_join(thread, &reply), 0);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
    haul_reply_free(reply);
    assert_transferred(&pair, 5);
    test_pair_close(&pair);
}

static void *send_some(void *arg)
{
    for (uint8_t i = 0; i < 10; i++) {
        assert_sends(arg, LARGE / 3 + i, i);
    }
    return NULL;
}

/* More callers than there may be connections. */
static void from_many_threads(void **state)
{
    (void)state;
    enum {
        N = 12
    };
    test_pair pair;
    pthread_t threads[N];
    test_pair_open(&pair, &(test_pair_opts){.large = true});
    for (int i = 0; i < N; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, send_some, &pair), 0);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(n_sent(&pair), n_received(&pair));
    assert_true(n_sent(&pair) > 0);
    test_pair_close(&pair);
}

/* ---- None ---- */

static void none_where_a_side_wants_none(void **state)
{
    (void)state;
    const haul_channel_opts channel = {.no_data_connections = true};
    const haul_server_opts server = {.no_data_connections = true};
    for (int i = 0; i < 2; i++) {
        test_pair pair;
        test_pair_open(&pair, &(test_pair_opts){.large = true,
                                                .channel = i == 0 ? &channel : NULL,
                                                .server = i == 1 ? &server : NULL});
        assert_sends(&pair, LARGE, 1);
        assert_sends(&pair, LARGE, 2);
        assert_transferred(&pair, 0);
        test_pair_close(&pair);
    }
}

/* Bounds on messages hold for what would be in the message. */
static void bounds_hold(void **state)
{
    (void)state;
    const haul_channel_opts channel = {.max_send_bytes = LARGE};
    const test_pair_opts receives = {.client_without_pool = true, .max_message_bytes = LARGE};
    const test_pair_opts sends = {.client_without_pool = true, .channel = &channel};
    for (int i = 0; i < 2; i++) {
        test_pair pair;
        test_pair_open(&pair, i == 0 ? &receives : &sends);
        assert_sends(&pair, LARGE - 1000, 1);
        assert_transferred(&pair, 1);
        unsigned n = test_service_entered(&pair.service);
        haul_reply *reply = send_memory(&pair, LARGE + 1, 2);
        assert_int_equal(haul_reply_code(reply), GRPC_STATUS_RESOURCE_EXHAUSTED);
        haul_reply_free(reply);
        assert_int_equal(test_service_entered(&pair.service), n);
        assert_sends(&pair, LARGE - 1000, 3);
        test_pair_close(&pair);
    }
}

static void another_server_is_found_again(void **state)
{
    (void)state;
    const test_pair_opts opts = {.large = true};
    test_pair pair;
    test_pair_open(&pair, &opts);
    assert_sends(&pair, LARGE, 1);
    assert_transferred(&pair, 1);
    test_pair_restart_server(&pair, &opts);
    haul_reply *reply = send_memory(&pair, LARGE, 2); /* may find the connection gone */
    haul_reply_free(reply);
    uint64_t before = n_sent(&pair);
    while (n_sent(&pair) == before) { /* it is not asked while it is out of reach */
        assert_sends(&pair, LARGE, 3);
    }
    assert_int_equal(n_received(&pair), 1);
    test_pair_close(&pair);
}

/* Of a call that is refused before it is looked at, over and over. */
static void what_no_call_takes_is_let_go_of(void **state)
{
    (void)state;
    enum {
        N = 2 * HAUL__DATA_UNCLAIMED_MAX
    };
    static char value[5000];
    memset(value, 'v', sizeof(value) - 1);
    const haul_metadata much[] = {{"m", value, sizeof(value) - 1}, {"n", value, sizeof(value) - 1}};
    const haul_call_opts opts = {
        .struct_size = sizeof(opts), .inline_only = true, .metadata = much, .n_metadata = 2};
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_payload_out out;
    test_pair pair;
    test_pair_open(&pair, &(test_pair_opts){.large = true});
    haul_buf *buf = test_payload(pair.client_pool, LARGE, 1, &out);
    request.data = &out.payload;
    for (int i = 0; i < N; i++) {
        haul_reply *reply = test_exchange(&pair, &request, &opts);
        assert_int_equal(haul_reply_code(reply), GRPC_STATUS_RESOURCE_EXHAUSTED);
        haul_reply_free(reply);
    }
    assert_int_equal(n_sent(&pair), N);
    assert_int_equal(n_received(&pair), 0);
    assert_sends(&pair, LARGE, 2);
    assert_int_equal(n_received(&pair), 1);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

/* ---- Servers that are not as they should be ---- */

static void assert_goes_inline(data_scene *scene)
{
    haul_reply *reply = data_scene_call(scene, LARGE, NULL);
    assert_true(test_response(reply)->sums[0] == test_payload_sum(LARGE, 1));
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_INLINE);
    haul_reply_free(reply);
}

/* Of each kind: the call goes well, and no handler runs twice. */
static void a_bad_server_costs_nothing_but_time(void **state)
{
    (void)state;
    static const data_manner manners[] = {DATA_NOBODY, DATA_IMPOSTOR, DATA_MUTE,
                                          DATA_DEAF,   DATA_RUDE,     DATA_LIAR};
    for (size_t i = 0; i < sizeof(manners) / sizeof(manners[0]); i++) {
        data_scene scene;
        data_scene_open(&scene, manners[i]);
        assert_goes_inline(&scene);
        assert_int_equal(data_scene_asked(&scene), 1);
        assert_int_equal(test_service_entered(&scene.service), 1);
        data_scene_close(&scene);
    }
}

static void where_nobody_listens_it_is_not_asked_each_time(void **state)
{
    (void)state;
    data_scene scene;
    data_scene_open(&scene, DATA_NOBODY);
    for (int i = 0; i < 3; i++) {
        assert_goes_inline(&scene);
    }
    assert_int_equal(data_scene_asked(&scene), 1);
    data_scene_close(&scene);
}

static void assert_is_sent_again(data_scene *scene)
{
    haul_reply *reply = data_scene_call(scene, LARGE, NULL);
    assert_true(test_response(reply)->sums[0] == test_payload_sum(LARGE, 1));
    assert_true(haul_reply_was_resent(reply));
    haul_reply_free(reply);
    assert_int_equal(test_service_entered(&scene->service), 1);
}

static void a_number_that_means_nothing_is_refused(void **state)
{
    (void)state;
    data_scene scene;
    data_scene_open(&scene, DATA_FORGETFUL);
    assert_is_sent_again(&scene);
    data_scene_close(&scene);
}

/* What was sent to another server is lost there with its connection. */
static void what_another_server_has_is_refused(void **state)
{
    (void)state;
    test_pair other;
    data_scene scene;
    data_server told;
    test_pair_open(&other, &(test_pair_opts){.large = true});
    data_ask(other.channel, &told);
    data_scene_open_elsewhere(&scene, &told);
    assert_is_sent_again(&scene);
    assert_int_equal(n_received(&other), 0);
    data_scene_close(&scene);
    test_pair_close(&other);
}

/* ---- Calls that are no longer wanted ---- */

typedef struct stuck {
    data_scene scene;
    haul_call_opts opts;
    pthread_t thread;
} stuck;

static void *call_slow(void *arg)
{
    stuck *s = arg;
    return data_scene_call(&s->scene, LARGE, &s->opts);
}

/* A call whose payload the server takes seconds to read. */
static void stuck_begin(stuck *s, haul_cancel *cancel, int64_t timeout_ns)
{
    *s = (stuck){
        .opts = {.struct_size = sizeof(s->opts), .cancel = cancel, .timeout_ns = timeout_ns}};
    data_scene_open(&s->scene, DATA_SLOW);
    assert_int_equal(pthread_create(&s->thread, NULL, call_slow, s), 0);
    data_scene_wait_greeted(&s->scene);
}

static void stuck_end(stuck *s, grpc_status_code code)
{
    void *reply;
    assert_int_equal(pthread_join(s->thread, &reply), 0);
    assert_int_equal(haul_reply_code(reply), code);
    assert_int_equal(test_service_entered(&s->scene.service), 0);
    haul_reply_free(reply);
    assert_true(data_scene_wait_hung_up(&s->scene) < LARGE); /* it stopped, at once */
}

static void cancelled_while_sending(void **state)
{
    (void)state;
    haul_cancel *cancel;
    stuck s;
    assert_ok(haul_cancel_create(&cancel));
    stuck_begin(&s, cancel, 0);
    haul_cancel_trigger(cancel);
    stuck_end(&s, GRPC_STATUS_CANCELLED);
    data_scene_close(&s.scene);
    haul_cancel_destroy(cancel);
}

static void closed_while_sending(void **state)
{
    (void)state;
    stuck s;
    stuck_begin(&s, NULL, 0);
    data_scene_close_channel(&s.scene);
    stuck_end(&s, GRPC_STATUS_CANCELLED);
    data_scene_close(&s.scene);
}

static void late_while_sending(void **state)
{
    (void)state;
    stuck s;
    stuck_begin(&s, NULL, 300000000);
    stuck_end(&s, GRPC_STATUS_DEADLINE_EXCEEDED);
    data_scene_close(&s.scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_ones_from_memory),
        cmocka_unit_test(large_ones_from_a_pool),
        cmocka_unit_test(those_for_which_the_pool_has_no_buffer),
        cmocka_unit_test(between_sides_without_a_pool),
        cmocka_unit_test(many_in_one_message),
        cmocka_unit_test(the_handler_sees_one_aligned_piece),
        cmocka_unit_test(a_call_keeps_what_it_was_sent),
        cmocka_unit_test(from_many_threads),
        cmocka_unit_test(none_where_a_side_wants_none),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(another_server_is_found_again),
        cmocka_unit_test(what_no_call_takes_is_let_go_of),
        cmocka_unit_test(a_bad_server_costs_nothing_but_time),
        cmocka_unit_test(where_nobody_listens_it_is_not_asked_each_time),
        cmocka_unit_test(a_number_that_means_nothing_is_refused),
        cmocka_unit_test(what_another_server_has_is_refused),
        cmocka_unit_test(cancelled_while_sending),
        cmocka_unit_test(closed_while_sending),
        cmocka_unit_test(late_while_sending),
    };
    return cmocka_run_group_tests_name("test_transport_data", tests, NULL, NULL);
}
