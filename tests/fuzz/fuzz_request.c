/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Fuzz target: a request, from the bytes that gRPC hands over to the answer that it is handed.
 *
 * The server is real and never started; gRPC's calls are stand-ins that write down what is sent, so
 * a run is one thread's and takes microseconds. The input's first bytes say what metadata comes
 * with the message, spoilt where and how, and how the call ends; the rest is the message (see
 * fuzz_wire.h). Each call is answered once, by a status of the few that there are, and no key but the
 * right one opens a buffer. What a handler sees is readable, byte for byte; what the answer gives
 * can be claimed unless the call failed. Nothing is left in the pool.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/support/alloc.h>
#include <transport_test.pb-c.h>

#include "fuzz_wire.h"
#include "transport/deadline.h"
#include "transport/server.h"

#define HEAD_BYTES 6
#define LOAN_BYTES 6000u
#define ANSWER_MAX 100000u
#define N_SUMS     64

enum {
    WITH_ACCEPT = 1,  /* answers may be given to the client */
    WITH_LOAN = 2,    /* and a buffer is lent for them */
    LOST = 4,         /* the answer does not go out */
    GONE = 8,         /* it does, and the client is gone */
    CLAIM_FIRST = 16, /* the client is quicker than what follows on the server */
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* ---- gRPC's call --------------------------------------------------------------------------- */

/* What was sent by the one batch that ends a call. */
typedef struct answer {
    unsigned n_batches;
    haul__tag *tag;
    int *closed_early;
    grpc_status_code code;
    bool refused;
    uint8_t *bytes; /* NULL: no message */
    size_t len;
} answer;

static char stand_in;
static answer sent;

#define STAND_IN ((grpc_call *)(void *)&stand_in)

grpc_call_error __real_grpc_call_start_batch(grpc_call *call, const grpc_op *ops, size_t n,
                                             void *tag, void *reserved);
grpc_call_error __wrap_grpc_call_start_batch(grpc_call *call, const grpc_op *ops, size_t n,
                                             void *tag, void *reserved);
void __real_grpc_call_unref(grpc_call *call);
void __wrap_grpc_call_unref(grpc_call *call);

/* The bytes go the way they would on a socket: pins are let go of. */
static void write_down(const grpc_byte_buffer *message)
{
    const grpc_slice_buffer *slices = &message->data.raw.slice_buffer;
    sent.bytes = malloc(slices->length + 1);
    FUZZ_REQUIRE(sent.bytes);
    for (size_t i = 0; i < slices->count; i++) {
        memcpy(sent.bytes + sent.len, GRPC_SLICE_START_PTR(slices->slices[i]),
               GRPC_SLICE_LENGTH(slices->slices[i]));
        sent.len += GRPC_SLICE_LENGTH(slices->slices[i]);
    }
}

static void note_status(const struct grpc_op_send_status_from_server *status)
{
    sent.code = status->status;
    for (size_t i = 0; i < status->trailing_metadata_count; i++) {
        grpc_slice key = status->trailing_metadata[i].key;
        sent.refused |= grpc_slice_str_cmp(key, HAUL__MD_REFUSED) == 0;
    }
}

grpc_call_error __wrap_grpc_call_start_batch(grpc_call *call, const grpc_op *ops, size_t n,
                                             void *tag, void *reserved)
{
    if (call != STAND_IN) {
        return __real_grpc_call_start_batch(call, ops, n, tag, reserved);
    }
    sent.n_batches++;
    sent.tag = tag;
    for (size_t i = 0; i < n; i++) {
        if (ops[i].op == GRPC_OP_SEND_MESSAGE) {
            write_down(ops[i].data.send_message.send_message);
        } else if (ops[i].op == GRPC_OP_SEND_STATUS_FROM_SERVER) {
            note_status(&ops[i].data.send_status_from_server);
        } else if (ops[i].op == GRPC_OP_RECV_CLOSE_ON_SERVER) {
            sent.closed_early = ops[i].data.recv_close_on_server.cancelled;
        }
    }
    return GRPC_CALL_OK;
}

void __wrap_grpc_call_unref(grpc_call *call)
{
    if (call != STAND_IN) {
        __real_grpc_call_unref(call);
    }
}

/* ---- The handler --------------------------------------------------------------------------- */

static unsigned n_entered;

static uint64_t look(haul_call *call, const haul_payload *payload)
{
    haul_view view;
    FUZZ_REQUIRE(haul_call_view(call, payload, &view) == HAUL_OK);
    FUZZ_REQUIRE(view.len == payload->length);
    if (payload->source_case == SHORTHAUL__V1__PAYLOAD__SOURCE_KEY) {
        FUZZ_REQUIRE(view.len + payload->key->offset <= WIRE_BYTES);
        FUZZ_REQUIRE(view.len == 0 || (view.data[0] == 0x5a && view.data[view.len - 1] == 0x5a));
    }
    return wire_sum(&view);
}

static uint64_t look_at_tree(haul_call *call, const Haul__Test__Tree *tree)
{
    uint64_t sum = tree->leaf ? look(call, tree->leaf) : 0;
    for (size_t i = 0; i < tree->n_branches; i++) {
        sum += look_at_tree(call, tree->branches[i]);
    }
    return sum;
}

static uint64_t look_at_all(haul_call *call, const Haul__Test__ExchangeRequest *request)
{
    uint64_t sum = request->data ? look(call, request->data) : 0;
    for (size_t i = 0; i < request->n_blobs; i++) {
        sum += request->blobs[i]->data ? look(call, request->blobs[i]->data) : 0;
    }
    for (size_t i = 0; i < request->n_row; i++) {
        sum += look(call, request->row[i]);
    }
    if (request->choice_case == HAUL__TEST__EXCHANGE_REQUEST__CHOICE_CHOSEN) {
        sum += look(call, request->chosen);
    }
    return sum + (request->tree ? look_at_tree(call, request->tree) : 0);
}

static bool put(haul_call *call, uint64_t size, haul_payload_out *out)
{
    haul_buf *buf;
    size %= ANSWER_MAX;
    if (haul_call_alloc(call, size, NULL, &buf) != HAUL_OK) {
        return false;
    }
    memset(haul_buf_data(buf), 0x5a, size);
    return haul_call_put(call, buf, size, out) == HAUL_OK;
}

static void exchange(Haul__Test__TestService_Service *service,
                     const Haul__Test__ExchangeRequest *request,
                     Haul__Test__ExchangeResponse_Closure closure, void *closure_data)
{
    static const haul_key never_given = {.pool_id = 1, .ticket = 2, .generation = 3};
    (void)service;
    haul_call *call = closure_data;
    haul_payload_out out[2];
    haul_view view;
    Haul__Test__ExchangeResponse response = HAUL__TEST__EXCHANGE_RESPONSE__INIT;
    uint64_t sum = look_at_all(call, request);
    n_entered++;
    response.sums = &sum;
    response.n_sums = 1;
    switch (request->mode) {
    case HAUL__TEST__MODE__MODE_ECHO:
        if (request->data && haul_call_view(call, request->data, &view) == HAUL_OK) {
            haul_payload_set_inline(&out[0], view.data, view.len);
            response.data = &out[0].payload;
        }
        break;
    case HAUL__TEST__MODE__MODE_PUT_TWO:
        response.more = put(call, request->size, &out[1]) ? &out[1].payload : NULL;
        __attribute__((fallthrough));
    case HAUL__TEST__MODE__MODE_PUT:
        response.data = put(call, request->size, &out[0]) ? &out[0].payload : NULL;
        break;
    case HAUL__TEST__MODE__MODE_PUT_DROP:
        (void)put(call, request->size, &out[0]);
        break;
    case HAUL__TEST__MODE__MODE_FORGE:
        haul_payload_set_key(&out[0], &never_given, 10);
        response.data = &out[0].payload;
        break;
    case HAUL__TEST__MODE__MODE_NOTHING:
        closure(NULL, closure_data);
        return;
    case HAUL__TEST__MODE__MODE_PUT_FAIL:
        (void)put(call, request->size, &out[0]);
        haul_call_fail(call, GRPC_STATUS_DATA_LOSS, "as asked");
        return;
    default:
        break;
    }
    closure(&response, closure_data);
}

/* A method of the service that no input comes to. */
static void empty(Haul__Test__TestService_Service *service, const Haul__Test__EmptyRequest *request,
                  Haul__Test__EmptyResponse_Closure closure, void *closure_data)
{
    (void)service;
    (void)request;
    closure(NULL, closure_data);
}

/* ---- A call -------------------------------------------------------------------------------- */

static haul_server *server;
static haul__method *method;

static void destroy_server(void)
{
    haul_server_destroy(server);
}

static void set_up(void)
{
    static Haul__Test__TestService_Service service = HAUL__TEST__TEST_SERVICE__INIT();
    const wire_pools *pools = wire_pools_get();
    if (server) {
        return;
    }
    haul_pool *const list[] = {pools->server};
    const haul_server_opts opts = {.struct_size = sizeof(opts), .pools = list, .n_pools = 1};
    FUZZ_REQUIRE(haul_server_create(&opts, &server, NULL) == HAUL_OK);
    FUZZ_REQUIRE(haul_server_add_service(server, (ProtobufCService *)&service, NULL) == HAUL_OK);
    method = server->methods;
    while (strcmp(method->path, "/haul.test.TestService/Exchange") != 0) {
        method = method->next;
    }
    FUZZ_REQUIRE(atexit(destroy_server) == 0);
}

static void add_metadata(grpc_metadata_array *array, const char *key, grpc_slice value)
{
    array->metadata[array->count++] =
        (grpc_metadata){.key = grpc_slice_from_static_string(key), .value = value};
}

/* What the client sends beside the message. */
static void set_metadata(haul_call *call, const uint8_t head[HEAD_BYTES], haul__loan *loan)
{
    const wire_pools *pools = wire_pools_get();
    char accept[64];
    int n = snprintf(accept, sizeof(accept), "%016llx.%u",
                     (unsigned long long)haul_pool_id(pools->client),
                     haul_pool_participant(pools->client));
    call->metadata.metadata = gpr_zalloc(2 * sizeof(grpc_metadata));
    call->metadata.capacity = 2;
    if (head[0] & WITH_ACCEPT) {
        add_metadata(&call->metadata, HAUL__MD_ACCEPT,
                     wire_slice(accept, (size_t)n, head[1], head[2]));
    }
    if (head[0] & WITH_LOAN) {
        haul__loan_open(loan, pools->client, NULL, LOAN_BYTES, haul_pool_participant(pools->server),
                        haul__after_ns(UINT64_C(60000000000)));
        FUZZ_REQUIRE(loan->pool);
        grpc_slice value = haul__loan_value(loan);
        add_metadata(
            &call->metadata, HAUL__MD_LEND,
            wire_slice(GRPC_SLICE_START_PTR(value), GRPC_SLICE_LENGTH(value), head[3], head[4]));
        grpc_slice_unref(value);
    }
}

/* What gRPC would let go of; the array itself is the call's. */
static void let_go_of_metadata(grpc_slice values[2], const haul_call *call)
{
    for (size_t i = 0; i < call->metadata.count; i++) {
        values[i] = call->metadata.metadata[i].value;
    }
}

/* Claim what a payload of the answer gives. @must: it cannot have been taken back. */
static void claim(const haul_payload *payload, bool must)
{
    const wire_pools *pools = wire_pools_get();
    haul_key key;
    haul_buf *buf;
    haul_view view;
    if (!payload || haul_payload_get_key(payload, &key) != HAUL_OK) {
        return;
    }
    if (haul_buf_claim(pools->client, &key, payload->length, &buf) == HAUL_OK) {
        FUZZ_REQUIRE(haul_buf_view(buf, &view) == HAUL_OK);
        FUZZ_REQUIRE(view.len == payload->length);
        FUZZ_REQUIRE(view.len == 0 || view.data[view.len - 1] == 0x5a);
        haul_detach(&view);
        haul_buf_release(buf);
    } else {
        FUZZ_REQUIRE(!must);
        (void)!haul_pool_revoke(pools->server, &key); /* given to another slot than the client's */
    }
}

static void take_answer(bool must)
{
    Haul__Test__ExchangeResponse *response =
        haul__test__exchange_response__unpack(NULL, sent.len, sent.bytes);
    FUZZ_REQUIRE(response);
    claim(response->data, must);
    claim(response->more, must);
    haul__test__exchange_response__free_unpacked(response, NULL);
}

static void require_status(unsigned n_before)
{
    bool entered = n_entered > n_before;
    FUZZ_REQUIRE(sent.n_batches == 1);
    FUZZ_REQUIRE((sent.code == GRPC_STATUS_OK) == (sent.bytes != NULL));
    FUZZ_REQUIRE(sent.refused == (sent.code == GRPC_STATUS_FAILED_PRECONDITION));
    switch (sent.code) {
    case GRPC_STATUS_OK:
    case GRPC_STATUS_INTERNAL:  /* the handler's answer was not valid */
    case GRPC_STATUS_DATA_LOSS: /* nor was it meant to be */
        FUZZ_REQUIRE(entered);
        break;
    case GRPC_STATUS_INVALID_ARGUMENT:
    case GRPC_STATUS_FAILED_PRECONDITION:
        FUZZ_REQUIRE(!entered);
        break;
    default:
        FUZZ_REQUIRE(false);
    }
}

static void run(haul_call *call, const uint8_t head[HEAD_BYTES])
{
    bool mine = (head[0] & WITH_ACCEPT) && head[2] == 0; /* gifts are for the client */
    bool lost = (head[0] & (LOST | GONE)) != 0;
    bool first = (head[0] & CLAIM_FIRST) != 0;
    unsigned n_before = n_entered;
    sent = (answer){0};
    server->n_calls++;
    haul__call_run(call);
    require_status(n_before);
    if (sent.bytes && first) {
        take_answer(mine);
    }
    if (sent.closed_early) {
        *sent.closed_early = (head[0] & GONE) != 0;
    }
    (void)haul__tag_fire(sent.tag, !(head[0] & LOST));
    FUZZ_REQUIRE(server->n_calls == 0);
    if (sent.bytes && !first) {
        take_answer(mine && !lost);
    }
    free(sent.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    uint8_t head[HEAD_BYTES] = {0};
    haul_key key;
    haul_buf *buf;
    haul__loan loan = {0};
    grpc_slice values[2];
    set_up();
    const wire_pools *pools = wire_pools_get();
    size_t n_head = n < HEAD_BYTES ? n : HEAD_BYTES;
    memcpy(head, bytes, n_head);
    FUZZ_REQUIRE(haul_buf_alloc(pools->client, WIRE_BYTES, NULL, &buf) == HAUL_OK);
    memset(haul_buf_data(buf), 0x5a, WIRE_BYTES);
    FUZZ_REQUIRE(haul_buf_share(buf, WIRE_BYTES, &key) == HAUL_OK);

    wire_text text = wire_spell(bytes + n_head, n - n_head, &key);
    haul_call *call = haul__call_create(server, method);
    FUZZ_REQUIRE(call);
    call->grpc = STAND_IN;
    call->deadline_ns = HAUL__NEVER;
    call->request_bytes = wire_buffer(&text, head[5] * (size_t)16);
    set_metadata(call, head, &loan);
    size_t n_values = call->metadata.count;
    let_go_of_metadata(values, call);
    run(call, head);
    for (size_t i = 0; i < n_values; i++) {
        grpc_slice_unref(values[i]);
    }
    haul__loan_close(&loan);
    haul_buf_release(buf);
    wire_pools_require_quiet();
    return 0;
}
