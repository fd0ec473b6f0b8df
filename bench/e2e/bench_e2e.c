/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * bench_e2e: what a call with a large payload costs between two processes, by key and otherwise.
 *
 * One JSON line per result: name, path, bytes, work, p50_us, p99_us, n. "work" is "handover" (the
 * bytes lie ready, the server reads two of them) or "produce_consume" (writing all the bytes and
 * reading them all is part of the time). The last line holds ratios of medians:
 *
 *   key_vs_small             by key, hand-over, against 32 bytes inline over the same channel
 *   key_large_vs_small       the same for the larger payload
 *   cpp_vs_key               the C++ stub's hand-over against the one by key
 *   cpp_vs_key_produce_consume, inline_vs_key_produce_consume   the same with all bytes touched
 *
 * The arms take turns in one run, from a start that moves on each round; costly ones sit out most
 * rounds. This process owns the pool and removes it, also when interrupted. The servers and the C++
 * client are processes of their own, and end when this one does, however it does.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "e2e.h"

#define SMALL_MESSAGE_BYTES 32

enum {
    SIZE_SMALL,
    SIZE_MAIN,
    SIZE_LARGE,
    N_SIZES
};

typedef struct arm {
    const char *stem; /* "key" gives the name "key_64MiB" */
    const char *path;
    e2e_fn call;
    int size;      /* -1: no payload */
    bool whole;    /* produce + consume */
    size_t rounds; /* calls to make */
    bench_samples samples;
} arm;

enum {
    ARM_EMPTY,
    ARM_SMALL,
    ARM_SMALL_WORK,
    ARM_KEY,
    ARM_KEY_LARGE,
    ARM_KEY_WORK,
    ARM_KEY_LARGE_WORK,
    ARM_INLINE,
    ARM_INLINE_WORK,
    ARM_RAW,
    ARM_RAW_WORK,
    ARM_CPP,
    ARM_CPP_WORK,
    N_ARMS
};

typedef struct plan {
    e2e e;
    e2e_size sizes[N_SIZES];
    arm arms[N_ARMS];
    size_t n_rounds;
    bench_peer server;
    bool cpp;
} plan;

static void make_plan(plan *p, bool smoke, bool cpp)
{
    p->cpp = cpp;
    p->n_rounds = smoke ? 4 : 2000;
    p->sizes[SIZE_SMALL].n_bytes = SMALL_MESSAGE_BYTES;
    p->sizes[SIZE_MAIN].n_bytes = smoke ? BENCH_MIB : 64 * BENCH_MIB;
    p->sizes[SIZE_LARGE].n_bytes = smoke ? 4 * BENCH_MIB : 256 * BENCH_MIB;
    size_t all = p->n_rounds;
    size_t some = smoke ? 2 : 50;
    size_t few = smoke ? 2 : 25;
    size_t cpp_rounds = cpp ? few : 0;
    const arm arms[N_ARMS] = {
        [ARM_EMPTY] = {"empty", "none", e2e_empty, -1, false, all, {0}},
        [ARM_SMALL] = {"inline", "inline", e2e_inline, SIZE_SMALL, false, all, {0}},
        [ARM_SMALL_WORK] = {"inline", "inline", e2e_inline, SIZE_SMALL, true, all, {0}},
        [ARM_KEY] = {"key", "shm", e2e_key, SIZE_MAIN, false, all, {0}},
        [ARM_KEY_LARGE] = {"key", "shm", e2e_key, SIZE_LARGE, false, all, {0}},
        [ARM_KEY_WORK] = {"key", "shm", e2e_key, SIZE_MAIN, true, some, {0}},
        [ARM_KEY_LARGE_WORK] = {"key", "shm", e2e_key, SIZE_LARGE, true, few, {0}},
        [ARM_INLINE] = {"inline", "inline", e2e_inline, SIZE_MAIN, false, some, {0}},
        [ARM_INLINE_WORK] = {"inline", "inline", e2e_inline, SIZE_MAIN, true, some, {0}},
        [ARM_RAW] = {"unix_socket", "socket", e2e_raw_socket, SIZE_MAIN, false, some, {0}},
        [ARM_RAW_WORK] = {"unix_socket", "socket", e2e_raw_socket, SIZE_MAIN, true, some, {0}},
        [ARM_CPP] = {"cpp_stub", "inline", e2e_cpp_stub, SIZE_MAIN, false, cpp_rounds, {0}},
        [ARM_CPP_WORK] = {"cpp_stub", "inline", e2e_cpp_stub, SIZE_MAIN, true, cpp_rounds, {0}},
    };
    memcpy(p->arms, arms, sizeof(arms));
}

/* ---- Running ------------------------------------------------------------------------------- */

static bool run_once(plan *p, arm *a, bool keep)
{
    uint64_t ns = 0;
    e2e_size *size = a->size >= 0 ? &p->sizes[a->size] : NULL;
    if (!a->call(&p->e, size, a->whole, &ns)) {
        (void)fprintf(stderr, "bench_e2e: %s failed\n", a->stem);
        return false;
    }
    if (keep) {
        bench_samples_add(&a->samples, (double)ns);
    }
    return true;
}

/* One call of each arm that is not counted: connections, probe, mappings, first touches. */
static bool warm_up(plan *p)
{
    bool ok = true;
    for (size_t i = 0; ok && i < N_ARMS; i++) {
        ok = p->arms[i].rounds == 0 || run_once(p, &p->arms[i], false);
    }
    return ok;
}

static bool run_rounds(plan *p)
{
    for (size_t round = 0; round < p->n_rounds; round++) {
        for (size_t i = 0; i < N_ARMS; i++) {
            arm *a = &p->arms[(i + round) % N_ARMS];
            if (bench_interrupted()) {
                return false;
            }
            bool due = a->rounds > 0 && round % (p->n_rounds / a->rounds) == 0;
            if (due && !run_once(p, a, true)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- Printing ------------------------------------------------------------------------------ */

static double p50_us(plan *p, int i)
{
    return bench_samples_percentile(&p->arms[i].samples, 50) / 1000;
}

static void print_arm(plan *p, int i)
{
    arm *a = &p->arms[i];
    uint64_t n_bytes = a->size >= 0 ? p->sizes[a->size].n_bytes : 0;
    char size_text[32];
    bench_size_text(n_bytes, size_text, sizeof(size_text));
    (void)printf("{\"name\": \"%s%s%s\", \"path\": \"%s\", \"bytes\": %llu, \"work\": \"%s\", "
                 "\"p50_us\": %.1f, \"p99_us\": %.1f, \"n\": %zu, ",
                 a->stem, a->size >= 0 ? "_" : "", a->size >= 0 ? size_text : "", a->path,
                 (unsigned long long)n_bytes, a->whole ? "produce_consume" : "handover",
                 p50_us(p, i), bench_samples_percentile(&a->samples, 99) / 1000, a->samples.n);
    bench_print_facts();
    (void)puts("}");
}

static void print_results(plan *p)
{
    for (int i = 0; i < N_ARMS; i++) {
        if (p->arms[i].samples.n > 0) {
            print_arm(p, i);
        }
    }
    double key_us = p50_us(p, ARM_KEY);
    double key_work_us = p50_us(p, ARM_KEY_WORK);
    (void)printf("{\"name\": \"ratios\", \"key_vs_small\": %.3f, \"key_large_vs_small\": %.3f, ",
                 key_us / p50_us(p, ARM_SMALL), p50_us(p, ARM_KEY_LARGE) / p50_us(p, ARM_SMALL));
    if (p->cpp) {
        (void)printf("\"cpp_vs_key\": %.1f, \"cpp_vs_key_produce_consume\": %.2f, ",
                     p50_us(p, ARM_CPP) / key_us, p50_us(p, ARM_CPP_WORK) / key_work_us);
    }
    (void)printf("\"inline_vs_key_produce_consume\": %.2f, ",
                 p50_us(p, ARM_INLINE_WORK) / key_work_us);
    bench_print_facts();
    (void)puts("}");
}

/* ---- Setting up ---------------------------------------------------------------------------- */

static bool create_pool(plan *p, const char *name)
{
    const haul_class_config classes[] = {
        {.size_bytes = p->sizes[SIZE_MAIN].n_bytes, .n_initial = 2, .n_max = 2},
        {.size_bytes = p->sizes[SIZE_LARGE].n_bytes, .n_initial = 2, .n_max = 2},
    };
    haul_pool_config config = {
        .struct_size = sizeof(config), .classes = classes, .n_classes = 2, .n_participants = 16};
    haul_error err = {0};
    if (haul_pool_create(name, &config, NULL, &p->e.pool, &err) != HAUL_OK) {
        (void)fprintf(stderr, "bench_e2e: %s\n", err.text);
        return false;
    }
    return true;
}

static bool fill_sizes(plan *p)
{
    p->e.source = malloc(p->sizes[SIZE_LARGE].n_bytes);
    p->e.message = malloc(p->sizes[SIZE_MAIN].n_bytes);
    if (p->e.source == NULL || p->e.message == NULL) {
        return false;
    }
    bench_fill(p->e.source, p->sizes[SIZE_LARGE].n_bytes);
    for (int i = 0; i < N_SIZES; i++) {
        e2e_size *size = &p->sizes[i];
        size->sums[false] = bench_touch(p->e.source, size->n_bytes, false);
        size->sums[true] = bench_touch(p->e.source, size->n_bytes, true);
        if (i == SIZE_SMALL) {
            continue;
        }
        if (haul_buf_alloc(p->e.pool, size->n_bytes, NULL, &size->buf) != HAUL_OK) {
            return false;
        }
        memcpy(haul_buf_data(size->buf), p->e.source, size->n_bytes);
        if (haul_payload_set_buf(&size->by_key, size->buf, size->n_bytes) != HAUL_OK) {
            return false;
        }
    }
    return true;
}

static bool start_cpp(plan *p)
{
    char program[4096];
    char address[ADDRESS_BYTES];
    char n_bytes[32];
    (void)snprintf(address, sizeof(address), "unix-abstract:shorthaul-bench-cpp-%d", (int)getpid());
    (void)snprintf(n_bytes, sizeof(n_bytes), "%llu",
                   (unsigned long long)p->sizes[SIZE_MAIN].n_bytes);
    const char *const server[] = {program, "server", address, NULL};
    const char *const client[] = {program, "client", address, n_bytes, NULL};
    return bench_beside_self("bench_cpp_peer", program, sizeof(program)) &&
           bench_peer_start(&p->e.cpp_server, server) && bench_peer_start(&p->e.cpp_client, client);
}

static bool open_channel(plan *p, const char *address)
{
    haul_channel_opts opts = {.struct_size = sizeof(opts), .pool = p->e.pool};
    haul_error err = {0};
    if (haul_channel_open(address, &opts, &p->e.channel, &err) != HAUL_OK) {
        (void)fprintf(stderr, "bench_e2e: %s\n", err.text);
        return false;
    }
    return true;
}

static bool start_peers(plan *p, const char *pool_name)
{
    char self[4096];
    char address[ADDRESS_BYTES];
    (void)snprintf(address, sizeof(address), "unix-abstract:shorthaul-bench-%d", (int)getpid());
    const char *const server[] = {self, "--be-server", address, pool_name, NULL};
    const char *const raw[] = {self, "--be-socket", NULL};
    return bench_beside_self("bench_e2e", self, sizeof(self)) && bench_peer_start(&p->e.raw, raw) &&
           (!p->cpp || start_cpp(p)) && bench_peer_start(&p->server, server) &&
           open_channel(p, address);
}

static bool set_up(plan *p, const char *pool_name)
{
    return create_pool(p, pool_name) && fill_sizes(p) && start_peers(p, pool_name);
}

/* True if the pool is sound after all that, and gone. */
static bool tear_down(plan *p, const char *pool_name)
{
    haul_channel_close(p->e.channel);
    bench_peer_stop(&p->e.cpp_client);
    bench_peer_stop(&p->e.cpp_server);
    bench_peer_stop(&p->e.raw);
    bench_peer_stop(&p->server);
    for (int i = 0; i < N_SIZES; i++) {
        haul_buf_release(p->sizes[i].buf);
    }
    free(p->e.source);
    free(p->e.message);
    for (int i = 0; i < N_ARMS; i++) {
        bench_samples_fini(&p->arms[i].samples);
    }
    if (p->e.pool == NULL) {
        return true;
    }
    size_t n_findings = 0;
    bool ok = haul_pool_audit(p->e.pool, NULL, NULL, &n_findings, NULL) == HAUL_OK;
    haul_pool_close(p->e.pool);
    return haul_pool_remove(pool_name, true, NULL) == HAUL_OK && ok && n_findings == 0;
}

static int run(bool smoke, bool cpp)
{
    bench_catch_signals();
    char pool_name[HAUL_POOL_NAME_MAX + 1];
    (void)snprintf(pool_name, sizeof(pool_name), "bench-e2e-%d", (int)getpid());
    plan p = {0};
    make_plan(&p, smoke, cpp);
    bool ok = true;
    for (int i = 0; i < N_ARMS; i++) {
        ok = bench_samples_init(&p.arms[i].samples, p.arms[i].rounds + 1) && ok;
    }
    ok = ok && set_up(&p, pool_name) && warm_up(&p) && run_rounds(&p);
    if (ok) {
        print_results(&p);
    }
    ok = tear_down(&p, pool_name) && ok;
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int usage(FILE *to, int code)
{
    (void)fputs("usage: bench_e2e [--smoke] [--no-cpp]\n"
                "Time calls with large payloads between two processes; one JSON line per result.\n"
                "  --smoke   a few calls with small payloads, to see that everything works\n"
                "  --no-cpp  leave the C++ stub out\n",
                to);
    return code;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--be-server") == 0) {
        return e2e_be_server(argv[2], argv[3]);
    }
    if (argc == 2 && strcmp(argv[1], "--be-socket") == 0) {
        return e2e_be_raw_socket();
    }
    static const struct option options[] = {{"smoke", no_argument, NULL, 's'},
                                            {"no-cpp", no_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool smoke = false;
    bool cpp = true;
    for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (opt) {
        case 's':
            smoke = true;
            break;
        case 'n':
            cpp = false;
            break;
        case 'h':
            return usage(stdout, EXIT_SUCCESS);
        default:
            return usage(stderr, 2);
        }
    }
    return run(smoke, cpp);
}
