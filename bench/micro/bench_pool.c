/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * bench_pool: what the pool's operations cost in one process, beside what the machine can do.
 *
 * One JSON line per result. Operations of nanoseconds are timed in batches ("batch"): a sample is
 * the batch's time divided by its operations, and p50_ns and p99_ns are percentiles over "n" such
 * samples. All arms take turns in one run, so that a slow moment of the machine meets each of them.
 *
 *   alloc_release           take a 64 KiB buffer and let it go
 *   full_cycle              the same with share, attach and detach in between
 *   attach_warm             attach and detach by another participant, mapped before
 *   attach_cold_64MiB       attach by a participant that has never mapped the buffer, read a byte
 *                           of each 4 KiB page, detach
 *   attach_cold_64MiB_map   the same without reading
 *   fill_64MiB              take a 64 MiB buffer, copy into it, let it go
 *   alloc_release_2p        alloc_release while a second process does the same
 *   full_cycle_2p           full_cycle while a second process does alloc_release
 *   memcpy_64MiB, read_64MiB, cas   baselines: copy, sum, uncontended compare-and-swap
 *
 * Nothing is pinned to a core. One thread; the pool is the program's own and is removed at the end,
 * also when interrupted. The second process (the same program, --peer) ends when the first does.
 */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool_arms.h"

#define PEER_BATCH 1000

typedef bool (*run_fn)(fixture *f, size_t n_ops);

typedef struct arm {
    const char *name;
    run_fn run;
    size_t batch;
    size_t n_samples;
    bool cold;   /* gets a new participant for each sample */
    bool paired; /* runs while the second process works */
    bench_samples samples;
} arm;

static bool take_sample(arm *a, fixture *f)
{
    if (a->cold && haul_pool_open(f->pool_name, NULL, &f->cold, NULL) != HAUL_OK) {
        return false;
    }
    uint64_t start_ns = bench_now_ns();
    bool ok = a->run(f, a->batch);
    uint64_t end_ns = bench_now_ns();
    haul_pool_close(f->cold);
    f->cold = NULL;
    bench_samples_add(&a->samples, (double)(end_ns - start_ns) / (double)a->batch);
    return ok;
}

/* Let the arms that are @paired, or those that are not, take turns until each has its samples. */
static bool run_arms(arm *arms, size_t n, fixture *f, bool paired)
{
    bool more = true;
    while (more && !bench_interrupted()) {
        more = false;
        for (size_t i = 0; i < n; i++) {
            if (arms[i].paired != paired || arms[i].samples.n == arms[i].n_samples) {
                continue;
            }
            if (!take_sample(&arms[i], f)) {
                (void)fprintf(stderr, "bench_pool: %s failed\n", arms[i].name);
                return false;
            }
            more = true;
        }
    }
    return !bench_interrupted();
}

static bool run_paired(arm *arms, size_t n, fixture *f)
{
    char self[4096];
    if (!bench_beside_self("bench_pool", self, sizeof(self))) {
        return false;
    }
    const char *const argv[] = {self, "--peer", f->pool_name, NULL};
    bench_peer peer = {0};
    if (!bench_peer_start(&peer, argv)) {
        return false;
    }
    bool ok = run_arms(arms, n, f, true);
    bench_peer_stop(&peer);
    return ok;
}

/* The second process: alloc_release until standard input ends. */
static int be_peer(const char *pool_name)
{
    fixture f = {.pool_name = pool_name};
    if (haul_pool_open(pool_name, NULL, &f.pool, NULL) != HAUL_OK) {
        return EXIT_FAILURE;
    }
    struct pollfd end = {.fd = STDIN_FILENO, .events = POLLIN};
    bool ok = bench_peer_say_ready();
    while (ok && poll(&end, 1, 0) == 0) {
        ok = run_alloc_release(&f, PEER_BATCH);
    }
    haul_pool_close(f.pool);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void print_results(arm *arms, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double p50_ns = bench_samples_percentile(&arms[i].samples, 50);
        double p99_ns = bench_samples_percentile(&arms[i].samples, 99);
        (void)printf("{\"name\": \"%s\", \"p50_ns\": %.1f, \"p99_ns\": %.1f, \"n\": %zu, "
                     "\"batch\": %zu, ",
                     arms[i].name, p50_ns, p99_ns, arms[i].samples.n, arms[i].batch);
        bench_print_facts();
        (void)puts("}");
    }
}

static bool run_all(fixture *f, bool smoke)
{
    size_t many = smoke ? 5 : 2000;
    size_t some = smoke ? 2 : 100;
    size_t few = smoke ? 2 : 30;
    arm arms[] = {
        {.name = "alloc_release", .run = run_alloc_release, .batch = 1000, .n_samples = many},
        {.name = "full_cycle", .run = run_full_cycle, .batch = 1000, .n_samples = many},
        {.name = "attach_warm", .run = run_attach_warm, .batch = 1000, .n_samples = many},
        {.name = "attach_cold_64MiB",
         .run = run_attach_cold,
         .batch = 1,
         .n_samples = some,
         .cold = true},
        {.name = "attach_cold_64MiB_map",
         .run = run_attach_cold_map,
         .batch = 1,
         .n_samples = some,
         .cold = true},
        {.name = "fill_64MiB", .run = run_fill, .batch = 1, .n_samples = few},
        {.name = "alloc_release_2p",
         .run = run_alloc_release,
         .batch = 1000,
         .n_samples = many,
         .paired = true},
        {.name = "full_cycle_2p",
         .run = run_full_cycle,
         .batch = 1000,
         .n_samples = many,
         .paired = true},
        {.name = "memcpy_64MiB", .run = run_memcpy, .batch = 1, .n_samples = few},
        {.name = "read_64MiB", .run = run_read, .batch = 1, .n_samples = few},
        {.name = "cas", .run = run_cas, .batch = 1000, .n_samples = many},
    };
    size_t n = sizeof(arms) / sizeof(arms[0]);
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        ok = bench_samples_init(&arms[i].samples, arms[i].n_samples) && ok;
    }
    ok = ok && run_arms(arms, n, f, false) && run_paired(arms, n, f);
    if (ok) {
        print_results(arms, n);
    }
    for (size_t i = 0; i < n; i++) {
        bench_samples_fini(&arms[i].samples);
    }
    return ok;
}

/* A filled and shared buffer. */
static bool share_filled(fixture *f, uint64_t len, haul_buf **out_buf, haul_key *out_key)
{
    if (haul_buf_alloc(f->pool, len, NULL, out_buf) != HAUL_OK) {
        return false;
    }
    memcpy(haul_buf_data(*out_buf), f->source, len);
    return haul_buf_share(*out_buf, len, out_key) == HAUL_OK;
}

/* What the readers see is what was filled in. */
static bool check_bytes(fixture *f)
{
    haul_view view;
    if (haul_attach(f->reader, &f->large_key, LARGE_BYTES, &view) != HAUL_OK) {
        return false;
    }
    bool ok = memcmp(view.data, f->source, LARGE_BYTES) == 0;
    haul_detach(&view);
    return ok;
}

static bool set_up(fixture *f)
{
    static const haul_class_config classes[] = {
        {.size_bytes = SMALL_BYTES, .n_initial = 16, .n_max = 16},
        {.size_bytes = LARGE_BYTES, .n_initial = 2, .n_max = 2},
    };
    haul_pool_config config = {
        .struct_size = sizeof(config), .classes = classes, .n_classes = 2, .n_participants = 16};
    haul_error err = {0};
    if (haul_pool_create(f->pool_name, &config, NULL, &f->pool, &err) != HAUL_OK) {
        (void)fprintf(stderr, "bench_pool: %s\n", err.text);
        return false;
    }
    f->source = malloc(LARGE_BYTES);
    f->target = malloc(LARGE_BYTES);
    if (f->source == NULL || f->target == NULL) {
        return false;
    }
    bench_fill(f->source, LARGE_BYTES);
    return haul_pool_open(f->pool_name, NULL, &f->reader, NULL) == HAUL_OK &&
           share_filled(f, SMALL_BYTES, &f->small, &f->small_key) &&
           share_filled(f, LARGE_BYTES, &f->large, &f->large_key) && check_bytes(f);
}

/* True if the pool is sound after all that, and gone. */
static bool tear_down(fixture *f)
{
    haul_buf_release(f->small);
    haul_buf_release(f->large);
    size_t n_findings = 0;
    bool ok =
        f->pool == NULL ||
        (haul_pool_audit(f->pool, NULL, NULL, &n_findings, NULL) == HAUL_OK && n_findings == 0);
    bool ours = f->pool != NULL;
    haul_pool_close(f->reader);
    haul_pool_close(f->pool);
    free(f->source);
    free(f->target);
    return (!ours || haul_pool_remove(f->pool_name, true, NULL) == HAUL_OK) && ok;
}

static int usage(FILE *to, int code)
{
    (void)fputs("usage: bench_pool [--smoke]\n"
                "Time the pool's operations; one JSON line per result.\n"
                "  --smoke  a few samples only, to see that everything works\n",
                to);
    return code;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"smoke", no_argument, NULL, 's'},
                                            {"peer", required_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool smoke = false;
    for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (opt) {
        case 's':
            smoke = true;
            break;
        case 'p':
            return be_peer(optarg);
        case 'h':
            return usage(stdout, EXIT_SUCCESS);
        default:
            return usage(stderr, 2);
        }
    }
    bench_catch_signals();
    char pool_name[HAUL_POOL_NAME_MAX + 1];
    (void)snprintf(pool_name, sizeof(pool_name), "bench-pool-%d", (int)getpid());
    fixture f = {.pool_name = pool_name};
    bool ok = set_up(&f);
    ok = ok && run_all(&f, smoke);
    ok = tear_down(&f) && ok;
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
