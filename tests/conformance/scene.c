/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * One case of the conformance list, with its processes: this one makes the pool, is the client of
 * most calls and looks at the end whether anything is left; a child is the server; where a client
 * comes to its end, that one is a child, too. All are participants of the pool on their own. When
 * the audit is made the server has ended its calls and is still in the pool, for leaving gives back;
 * what a dead one held has been reaped, by the one that took its place or here.
 *
 * A server's process is used for the next case if nothing has happened to it, because starting one
 * takes longer than most cases.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "conformance.h"

#define PROGRAM  "/proc/self/exe" /* this one, for its children */
#define N_HOGGED 64
#define N_WARM   20 /* after so many short calls they are made on data connections */

static const haul_alloc_opts patient = {
    .struct_size = sizeof(patient), .policy = HAUL_ALLOC_LARGER, .wait_ns = -1};
static const haul_alloc_opts content = {.struct_size = sizeof(content),
                                        .policy = HAUL_ALLOC_LARGER};

typedef struct scene {
    const conf_case *c;
    peer server;
    char address[128];
    conf_run run;       /* this process as a client */
    haul_pool *removed; /* NULL, or the one that was lost */
} scene;

const haul_alloc_opts *conf_alloc_opts(conf_event event)
{
    return event == CONF_EXHAUSTED ? &content : &patient;
}

/* ---- Pool, server, client ---- */

static void create_pool(uint64_t size, haul_pool **out_pool)
{
    const haul_class_config classes[] = {
        {.size_bytes = 4096, .n_initial = 8, .n_max = 8},
        {.size_bytes = size > 8192 ? size : 8192, .n_initial = 4, .n_max = 4}};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = classes, .n_classes = 2, .n_participants = 8};
    haul_error err = {0};
    (void)!haul_pool_remove(test_pool_name("conform"), true, NULL);
    if (haul_pool_create(test_pool_name("conform"), &config, NULL, out_pool, &err) != HAUL_OK) {
        fail_msg("no pool: %s", err.text);
    }
}

/* The server's process between two cases, if the last one has gone well. */
static peer spare;

static void start_server(scene *s, bool with_pool)
{
    const char *const argv[] = {PROGRAM, "serve", NULL};
    s->server = spare.pid ? spare : peer_start_argv((char *const *)argv);
    spare = (peer){.pid = 0};
    peer_tell(&s->server, "begin %s %s %d", s->address,
              with_pool ? haul_pool_name(s->run.pool) : "-", (int)s->c->event);
    conf_wait_for(&s->server, "ready");
}

static void tell_server(scene *s, const char *what, const char *answer)
{
    peer_tell(&s->server, "%s", what);
    conf_wait_for(&s->server, answer);
}

void conf_end(void)
{
    if (spare.pid) {
        peer_stop(&spare);
    }
}

static peer start_client(const scene *s)
{
    char kind[16];
    char event[16];
    char size[24];
    (void)snprintf(kind, sizeof(kind), "%d", (int)s->c->kind);
    (void)snprintf(event, sizeof(event), "%d", (int)s->c->event);
    (void)snprintf(size, sizeof(size), "%" PRIu64, s->c->size);
    const char *const argv[] = {PROGRAM, "call", s->address, haul_pool_name(s->run.pool),
                                event,   kind,   size,       NULL};
    return peer_start_argv((char *const *)argv);
}

uint64_t conf_busy_poll_ns(void)
{
    const char *text = getenv("CONF_BUSY_POLL_NS");
    return text ? strtoull(text, NULL, 10) : 0;
}

bool conf_no_data(void)
{
    return getenv("CONF_NO_DATA") != NULL;
}

void conf_client_open(conf_run *run, haul_pool *pool, const char *address)
{
    run->pool = pool;
    const haul_channel_opts opts = {.struct_size = sizeof(opts),
                                    .pool = pool,
                                    .key_threshold_bytes = CONF_THRESHOLD,
                                    .busy_poll_ns = conf_busy_poll_ns(),
                                    .no_data_connections = conf_no_data()};
    assert_ok(haul_channel_open(address, &opts, &run->channel, NULL));
    for (int i = 0; i < N_WARM && !conf_no_data(); i++) {
        const Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
        haul_reply *reply;
        assert_ok(haul_channel_call(run->channel, &haul__test__stream_service__descriptor,
                                    CONF_UNARY, &frame.base, NULL, &reply));
        haul_reply_free(reply);
    }
}

static void open_scene(scene *s, const conf_case *c)
{
    static unsigned n_opened; /* a case that failed goes on listening */
    char path[100];
    char tag[32];
    *s = (scene){.c = c};
    s->run = (conf_run){.c = c, .server = &s->server};
    create_pool(c->size, &s->run.pool);
    (void)snprintf(tag, sizeof(tag), "conform%u", n_opened++);
    test_socket_path(path, sizeof(path), tag);
    (void)snprintf(s->address, sizeof(s->address), "unix:%s", path);
    start_server(s, c->event != CONF_WITHOUT_POOL);
    conf_client_open(&s->run, s->run.pool, s->address);
}

/* Nothing is used any more, whoever used it. */
static void assert_nothing_left(haul_pool *pool)
{
    assert_ok(haul_pool_reap(pool, NULL, NULL));
    assert_audit_clean(pool);
    assert_all_free(pool);
}

static void close_scene(scene *s)
{
    haul_channel_close(s->run.channel);
    tell_server(s, "stop", "stopped");
    assert_nothing_left(s->run.pool);
    if (s->removed) { /* it has no objects any more, which an audit would find */
        assert_all_free(s->removed);
        haul_pool_close(s->removed);
    }
    tell_server(s, "leave", "left");
    spare = s->server;
    test_pool_destroy(s->run.pool);
}

/* ---- Calls ---- */

conf_expected conf_expect(const conf_case *c, haul_path path)
{
    conf_expected e = {.code = GRPC_STATUS_OK, .or_code = GRPC_STATUS_OK};
    e.request = c->size < CONF_THRESHOLD ? HAUL_PATH_INLINE : path;
    e.answer = path;
    if (c->size == 0 && c->kind != CONF_UNARY) { /* streams give no buffer for nothing */
        e.answer = HAUL_PATH_INLINE;
    }
    return e;
}

/* A call that goes its way, whatever the case is about. */
static void call_undisturbed(const scene *s, haul_path path)
{
    conf_case c = *s->c;
    conf_run run = s->run;
    c.event = CONF_SHM;
    run.c = &c;
    const conf_expected e = conf_expect(&c, path);
    conf_call(&run, &e);
}

static void call_to_its_end(const scene *s, grpc_status_code code)
{
    conf_expected e = conf_expect(s->c, HAUL_PATH_SHM);
    e.code = code;
    e.or_code = code;
    if (s->c->event == CONF_INLINE || s->c->event == CONF_WITHOUT_POOL ||
        s->c->event == CONF_EXHAUSTED) {
        e = conf_expect(s->c, HAUL_PATH_INLINE);
    } else if (s->c->event == CONF_CANCELLED_AFTER && s->c->kind != CONF_UNARY) {
        e.or_code = GRPC_STATUS_CANCELLED; /* a stream's status may not have come yet */
    }
    conf_call(&s->run, &e);
}

/* A call that sets off while the old connection goes down may end UNAVAILABLE, as gRPC's do. The
 * old server is gone, so the first answer comes over a new connection, and the calls after it go
 * there as well. */
static void settle(const scene *s)
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

/* ---- Events ---- */

/* Take all there is, for as long as the call lasts. */
static void exhausted(const scene *s)
{
    haul_pool *hog;
    haul_buf *bufs[N_HOGGED];
    size_t n = 0;
    assert_ok(haul_pool_open(haul_pool_name(s->run.pool), NULL, &hog, NULL));
    while (n < N_HOGGED && haul_buf_alloc(hog, 1, &content, &bufs[n]) == HAUL_OK) {
        n++;
    }
    assert_in_range(n, 1, N_HOGGED - 1);
    call_to_its_end(s, GRPC_STATUS_OK);
    while (n > 0) {
        haul_buf_release(bufs[--n]);
    }
    haul_pool_close(hog);
}

/* The pool is removed under both, and made anew; the client joins the new one, and the server, which
 * lives on, still has what there was of the old one. */
static void server_loses_pool(scene *s)
{
    call_undisturbed(s, HAUL_PATH_SHM);
    haul_channel_close(s->run.channel);
    s->removed = s->run.pool;
    assert_ok(haul_pool_remove(haul_pool_name(s->removed), true, NULL));
    create_pool(s->c->size, &s->run.pool);
    conf_client_open(&s->run, s->run.pool, s->address);
    assert_true(haul_pool_is_removed(s->removed));
    call_undisturbed(s, HAUL_PATH_INLINE);
}

static void server_again(scene *s)
{
    bool with_pool = s->c->event == CONF_SERVER_AGAIN;
    call_undisturbed(s, HAUL_PATH_SHM);
    peer_stop(&s->server);
    start_server(s, with_pool);
    settle(s);
    call_undisturbed(s, with_pool ? HAUL_PATH_SHM : HAUL_PATH_INLINE);
}

/* In the middle of a call, with what it has been sent, and a buffer for its answer. */
static void server_killed(scene *s)
{
    call_undisturbed(s, HAUL_PATH_SHM);
    call_to_its_end(s, GRPC_STATUS_UNAVAILABLE);
    start_server(s, true);
    settle(s);
    call_undisturbed(s, HAUL_PATH_SHM);
}

static void client_again(const scene *s)
{
    peer client = start_client(s);
    peer_stop(&client);
    call_undisturbed(s, HAUL_PATH_SHM);
}

/* In the middle of a call; the server's handler is told that it has been cancelled. */
static void client_killed(scene *s)
{
    peer client = start_client(s);
    conf_wait_for(&s->server, "paused");
    assert_true(WIFSIGNALED(peer_kill(&client)));
    call_undisturbed(s, HAUL_PATH_SHM);
}

void conf_run_case(void **state)
{
    const conf_case *c = *state;
    scene s;
    open_scene(&s, c);
    switch (c->event) {
    case CONF_EXHAUSTED:
        exhausted(&s);
        break;
    case CONF_LOSES_POOL:
        server_loses_pool(&s);
        break;
    case CONF_AGAIN_WITHOUT:
    case CONF_SERVER_AGAIN:
        server_again(&s);
        break;
    case CONF_SERVER_KILLED:
        server_killed(&s);
        break;
    case CONF_CLIENT_AGAIN:
        client_again(&s);
        break;
    case CONF_CLIENT_KILLED:
        client_killed(&s);
        break;
    case CONF_CANCELLED_BEFORE:
    case CONF_CANCELLED_DURING:
        call_to_its_end(&s, GRPC_STATUS_CANCELLED);
        break;
    case CONF_DEADLINE_BEFORE:
    case CONF_DEADLINE_DURING:
        call_to_its_end(&s, GRPC_STATUS_DEADLINE_EXCEEDED);
        break;
    default:
        call_to_its_end(&s, GRPC_STATUS_OK);
        break;
    }
    close_scene(&s);
}
