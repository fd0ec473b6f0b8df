/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The test service. Its handlers run in the server's threads; tests meet them under the service's
 * mutex and never wait for time to pass.
 */

#include "transport_test.h"

#include <sched.h>
#include <stdlib.h>

#define MAX_SUMS 64

uint64_t test_sum(const void *data, uint64_t len)
{
    const uint8_t *bytes = data;
    uint64_t sum = 14695981039346656037u ^ len;
    for (uint64_t i = 0; i < len; i++) {
        sum = (sum ^ bytes[i]) * 1099511628211u;
    }
    return sum;
}

void test_fill(void *data, uint64_t len, uint8_t seed)
{
    uint8_t *bytes = data;
    for (uint64_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(seed + i + (i >> 8));
    }
}

bool test_is_filled(const void *data, uint64_t len, uint8_t seed)
{
    const uint8_t *bytes = data;
    uint8_t wrong = 0;
    for (uint64_t i = 0; i < len; i++) {
        wrong |= bytes[i] ^ (uint8_t)(seed + i + (i >> 8));
    }
    return wrong == 0;
}

typedef struct sums {
    haul_call *call;
    uint64_t values[MAX_SUMS];
    size_t n;
    bool failed;
} sums;

static void add_sum(sums *s, const haul_payload *payload)
{
    haul_view view;
    if (!payload) {
        return;
    }
    if (s->n == MAX_SUMS || haul_call_view(s->call, payload, &view) != HAUL_OK) {
        s->failed = true;
        return;
    }
    s->values[s->n++] = test_sum(view.data, view.len);
}

static void add_tree(sums *s, const Haul__Test__Tree *tree)
{
    if (!tree) {
        return;
    }
    add_sum(s, tree->leaf);
    for (size_t i = 0; i < tree->n_branches; i++) {
        add_tree(s, tree->branches[i]);
    }
}

static void add_all(sums *s, const Haul__Test__ExchangeRequest *request)
{
    add_sum(s, request->data);
    for (size_t i = 0; i < request->n_blobs; i++) {
        add_sum(s, request->blobs[i]->data);
    }
    if (request->choice_case == HAUL__TEST__EXCHANGE_REQUEST__CHOICE_CHOSEN) {
        add_sum(s, request->chosen);
    }
    add_tree(s, request->tree);
    for (size_t i = 0; i < request->n_row; i++) {
        add_sum(s, request->row[i]);
    }
}

static haul_status take(haul_call *call, uint64_t size, uint8_t seed, haul_buf **out_buf)
{
    haul_status status = haul_call_alloc(call, size, NULL, out_buf);
    if (status == HAUL_OK) {
        test_fill(haul_buf_data(*out_buf), size, seed);
    }
    return status;
}

/* What MODE_PLAIN answers with. */
static uint8_t plain[65536];

static haul_status put(haul_call *call, uint64_t size, uint8_t seed, haul_payload_out *out)
{
    haul_buf *buf;
    haul_status status = take(call, size, seed, &buf);
    return status == HAUL_OK ? haul_call_put(call, buf, size, out) : status;
}

static void hold(test_service *service, haul_call *call, ProtobufCClosure closure,
                 const Haul__Test__ExchangeRequest *request)
{
    (void)pthread_mutex_lock(&service->mutex);
    service->held = call;
    service->held_closure = closure;
    service->held_has_out = request->mode == HAUL__TEST__MODE__MODE_PUT_HOLD &&
                            put(call, request->size, 7, &service->held_out) == HAUL_OK;
    service->held_buf = NULL;
    if (request->mode == HAUL__TEST__MODE__MODE_TAKE_HOLD) {
        (void)!take(call, request->size, 7, &service->held_buf);
        service->held_size = request->size;
    }
    service->held_view = (haul_view){0};
    if (request->data) {
        (void)!haul_call_view(call, request->data, &service->held_view);
    }
    (void)pthread_cond_broadcast(&service->changed);
    (void)pthread_mutex_unlock(&service->mutex);
}

static void *answer_later(void *arg)
{
    test_service_wait_held(arg);
    test_service_let_go(arg);
    return NULL;
}

static bool is_held(Haul__Test__Mode mode)
{
    return mode == HAUL__TEST__MODE__MODE_HOLD || mode == HAUL__TEST__MODE__MODE_PUT_HOLD ||
           mode == HAUL__TEST__MODE__MODE_LATER || mode == HAUL__TEST__MODE__MODE_BLOCK ||
           mode == HAUL__TEST__MODE__MODE_TAKE_HOLD;
}

static void hold_as_asked(test_service *service, haul_call *call, ProtobufCClosure closure,
                          const Haul__Test__ExchangeRequest *request)
{
    Haul__Test__Mode mode = request->mode; /* once it is held the test may answer, and free it */
    bool later = mode == HAUL__TEST__MODE__MODE_LATER;
    pthread_t thread;
    hold(service, call, closure, request);
    if (mode == HAUL__TEST__MODE__MODE_BLOCK) {
        (void)pthread_mutex_lock(&service->mutex);
        while (service->held == call) {
            (void)pthread_cond_wait(&service->changed, &service->mutex);
        }
        (void)pthread_mutex_unlock(&service->mutex);
    }
    if (later && pthread_create(&thread, NULL, answer_later, service) == 0) {
        (void)pthread_detach(thread);
    }
}

/* What the modes that answer at once put into the response; a status if they fail instead. */
static haul_status answer_by_mode(haul_call *call, const Haul__Test__ExchangeRequest *request,
                                  Haul__Test__ExchangeResponse *response, haul_payload_out out[2])
{
    static const haul_key never_given = {.pool_id = 1, .ticket = 2, .generation = 3};
    haul_status status = HAUL_OK;
    haul_view view;
    switch (request->mode) {
    case HAUL__TEST__MODE__MODE_ECHO:
        status = haul_call_view(call, request->data, &view);
        if (status == HAUL_OK) {
            haul_payload_set_inline(&out[0], view.data, view.len);
            response->data = &out[0].payload;
        }
        return status;
    case HAUL__TEST__MODE__MODE_PUT_TWO:
        status = put(call, request->size, 8, &out[1]);
        response->more = &out[1].payload;
        if (status != HAUL_OK) {
            return status;
        }
        __attribute__((fallthrough));
    case HAUL__TEST__MODE__MODE_PUT:
        status = put(call, request->size, 7, &out[0]);
        response->data = &out[0].payload;
        return status;
    case HAUL__TEST__MODE__MODE_PLAIN:
        if (request->size > sizeof(plain)) {
            return HAUL_TOO_BIG;
        }
        haul_payload_set_inline(&out[0], plain, request->size);
        response->data = &out[0].payload;
        return HAUL_OK;
    case HAUL__TEST__MODE__MODE_PUT_FAIL:
        status = put(call, request->size, 7, &out[0]);
        return status == HAUL_OK ? HAUL_BUSY : status;
    case HAUL__TEST__MODE__MODE_PUT_DROP:
        return put(call, request->size, 7, &out[0]);
    case HAUL__TEST__MODE__MODE_FAIL:
        return HAUL_BUSY;
    case HAUL__TEST__MODE__MODE_FORGE:
        haul_payload_set_key(&out[0], &never_given, 10);
        response->data = &out[0].payload;
        return HAUL_OK;
    default:
        return HAUL_OK;
    }
}

static void exchange(Haul__Test__TestService_Service *base,
                     const Haul__Test__ExchangeRequest *request,
                     Haul__Test__ExchangeResponse_Closure closure, void *closure_data)
{
    test_service *service = (test_service *)base;
    haul_call *call = closure_data;
    (void)pthread_mutex_lock(&service->mutex);
    service->n_entered++;
    (void)pthread_cond_broadcast(&service->changed);
    (void)pthread_mutex_unlock(&service->mutex);

    sums s = {.call = call};
    add_all(&s, request);
    if (is_held(request->mode)) {
        hold_as_asked(service, call, (ProtobufCClosure)closure, request);
        return;
    }
    if (request->mode == HAUL__TEST__MODE__MODE_NOTHING || s.failed) {
        closure(NULL, closure_data);
        return;
    }
    haul_payload_out out[2];
    Haul__Test__ExchangeResponse response = HAUL__TEST__EXCHANGE_RESPONSE__INIT;
    haul_status status = answer_by_mode(call, request, &response, out);
    if (status != HAUL_OK) {
        haul_call_fail(call, haul_status_to_grpc(status), "as asked");
        return;
    }
    response.sums = s.values;
    response.n_sums = s.n;
    response.request_bytes = haul_call_request_bytes(call);
    closure(&response, closure_data);
}

static void empty(Haul__Test__TestService_Service *base, const Haul__Test__EmptyRequest *request,
                  Haul__Test__EmptyResponse_Closure closure, void *closure_data)
{
    (void)base;
    (void)request;
    const Haul__Test__EmptyResponse response = HAUL__TEST__EMPTY_RESPONSE__INIT;
    closure(&response, closure_data);
}

void test_service_init(test_service *service)
{
    test_fill(plain, sizeof(plain), 7);
    static const Haul__Test__TestService_Service handlers = HAUL__TEST__TEST_SERVICE__INIT();
    *service = (test_service){
        .base = handlers, .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    service->base.empty = empty;
    service->base.exchange = exchange;
}

void test_service_fini(test_service *service)
{
    (void)pthread_mutex_destroy(&service->mutex);
    (void)pthread_cond_destroy(&service->changed);
}

void test_service_wait_held(test_service *service)
{
    (void)pthread_mutex_lock(&service->mutex);
    while (!service->held) {
        (void)pthread_cond_wait(&service->changed, &service->mutex);
    }
    (void)pthread_mutex_unlock(&service->mutex);
}

void test_service_let_go(test_service *service)
{
    (void)pthread_mutex_lock(&service->mutex);
    haul_call *call = service->held;
    ProtobufCClosure closure = service->held_closure;
    Haul__Test__ExchangeResponse response = HAUL__TEST__EXCHANGE_RESPONSE__INIT;
    if (service->held_buf) {
        service->held_has_out = haul_call_put(call, service->held_buf, service->held_size,
                                              &service->held_out) == HAUL_OK;
        service->held_buf = NULL;
    }
    response.data = service->held_has_out ? &service->held_out.payload : NULL;
    service->held = NULL;
    (void)pthread_cond_broadcast(&service->changed);
    (void)pthread_mutex_unlock(&service->mutex);
    closure(&response.base, call);
}

void test_service_wait_cancelled(test_service *service)
{
    test_service_wait_held(service);
    while (!haul_call_is_cancelled(service->held)) {
        (void)sched_yield();
    }
}

unsigned test_service_entered(test_service *service)
{
    (void)pthread_mutex_lock(&service->mutex);
    unsigned n = service->n_entered;
    (void)pthread_mutex_unlock(&service->mutex);
    return n;
}
