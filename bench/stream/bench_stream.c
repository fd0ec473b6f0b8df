/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * bench_stream: messages per second on one stream between two processes, by key.
 *
 *   bench_stream [--count N] [--size BYTES] [--rounds N] [--smoke]
 *
 * Arms, interleaved round by round:
 *   up_empty, down_empty   messages without a payload: what gRPC's streams cost
 *   up_key, down_key       payloads by key, of which the first and the last byte are touched
 *   up_whole, down_whole   the same, written and read as a whole; a fiftieth of the messages
 *
 * Every round checks count and sum of what arrived. One JSON line per arm; exit status 1 if anything
 * was wrong. The first round warms up and is not counted.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "stream_roles.h"

#define N_BUFFERS 24

typedef struct arm {
    const char *name;
    bool up;
    bool payload;
    bool whole;
    bench_samples ns; /* of one message */
} arm;

static arm arms[] = {
    {.name = "up_empty", .up = true},
    {.name = "down_empty"},
    {.name = "up_key", .up = true, .payload = true},
    {.name = "down_key", .payload = true},
    {.name = "up_whole", .up = true, .payload = true, .whole = true},
    {.name = "down_whole", .payload = true, .whole = true},
};

enum {
    N_ARMS = sizeof(arms) / sizeof(arms[0])
};

typedef struct settings {
    uint64_t count;
    uint64_t size;
    uint64_t rounds;
} settings;

static uint64_t count_of(const settings *set, const arm *a)
{
    return a->whole ? set->count / 50 + 1 : set->count;
}

static bool run(haul_channel *channel, const settings *set, arm *a, bool counted)
{
    load l = {.count = count_of(set, a), .size = a->payload ? set->size : 0, .whole = a->whole};
    uint64_t start = bench_now_ns();
    bool ok = a->up ? send_load(channel, &l) : receive_load(channel, &l);
    double ns = (double)(bench_now_ns() - start) / (double)l.count;
    if (ok && l.sum != load_sum(&l)) {
        (void)fprintf(stderr, "bench_stream: %s: other bytes arrived than were sent\n", a->name);
        ok = false;
    }
    if (ok && counted) {
        bench_samples_add(&a->ns, ns);
    }
    return ok;
}

static bool run_all(haul_channel *channel, const settings *set)
{
    for (uint64_t round = 0; round <= set->rounds; round++) {
        for (size_t i = 0; i < N_ARMS; i++) {
            if (!run(channel, set, &arms[i], round > 0)) {
                return false;
            }
        }
    }
    return true;
}

static void report(const settings *set)
{
    for (size_t i = 0; i < N_ARMS; i++) {
        double p50 = bench_samples_percentile(&arms[i].ns, 50);
        (void)printf("{\"bench\":\"stream\",\"arm\":\"%s\",\"bytes\":%" PRIu64
                     ",\"messages\":%" PRIu64
                     ",\"per_s_p50\":%.0f,\"us_p50\":%.2f,\"us_best\":%.2f,\"us_worst\":%.2f,",
                     arms[i].name, arms[i].payload ? set->size : 0, count_of(set, &arms[i]),
                     1e9 / p50, p50 / 1e3, bench_samples_percentile(&arms[i].ns, 0) / 1e3,
                     bench_samples_percentile(&arms[i].ns, 100) / 1e3);
        bench_print_facts();
        (void)printf("}\n");
    }
}

/* With a pool of its own, a server in another process, and a channel to it. */
static bool measure(const settings *set)
{
    char name[64];
    char address[96];
    char self[512];
    (void)snprintf(name, sizeof(name), "bench-stream-%ld", (long)getpid());
    (void)snprintf(address, sizeof(address), "unix-abstract:%s", name);
    const haul_class_config classes[] = {
        {.size_bytes = set->size, .n_initial = N_BUFFERS, .n_max = N_BUFFERS}};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = classes, .n_classes = 1};
    haul_error err = {0};
    haul_pool *pool;
    haul_channel *channel = NULL;
    if (haul_pool_create(name, &config, NULL, &pool, &err) != HAUL_OK) {
        (void)fprintf(stderr, "bench_stream: %s\n", err.text);
        return false;
    }
    bench_peer peer = {0};
    const char *const argv[] = {self, "serve", name, address, NULL};
    const haul_channel_opts opts = {.struct_size = sizeof(opts), .pool = pool};
    bool ok = bench_beside_self("bench_stream", self, sizeof(self)) &&
              bench_peer_start(&peer, argv) &&
              haul_channel_open(address, &opts, &channel, &err) == HAUL_OK && run_all(channel, set);
    haul_channel_close(channel);
    bench_peer_stop(&peer);
    haul_pool_close(pool);
    (void)!haul_pool_remove(name, true, NULL);
    return ok;
}

static bool read_number(const char *text, uint64_t *out)
{
    char *end;
    *out = text ? strtoull(text, &end, 10) : 0;
    return text && *end == '\0' && *out > 0;
}

static bool read_arguments(int argc, char **argv, settings *set)
{
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool number = true;
        if (strcmp(argv[i], "--smoke") == 0) {
            *set = (settings){.count = 50, .size = BENCH_MIB, .rounds = 1};
            continue;
        }
        if (strcmp(argv[i], "--count") == 0) {
            number = read_number(next, &set->count);
        } else if (strcmp(argv[i], "--size") == 0) {
            number = read_number(next, &set->size);
        } else if (strcmp(argv[i], "--rounds") == 0) {
            number = read_number(next, &set->rounds);
        } else {
            return false;
        }
        if (!number) {
            return false;
        }
        i++;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        return serve(argv[2], argv[3]);
    }
    settings set = {.count = 1000, .size = 20000000, .rounds = 9};
    if (!read_arguments(argc, argv, &set)) {
        (void)fprintf(stderr,
                      "usage: bench_stream [--count N] [--size BYTES] [--rounds N] [--smoke]\n");
        return 2;
    }
    for (size_t i = 0; i < N_ARMS; i++) {
        if (!bench_samples_init(&arms[i].ns, set.rounds)) {
            return EXIT_FAILURE;
        }
    }
    bool ok = measure(&set);
    if (ok) {
        report(&set);
    }
    for (size_t i = 0; i < N_ARMS; i++) {
        bench_samples_fini(&arms[i].ns);
    }
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
