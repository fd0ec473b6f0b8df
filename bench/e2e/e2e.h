/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef E2E_H
#define E2E_H

/* What the files of the end-to-end benchmark share: see bench_e2e.c. */

#include <shorthaul/stream.h>
#include <shorthaul/transport.h>

#include "bench.h"

#define E2E_ADDRESS_BYTES 108
#define E2E_BUSY_POLL_NS  50000ull /* of the arms that poll */

/* What crosses the raw socket before the bytes; their sum comes back: e2e_roles.c. */
typedef struct e2e_raw_head {
    uint64_t n_bytes;
    uint64_t whole;
} e2e_raw_head;

/* A size that is measured: its sums, and a buffer that holds its bytes. */
typedef struct e2e_size {
    uint64_t n_bytes;
    uint64_t sums[2]; /* of the ends; of the whole */
    haul_buf *buf;    /* filled and shared */
    haul_payload_out by_key;
} e2e_size;

typedef struct e2e_core e2e_core;

/* Everything the arms need; main() owns it. */
typedef struct e2e {
    haul_pool *pool;
    haul_channel *channel;
    haul_channel *polling; /* to a server that polls, too */
    haul_channel *plain;   /* sends over gRPC what goes inline */
    e2e_core *core;
    haul_buf *scratch; /* what one process alone fills and reads */
    uint8_t *source;   /* known bytes */
    uint8_t *message;  /* private memory, for what is produced inline */
    uint64_t n_source;
    bench_peer server, polling_server, core_server, raw;
    bench_peer cpp_server, cpp_client; /* empty without the C++ stub */
} e2e;

typedef struct e2e_arm e2e_arm;

/* Which of our channels an arm calls through. */
typedef enum e2e_client {
    E2E_AS_IT_IS,
    E2E_POLLING, /* awake while it waits */
    E2E_PLAIN,
} e2e_client;

/* @n calls of one arm, one after the other: makes them, checks the answers, says how long each
 * took. */
typedef bool (*e2e_fn)(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns);

struct e2e_arm {
    const char *stem; /* "key" gives the name "key_64MiB" */
    const char *path;
    e2e_fn run;
    e2e_size *size; /* NULL: no payload */
    bool whole;     /* produce + consume */
    e2e_client client;
    size_t burst; /* calls in a turn */
    size_t turns;
    bench_samples samples;
};

/* ---- e2e_arms.c ---- */

bool e2e_empty(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns);
bool e2e_inline(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns);
bool e2e_memory(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns);
bool e2e_key(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns);
bool e2e_default(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns);
bool e2e_raw_socket(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns);
bool e2e_one_process(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns);
bool e2e_cpp_stub(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns);

/* One call without a payload, checked. */
bool e2e_call_empty(e2e *e);

/* One call with a small payload inline, and one with a new buffer by key, checked. */
bool e2e_call_small(e2e *e);
bool e2e_call_key(e2e *e, const e2e_size *size);

/* ---- e2e_core.c: gRPC's core API with nothing on top ---- */

bool e2e_core_open(const char *address, e2e_core **out_core);
void e2e_core_close(e2e_core *core);
bool e2e_core_arm(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns);

/* Empty calls from this thread until @until_ns. */
bool e2e_core_loop(e2e_core *core, uint64_t until_ns, uint64_t *out_calls);

int e2e_be_core_server(const char *address);

/* ---- e2e_roles.c: the other processes; each answers with an exit code ---- */

int e2e_be_server(const char *address, const char *pool_name, bool polls);
int e2e_be_raw_socket(void);

/* ---- e2e_callers.c: calls per second ---- */

/* Print one line for each kind of client and number of callers, and the targets among them. */
bool e2e_measure_callers(e2e *e, bool smoke);

/* ---- e2e_stream.c: messages per second ---- */

#define E2E_STREAM_BYTES         20000000ull
#define E2E_STREAM_BUFFERS       20 /* more than may be on their way */
#define E2E_STREAM_BUFFERS_SMOKE 4

bool e2e_measure_stream(e2e *e, bool smoke);

/* The server's handler. */
void e2e_be_poured(haul_call *call, void *ctx);

/* ---- e2e_report.c ---- */

/* A ratio that is promised: at most @wanted, or at least. */
typedef struct e2e_target {
    const char *name;
    double value;
    double wanted;
    bool at_most;
} e2e_target;

void e2e_print_arm(e2e_arm *arm);
void e2e_print_target(const e2e_target *target);

/* The median in microseconds. */
double e2e_p50_us(e2e_arm *arm);

/* ---- e2e_soak.c: memory over many calls ---- */

/* Make @n_calls, by key in buffers of that size and inline in turn, and tell how much memory client
 * and server have gained since they were warm. */
bool e2e_soak(e2e *e, e2e_size *size, uint64_t n_calls);

#endif
