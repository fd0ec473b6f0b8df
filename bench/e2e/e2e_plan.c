/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Which arms there are, how they take turns, and which ratios between them are promised.
 *
 * In each round every arm that is due makes one burst of calls, and each round starts one arm
 * further on; costly arms sit out most rounds. So whatever the machine does besides hits all alike,
 * and a call finds caches and memory as another one of its arm has left them. main() owns the plan.
 */
#include "e2e_plan.h"

#include <stdio.h>
#include <string.h>

#define SMALL_BYTES (64 * BENCH_KIB)

/* The sizes at which ours is put beside gRPC's core API. */
static const uint64_t sweep[] = {
    64,        256,           1 * BENCH_KIB, 4 * BENCH_KIB,  16 * BENCH_KIB, 64 * BENCH_KIB,
    256 << 10, 1 * BENCH_MIB, 4 * BENCH_MIB, 16 * BENCH_MIB, 64 * BENCH_MIB, 256 * BENCH_MIB,
};

/* The main size must lie above the largest threshold for keys, also in a smoke run. */
static void make_sizes(e2e_plan *p)
{
    uint64_t main_bytes = (p->smoke ? 32 : 64) * BENCH_MIB;
    size_t n = 0;
    for (size_t i = 0; i < sizeof(sweep) / sizeof(sweep[0]); i++) {
        if (!p->smoke || sweep[i] <= BENCH_MIB || sweep[i] == main_bytes) {
            p->sizes[n++].n_bytes = sweep[i];
        }
    }
    p->n_sweep = n;
    p->main = NULL;
    for (size_t i = 0; i < n; i++) {
        if (p->sizes[i].n_bytes == main_bytes) {
            p->main = &p->sizes[i];
        }
    }
    if (p->main == NULL) {
        p->main = &p->sizes[n];
        p->sizes[n++].n_bytes = main_bytes;
    }
    p->large = &p->sizes[n];
    p->sizes[n++].n_bytes = (p->smoke ? 48 : 1024) * BENCH_MIB;
    p->n_sizes = n;
}

/* How often, by the bytes that a call moves. */
static void weigh(const e2e_plan *p, e2e_arm *arm)
{
    bool handed_over = arm->run == e2e_key && !arm->whole;
    uint64_t n_bytes = arm->size != NULL && !handed_over ? arm->size->n_bytes : 0;
    if (p->smoke) {
        arm->burst = 2;
        arm->turns = 1;
    } else if (n_bytes <= SMALL_BYTES) {
        arm->burst = 20;
        arm->turns = p->n_rounds;
    } else if (n_bytes <= 4 * BENCH_MIB) {
        arm->burst = 5;
        arm->turns = p->n_rounds / 2;
    } else {
        arm->burst = 1;
        arm->turns = p->n_rounds / (n_bytes <= 64 * BENCH_MIB ? 5 : 10);
    }
}

static e2e_arm *add(e2e_plan *p, const char *stem, const char *path, e2e_fn run, e2e_size *size)
{
    e2e_arm *arm = &p->arms[p->n_arms++];
    *arm = (e2e_arm){.stem = stem, .path = path, .run = run, .size = size};
    weigh(p, arm);
    return arm;
}

/* The same as @arm with all bytes written and read. */
static e2e_arm *add_work(e2e_plan *p, const e2e_arm *arm)
{
    e2e_arm *work = &p->arms[p->n_arms++];
    *work = *arm;
    work->whole = true;
    weigh(p, work);
    return work;
}

static void add_arms(e2e_plan *p, bool cpp)
{
    p->empty = add(p, "empty", "none", e2e_empty, NULL);
    p->key = add(p, "key", "shm", e2e_key, p->main);
    p->key_large = add(p, "key", "shm", e2e_key, p->large);
    p->empty_polled = add(p, "polled_empty", "none", e2e_empty, NULL);
    p->empty_polled->client = E2E_POLLING;
    p->key_polled = add(p, "polled_key", "shm", e2e_key, p->main);
    p->key_polled->client = E2E_POLLING;
    p->core_empty = add(p, "core_empty", "inline", e2e_core_arm, NULL);
    if (cpp) {
        p->cpp_empty = add(p, "cpp_empty", "inline", e2e_cpp_stub, NULL);
        p->cpp = add(p, "cpp_stub", "inline", e2e_cpp_stub, p->main);
        p->cpp_work = add_work(p, p->cpp);
    }
    p->key_work = add_work(p, p->key);
    p->alone = add(p, "one_process", "none", e2e_one_process, p->main);
    p->alone->whole = true;
    p->inlined = add(p, "inline", "inline", e2e_inline, p->main);
    p->raw = add(p, "unix_socket", "socket", e2e_raw_socket, p->main);
    p->inline_work = add_work(p, p->inlined);
    p->memory = add(p, "memory", "inline", e2e_memory, p->main);
    p->grpc_inline = add(p, "grpc_inline", "inline", e2e_inline, p->main);
    p->grpc_inline->client = E2E_PLAIN;
    p->grpc_memory = add(p, "grpc_memory", "inline", e2e_memory, p->main);
    p->grpc_memory->client = E2E_PLAIN;
    (void)add_work(p, p->raw);
    for (size_t i = 0; i < p->n_sweep; i++) {
        p->by_default[i] = add(p, "default", "any", e2e_default, &p->sizes[i]);
        p->by_core[i] = add(p, "core", "inline", e2e_core_arm, &p->sizes[i]);
    }
}

bool e2e_plan_init(e2e_plan *p, bool smoke, bool cpp)
{
    *p = (e2e_plan){.smoke = smoke, .n_rounds = smoke ? 1 : 100};
    make_sizes(p);
    add_arms(p, cpp);
    bool ok = true;
    for (size_t i = 0; i < p->n_arms; i++) {
        e2e_arm *arm = &p->arms[i];
        ok = bench_samples_init(&arm->samples, arm->burst * arm->turns + arm->burst) && ok;
    }
    return ok;
}

void e2e_plan_fini(e2e_plan *p)
{
    for (size_t i = 0; i < p->n_arms; i++) {
        bench_samples_fini(&p->arms[i].samples);
    }
}

/* ---- Running ------------------------------------------------------------------------------- */

/* Calls that stand alone have others before them that are not counted. Some machines take memory away
 * that has not been used for a second, and then it would be counted how long an arm has waited. Two,
 * for the buffer of the one may still be the server's when the next takes another. */
static bool warm_up(e2e *e, const e2e_arm *arm)
{
    uint64_t ns;
    return arm->burst > 1 || (arm->run(e, arm, 1, &ns) && arm->run(e, arm, 1, &ns));
}

static bool take_turn(e2e *e, e2e_arm *arm, size_t n, bool keep)
{
    uint64_t ns[E2E_BURST_MAX];
    if ((keep && !warm_up(e, arm)) || !arm->run(e, arm, n, ns)) {
        (void)fprintf(stderr, "bench_e2e: %s failed\n", arm->stem);
        return false;
    }
    for (size_t i = 0; keep && i < n; i++) {
        bench_samples_add(&arm->samples, (double)ns[i]);
    }
    return true;
}

bool e2e_plan_run(e2e_plan *p, e2e *e)
{
    bool ok = true;
    /* One call of each that is not counted: connections, probe, mappings, first touches. */
    for (size_t i = 0; ok && i < p->n_arms; i++) {
        ok = take_turn(e, &p->arms[i], 1, false);
    }
    for (size_t round = 0; ok && round < p->n_rounds; round++) {
        for (size_t i = 0; ok && i < p->n_arms; i++) {
            e2e_arm *arm = &p->arms[(i + round) % p->n_arms];
            bool due = round % (p->n_rounds / arm->turns) == 0;
            ok = !bench_interrupted() && (!due || take_turn(e, arm, arm->burst, true));
        }
    }
    return ok;
}

/* ---- Telling ------------------------------------------------------------------------------- */

static void tell(const char *name, double value, double wanted, bool at_most)
{
    e2e_print_target(&(e2e_target){name, value, wanted, at_most});
}

static void tell_sweep(e2e_plan *p)
{
    for (size_t i = 0; i < p->n_sweep; i++) {
        char size_text[32];
        char name[64];
        bench_size_text(p->sizes[i].n_bytes, size_text, sizeof(size_text));
        (void)snprintf(name, sizeof(name), "core_vs_default_%s", size_text);
        tell(name, e2e_p50_us(p->by_core[i]) / e2e_p50_us(p->by_default[i]), 0.95, false);
    }
}

void e2e_plan_print(e2e_plan *p)
{
    for (size_t i = 0; i < p->n_arms; i++) {
        e2e_print_arm(&p->arms[i]);
    }
    double empty_us = e2e_p50_us(p->empty);
    double polled_us = e2e_p50_us(p->empty_polled);
    double inline_us = e2e_p50_us(p->inlined);
    double key_us = e2e_p50_us(p->key);
    tell("key_vs_empty", key_us / empty_us, 1.05, true);
    tell("key_large_vs_empty", e2e_p50_us(p->key_large) / empty_us, 1.05, true);
    tell("polled_key_vs_polled_empty", e2e_p50_us(p->key_polled) / polled_us, 1.05, true);
    tell("polled_empty_vs_core", polled_us / e2e_p50_us(p->core_empty), 0, true);
    tell("empty_vs_core", empty_us / e2e_p50_us(p->core_empty), 0, true);
    tell("key_work_vs_one_process", e2e_p50_us(p->key_work) / e2e_p50_us(p->alone), 1.15, true);
    tell("inline_vs_unix_socket", inline_us / e2e_p50_us(p->raw), 1.25, true);
    tell("memory_vs_unix_socket", e2e_p50_us(p->memory) / e2e_p50_us(p->raw), 0, true);
    tell("grpc_inline_vs_unix_socket", e2e_p50_us(p->grpc_inline) / e2e_p50_us(p->raw), 0, true);
    tell("grpc_memory_vs_unix_socket", e2e_p50_us(p->grpc_memory) / e2e_p50_us(p->raw), 0, true);
    tell("inline_work_vs_key_work", e2e_p50_us(p->inline_work) / e2e_p50_us(p->key_work), 0, false);
    if (p->cpp != NULL) {
        tell("empty_vs_cpp", empty_us / e2e_p50_us(p->cpp_empty), 0.5, true);
        tell("polled_empty_vs_cpp", polled_us / e2e_p50_us(p->cpp_empty), 0.5, true);
        tell("cpp_vs_inline", e2e_p50_us(p->cpp) / inline_us, 5, false);
        tell("cpp_vs_key", e2e_p50_us(p->cpp) / key_us, 0, false);
        tell("cpp_work_vs_key_work", e2e_p50_us(p->cpp_work) / e2e_p50_us(p->key_work), 0, false);
    }
    tell_sweep(p);
}
