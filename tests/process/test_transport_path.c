/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Which way payloads in ordinary memory go: the threshold, chosen and measured, what happens when
 * the pool is exhausted, and what is counted.
 */

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "transport_test.h"

#define THRESHOLD 4000
#define LARGE     50000 /* in the pool's larger class */

static uint8_t source[LARGE];

/* Send the first @len bytes of the source; the answer if the call ended OK has their sum. */
static haul_reply *send_bytes(test_pair *pair, size_t len, const haul_call_opts *opts)
{
    test_fill(source, sizeof(source), 6);
    haul_payload_out out;
    haul_payload_set_inline(&out, source, len);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    haul_reply *reply = test_exchange(pair, &request, opts);
    if (haul_reply_code(reply) == GRPC_STATUS_OK) {
        assert_true(test_response(reply)->sums[0] == test_sum(source, len));
    }
    /* The author's message is as it was. */
    assert_int_equal(out.payload.source_case, SHORTHAUL__V1__PAYLOAD__SOURCE_INLINE);
    assert_ptr_equal(out.payload.inline_.data, source);
    return reply;
}

static void assert_path(test_pair *pair, size_t len, const haul_call_opts *opts, haul_path path)
{
    haul_reply *reply = send_bytes(pair, len, opts);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
    assert_string_equal(haul_path_name(haul_reply_request_path(reply)), haul_path_name(path));
    haul_reply_free(reply);
    assert_all_free(pair->client_pool);
}

static haul_channel_stats stats_of(test_pair *pair)
{
    haul_channel_stats stats = {.struct_size = sizeof(stats)};
    assert_ok(haul_channel_get_stats(pair->channel, &stats));
    return stats;
}

/* ---- The threshold ---- */

static void chosen_threshold(void **state)
{
    (void)state;
    const test_pair_opts opts = {.key_threshold_bytes = THRESHOLD};
    const haul_call_opts inline_only = {.struct_size = sizeof(inline_only), .inline_only = true};
    test_pair pair;
    test_pair_open(&pair, &opts);
    assert_path(&pair, 0, NULL, HAUL_PATH_INLINE);
    assert_path(&pair, 1, NULL, HAUL_PATH_INLINE);
    assert_path(&pair, THRESHOLD - 1, NULL, HAUL_PATH_INLINE);
    assert_path(&pair, THRESHOLD, NULL, HAUL_PATH_SHM);
    assert_path(&pair, LARGE, NULL, HAUL_PATH_SHM);
    assert_path(&pair, LARGE, &inline_only, HAUL_PATH_INLINE);
    haul_channel_stats stats = stats_of(&pair);
    assert_int_equal(stats.n_copied, 2);
    assert_int_equal(stats.key_threshold_bytes, THRESHOLD);
    test_pair_close(&pair);
}

static void always_by_key(void **state)
{
    (void)state;
    const test_pair_opts opts = {.key_threshold_bytes = HAUL_KEY_ALWAYS};
    test_pair pair;
    test_pair_open(&pair, &opts);
    assert_path(&pair, 1, NULL, HAUL_PATH_SHM);
    assert_path(&pair, 0, NULL, HAUL_PATH_INLINE);
    test_pair_close(&pair);
}

static void measured_threshold(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    assert_path(&pair, 10, NULL, HAUL_PATH_INLINE);
    assert_int_equal(stats_of(&pair).key_threshold_bytes, 0); /* it did not matter */
    haul_reply_free(send_bytes(&pair, LARGE, NULL));
    uint64_t bytes = stats_of(&pair).key_threshold_bytes;
    assert_in_range(bytes, 1, HAUL_KEY_THRESHOLD_MAX);
    if (bytes <= LARGE) {
        assert_path(&pair, bytes, NULL, HAUL_PATH_SHM);
        assert_path(&pair, bytes - 1, NULL, HAUL_PATH_INLINE);
    }
    assert_int_equal(stats_of(&pair).key_threshold_bytes, bytes); /* once is enough */
    test_pair_close(&pair);
}

static void no_threshold_is_higher_than_the_bound(void **state)
{
    (void)state;
    const test_pair_opts opts = {.key_threshold_bytes = UINT64_MAX};
    test_pair pair;
    test_pair_open(&pair, &opts);
    assert_int_equal(stats_of(&pair).key_threshold_bytes, 20000000);
    test_pair_close(&pair);
}

static void not_by_key_without_a_lane(void **state)
{
    (void)state;
    const test_pair_opts opts = {.key_threshold_bytes = THRESHOLD, .server_without_pool = true};
    test_pair pair;
    test_pair_open(&pair, &opts);
    assert_path(&pair, LARGE, NULL, HAUL_PATH_INLINE);
    assert_int_equal(stats_of(&pair).n_copied, 0);
    test_pair_close(&pair);
}

/* ---- An exhausted pool ---- */

/* With the lane proven, and then no buffer left. */
static void open_exhausted(test_pair *pair, test_hoard *h, haul_channel_opts *channel)
{
    const test_pair_opts opts = {.key_threshold_bytes = THRESHOLD, .channel = channel};
    test_pair_open(pair, &opts);
    assert_path(pair, LARGE, NULL, HAUL_PATH_SHM);
    *h = test_hoard_take(pair->client_pool, 1, 0);
}

static void assert_ends(test_pair *pair, const haul_call_opts *opts, grpc_status_code code,
                        haul_path path)
{
    haul_reply *reply = send_bytes(pair, LARGE, opts);
    assert_int_equal(haul_reply_code(reply), code);
    assert_string_equal(haul_path_name(haul_reply_request_path(reply)), haul_path_name(path));
    haul_reply_free(reply);
}

static void exhausted_goes_inline(void **state)
{
    (void)state;
    const haul_call_opts fail = {.struct_size = sizeof(fail), .if_exhausted = HAUL_EXHAUSTED_FAIL};
    test_pair pair;
    test_hoard h;
    open_exhausted(&pair, &h, NULL);
    assert_ends(&pair, NULL, GRPC_STATUS_OK, HAUL_PATH_INLINE);
    assert_int_equal(stats_of(&pair).n_exhausted, 1);
    unsigned entered = test_service_entered(&pair.service);
    assert_ends(&pair, &fail, GRPC_STATUS_RESOURCE_EXHAUSTED, HAUL_PATH_NONE);
    assert_int_equal(test_service_entered(&pair.service), entered); /* nothing was sent */
    assert_int_equal(stats_of(&pair).n_exhausted, 2);
    test_hoard_release(&h);
    assert_path(&pair, LARGE, &fail, HAUL_PATH_SHM);
    test_pair_close(&pair);
}

static void exhausted_fails_where_the_channel_says_so(void **state)
{
    (void)state;
    haul_channel_opts channel = {.if_exhausted = HAUL_EXHAUSTED_FAIL};
    const haul_call_opts go_inline = {.struct_size = sizeof(go_inline),
                                      .if_exhausted = HAUL_EXHAUSTED_INLINE};
    test_pair pair;
    test_hoard h;
    open_exhausted(&pair, &h, &channel);
    assert_ends(&pair, NULL, GRPC_STATUS_RESOURCE_EXHAUSTED, HAUL_PATH_NONE);
    assert_ends(&pair, &go_inline, GRPC_STATUS_OK, HAUL_PATH_INLINE);
    test_hoard_release(&h);
    test_pair_close(&pair);
}

static void a_larger_class_only_if_allowed(void **state)
{
    (void)state;
    const haul_alloc_opts alloc = {.struct_size = sizeof(alloc)};
    const haul_alloc_opts larger = {.struct_size = sizeof(larger), .policy = HAUL_ALLOC_LARGER};
    haul_channel_opts channel = {.alloc = &alloc};
    const haul_call_opts with = {.struct_size = sizeof(with), .alloc = &larger};
    const test_pair_opts opts = {.key_threshold_bytes = HAUL_KEY_ALWAYS, .channel = &channel};
    test_pair pair;
    test_pair_open(&pair, &opts);
    assert_path(&pair, 10, NULL, HAUL_PATH_SHM);
    test_hoard h = {0};
    while (haul_buf_alloc(pair.client_pool, 1, &alloc, &h.bufs[h.n]) == HAUL_OK) {
        h.n++;
    }
    haul_reply *reply = send_bytes(&pair, 10, NULL);
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_INLINE);
    haul_reply_free(reply);
    reply = send_bytes(&pair, 10, &with);
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_SHM);
    haul_reply_free(reply);
    test_hoard_release(&h);
    test_pair_close(&pair);
}

typedef struct waiting {
    test_pair *pair;
    haul_status status;
    grpc_status_code code;
    haul_path path;
} waiting;

static const haul_alloc_opts forever = {
    .struct_size = sizeof(forever), .policy = HAUL_ALLOC_DEFAULT, .wait_ns = -1};

static void *call_and_wait(void *arg)
{
    waiting *w = arg;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .alloc = &forever};
    haul_payload_out out;
    haul_payload_set_inline(&out, source, LARGE);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    haul_reply *reply;
    w->status = haul_channel_call(w->pair->channel, &haul__test__test_service__descriptor, 1,
                                  &request.base, &opts, &reply);
    if (w->status == HAUL_OK) {
        w->code = haul_reply_code(reply);
        w->path = haul_reply_request_path(reply);
        haul_reply_free(reply);
    }
    return NULL;
}

static void start_waiting(waiting *w, pthread_t *thread)
{
    assert_int_equal(pthread_create(thread, NULL, call_and_wait, w), 0);
    while (test_class_info(w->pair->client_pool, 1).n_waiting == 0) {
        (void)sched_yield();
    }
}

static void a_call_waits_for_a_buffer(void **state)
{
    (void)state;
    test_pair pair;
    test_hoard h;
    pthread_t thread;
    open_exhausted(&pair, &h, NULL);
    waiting w = {.pair = &pair};
    start_waiting(&w, &thread);
    test_hoard_release(&h);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_status(w.status, HAUL_OK);
    assert_int_equal(w.code, GRPC_STATUS_OK);
    assert_int_equal(w.path, HAUL_PATH_SHM);
    test_pair_close(&pair);
}

static void nobody_waits_past_his_deadline(void **state)
{
    (void)state;
    const haul_call_opts opts = {
        .struct_size = sizeof(opts), .alloc = &forever, .timeout_ns = 30000000};
    test_pair pair;
    test_hoard h;
    open_exhausted(&pair, &h, NULL);
    haul_reply *reply = send_bytes(&pair, LARGE, &opts);
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_DEADLINE_EXCEEDED);
    haul_reply_free(reply);
    test_hoard_release(&h);
    test_pair_close(&pair);
}

static void closing_ends_the_wait(void **state)
{
    (void)state;
    test_pair pair;
    test_hoard h;
    pthread_t thread;
    open_exhausted(&pair, &h, NULL);
    waiting w = {.pair = &pair};
    start_waiting(&w, &thread);
    haul_channel_close(pair.channel);
    pair.channel = NULL;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(w.status != HAUL_OK || w.code == GRPC_STATUS_CANCELLED);
    test_hoard_release(&h);
    test_pair_close(&pair);
}

/* ---- Answers ---- */

static void assert_answer(test_pair *pair, size_t len, haul_path path)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_PLAIN;
    request.size = len;
    haul_reply *reply = test_exchange(pair, &request, NULL);
    const Haul__Test__ExchangeResponse *response = test_response(reply);
    haul_view view;
    assert_ok(haul_reply_view(reply, response->data, &view));
    assert_int_equal(view.len, len);
    assert_true(test_sum(view.data, view.len) == test_payload_sum(len, 7));
    assert_string_equal(haul_path_name(haul_reply_path(reply)), haul_path_name(path));
    haul_reply_free(reply);
}

static void answers_in_ordinary_memory(void **state)
{
    (void)state;
    const haul_server_opts server = {.key_threshold_bytes = THRESHOLD};
    const test_pair_opts opts = {.server = &server};
    const test_pair_opts apart = {.server = &server, .client_without_pool = true};
    test_pair pair;
    test_hoard h;
    test_pair_open(&pair, &opts);
    assert_answer(&pair, THRESHOLD - 1, HAUL_PATH_INLINE);
    assert_answer(&pair, THRESHOLD, HAUL_PATH_SHM);
    assert_answer(&pair, LARGE, HAUL_PATH_SHM);
    h = test_hoard_take(pair.client_pool, 1, 0);
    assert_answer(&pair, LARGE, HAUL_PATH_INLINE);
    test_hoard_release(&h);
    haul_server_stats stats = {.struct_size = sizeof(stats)};
    assert_ok(haul_server_get_stats(pair.server, &stats));
    assert_int_equal(stats.n_copied, 2);
    assert_int_equal(stats.n_exhausted, 1);
    test_pair_close(&pair);

    test_pair_open(&pair, &apart);
    assert_answer(&pair, LARGE, HAUL_PATH_INLINE);
    test_pair_close(&pair);
}

/* ---- What is counted ---- */

static void everything_is_counted(void **state)
{
    (void)state;
    const test_pair_opts opts = {.key_threshold_bytes = THRESHOLD};
    test_pair pair;
    test_pair_open(&pair, &opts);
    haul_reply_free(send_bytes(&pair, 100, NULL));
    haul_reply_free(send_bytes(&pair, LARGE, NULL));
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_PUT;
    request.size = 5000;
    haul_reply_free(test_exchange(&pair, &request, NULL));
    request.mode = HAUL__TEST__MODE__MODE_FAIL;
    haul_reply_free(test_exchange(&pair, &request, NULL));

    haul_channel_stats stats = stats_of(&pair);
    assert_int_equal(stats.n_calls, 4);
    assert_int_equal(stats.n_failed, 1);
    assert_int_equal(stats.requests.n_inline, 1);
    assert_int_equal(stats.requests.bytes_inline, 100);
    assert_int_equal(stats.requests.n_by_key, 1);
    assert_int_equal(stats.requests.bytes_by_key, LARGE);
    assert_int_equal(stats.answers.n_by_key, 1);
    assert_int_equal(stats.answers.bytes_by_key, 5000);
    assert_int_equal(stats.answers.n_inline, 0);
    assert_int_equal(stats.n_resent, 0);

    haul_server_stats server = {.struct_size = sizeof(server)};
    assert_ok(haul_server_get_stats(pair.server, &server));
    assert_int_equal(server.n_calls, 5); /* the probe, too */
    assert_int_equal(server.n_failed, 1);
    assert_int_equal(server.requests.bytes_by_key, LARGE);
    assert_int_equal(server.requests.bytes_inline, 100);
    assert_int_equal(server.answers.bytes_by_key, 5000);
    assert_int_equal(server.n_refused, 0);
    test_pair_close(&pair);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_channel_stats stats = {0};
    haul_server_stats server = {0};
    assert_status(haul_channel_get_stats(pair.channel, &stats), HAUL_INVALID);
    assert_status(haul_server_get_stats(pair.server, &server), HAUL_INVALID);
    const haul_alloc_opts alloc = {0};
    const haul_channel_opts opts = {.struct_size = sizeof(opts), .alloc = &alloc};
    haul_channel *channel;
    assert_status(haul_channel_open(pair.address, &opts, &channel, NULL), HAUL_INVALID);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_threshold),
        cmocka_unit_test(always_by_key),
        cmocka_unit_test(measured_threshold),
        cmocka_unit_test(no_threshold_is_higher_than_the_bound),
        cmocka_unit_test(not_by_key_without_a_lane),
        cmocka_unit_test(exhausted_goes_inline),
        cmocka_unit_test(exhausted_fails_where_the_channel_says_so),
        cmocka_unit_test(a_larger_class_only_if_allowed),
        cmocka_unit_test(a_call_waits_for_a_buffer),
        cmocka_unit_test(nobody_waits_past_his_deadline),
        cmocka_unit_test(closing_ends_the_wait),
        cmocka_unit_test(answers_in_ordinary_memory),
        cmocka_unit_test(everything_is_counted),
        cmocka_unit_test(wrong_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
