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
 * Server and client are two participants of one pool, with a server and a channel made for each
 * case. A case that fails leaves its own things behind, and the others go on.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance.h"

#define MIB      (UINT64_C(1) << 20)
#define N_HOGGED 64

static const haul_alloc_opts patient = {
    .struct_size = sizeof(patient), .policy = HAUL_ALLOC_LARGER, .wait_ns = -1};
static const haul_alloc_opts content = {.struct_size = sizeof(content),
                                        .policy = HAUL_ALLOC_LARGER};

static const char *const kind_names[] = {"client stream", "server stream", "both stream", "unary"};
static const uint64_t sizes[] = {0,        1,        CONF_THRESHOLD - 1, CONF_THRESHOLD,
                                 20000000, 64 * MIB, 300 * MIB};

static const struct {
    const char *name;
    grpc_status_code code;
    haul_path path; /* of what is large enough */
} events[] = {
    [CONF_SHM] = {"shm", GRPC_STATUS_OK, HAUL_PATH_SHM},
    [CONF_INLINE] = {"inline", GRPC_STATUS_OK, HAUL_PATH_INLINE},
    [CONF_EXHAUSTED] = {"pool exhausted", GRPC_STATUS_OK, HAUL_PATH_INLINE},
    [CONF_WITHOUT_POOL] = {"server without the pool", GRPC_STATUS_OK, HAUL_PATH_INLINE},
    [CONF_LOSES_POOL] = {"server loses the pool", GRPC_STATUS_OK, HAUL_PATH_INLINE},
    [CONF_SERVER_AGAIN] = {"server restarted", GRPC_STATUS_OK, HAUL_PATH_SHM},
    [CONF_CLIENT_AGAIN] = {"client restarted", GRPC_STATUS_OK, HAUL_PATH_SHM},
    [CONF_CANCELLED_BEFORE] = {"cancelled before", GRPC_STATUS_CANCELLED, HAUL_PATH_NONE},
    [CONF_CANCELLED_DURING] = {"cancelled during", GRPC_STATUS_CANCELLED, HAUL_PATH_NONE},
    [CONF_CANCELLED_AFTER] = {"cancelled after", GRPC_STATUS_OK, HAUL_PATH_SHM},
    [CONF_DEADLINE_BEFORE] = {"deadline before", GRPC_STATUS_DEADLINE_EXCEEDED, HAUL_PATH_NONE},
    [CONF_DEADLINE_DURING] = {"deadline during", GRPC_STATUS_DEADLINE_EXCEEDED, HAUL_PATH_NONE},
    [CONF_DEADLINE_AFTER] = {"deadline after", GRPC_STATUS_OK, HAUL_PATH_SHM},
};

/* ---- Two sides ---- */

typedef struct sides {
    haul_pool *server_pool;
    haul_pool *client_pool;
    conf_service service;
    haul_server *server;
    char address[128];
    conf_run run;
} sides;

static haul_pool *create_pool(uint64_t size)
{
    const haul_class_config classes[] = {
        {.size_bytes = 4096, .n_initial = 8, .n_max = 8},
        {.size_bytes = size > 8192 ? size : 8192, .n_initial = 4, .n_max = 4}};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = classes, .n_classes = 2, .n_participants = 8};
    haul_pool *pool = NULL;
    haul_error err = {0};
    (void)!haul_pool_remove(test_pool_name("conform"), true, NULL);
    if (haul_pool_create(test_pool_name("conform"), &config, NULL, &pool, &err) != HAUL_OK) {
        fail_msg("no pool: %s", err.text);
    }
    return pool;
}

static void open_client(sides *s)
{
    assert_ok(haul_pool_open(haul_pool_name(s->server_pool), NULL, &s->client_pool, NULL));
    s->run.client_pool = s->client_pool;
    const haul_channel_opts opts = {
        .struct_size = sizeof(opts), .pool = s->client_pool, .key_threshold_bytes = CONF_THRESHOLD};
    assert_ok(haul_channel_open(s->address, &opts, &s->run.channel, NULL));
}

static void close_client(sides *s)
{
    haul_channel_close(s->run.channel);
    haul_pool_close(s->client_pool);
}

static void open_sides(sides *s, const conf_case *c)
{
    static unsigned n_opened; /* a case that failed goes on listening */
    char path[100];
    char tag[32];
    bool waits = c->event != CONF_EXHAUSTED;
    *s = (sides){.run = {.c = c,
                         .service = &s->service,
                         .alloc = waits ? &patient : &content,
                         .n_frames = c->size > MIB ? 2 : 5}};
    s->server_pool = create_pool(c->size);
    (void)snprintf(tag, sizeof(tag), "conform%u", n_opened++);
    test_socket_path(path, sizeof(path), tag);
    (void)snprintf(s->address, sizeof(s->address), "unix:%s", path);
    conf_service_init(&s->service);
    s->service.alloc = s->run.alloc;
    s->server = conf_server_start(
        &s->service, c->event == CONF_WITHOUT_POOL ? NULL : s->server_pool, s->address);
    open_client(s);
}

/* Both are still joined while it is looked whether anything is left, for leaving gives back. */
static void close_sides(sides *s)
{
    haul_channel_close(s->run.channel);
    haul_server_destroy(s->server);
    assert_audit_clean(s->server_pool);
    assert_all_free(s->server_pool);
    haul_pool_close(s->client_pool);
    test_pool_destroy(s->server_pool);
}

/* ---- One case ---- */

static conf_expected expect(const conf_case *c, haul_path path)
{
    conf_expected e = {.code = events[c->event].code, .answer = path, .request = path};
    if (c->event == CONF_CANCELLED_AFTER && c->kind != CONF_UNARY) {
        e.or_code = GRPC_STATUS_CANCELLED; /* a stream's status may not have come yet */
    } else {
        e.or_code = e.code;
    }
    if (c->size < CONF_THRESHOLD) {
        e.request = HAUL_PATH_INLINE;
    }
    if (c->size == 0 && c->kind != CONF_UNARY) { /* streams give no buffer for nothing */
        e.answer = HAUL_PATH_INLINE;
    }
    return e;
}

/* Take all there is, for as long as the call lasts. */
static void call_exhausted(sides *s, const conf_expected *e)
{
    haul_pool *hog;
    haul_buf *bufs[N_HOGGED];
    size_t n = 0;
    assert_ok(haul_pool_open(haul_pool_name(s->server_pool), NULL, &hog, NULL));
    while (n < N_HOGGED && haul_buf_alloc(hog, 1, &content, &bufs[n]) == HAUL_OK) {
        n++;
    }
    assert_in_range(n, 1, N_HOGGED - 1);
    conf_call(&s->run, e);
    while (n > 0) {
        haul_buf_release(bufs[--n]);
    }
    haul_pool_close(hog);
}

/* A call that sets off while the old connection goes down may end UNAVAILABLE, as gRPC's do. The
 * old server is gone, so the first answer comes over a new connection, and the calls after it go
 * there as well. */
static void settle(const sides *s)
{
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .wait_for_ready = true};
    grpc_status_code code;
    do {
        haul_reply *reply = NULL;
        assert_ok(haul_channel_call(s->run.channel, &haul__test__stream_service__descriptor,
                                    CONF_UNARY, &frame.base, &opts, &reply));
        code = haul_reply_code(reply);
        haul_reply_free(reply);
    } while (code == GRPC_STATUS_UNAVAILABLE);
    assert_int_equal(code, GRPC_STATUS_DATA_LOSS); /* a frame without bytes */
}

/* A first call that goes as usual, then the event, then a call that shows what it has changed. */
static void call_twice(sides *s, const conf_expected *second)
{
    const conf_expected first = expect(s->run.c, HAUL_PATH_SHM);
    conf_call(&s->run, &first);
    if (s->run.c->event == CONF_CLIENT_AGAIN) {
        close_client(s);
        open_client(s);
    } else {
        haul_server_destroy(s->server);
        s->server = conf_server_start(
            &s->service, s->run.c->event == CONF_LOSES_POOL ? NULL : s->server_pool, s->address);
        settle(s);
    }
    conf_call(&s->run, second);
}

static void run_case(void **state)
{
    const conf_case *c = *state;
    const conf_expected e = expect(c, events[c->event].path);
    sides s;
    open_sides(&s, c);
    switch (c->event) {
    case CONF_EXHAUSTED:
        call_exhausted(&s, &e);
        break;
    case CONF_LOSES_POOL:
    case CONF_SERVER_AGAIN:
    case CONF_CLIENT_AGAIN:
        call_twice(&s, &e);
        break;
    default:
        conf_call(&s.run, &e);
        break;
    }
    close_sides(&s);
}

/* ---- The list ---- */

static bool is_in_list(uint64_t size, conf_event event, bool full)
{
    return full || size < 64 * MIB || (size == 64 * MIB && event <= CONF_INLINE);
}

int main(int argc, char **argv)
{
    enum {
        N_SIZES = sizeof(sizes) / sizeof(sizes[0]),
        N_MAX = CONF_N_KINDS * N_SIZES * CONF_N_EVENTS
    };
    static conf_case cases[N_MAX];
    static struct CMUnitTest tests[N_MAX];
    size_t n = 0;
    bool full = argc == 2 && strcmp(argv[1], "full") == 0;
    if (argc > 2 || (argc == 2 && !full)) {
        (void)fputs("usage: conformance [full]\n", stderr);
        return 2;
    }
    for (unsigned i = 0; i < N_MAX; i++) {
        conf_case *c = &cases[n];
        *c = (conf_case){.kind = (conf_kind)(i % CONF_N_KINDS),
                         .event = (conf_event)(i / CONF_N_KINDS % CONF_N_EVENTS),
                         .size = sizes[i / CONF_N_KINDS / CONF_N_EVENTS]};
        if (is_in_list(c->size, c->event, full)) {
            (void)snprintf(c->name, sizeof(c->name), "%s, %llu bytes, %s", kind_names[c->kind],
                           (unsigned long long)c->size, events[c->event].name);
            tests[n] =
                (struct CMUnitTest){.name = c->name, .test_func = run_case, .initial_state = c};
            n++;
        }
    }
    return _cmocka_run_group_tests("conformance", tests, n, NULL, NULL);
}
