/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A call by key takes no memory from the heap once everything has been used before: neither in the
 * client's library nor in the server's. Both run in this process, and their calls of malloc() and
 * its kin are counted where the linker lets them be; gRPC's own are not ours to count.
 */

#include <stdatomic.h>
#include <stdlib.h>

#include "transport_test.h"

#define WARM_UP 300
#define CALLS   2000
#define LEN     50000

static _Atomic uint64_t n_taken;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    atomic_fetch_add(&n_taken, 1);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    atomic_fetch_add(&n_taken, 1);
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    atomic_fetch_add(&n_taken, 1);
    return __real_realloc(memory, size);
}

/* @n calls; what they took from the heap, which a call that another thread is about to end may do
 * for the next one. */
static uint64_t taken_by_calls(test_pair *pair, const Haul__Test__ExchangeRequest *request,
                               const haul_call_opts *opts, int n)
{
    uint64_t before = atomic_load(&n_taken);
    for (int i = 0; i < n; i++) {
        haul_reply *reply = test_exchange(pair, request, opts);
        assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
        assert_int_not_equal(haul_reply_request_path(reply), HAUL_PATH_INLINE);
        assert_int_not_equal(haul_reply_path(reply), HAUL_PATH_INLINE);
        haul_reply_free(reply);
    }
    return atomic_load(&n_taken) - before;
}

/* Blocks that are under way at once are few, so that after the warm-up there are enough of them. */
static void assert_takes_nothing(const Haul__Test__ExchangeRequest *request, test_pair *pair,
                                 const haul_call_opts *opts)
{
    (void)taken_by_calls(pair, request, opts, WARM_UP);
    assert_in_range(taken_by_calls(pair, request, opts, CALLS), 0, CALLS / 200);
}

static void requests_by_key(void **state)
{
    (void)state;
    haul_call_opts can_cancel = {.struct_size = sizeof(can_cancel)};
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    assert_takes_nothing(&request, &pair, NULL);
    assert_ok(haul_cancel_create(&can_cancel.cancel));
    assert_takes_nothing(&request, &pair, &can_cancel);
    haul_cancel_destroy(can_cancel.cancel);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

/* One buffer given, two, and one in room that the caller has lent. */
static void answers_by_key(void **state)
{
    (void)state;
    const haul_call_opts lend = {.struct_size = sizeof(lend), .lend_bytes = LEN};
    test_pair pair;
    test_pair_open(&pair, NULL);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.size = LEN;
    request.mode = HAUL__TEST__MODE__MODE_PUT;
    assert_takes_nothing(&request, &pair, NULL);
    assert_takes_nothing(&request, &pair, &lend);
    request.mode = HAUL__TEST__MODE__MODE_PUT_TWO;
    assert_takes_nothing(&request, &pair, NULL);
    test_pair_close(&pair);
}

static void ordinary_bytes_by_key(void **state)
{
    (void)state;
    static uint8_t bytes[LEN];
    const test_pair_opts opts = {.key_threshold_bytes = HAUL_KEY_ALWAYS};
    test_pair pair;
    test_pair_open(&pair, &opts);
    haul_payload_out out;
    haul_payload_set_inline(&out, bytes, LEN);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    assert_takes_nothing(&request, &pair, NULL);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_by_key),
        cmocka_unit_test(answers_by_key),
        cmocka_unit_test(ordinary_bytes_by_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
