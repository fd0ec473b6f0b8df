/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Clients that do to a trunk what they must not. They lose their stream at worst; the server serves
 * on, and calls that others have in progress at that time end as ever.
 */

#include <string.h>

#include "many_calls.h"
#include "raw_trunk.h"
#include "transport_raw.h"

static many_scene scene;
static many_caller bystander;
static raw_trunk *trunk;
static uint64_t max_calls;

/* Somebody else has a call in progress all the time. */
static int set_up(void **state)
{
    (void)state;
    const haul_server_opts server = {.max_streams = 16};
    const test_pair_opts opts = {.server = &server};
    many_open(&scene, &opts);
    many_call(&bystander, &scene, 0, HAUL__TEST__MODE__MODE_HOLD);
    many_wait_held(&scene, 0);
    trunk = raw_trunk_open(scene.pair.address, &max_calls);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    raw_trunk_close(trunk);
    assert_false(haul_call_is_cancelled(scene.held[0]));
    assert_int_equal(many_call_here(&scene, 1, NULL), GRPC_STATUS_OK);
    many_let_go(&scene, 0);
    many_join(&bystander, GRPC_STATUS_OK);
    many_close(&scene);
    return 0;
}

/* The bytes of an ExchangeRequest with a mode and a number, as the last field of a letter. */
static size_t add_call(uint8_t *to, size_t n, size_t size, uint64_t id, const char *method,
                       Haul__Test__Mode mode, uint64_t number)
{
    uint8_t head[HAUL__LETTER_HEAD_MAX];
    uint8_t message[64];
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    const haul__letter_fields fields = {.id = id, .method = method};
    request.mode = mode;
    request.size = number;
    size_t n_message = haul__test__exchange_request__pack(&request, message);
    grpc_slice letter = haul__letter_write(&fields);
    size_t n_letter = GRPC_SLICE_LENGTH(letter);
    assert_in_range(n + 2 * sizeof(head) + n_letter + n_message, 0, size);
    size_t n_head = haul__letter_head(n_letter, n_message, true, head);
    memcpy(to + n, head, n_head);
    n += n_head;
    memcpy(to + n, GRPC_SLICE_START_PTR(letter), n_letter);
    n += n_letter;
    grpc_slice_unref(letter);
    n_head = haul__letter_message_head(n_message, head);
    memcpy(to + n, head, n_head);
    memcpy(to + n + n_head, message, n_message);
    return n + n_head + n_message;
}

static void send_call(uint64_t id, const char *method, Haul__Test__Mode mode, uint64_t number)
{
    uint8_t bytes[256];
    size_t n = add_call(bytes, 0, sizeof(bytes), id, method, mode, number);
    assert_true(raw_trunk_send(trunk, bytes, n));
}

/* The answers of one message. */
typedef struct answers {
    uint64_t ids[16];
    uint64_t codes[16];
    size_t n;
} answers;

static void take(void *ctx, haul__letter *letter)
{
    answers *a = ctx;
    assert_in_range(a->n, 0, 15);
    a->ids[a->n] = letter->id;
    a->codes[a->n++] = letter->status;
}

/* Until there are so many. */
static void receive(answers *a, size_t n)
{
    while (a->n < n) {
        assert_true(raw_trunk_receive(trunk, take, a));
    }
    assert_int_equal(a->n, n);
}

static void garbage_ends_the_stream(void **state)
{
    (void)state;
    assert_true(raw_trunk_send(trunk, "\x0a\xff\xff\xff", 4));
    assert_int_equal(raw_trunk_end(trunk), GRPC_STATUS_RESOURCE_EXHAUSTED);
}

/* What is right before what is wrong is served all the same, or not at all; nobody waits for it. */
static void more_calls_than_granted_end_the_stream(void **state)
{
    (void)state;
    uint8_t bytes[8192];
    size_t n = 0;
    assert_int_equal(max_calls, 16);
    for (unsigned i = 0; i < 3 * max_calls; i++) {
        n = add_call(bytes, n, sizeof(bytes), i + 1, RAW_EXCHANGE, HAUL__TEST__MODE__MODE_SUM,
                     i + 1000);
    }
    assert_true(raw_trunk_send(trunk, bytes, n));
    assert_int_equal(raw_trunk_end(trunk), GRPC_STATUS_RESOURCE_EXHAUSTED);
    for (unsigned i = 0; i < 3 * max_calls; i++) {
        assert_in_range(many_begun(&scene, i + 1000), 0, 1);
    }
}

static void an_id_that_is_used_twice_is_answered_twice(void **state)
{
    (void)state;
    answers a = {0};
    send_call(7, RAW_EXCHANGE, HAUL__TEST__MODE__MODE_HOLD, 10);
    send_call(7, RAW_EXCHANGE, HAUL__TEST__MODE__MODE_HOLD, 11);
    many_wait_held(&scene, 10);
    many_wait_held(&scene, 11);
    many_let_go(&scene, 11);
    many_let_go(&scene, 10);
    receive(&a, 2);
    assert_int_equal(a.ids[0], 7);
    assert_int_equal(a.ids[1], 7);
}

static void cancellations_of_nothing_are_ignored(void **state)
{
    (void)state;
    uint8_t bytes[64];
    answers a = {0};
    const haul__letter_fields fields = {.id = 99, .cancelled = true};
    send_call(1, RAW_EXCHANGE, HAUL__TEST__MODE__MODE_HOLD, 10);
    many_wait_held(&scene, 10);
    size_t n = raw_trunk_letter(bytes, 0, sizeof(bytes), &fields);
    assert_true(raw_trunk_send(trunk, bytes, n));
    send_call(2, RAW_EXCHANGE, HAUL__TEST__MODE__MODE_SUM, 11);
    receive(&a, 1);
    assert_int_equal(a.ids[0], 2);
    assert_false(haul_call_is_cancelled(scene.held[10]));
    many_let_go(&scene, 10);
    receive(&a, 2);
    assert_int_equal(a.codes[1], GRPC_STATUS_OK);
}

static void methods_that_are_not_there_are_unimplemented(void **state)
{
    (void)state;
    answers a = {0};
    send_call(1, "/no.Such/Method", HAUL__TEST__MODE__MODE_SUM, 10);
    send_call(2, HAUL__TRUNK_METHOD, HAUL__TEST__MODE__MODE_SUM, 11);
    send_call(3, NULL, HAUL__TEST__MODE__MODE_SUM, 12);
    receive(&a, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(a.codes[i], GRPC_STATUS_UNIMPLEMENTED);
    }
}

static void after_half_close_what_has_begun_is_answered(void **state)
{
    (void)state;
    answers a = {0};
    send_call(1, RAW_EXCHANGE, HAUL__TEST__MODE__MODE_HOLD, 10);
    many_wait_held(&scene, 10);
    raw_trunk_half_close(trunk);
    assert_false(haul_call_is_cancelled(scene.held[10]));
    many_let_go(&scene, 10);
    receive(&a, 1);
    assert_int_equal(a.codes[0], GRPC_STATUS_OK);
    assert_int_equal(raw_trunk_end(trunk), GRPC_STATUS_OK);
}

static void a_connection_that_is_dropped_cancels_its_calls(void **state)
{
    (void)state;
    send_call(1, RAW_EXCHANGE, HAUL__TEST__MODE__MODE_HOLD, 10);
    send_call(2, RAW_EXCHANGE, HAUL__TEST__MODE__MODE_HOLD, 11);
    many_wait_held(&scene, 10);
    many_wait_held(&scene, 11);
    raw_trunk_close(trunk);
    many_wait_cancelled(&scene, 10);
    many_wait_cancelled(&scene, 11);
    many_let_go(&scene, 10);
    many_let_go(&scene, 11);
    trunk = raw_trunk_open(scene.pair.address, &max_calls);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(garbage_ends_the_stream),
        TEST(more_calls_than_granted_end_the_stream),
        TEST(an_id_that_is_used_twice_is_answered_twice),
        TEST(cancellations_of_nothing_are_ignored),
        TEST(methods_that_are_not_there_are_unimplemented),
        TEST(after_half_close_what_has_begun_is_answered),
        TEST(a_connection_that_is_dropped_cancels_its_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
