/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A bound on the bytes of answers that nobody reads. The peer that never reads is a socket, which asks
 * for answers and lets the server send no byte of them; beside it there is an ordinary client.
 */

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "h2.h"
#include "transport/deadline.h"
#include "transport/server.h"
#include "transport_test.h"

#define EXCHANGE "/haul.test.TestService/Exchange"
#define SIZE     60000
#define BOUND    1000000 /* room for sixteen of them */
#define FITTING  16

/* One thread, so that calls are answered in their order. */
static void open_pair(test_pair *pair, uint64_t max_unread_bytes, uint64_t max_unread_ns)
{
    const haul_server_opts so = {.max_unread_bytes = max_unread_bytes,
                                 .max_unread_ns = max_unread_ns};
    const test_pair_opts opts = {.server = &so, .n_threads = 1};
    test_pair_open(pair, &opts);
}

/* The ordinary client asks for @size bytes, inline. */
static grpc_status_code ask(test_pair *pair, uint64_t size)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .inline_only = true};
    request.mode = HAUL__TEST__MODE__MODE_PLAIN;
    request.size = size;
    haul_reply *reply = test_exchange(pair, &request, &opts);
    grpc_status_code code = haul_reply_code(reply);
    if (code == GRPC_STATUS_OK) {
        haul_view view;
        assert_ok(haul_reply_view(reply, test_response(reply)->data, &view));
        assert_int_equal(view.len, size);
    }
    haul_reply_free(reply);
    return code;
}

static uint64_t unread(test_pair *pair)
{
    (void)pthread_mutex_lock(&pair->server->mutex);
    uint64_t n = pair->server->unread_bytes;
    (void)pthread_mutex_unlock(&pair->server->mutex);
    return n;
}

static void wait_for_calls(test_pair *pair, size_t n)
{
    size_t now;
    do {
        (void)pthread_mutex_lock(&pair->server->mutex);
        now = pair->server->n_calls;
        (void)pthread_mutex_unlock(&pair->server->mutex);
    } while (now > n);
}

/* Ask for @n answers and read none. */
static int leave_unread(test_pair *pair, uint32_t n)
{
    h2_bytes bytes = {0};
    uint8_t message[64];
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    unsigned n_before = test_service_entered(&pair->service);
    request.mode = HAUL__TEST__MODE__MODE_PLAIN;
    request.size = SIZE;
    size_t len = haul__test__exchange_request__pack(&request, message);
    int fd = h2_open(pair->address, 0);
    for (uint32_t i = 0; i < n; i++) {
        h2_add_call(&bytes, 1 + 2 * i, EXCHANGE, NULL);
        h2_add_message(&bytes, 1 + 2 * i, message, len, (uint32_t)len);
    }
    assert_true(h2_write(fd, &bytes));
    h2_free(&bytes);
    (void)pthread_mutex_lock(&pair->service.mutex);
    while (pair->service.n_entered < n_before + n) {
        (void)pthread_cond_wait(&pair->service.changed, &pair->service.mutex);
    }
    (void)pthread_mutex_unlock(&pair->service.mutex);
    return fd;
}

/* What is beyond the bound is refused, to whomever; what is small enough still goes. */
static void beyond_the_bound(void **state)
{
    (void)state;
    test_pair pair;
    open_pair(&pair, BOUND, UINT64_MAX);
    assert_int_equal(ask(&pair, SIZE), GRPC_STATUS_OK);
    int fd = leave_unread(&pair, FITTING + 4);
    assert_int_equal(h2_read_status(fd, 1 + 2 * FITTING), GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_in_range(unread(&pair), FITTING * SIZE, BOUND);
    assert_int_equal(ask(&pair, SIZE), GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(ask(&pair, 1000), GRPC_STATUS_OK);
    (void)close(fd);
    wait_for_calls(&pair, 0);
    assert_int_equal(unread(&pair), 0);
    assert_int_equal(ask(&pair, SIZE), GRPC_STATUS_OK);
    test_pair_close(&pair);
}

/* What has been unread for long gives way to those who read. */
static void the_oldest_give_way(void **state)
{
    (void)state;
    test_pair pair;
    open_pair(&pair, BOUND, 1);
    int fd = leave_unread(&pair, FITTING);
    while (unread(&pair) < FITTING * SIZE) { /* the last handler has been entered, but not left */
        (void)sched_yield();
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(&pair, SIZE), GRPC_STATUS_OK);
    }
    assert_int_equal(h2_read_status(fd, 1), GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_in_range(unread(&pair), 1, BOUND);
    (void)close(fd);
    wait_for_calls(&pair, 0);
    test_pair_close(&pair);
}

/* A bound smaller than an answer holds none up that is alone. */
static void an_answer_larger_than_the_bound(void **state)
{
    (void)state;
    test_pair pair;
    open_pair(&pair, 1000, UINT64_MAX);
    for (int i = 0; i < 5; i++) {
        wait_for_calls(&pair, 0);
        assert_int_equal(ask(&pair, SIZE), GRPC_STATUS_OK);
    }
    test_pair_close(&pair);
}

/* Nobody who reads is ever refused, and nothing stays counted. */
static void answers_that_are_read(void **state)
{
    (void)state;
    test_pair pair;
    open_pair(&pair, BOUND, UINT64_MAX);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(ask(&pair, SIZE), GRPC_STATUS_OK);
    }
    wait_for_calls(&pair, 0);
    assert_int_equal(unread(&pair), 0);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beyond_the_bound),
        cmocka_unit_test(the_oldest_give_way),
        cmocka_unit_test(an_answer_larger_than_the_bound),
        cmocka_unit_test(answers_that_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
