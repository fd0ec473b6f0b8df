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
 *   ..._65536b              the same in a pool of 65,536 buffers
 *   ..._200p                the same in a pool that 200 participants have joined
 *   boost_alloc_free        allocate and deallocate 64 KiB with Boost.Interprocess
 *   attach_warm             attach and detach by another participant, mapped before
 *   attach_cold_64MiB       attach by a participant that has never mapped the buffer, read a byte
 *                           of each 4 KiB page, detach
 *   attach_cold_64MiB_map   the same without reading
 *   read_cold_64MiB         attach by a participant that has never mapped the buffer, sum all of
 *                           it, detach
 *   read_attached_64MiB     the same by one that has: the read itself
 *   fill_64MiB              take a 64 MiB buffer, copy into it, let it go
 *   alloc_release_2p        alloc_release while a second process does the same
 *   full_cycle_2p           full_cycle while a second process does alloc_release
 *   ..._threads             the same as without, in a process that has had a second thread: from
 *                           then on private words cost what shared ones do (pool/hold.h)
 *   death_to_reclaim        from kill -9 of a process that owns a buffer to haul_pool_reap_wait()'s
 *                           return in a process that waits for it
 *   ratios                  the last line: what the above come to, each against its baseline
 *   memcpy_64MiB, read_64MiB, cas   baselines: copy, sum, uncontended compare-and-swap
 *
 * Nothing is pinned to a core. One thread works; the pool is the program's own and is removed at the
 * end, also when interrupted. The other processes (the same program, --peer and --victim) end when
 * the first does.
 */
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool_arms.h"

#define PEER_BATCH 1000

typedef bool (*run_fn)(fixture *f, size_t n_ops);

/* Who is there besides. In this order, for nobody takes a thread back. */
typedef enum company {
    NOBODY,
    A_PROCESS, /* it works at the same time */
    A_THREAD,  /* it has ended */
} company;

typedef struct arm {
    const char *name;
    run_fn run;
    size_t batch;
    size_t n_samples;
    bool (*before)(fixture *f); /* what each sample needs; may be NULL, like the next */
    void (*after)(fixture *f);
    company beside;
    bench_samples samples;
} arm;

static bool take_sample(arm *a, fixture *f)
{
    if (a->before && !a->before(f)) {
        return false;
    }
    uint64_t start_ns = bench_now_ns();
    bool ok = a->run(f, a->batch);
    uint64_t end_ns = bench_now_ns();
    if (a->after) {
        a->after(f);
    }
    bench_samples_add(&a->samples, (double)(end_ns - start_ns) / (double)a->batch);
    return ok;
}

/* Let the arms that run beside so much company take turns until each has its samples. */
static bool run_arms(arm *arms, size_t n, fixture *f, company beside)
{
    bool more = true;
    while (more && !bench_interrupted()) {
        more = false;
        for (size_t i = 0; i < n; i++) {
            if (arms[i].beside != beside || arms[i].samples.n == arms[i].n_samples) {
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
    bool ok = run_arms(arms, n, f, A_PROCESS);
    bench_peer_stop(&peer);
    return ok;
}

static void *do_nothing(void *arg)
{
    return arg;
}

static bool run_threaded(arm *arms, size_t n, fixture *f)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, do_nothing, NULL) == 0 &&
           pthread_join(thread, NULL) == 0 && run_arms(arms, n, f, A_THREAD);
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

static double p50_of(arm *arms, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(arms[i].name, name) == 0) {
            return bench_samples_percentile(&arms[i].samples, 50);
        }
    }
    return 0;
}

static void print_ratios(arm *arms, size_t n)
{
#define P50(name) p50_of(arms, n, name)
    const double fast = P50("alloc_release");
    const double full = P50("full_cycle");
    (void)printf("{\"name\": \"ratios\", \"boost_vs_alloc_release\": %.2f, "
                 "\"boost_vs_full_cycle\": %.2f, \"alloc_release_65536b\": %.2f, "
                 "\"full_cycle_65536b\": %.2f, \"alloc_release_200p\": %.2f, "
                 "\"full_cycle_200p\": %.2f, \"alloc_release_2p\": %.2f, "
                 "\"full_cycle_2p\": %.2f, \"read_cold_extra_us\": %.1f}\n",
                 P50("boost_alloc_free") / fast, P50("boost_alloc_free") / full,
                 P50("alloc_release_65536b") / fast, P50("full_cycle_65536b") / full,
                 P50("alloc_release_200p") / fast, P50("full_cycle_200p") / full,
                 P50("alloc_release_2p") / fast, P50("full_cycle_2p") / full,
                 (P50("read_cold_64MiB") - P50("read_attached_64MiB")) / 1000);
#undef P50
}

static bool run_all(fixture *f, bool smoke)
{
    size_t many = smoke ? 5 : 2000;
    size_t some = smoke ? 2 : 100;
    size_t few = smoke ? 2 : 30;
    size_t deaths = smoke ? 2 : 500;
    arm arms[] = {
        {.name = "alloc_release", .run = run_alloc_release, .batch = 1000, .n_samples = many},
        {.name = "full_cycle", .run = run_full_cycle, .batch = 1000, .n_samples = many},
        {.name = "boost_alloc_free", .run = run_boost, .batch = 1000, .n_samples = many},
        {.name = "alloc_release_65536b",
         .run = run_alloc_release_wide,
         .batch = 1000,
         .n_samples = many},
        {.name = "full_cycle_65536b", .run = run_full_cycle_wide, .batch = 1000, .n_samples = many},
        {.name = "alloc_release_200p",
         .run = run_alloc_release_crowd,
         .batch = 1000,
         .n_samples = many},
        {.name = "full_cycle_200p", .run = run_full_cycle_crowd, .batch = 1000, .n_samples = many},
        {.name = "attach_warm", .run = run_attach_warm, .batch = 1000, .n_samples = many},
        {.name = "attach_cold_64MiB",
         .run = run_attach_cold,
         .batch = 1,
         .n_samples = some,
         .before = open_cold,
         .after = close_cold},
        {.name = "attach_cold_64MiB_map",
         .run = run_attach_cold_map,
         .batch = 1,
         .n_samples = some,
         .before = open_cold,
         .after = close_cold},
        {.name = "read_cold_64MiB",
         .run = run_read_cold,
         .batch = 1,
         .n_samples = few,
         .before = open_cold,
         .after = close_cold},
        {.name = "read_attached_64MiB", .run = run_read_attached, .batch = 1, .n_samples = few},
        {.name = "fill_64MiB", .run = run_fill, .batch = 1, .n_samples = few},
        {.name = "alloc_release_2p",
         .run = run_alloc_release,
         .batch = 1000,
         .n_samples = many,
         .beside = A_PROCESS},
        {.name = "full_cycle_2p",
         .run = run_full_cycle,
         .batch = 1000,
         .n_samples = many,
         .beside = A_PROCESS},
        {.name = "full_cycle_threads",
         .run = run_full_cycle,
         .batch = 1000,
         .n_samples = many,
         .beside = A_THREAD},
        {.name = "attach_warm_threads",
         .run = run_attach_warm,
         .batch = 1000,
         .n_samples = many,
         .beside = A_THREAD},
        {.name = "death_to_reclaim",
         .run = run_death,
         .batch = 1,
         .n_samples = deaths,
         .before = start_victim,
         .after = bury_victim},
        {.name = "memcpy_64MiB", .run = run_memcpy, .batch = 1, .n_samples = few},
        {.name = "read_64MiB", .run = run_read, .batch = 1, .n_samples = few},
        {.name = "cas", .run = run_cas, .batch = 1000, .n_samples = many},
    };
    size_t n = sizeof(arms) / sizeof(arms[0]);
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        ok = bench_samples_init(&arms[i].samples, arms[i].n_samples) && ok;
    }
    ok = ok && run_arms(arms, n, f, NOBODY) && run_paired(arms, n, f) && run_threaded(arms, n, f);
    if (ok) {
        print_results(arms, n);
        print_ratios(arms, n);
    }
    for (size_t i = 0; i < n; i++) {
        bench_samples_fini(&arms[i].samples);
    }
    return ok;
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
                                            {"victim", required_argument, NULL, 'v'},
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
        case 'v':
            return be_victim(optarg);
        case 'h':
            return usage(stdout, EXIT_SUCCESS);
        default:
            return usage(stderr, 2);
        }
    }
    bench_catch_signals();
    char pool_name[HAUL_POOL_NAME_MAX + 1];
    (void)snprintf(pool_name, sizeof(pool_name), "bench-pool-%d", (int)getpid());
    fixture f = {.pool_name = pool_name, .n_wide = smoke ? N_WIDE / 64 : N_WIDE};
    bool ok = fixture_init(&f);
    ok = ok && run_all(&f, smoke);
    ok = fixture_fini(&f) && ok;
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
