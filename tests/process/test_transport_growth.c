/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Memory does not grow with the number of calls, of whatever path. Client and server are this
 * process. As a test it makes some thousands of calls; scripts/growth.sh gives it the number to
 * make, a million.
 */

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "transport_test.h"

#define WARM_UP 2000
#define LEN     50000

/* What the heap may hold more at one moment than at another, and what may be resident more: two
 * moments differ in what gRPC has under way. One block lost per ten calls is more than that. */
#define HEAP_SLACK     ((size_t)128 << 10)
#define RESIDENT_SLACK ((size_t)4 << 20)

static unsigned long n_calls = 20000;

typedef struct memory {
    size_t heap;
    size_t resident;
} memory;

static memory now(void)
{
    struct mallinfo2 info = mallinfo2();
    unsigned long pages;
    unsigned long resident;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &pages, &resident), 2);
    (void)fclose(file);
    return (memory){.heap = info.uordblks + info.hblkhd,
                    .resident = resident * (size_t)sysconf(_SC_PAGESIZE)};
}

/* A request by key, ordinary bytes by key, and inline, each with an answer of its own kind. */
static void make_calls(test_pair *pair, unsigned long n)
{
    static uint8_t bytes[LEN];
    const haul_call_opts inline_only = {.struct_size = sizeof(inline_only), .inline_only = true};
    const haul_call_opts *const opts[] = {NULL, NULL, &inline_only};
    static const Haul__Test__Mode modes[] = {HAUL__TEST__MODE__MODE_SUM, HAUL__TEST__MODE__MODE_PUT,
                                             HAUL__TEST__MODE__MODE_ECHO};
    haul_payload_out out[3];
    haul_buf *buf = test_payload(pair->client_pool, LEN, 1, &out[0]);
    haul_payload_set_inline(&out[1], bytes, LEN);
    haul_payload_set_inline(&out[2], bytes, 3000);
    for (unsigned long i = 0; i < n; i++) {
        Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        request.data = &out[i % 3].payload;
        request.mode = modes[i % 3];
        request.size = 3000;
        haul_reply *reply = test_exchange(pair, &request, opts[i % 3]);
        assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
        haul_reply_free(reply);
    }
    haul_buf_release(buf);
}

static void memory_does_not_grow(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    make_calls(&pair, WARM_UP);
    memory before = now();
    make_calls(&pair, n_calls);
    memory after = now();
    print_message("%lu calls: heap %zu -> %zu, resident %zu -> %zu bytes\n", n_calls, before.heap,
                  after.heap, before.resident, after.resident);
    assert_true(after.heap <= before.heap + HEAP_SLACK);
    assert_true(after.resident <= before.resident + RESIDENT_SLACK);
    test_pair_close(&pair);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        n_calls = strtoul(argv[1], NULL, 10);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_does_not_grow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
