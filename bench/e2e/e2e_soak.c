/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Memory over many calls: what client and server hold once they are warm, and what after so many
 * calls more. Of four calls two take a buffer and send its key, one sends bytes inline, one is
 * empty. Growth is of resident anonymous memory: heap and stacks, not the pool.
 *
 * Runs in main()'s thread.
 */
#include <inttypes.h>
#include <stdio.h>

#include "e2e.h"

#define N_WARM       20000
#define GROWTH_BOUND ((int64_t)BENCH_MIB) /* room for what malloc() keeps; a byte per call */

static bool make_calls(e2e *e, const e2e_size *size, uint64_t n)
{
    bool ok = true;
    for (uint64_t i = 0; ok && i < n; i++) {
        switch (i % 4) {
        case 0:
            ok = e2e_call_empty(e);
            break;
        case 1:
            ok = e2e_call_small(e);
            break;
        default:
            ok = e2e_call_key(e, size);
            break;
        }
        ok = ok && !bench_interrupted();
    }
    return ok;
}

bool e2e_soak(e2e *e, e2e_size *size, uint64_t n_calls)
{
    bench_usage client[2];
    bench_usage server[2];
    if (!make_calls(e, size, N_WARM) || !bench_usage_self(&client[0]) ||
        !bench_peer_usage(&e->server, &server[0]) || !make_calls(e, size, n_calls) ||
        !bench_usage_self(&client[1]) || !bench_peer_usage(&e->server, &server[1])) {
        return false;
    }
    int64_t client_grown = (int64_t)(client[1].anonymous_bytes - client[0].anonymous_bytes);
    int64_t server_grown = (int64_t)(server[1].anonymous_bytes - server[0].anonymous_bytes);
    bool met = client_grown <= GROWTH_BOUND && server_grown <= GROWTH_BOUND;
    (void)printf("{\"name\": \"soak\", \"calls\": %" PRIu64 ", \"client_bytes\": %" PRIu64
                 ", \"client_grown_bytes\": %" PRId64 ", \"server_bytes\": %" PRIu64
                 ", \"server_grown_bytes\": %" PRId64 ", \"wanted\": \"<= %" PRId64
                 "\", \"met\": %s, ",
                 n_calls, client[0].anonymous_bytes, client_grown, server[0].anonymous_bytes,
                 server_grown, GROWTH_BOUND, met ? "true" : "false");
    bench_print_facts();
    (void)puts("}");
    return met;
}
