/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef E2E_ORDER_H
#define E2E_ORDER_H

/*
 * What bench_e2e tells the C++ client to do, over its standard input. Calls are ordered by the
 * burst, so that the client makes them one after the other like the arms in bench_e2e itself.
 *
 * The answer to calls: the sum that came back, then the nanoseconds of each call, 64 bits each. To
 * callers: the nanoseconds that all of them took together, then the calls they made. To usage: a
 * bench_usage.
 */

#include <stdint.h>

enum {
    E2E_ORDER_EMPTY,    /* n calls without a payload */
    E2E_ORDER_HANDOVER, /* n calls with a message that lies ready */
    E2E_ORDER_WHOLE,    /* the same with the message filled first and read whole */
    E2E_ORDER_CALLERS,  /* n threads that make empty calls for duration_ns */
    E2E_ORDER_USAGE     /* nothing, but to say what the process has used */
};

typedef struct e2e_order {
    uint64_t kind;
    uint64_t n;
    uint64_t duration_ns;
} e2e_order;

#endif
