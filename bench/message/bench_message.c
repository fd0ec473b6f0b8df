/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * bench_message: whole messages between two processes, and answers into the caller's room.
 *
 * One JSON line per result: name, shape, bytes, p50_us, p99_us, n; then the ratios of medians. A sample
 * is a round trip from a message in the sender's memory to the answer of a server that has unpacked
 * it and touched every column.
 *
 *   message_pool            serialised into the pool, by key, large fields read where they are
 *   message_inline          serialised by protobuf-c, as an inline payload, unpacked by protobuf-c
 *   message_plain           a field of the request, as with any gRPC
 *   answer_servers_buffer   64 MiB by key from a buffer that the server allocates, untouched
 *   answer_lent_buffer      the same in a buffer that the client lends
 *
 * All arms of a shape take turns, so that a slow moment of the machine meets each of them. This
 * process owns the pool and removes it, also when interrupted; the server ends with it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message_bench.h"

#define FETCH_BYTES (64 * BENCH_MIB)

static const message_shape shapes[] = {
    {.name = "16 blobs", .n_columns = 16, .n_cell_bytes = 4 * BENCH_MIB},
    {.name = "8 rows of doubles", .n_columns = 8, .n_numbers = BENCH_MIB},
    {.name = "100,000 small ones", .n_columns = 100000, .n_cell_bytes = 64},
};

static const message_shape smoke_shapes[] = {
    {.name = "smoke", .n_columns = 4, .n_cell_bytes = 20000, .n_numbers = 1000},
};

typedef struct plan {
    const message_shape *shapes;
    size_t n_shapes;
    size_t n_samples;
    uint64_t buffer_bytes;
} plan;

typedef struct bench {
    const plan *p;
    message_lab lab;
    bench_samples samples[8]; /* by arm */
} bench;

/* ---- Measuring ----------------------------------------------------------------------------- */

static bool sample_all(bench *b, bool fetches)
{
    for (size_t s = 0; s <= b->p->n_samples && !bench_interrupted(); s++) {
        for (size_t a = 0; a < n_message_arms; a++) {
            if (message_arms[a].fetches != fetches) {
                continue;
            }
            uint64_t start = bench_now_ns();
            if (!message_arms[a].run(&b->lab)) {
                (void)fprintf(stderr, "bench_message: %s failed\n", message_arms[a].name);
                return false;
            }
            if (s > 0) { /* the first one finds everything cold */
                bench_samples_add(&b->samples[a], (double)(bench_now_ns() - start));
            }
        }
    }
    return !bench_interrupted();
}

static void report(bench *b, const char *shape, uint64_t bytes, bool fetches)
{
    double base = 0;
    for (size_t a = 0; a < n_message_arms; a++) {
        if (message_arms[a].fetches != fetches) {
            continue;
        }
        double p50 = bench_samples_percentile(&b->samples[a], 50);
        (void)printf("{\"bench\":\"message\",\"name\":\"%s\",\"shape\":\"%s\",\"bytes\":%llu,"
                     "\"p50_us\":%.1f,\"p99_us\":%.1f,\"n\":%zu,",
                     message_arms[a].name, shape, (unsigned long long)bytes, p50 / 1000,
                     bench_samples_percentile(&b->samples[a], 99) / 1000, b->samples[a].n);
        bench_print_facts();
        (void)printf("}\n");
        if (base > 0) {
            (void)printf("{\"bench\":\"message\",\"name\":\"ratio\",\"shape\":\"%s\","
                         "\"target\":\"%s to the first\",\"value\":%.3f}\n",
                         shape, message_arms[a].name, p50 / base);
        }
        base = base > 0 ? base : p50;
    }
}

static bool init_samples(bench *b)
{
    bool ok = true;
    for (size_t a = 0; a < n_message_arms; a++) {
        ok = bench_samples_init(&b->samples[a], b->p->n_samples) && ok;
    }
    return ok;
}

static void fini_samples(bench *b)
{
    for (size_t a = 0; a < n_message_arms; a++) {
        bench_samples_fini(&b->samples[a]);
    }
}

static bool measure_shape(bench *b, const message_shape *shape)
{
    Bench__V1__Table *table = message_shape_make(shape);
    bool ok = init_samples(b) && table != NULL;
    if (ok) {
        b->lab.table = table;
        b->lab.wanted = message_sum(table);
        ok = sample_all(b, false);
    }
    if (ok) {
        report(b, shape->name, protobuf_c_message_get_packed_size(&table->base), false);
    }
    fini_samples(b);
    message_shape_free(table);
    return ok;
}

static bool measure(bench *b)
{
    bool ok = true;
    for (size_t i = 0; i < b->p->n_shapes && ok; i++) {
        ok = measure_shape(b, &b->p->shapes[i]);
    }
    ok = ok && init_samples(b) && sample_all(b, true);
    if (ok) {
        report(b, "bytes", b->lab.fetch_bytes, true);
    }
    fini_samples(b);
    return ok;
}

/* ---- Setting up ---------------------------------------------------------------------------- */

static haul_status create_pool(const plan *p, const char *name, haul_pool **out_pool)
{
    const haul_class_config classes[] = {
        {.size_bytes = 4096, .n_initial = 8, .n_max = 8},
        {.size_bytes = p->buffer_bytes, .n_initial = 2, .n_max = 2}};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = classes, .n_classes = 2, .n_participants = 8};
    haul_error err = {0};
    haul_status status = haul_pool_create(name, &config, NULL, out_pool, &err);
    if (status != HAUL_OK) {
        (void)fprintf(stderr, "bench_message: %s\n", err.text);
    }
    return status;
}

static bool run(const plan *p, haul_pool *pool, const char *address)
{
    char self[4096];
    bench b = {.p = p, .lab = {.pool = pool, .fetch_bytes = p->buffer_bytes - 4096}};
    const haul_channel_opts opts = {
        .struct_size = sizeof(opts), .pool = pool, .key_threshold_bytes = 1};
    bench_peer peer = {0};
    bool ok = bench_beside_self("bench_message", self, sizeof(self));
    const char *const argv[] = {self, "--server", address, haul_pool_name(pool), NULL};
    ok = ok && bench_peer_start(&peer, argv) &&
         haul_channel_open(address, &opts, &b.lab.channel, NULL) == HAUL_OK && measure(&b);
    haul_channel_close(b.lab.channel);
    bench_peer_stop(&peer);
    return ok;
}

int main(int argc, char **argv)
{
    bench_keep_heap();
    if (argc == 4 && strcmp(argv[1], "--server") == 0) {
        return message_be_server(argv[2], argv[3]);
    }
    bool smoke = argc == 2 && strcmp(argv[1], "--smoke") == 0;
    if (argc > 1 && !smoke) {
        (void)fprintf(stderr, "usage: bench_message [--smoke]\n");
        return 2;
    }
    const plan full = {.shapes = shapes,
                       .n_shapes = sizeof(shapes) / sizeof(shapes[0]),
                       .n_samples = 30,
                       .buffer_bytes = FETCH_BYTES + 64 * BENCH_KIB};
    const plan quick = {
        .shapes = smoke_shapes, .n_shapes = 1, .n_samples = 2, .buffer_bytes = BENCH_MIB};
    const plan *p = smoke ? &quick : &full;
    char name[64];
    char address[96];
    haul_pool *pool;
    (void)snprintf(name, sizeof(name), "bench-message-%ld", (long)getpid());
    (void)snprintf(address, sizeof(address), "unix-abstract:%s", name);
    bench_catch_signals();
    if (create_pool(p, name, &pool) != HAUL_OK) {
        return EXIT_FAILURE;
    }
    bool ok = run(p, pool, address);
    haul_pool_close(pool);
    ok = haul_pool_remove(name, true, NULL) == HAUL_OK && ok;
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
