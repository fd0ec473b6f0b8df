/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Calls that have numbers. The handler runs in the server's threads and meets the test under the
 * scene's mutex; nothing waits for time to pass. */

#include "many_calls.h"

#include <sched.h>

#include "transport/container.h"

static void answer(haul_call *call, ProtobufCClosure closure, unsigned number)
{
    Haul__Test__ExchangeResponse response = HAUL__TEST__EXCHANGE_RESPONSE__INIT;
    response.request_bytes = number;
    closure(&response.base, call);
}

static void exchange(Haul__Test__TestService_Service *base,
                     const Haul__Test__ExchangeRequest *request,
                     Haul__Test__ExchangeResponse_Closure closure, void *closure_data)
{
    many_scene *scene = HAUL__CONTAINER_OF((test_service *)base, many_scene, pair.service);
    unsigned number = (unsigned)(request->size % MANY_CALLS);
    bool holds = request->mode == HAUL__TEST__MODE__MODE_HOLD;
    (void)pthread_mutex_lock(&scene->mutex);
    scene->begun[number]++;
    scene->blocked[number] = request->mode == HAUL__TEST__MODE__MODE_BLOCK;
    if (holds) {
        scene->held[number] = closure_data;
        scene->closures[number] = (ProtobufCClosure)closure;
    }
    (void)pthread_cond_broadcast(&scene->changed);
    while (scene->blocked[number]) {
        (void)pthread_cond_wait(&scene->changed, &scene->mutex);
    }
    (void)pthread_mutex_unlock(&scene->mutex);
    if (!holds) {
        answer(closure_data, (ProtobufCClosure)closure, number);
    }
}

void many_open(many_scene *scene, const test_pair_opts *opts)
{
    *scene = (many_scene){.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    test_pair_open(&scene->pair, opts);
    scene->pair.service.base.exchange = exchange;
}

void many_close(many_scene *scene)
{
    test_pair_close(&scene->pair);
    (void)pthread_mutex_destroy(&scene->mutex);
    (void)pthread_cond_destroy(&scene->changed);
}

void many_start_server(many_scene *scene, haul_server **out_server)
{
    haul_pool *const pools[] = {scene->pair.server_pool};
    const haul_server_opts opts = {.struct_size = sizeof(opts), .pools = pools, .n_pools = 1};
    assert_ok(haul_server_create(&opts, out_server, NULL));
    assert_ok(haul_server_add_service(*out_server, (ProtobufCService *)&scene->pair.service, NULL));
    assert_ok(haul_server_listen(*out_server, scene->pair.address, 0600, NULL, NULL));
    assert_ok(haul_server_start(*out_server, NULL));
}

void many_wait_held(many_scene *scene, unsigned number)
{
    (void)pthread_mutex_lock(&scene->mutex);
    while (!scene->held[number] && !scene->blocked[number]) {
        (void)pthread_cond_wait(&scene->changed, &scene->mutex);
    }
    (void)pthread_mutex_unlock(&scene->mutex);
}

void many_let_go(many_scene *scene, unsigned number)
{
    (void)pthread_mutex_lock(&scene->mutex);
    haul_call *call = scene->held[number];
    ProtobufCClosure closure = scene->closures[number];
    scene->held[number] = NULL;
    scene->blocked[number] = false;
    (void)pthread_cond_broadcast(&scene->changed);
    (void)pthread_mutex_unlock(&scene->mutex);
    if (call) {
        answer(call, closure, number);
    }
}

void many_wait_cancelled(many_scene *scene, unsigned number)
{
    many_wait_held(scene, number);
    while (!haul_call_is_cancelled(scene->held[number])) {
        (void)sched_yield();
    }
}

unsigned many_begun(many_scene *scene, unsigned number)
{
    (void)pthread_mutex_lock(&scene->mutex);
    unsigned n = scene->begun[number];
    (void)pthread_mutex_unlock(&scene->mutex);
    return n;
}

static void *call(void *arg)
{
    many_caller *c = arg;
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = c->mode;
    request.size = c->number;
    c->opts.struct_size = sizeof(c->opts);
    c->status = haul_channel_call(c->scene->pair.channel, &haul__test__test_service__descriptor, 1,
                                  &request.base, &c->opts, &c->reply);
    return NULL;
}

void many_call_with(many_caller *caller, const haul_call_opts *opts)
{
    caller->opts = opts ? *opts : (haul_call_opts){0};
    assert_int_equal(pthread_create(&caller->thread, NULL, call, caller), 0);
}

void many_call(many_caller *caller, many_scene *scene, unsigned number, Haul__Test__Mode mode)
{
    *caller = (many_caller){.scene = scene, .number = number, .mode = mode};
    many_call_with(caller, NULL);
}

static grpc_status_code code_of(many_caller *caller)
{
    assert_ok(caller->status);
    grpc_status_code code = haul_reply_code(caller->reply);
    if (code == GRPC_STATUS_OK) {
        assert_int_equal(test_response(caller->reply)->request_bytes, caller->number);
    }
    haul_reply_free(caller->reply);
    return code;
}

void many_join(many_caller *caller, grpc_status_code expected)
{
    assert_int_equal(pthread_join(caller->thread, NULL), 0);
    assert_int_equal(code_of(caller), expected);
}

grpc_status_code many_call_here(many_scene *scene, unsigned number, const haul_call_opts *opts)
{
    many_caller c = {.scene = scene, .number = number};
    c.opts = opts ? *opts : (haul_call_opts){0};
    (void)call(&c);
    return code_of(&c);
}
