/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Calls per second: one caller and several at once, of empty calls over one channel, ours, gRPC's
 * core API and the C++ stub.
 *
 * They take turns of a fraction of a second, so that what else the machine does hits all alike, and
 * the medians of the turns count. Beside the calls per second each line says what a call cost
 * client and server together in processor time and in waits, which depends less on the rest of the
 * machine. Callers are threads of this process, except those of the C++ stub.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "e2e.h"
#include "order.h"

#define N_CALLERS_MAX 8
#define TURN_NS       (200 * 1000000ull)
#define TURN_SMOKE_NS (20 * 1000000ull)
#define N_TURNS       15
#define N_TURNS_SMOKE 1
#define SCALING       1.8 /* what is promised on two cores */

/* One kind of client with one number of callers. */
typedef struct crew {
    const char *path;
    size_t n_callers;
    bool (*run)(e2e *e, const struct crew *w, uint64_t *out_calls, uint64_t *out_ns);
    bool (*loop)(e2e *e, uint64_t until_ns, uint64_t *out_calls); /* where it is threads of ours */
    uint64_t turn_ns;
    bench_samples rates; /* calls per second */
    uint64_t n_calls;
    bench_usage used; /* by client and server, over all turns */
} crew;

typedef struct caller {
    pthread_t thread;
    e2e *e;
    const crew *crew;
    uint64_t until_ns;
    uint64_t n_calls;
    bool ok;
} caller;

static bool loop_ours(e2e *e, uint64_t until_ns, uint64_t *out_calls)
{
    bool ok = true;
    uint64_t n = 0;
    while (ok && bench_now_ns() < until_ns) {
        ok = e2e_call_empty(e);
        n++;
    }
    *out_calls = n;
    return ok;
}

static bool loop_core(e2e *e, uint64_t until_ns, uint64_t *out_calls)
{
    return e2e_core_loop(e->core, until_ns, out_calls);
}

static void *call_for_a_while(void *arg)
{
    caller *c = arg;
    c->ok = c->crew->loop(c->e, c->until_ns, &c->n_calls);
    return NULL;
}

static bool run_threads(e2e *e, const crew *w, uint64_t *out_calls, uint64_t *out_ns)
{
    caller callers[N_CALLERS_MAX];
    uint64_t start_ns = bench_now_ns();
    size_t n = 0;
    bool ok = true;
    for (; ok && n < w->n_callers; n += ok) {
        callers[n] = (caller){.e = e, .crew = w, .until_ns = start_ns + w->turn_ns};
        ok = pthread_create(&callers[n].thread, NULL, call_for_a_while, &callers[n]) == 0;
    }
    *out_calls = 0;
    for (size_t i = 0; i < n; i++) {
        (void)pthread_join(callers[i].thread, NULL);
        *out_calls += callers[i].n_calls;
        ok = ok && callers[i].ok;
    }
    *out_ns = bench_now_ns() - start_ns;
    return ok;
}

static bool run_cpp(e2e *e, const crew *w, uint64_t *out_calls, uint64_t *out_ns)
{
    const e2e_order order = {
        .kind = E2E_ORDER_CALLERS, .n = w->n_callers, .duration_ns = w->turn_ns};
    uint64_t answer[2];
    if (!bench_write_all(e->cpp_client.fd, &order, sizeof(order)) ||
        !bench_read_all(e->cpp_client.fd, answer, sizeof(answer))) {
        (void)fprintf(stderr, "bench_e2e: the C++ client has ended\n");
        return false;
    }
    *out_ns = answer[0];
    *out_calls = answer[1];
    return true;
}

/* What client and server of a crew have used together. */
static bool read_usage(e2e *e, const crew *w, bench_usage *out_usage)
{
    bench_usage client;
    bench_usage server;
    bool ok;
    if (w->run == run_cpp) {
        const e2e_order order = {.kind = E2E_ORDER_USAGE};
        ok = bench_write_all(e->cpp_client.fd, &order, sizeof(order)) &&
             bench_read_all(e->cpp_client.fd, &client, sizeof(client)) &&
             bench_peer_usage(&e->cpp_server, &server);
    } else {
        ok = bench_usage_self(&client) &&
             bench_peer_usage(w->loop == loop_core ? &e->core_server : &e->server, &server);
    }
    if (ok) {
        *out_usage = (bench_usage){.cpu_ns = client.cpu_ns + server.cpu_ns,
                                   .n_switches = client.n_switches + server.n_switches};
    }
    return ok;
}

static bool take_turn(e2e *e, crew *w)
{
    bench_usage before;
    bench_usage after;
    uint64_t n_calls = 0;
    uint64_t ns = 0;
    if (!read_usage(e, w, &before) || !w->run(e, w, &n_calls, &ns) || !read_usage(e, w, &after)) {
        return false;
    }
    bench_samples_add(&w->rates, (double)n_calls * 1e9 / (double)ns);
    w->n_calls += n_calls;
    w->used.cpu_ns += after.cpu_ns - before.cpu_ns;
    w->used.n_switches += after.n_switches - before.n_switches;
    return true;
}

static void print_crew(crew *w)
{
    double n = (double)w->n_calls;
    (void)printf("{\"name\": \"callers_%zu\", \"path\": \"%s\", \"calls_per_s\": %.0f, "
                 "\"cpu_us_per_call\": %.1f, \"waits_per_call\": %.2f, ",
                 w->n_callers, w->path, bench_samples_percentile(&w->rates, 50),
                 (double)w->used.cpu_ns / 1000 / n, (double)w->used.n_switches / n);
    bench_print_facts();
    (void)puts("}");
}

/* @crews: pairs of one caller and several. */
static void print_all(crew *crews, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        print_crew(&crews[i]);
    }
    for (size_t i = 0; i < n; i += 2) {
        char name[64];
        (void)snprintf(name, sizeof(name), "callers_8_vs_1_%s", crews[i].path);
        e2e_print_target(&(e2e_target){
            .name = name,
            .value = bench_samples_percentile(&crews[i + 1].rates, 50) /
                     bench_samples_percentile(&crews[i].rates, 50),
            .wanted = crews[i].loop == loop_ours ? SCALING : 0,
        });
    }
}

bool e2e_measure_callers(e2e *e, bool smoke)
{
    crew crews[] = {
        {.path = "ours", .n_callers = 1, .run = run_threads, .loop = loop_ours},
        {.path = "ours", .n_callers = 8, .run = run_threads, .loop = loop_ours},
        {.path = "core", .n_callers = 1, .run = run_threads, .loop = loop_core},
        {.path = "core", .n_callers = 8, .run = run_threads, .loop = loop_core},
        {.path = "cpp_stub", .n_callers = 1, .run = run_cpp},
        {.path = "cpp_stub", .n_callers = 8, .run = run_cpp},
    };
    size_t n = sizeof(crews) / sizeof(crews[0]) - (e->cpp_client.pid != 0 ? 0 : 2);
    size_t n_turns = smoke ? N_TURNS_SMOKE : N_TURNS;
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        crews[i].turn_ns = smoke ? TURN_SMOKE_NS : TURN_NS;
        ok = bench_samples_init(&crews[i].rates, n_turns) && ok;
    }
    for (size_t turn = 0; ok && turn < n_turns; turn++) {
        for (size_t i = 0; ok && i < n; i++) {
            ok = !bench_interrupted() && take_turn(e, &crews[i]);
        }
    }
    if (ok) {
        print_all(crews, n);
    }
    for (size_t i = 0; i < n; i++) {
        bench_samples_fini(&crews[i].rates);
    }
    return ok;
}
