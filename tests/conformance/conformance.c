/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The conformance list: all kinds of call, times sizes of payload, times what happens to client,
 * server and pool. Every case has the same answers, byte for byte, and the status and path that its
 * event calls for; after every case the audit finds nothing and every buffer is free.
 *
 *   conformance          the list without what takes long: 64 MiB only undisturbed, 300 MiB not
 *   conformance full     all of it
 *
 * Each case has a pool, a server and a channel of its own. Server and client are processes: the
 * program starts itself, as "serve" and as "call" (scene.c). A case that fails leaves its own things
 * behind, and the others go on; the processes end when this one does.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance.h"

#define MIB (UINT64_C(1) << 20)

static const char *const kind_names[] = {"client stream", "server stream", "both stream", "unary"};
static const uint64_t sizes[] = {0,        1,        CONF_THRESHOLD - 1, CONF_THRESHOLD,
                                 20000000, 64 * MIB, 300 * MIB};

static const char *const event_names[] = {
    [CONF_SHM] = "shm",
    [CONF_INLINE] = "inline",
    [CONF_EXHAUSTED] = "pool exhausted",
    [CONF_WITHOUT_POOL] = "server without the pool",
    [CONF_LOSES_POOL] = "server loses the pool",
    [CONF_AGAIN_WITHOUT] = "server restarted without the pool",
    [CONF_SERVER_AGAIN] = "server restarted",
    [CONF_SERVER_KILLED] = "server killed",
    [CONF_CLIENT_AGAIN] = "client restarted",
    [CONF_CLIENT_KILLED] = "client killed",
    [CONF_CANCELLED_BEFORE] = "cancelled before",
    [CONF_CANCELLED_DURING] = "cancelled during",
    [CONF_CANCELLED_AFTER] = "cancelled after",
    [CONF_DEADLINE_BEFORE] = "deadline before",
    [CONF_DEADLINE_DURING] = "deadline during",
    [CONF_DEADLINE_AFTER] = "deadline after",
};

static bool is_in_list(uint64_t size, conf_event event, bool full)
{
    return full || size < 64 * MIB || (size == 64 * MIB && event <= CONF_INLINE);
}

static int run_list(bool full)
{
    enum {
        N_SIZES = sizeof(sizes) / sizeof(sizes[0]),
        N_MAX = CONF_N_KINDS * N_SIZES * CONF_N_EVENTS
    };
    static conf_case cases[N_MAX];
    static struct CMUnitTest tests[N_MAX];
    size_t n = 0;
    for (unsigned i = 0; i < N_MAX; i++) {
        conf_case *c = &cases[n];
        *c = (conf_case){.kind = (conf_kind)(i % CONF_N_KINDS),
                         .event = (conf_event)(i / CONF_N_KINDS % CONF_N_EVENTS),
                         .size = sizes[i / CONF_N_KINDS / CONF_N_EVENTS]};
        if (is_in_list(c->size, c->event, full)) {
            (void)snprintf(c->name, sizeof(c->name), "%s, %llu bytes, %s", kind_names[c->kind],
                           (unsigned long long)c->size, event_names[c->event]);
            tests[n] = (struct CMUnitTest){
                .name = c->name, .test_func = conf_run_case, .initial_state = c};
            n++;
        }
    }
    int n_failed = _cmocka_run_group_tests("conformance", tests, n, NULL, NULL);
    conf_end();
    return n_failed;
}

/* Be a client's process: one call. */
static void call_once(const char *address, const char *pool_name, const conf_case *c)
{
    conf_run run = {.c = c};
    const conf_expected e = conf_expect(c, HAUL_PATH_SHM);
    haul_pool *pool;
    assert_ok(haul_pool_open(pool_name, NULL, &pool, NULL));
    conf_client_open(&run, pool, address);
    conf_call(&run, &e);
    haul_channel_close(run.channel);
    haul_pool_close(pool);
}

static int number(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "serve") == 0) {
        conf_serve();
        return EXIT_SUCCESS;
    }
    if (argc == 7 && strcmp(argv[1], "call") == 0) {
        const conf_case c = {.event = (conf_event)number(argv[4]),
                             .kind = (conf_kind)number(argv[5]),
                             .size = strtoull(argv[6], NULL, 10)};
        call_once(argv[2], argv[3], &c);
        return EXIT_SUCCESS;
    }
    if (argc == 1 || (argc == 2 && strcmp(argv[1], "full") == 0)) {
        return run_list(argc == 2);
    }
    (void)fputs("usage: conformance [full]\n", stderr);
    return 2;
}
