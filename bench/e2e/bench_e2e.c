/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * bench_e2e: what a call with a large payload costs between two processes, by key and otherwise.
 *
 * One JSON line per result: name, path, bytes, work, p50_us, p99_us, n. "work" is "handover" (the
 * bytes lie ready, the server reads two of them) or "produce_consume" (writing all the bytes and
 * reading them all is part of the time). The lines named "callers_<n>" give calls per second, and
 * "stream_20MB" messages per second of a stream by key. Beside them one line named "ratio" for each
 * ratio of medians: target, value, and, where it is promised, wanted and met.
 *
 *   empty, key, inline, default   ours: no payload; by key; inline; as the library decides
 *   polled_empty, polled_key      ours, with busy_poll_ns at both ends
 *   memory                        inline, from ordinary memory instead of the pool's
 *   grpc_inline, grpc_memory      these two in gRPC's messages, without data connections
 *   core, core_empty              gRPC's core API with nothing on top (e2e_core.c)
 *   cpp_stub, cpp_empty           gRPC's C++ stub, synchronous
 *   unix_socket                   the bytes alone through a socket
 *   one_process                   the bytes written and read without any call
 *
 * All processes keep their heaps, unless BENCH_TRIM is in the environment (docs/adr/0014-heap.md).
 *
 * This process owns the pool and removes it, also when interrupted. The servers and the C++ client
 * are processes of their own, and end when this one does, however it does.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "e2e_plan.h"

#define CLASS_MIN_BYTES (64 * BENCH_KIB)
#define N_BUFFERS_SMALL 16
#define N_BUFFERS_MAIN  4 /* handed over, produced, used alone, received into */

typedef struct options {
    bool smoke;
    bool no_cpp;
    uint64_t soak_calls;
} options;

/* ---- Setting up ---------------------------------------------------------------------------- */

typedef struct class_list {
    haul_class_config items[E2E_SIZES_MAX + 2];
    uint32_t n;
} class_list;

static void add_class(class_list *list, uint64_t size_bytes, uint32_t n_buffers)
{
    list->items[list->n++] =
        (haul_class_config){.size_bytes = size_bytes, .n_initial = n_buffers, .n_max = n_buffers};
}

/* Ascending: the sizes, and among them the payloads of the stream. */
static void make_classes(const e2e_plan *p, class_list *list)
{
    bool has_stream = false;
    add_class(list, CLASS_MIN_BYTES, N_BUFFERS_SMALL);
    for (size_t i = 0; i < p->n_sizes; i++) {
        const e2e_size *size = &p->sizes[i];
        if (!has_stream && size->n_bytes > E2E_STREAM_BYTES) {
            add_class(list, E2E_STREAM_BYTES,
                      p->smoke ? E2E_STREAM_BUFFERS_SMOKE : E2E_STREAM_BUFFERS);
            has_stream = true;
        }
        if (size->n_bytes > CLASS_MIN_BYTES) {
            add_class(list, size->n_bytes, size == p->main ? N_BUFFERS_MAIN : 1);
        }
    }
}

static bool create_pool(const e2e_plan *p, const char *name, haul_pool **out_pool)
{
    class_list classes = {0};
    make_classes(p, &classes);
    haul_pool_config config = {.struct_size = sizeof(config),
                               .classes = classes.items,
                               .n_classes = classes.n,
                               .n_participants = 16};
    haul_error err = {0};
    if (haul_pool_create(name, &config, NULL, out_pool, &err) != HAUL_OK) {
        (void)fprintf(stderr, "bench_e2e: %s\n", err.text);
        return false;
    }
    return true;
}

/* Put the source's bytes into a buffer of the size's own, over and over if it is larger. */
static bool fill_size(e2e *e, e2e_size *size)
{
    if (haul_buf_alloc(e->pool, size->n_bytes, NULL, &size->buf) != HAUL_OK) {
        return false;
    }
    uint8_t *data = haul_buf_data(size->buf);
    for (uint64_t at = 0; at < size->n_bytes; at += e->n_source) {
        uint64_t left = size->n_bytes - at;
        memcpy(data + at, e->source, left < e->n_source ? left : e->n_source);
    }
    size->sums[false] = bench_touch(data, size->n_bytes, false);
    size->sums[true] = bench_touch(data, size->n_bytes, true);
    return haul_payload_set_buf(&size->by_key, size->buf, size->n_bytes) == HAUL_OK;
}

static bool fill_sizes(e2e_plan *p, e2e *e)
{
    e->n_source = p->main->n_bytes;
    for (size_t i = 0; i < p->n_sweep; i++) {
        e->n_source = p->sizes[i].n_bytes > e->n_source ? p->sizes[i].n_bytes : e->n_source;
    }
    e->source = malloc(e->n_source);
    e->message = malloc(p->main->n_bytes);
    if (e->source == NULL || e->message == NULL) {
        return false;
    }
    bench_fill(e->source, e->n_source);
    bool ok = haul_buf_alloc(e->pool, p->main->n_bytes, NULL, &e->scratch) == HAUL_OK;
    for (size_t i = 0; ok && i < p->n_sizes; i++) {
        ok = fill_size(e, &p->sizes[i]);
    }
    return ok;
}

static void make_address(const char *what, char out_address[E2E_ADDRESS_BYTES])
{
    (void)snprintf(out_address, E2E_ADDRESS_BYTES, "unix-abstract:shorthaul-bench-%s-%d", what,
                   (int)getpid());
}

static bool start_cpp(const e2e_plan *p, e2e *e)
{
    char program[4096];
    char address[E2E_ADDRESS_BYTES];
    char n_bytes[32];
    make_address("cpp", address);
    (void)snprintf(n_bytes, sizeof(n_bytes), "%llu", (unsigned long long)p->main->n_bytes);
    const char *const server[] = {program, "server", address, NULL};
    const char *const client[] = {program, "client", address, n_bytes, NULL};
    return bench_beside_self("bench_cpp_peer", program, sizeof(program)) &&
           bench_peer_start(&e->cpp_server, server) && bench_peer_start(&e->cpp_client, client);
}

static bool open_channel(const e2e *e, const char *address, e2e_client client,
                         haul_channel **out_channel)
{
    haul_channel_opts opts = {
        .struct_size = sizeof(opts),
        .pool = e->pool,
        .busy_poll_ns = client == E2E_POLLING ? E2E_BUSY_POLL_NS : 0,
        .no_data_connections = client == E2E_PLAIN,
    };
    haul_error err = {0};
    if (haul_channel_open(address, &opts, out_channel, &err) != HAUL_OK) {
        (void)fprintf(stderr, "bench_e2e: %s\n", err.text);
        return false;
    }
    return true;
}

static bool start_peers(const e2e_plan *p, e2e *e, const char *pool_name, bool cpp)
{
    char self[4096];
    char address[E2E_ADDRESS_BYTES];
    char polling_address[E2E_ADDRESS_BYTES];
    char core_address[E2E_ADDRESS_BYTES];
    make_address("ours", address);
    make_address("polling", polling_address);
    make_address("core", core_address);
    const char *const server[] = {self, "--be-server", address, pool_name, NULL};
    const char *const polling[] = {self, "--be-polling", polling_address, pool_name, NULL};
    const char *const core[] = {self, "--be-core", core_address, NULL};
    const char *const raw[] = {self, "--be-socket", NULL};
    return bench_beside_self("bench_e2e", self, sizeof(self)) && bench_peer_start(&e->raw, raw) &&
           (!cpp || start_cpp(p, e)) && bench_peer_start(&e->server, server) &&
           bench_peer_start(&e->polling_server, polling) &&
           bench_peer_start(&e->core_server, core) &&
           open_channel(e, address, E2E_AS_IT_IS, &e->channel) &&
           open_channel(e, address, E2E_PLAIN, &e->plain) &&
           open_channel(e, polling_address, E2E_POLLING, &e->polling) &&
           e2e_core_open(core_address, &e->core);
}

static bool set_up(e2e_plan *p, e2e *e, const char *pool_name, bool cpp)
{
    return create_pool(p, pool_name, &e->pool) && fill_sizes(p, e) &&
           start_peers(p, e, pool_name, cpp);
}

/* True if the pool is sound after all that, and gone. */
static bool tear_down(e2e_plan *p, e2e *e, const char *pool_name)
{
    haul_channel_close(e->channel);
    haul_channel_close(e->polling);
    haul_channel_close(e->plain);
    e2e_core_close(e->core);
    bench_peer_stop(&e->cpp_client);
    bench_peer_stop(&e->cpp_server);
    bench_peer_stop(&e->raw);
    bench_peer_stop(&e->core_server);
    bench_peer_stop(&e->polling_server);
    bench_peer_stop(&e->server);
    haul_buf_release(e->scratch);
    for (size_t i = 0; i < p->n_sizes; i++) {
        haul_buf_release(p->sizes[i].buf);
    }
    free(e->source);
    free(e->message);
    if (e->pool == NULL) {
        return true;
    }
    size_t n_findings = 0;
    bool ok = haul_pool_audit(e->pool, NULL, NULL, &n_findings, NULL) == HAUL_OK;
    haul_pool_close(e->pool);
    return haul_pool_remove(pool_name, true, NULL) == HAUL_OK && ok && n_findings == 0;
}

static bool measure(e2e_plan *p, e2e *e, const options *o)
{
    if (o->soak_calls > 0) {
        return e2e_soak(e, p->main, o->soak_calls);
    }
    if (!e2e_plan_run(p, e)) {
        return false;
    }
    e2e_plan_print(p);
    return e2e_measure_callers(e, o->smoke) && e2e_measure_stream(e, o->smoke);
}

static int run(const options *o)
{
    bench_catch_signals();
    char pool_name[HAUL_POOL_NAME_MAX + 1];
    (void)snprintf(pool_name, sizeof(pool_name), "bench-e2e-%d", (int)getpid());
    bool cpp = !o->no_cpp && o->soak_calls == 0;
    static e2e_plan plan;
    e2e e = {0};
    bool ok = e2e_plan_init(&plan, o->smoke || o->soak_calls > 0, cpp);
    ok = ok && set_up(&plan, &e, pool_name, cpp) && measure(&plan, &e, o);
    ok = tear_down(&plan, &e, pool_name) && ok;
    e2e_plan_fini(&plan);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int usage(FILE *to, int code)
{
    (void)fputs("usage: bench_e2e [--smoke] [--no-cpp] [--soak CALLS]\n"
                "Time calls with large payloads between two processes; one JSON line per result.\n"
                "  --smoke       a few calls with small payloads, to see that everything works\n"
                "  --no-cpp      leave the C++ stub out\n"
                "  --soak CALLS  make so many calls instead, and tell how much memory that took\n",
                to);
    return code;
}

int main(int argc, char **argv)
{
    bench_keep_heap();
    if (argc == 4 && strcmp(argv[1], "--be-server") == 0) {
        return e2e_be_server(argv[2], argv[3], false);
    }
    if (argc == 4 && strcmp(argv[1], "--be-polling") == 0) {
        return e2e_be_server(argv[2], argv[3], true);
    }
    if (argc == 2 && strcmp(argv[1], "--be-socket") == 0) {
        return e2e_be_raw_socket();
    }
    if (argc == 3 && strcmp(argv[1], "--be-core") == 0) {
        return e2e_be_core_server(argv[2]);
    }
    static const struct option known[] = {{"smoke", no_argument, NULL, 's'},
                                          {"no-cpp", no_argument, NULL, 'n'},
                                          {"soak", required_argument, NULL, 'k'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    options o = {0};
    for (int opt; (opt = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (opt) {
        case 's':
            o.smoke = true;
            break;
        case 'n':
            o.no_cpp = true;
            break;
        case 'k':
            o.soak_calls = strtoull(optarg, NULL, 10);
            break;
        case 'h':
            return usage(stdout, EXIT_SUCCESS);
        default:
            return usage(stderr, 2);
        }
    }
    return run(&o);
}
