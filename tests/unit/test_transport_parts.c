/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The parts of the transport that need no connection: the status table, payload helpers, plans,
 * rewriting, nesting and tables of views.
 */

#include <stdlib.h>
#include <string.h>

#include "transport/deadline.h"
#include "transport/nesting.h"
#include "transport/path.h"
#include "transport/plan.h"
#include "transport/received.h"
#include "transport/rewrite.h"
#include "transport/views.h"
#include "transport_test.h"

/* ---- Statuses and paths ---- */

static void every_status_has_a_code(void **state)
{
    (void)state;
    static const struct {
        haul_status status;
        grpc_status_code code;
    } table[] = {
        {HAUL_OK, GRPC_STATUS_OK},
        {HAUL_AGAIN, GRPC_STATUS_UNAVAILABLE},
        {HAUL_STALE, GRPC_STATUS_FAILED_PRECONDITION},
        {HAUL_PEER_GONE, GRPC_STATUS_UNAVAILABLE},
        {HAUL_TOO_BIG, GRPC_STATUS_RESOURCE_EXHAUSTED},
        {HAUL_TIMEOUT, GRPC_STATUS_DEADLINE_EXCEEDED},
        {HAUL_EXHAUSTED, GRPC_STATUS_RESOURCE_EXHAUSTED},
        {HAUL_NOT_FOUND, GRPC_STATUS_NOT_FOUND},
        {HAUL_EXISTS, GRPC_STATUS_ALREADY_EXISTS},
        {HAUL_BUSY, GRPC_STATUS_FAILED_PRECONDITION},
        {HAUL_END, GRPC_STATUS_OUT_OF_RANGE},
        {HAUL_NOMEM, GRPC_STATUS_RESOURCE_EXHAUSTED},
        {HAUL_INVALID, GRPC_STATUS_INVALID_ARGUMENT},
        {HAUL_CORRUPT, GRPC_STATUS_DATA_LOSS},
        {HAUL_PROTOCOL, GRPC_STATUS_INVALID_ARGUMENT},
        {HAUL_VERSION, GRPC_STATUS_FAILED_PRECONDITION},
        {HAUL_SYSTEM, GRPC_STATUS_INTERNAL},
        {HAUL_DENIED, GRPC_STATUS_PERMISSION_DENIED},
        {(haul_status)99, GRPC_STATUS_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(haul_status_to_grpc(table[i].status), table[i].code);
    }
}

static void paths_have_names(void **state)
{
    (void)state;
    haul__tally tally = {0};
    assert_string_equal(haul_path_name(haul__tally_path(&tally)), "none");
    haul__tally_add(&tally, HAUL__PAYLOAD_EMPTY, 10);
    assert_string_equal(haul_path_name(haul__tally_path(&tally)), "none");
    haul__tally_add(&tally, HAUL__PAYLOAD_INLINE, 10);
    assert_string_equal(haul_path_name(haul__tally_path(&tally)), "inline");
    haul__tally_add(&tally, HAUL__PAYLOAD_KEY, 10);
    assert_string_equal(haul_path_name(haul__tally_path(&tally)), "mixed");
    tally.n_inline = 0;
    assert_string_equal(haul_path_name(haul__tally_path(&tally)), "shm");
    assert_string_equal(haul_path_name((haul_path)17), "unknown");
    assert_string_equal(haul__path_metadata(HAUL_PATH_SHM, HAUL_PATH_MIXED),
                        "request=shm response=mixed");
}

static void deadlines_convert(void **state)
{
    (void)state;
    assert_true(haul__ns_of_gpr(gpr_inf_future(GPR_CLOCK_REALTIME)) == HAUL__NEVER);
    assert_true(haul__ns_of_gpr(haul__gpr_of_ns(HAUL__NEVER)) == HAUL__NEVER);
    assert_true(haul__ns_of_gpr(haul__gpr_of_ns(1234567890123)) == 1234567890123);
    assert_true(haul__ns_of_gpr(gpr_inf_past(GPR_CLOCK_MONOTONIC)) == 0);
    assert_true(haul__after_ns(UINT64_MAX - 1) == HAUL__NEVER);
}

/* ---- Payloads ---- */

static void keys_survive_the_wire(void **state)
{
    (void)state;
    const haul_key key = {.pool_id = 0xfedcba9876543210,
                          .ticket = UINT64_MAX,
                          .offset = 1ull << 40,
                          .index = UINT32_MAX,
                          .generation = UINT32_MAX};
    haul_payload_out out;
    haul_payload_set_key(&out, &key, 1ull << 40);
    uint8_t bytes[128];
    size_t len = shorthaul__v1__payload__pack(&out.payload, bytes);
    assert_in_range(len, 1, 90); /* leaves room for the message around it */
    haul_payload *received = shorthaul__v1__payload__unpack(NULL, len, bytes);
    assert_non_null(received);
    haul_key found;
    assert_ok(haul_payload_get_key(received, &found));
    assert_memory_equal(&found, &key, sizeof(key));
    assert_true(received->length == 1ull << 40);
    shorthaul__v1__payload__free_unpacked(received, NULL);
    haul_payload_set_inline(&out, "x", 1);
    assert_status(haul_payload_get_key(&out.payload, &found), HAUL_NOT_FOUND);
    shorthaul__v1__payload__init(&out.payload);
    assert_status(haul_payload_get_key(&out.payload, &found), HAUL_NOT_FOUND);
}

static void payloads_are_inspected(void **state)
{
    (void)state;
    haul__payload_kind kind;
    haul_payload_out out;
    haul_payload_set_inline(&out, "hello", 5);
    assert_ok(haul__payload_inspect(&out.payload, &kind));
    assert_int_equal(kind, HAUL__PAYLOAD_INLINE);
    out.payload.length = 4;
    assert_status(haul__payload_inspect(&out.payload, &kind), HAUL_PROTOCOL);
    shorthaul__v1__payload__init(&out.payload);
    assert_ok(haul__payload_inspect(&out.payload, &kind));
    assert_int_equal(kind, HAUL__PAYLOAD_EMPTY);
    out.payload.length = 1;
    assert_status(haul__payload_inspect(&out.payload, &kind), HAUL_PROTOCOL);
    out.payload.source_case = SHORTHAUL__V1__PAYLOAD__SOURCE_KEY;
    assert_status(haul__payload_inspect(&out.payload, &kind), HAUL_PROTOCOL);
    out.payload.source_case = (Shorthaul__V1__Payload__SourceCase)9;
    assert_status(haul__payload_inspect(&out.payload, &kind), HAUL_PROTOCOL);
}

/* ---- Plans ---- */

static void plans_know_where_payloads_are(void **state)
{
    (void)state;
    haul__plans plans;
    assert_ok(haul__plans_init(&plans, &haul__test__empty_request__descriptor));
    assert_null(plans.root);
    assert_false(plans.recursive);
    haul__plans_fini(&plans);

    assert_ok(haul__plans_init(&plans, &haul__test__exchange_request__descriptor));
    assert_non_null(plans.root);
    assert_true(plans.recursive);
    assert_int_equal(plans.root->n_fields, 5);
    haul__plans_fini(&plans);

    assert_ok(haul__plans_init(&plans, &haul__test__exchange_response__descriptor));
    assert_false(plans.recursive);
    assert_int_equal(plans.root->n_fields, 2);
    haul__plans_fini(&plans);

    assert_ok(haul__plans_init(&plans, &shorthaul__v1__payload__descriptor));
    assert_true(plans.root->is_payload);
    haul__plans_fini(&plans);
}

typedef struct seen {
    const haul_payload *payloads[8];
    size_t n;
    size_t stop_at;
} seen;

static haul_status see(void *ctx, const haul_payload *payload)
{
    seen *s = ctx;
    s->payloads[s->n++] = payload;
    return s->n == s->stop_at ? HAUL_AGAIN : HAUL_OK;
}

/* A message with six payloads: in a field, a nested message, a oneof, a tree and twice in a row. */
typedef struct sample {
    haul_payload_out out[6];
    Haul__Test__Blob blob;
    Haul__Test__Blob *blobs[1];
    Haul__Test__Tree branch;
    Haul__Test__Tree *branches[1];
    Haul__Test__Tree tree;
    haul_payload *row[2];
    Haul__Test__ExchangeRequest request;
} sample;

static void init_sample(sample *s)
{
    for (int i = 0; i < 6; i++) {
        haul_payload_set_inline(&s->out[i], "abcdef", (size_t)i);
    }
    haul__test__blob__init(&s->blob);
    haul__test__tree__init(&s->branch);
    haul__test__tree__init(&s->tree);
    haul__test__exchange_request__init(&s->request);
    s->request.data = &s->out[0].payload;
    s->blob.data = &s->out[1].payload;
    s->blob.name = (char *)"name";
    s->blobs[0] = &s->blob;
    s->request.blobs = s->blobs;
    s->request.n_blobs = 1;
    s->request.choice_case = HAUL__TEST__EXCHANGE_REQUEST__CHOICE_CHOSEN;
    s->request.chosen = &s->out[2].payload;
    s->branch.leaf = &s->out[3].payload;
    s->branches[0] = &s->branch;
    s->tree.branches = s->branches;
    s->tree.n_branches = 1;
    s->request.tree = &s->tree;
    s->row[0] = &s->out[4].payload;
    s->row[1] = &s->out[5].payload;
    s->request.row = s->row;
    s->request.n_row = 2;
}

static void walks_find_all(void **state)
{
    (void)state;
    sample s;
    init_sample(&s);
    haul__plans plans;
    assert_ok(haul__plans_init(&plans, s.request.base.descriptor));
    seen found = {0};
    assert_ok(haul__plan_walk(plans.root, &s.request.base, see, &found));
    assert_int_equal(found.n, 6);
    for (int i = 0; i < 6; i++) {
        assert_ptr_equal(found.payloads[i], &s.out[i].payload);
    }
    seen some = {.stop_at = 4};
    assert_status(haul__plan_walk(plans.root, &s.request.base, see, &some), HAUL_AGAIN);
    assert_int_equal(some.n, 4);
    s.request.choice_case = HAUL__TEST__EXCHANGE_REQUEST__CHOICE_TEXT;
    s.request.text = (char *)"not a payload";
    seen fewer = {0};
    assert_ok(haul__plan_walk(plans.root, &s.request.base, see, &fewer));
    assert_int_equal(fewer.n, 5);
    haul__plans_fini(&plans);
}

static haul_status replace(void *ctx, const haul_payload *original, haul_payload *copy)
{
    (void)ctx;
    assert_ptr_not_equal(original, copy);
    haul__payload_become_inline(copy, (const uint8_t *)"replaced", 8);
    return HAUL_OK;
}

static void rewriting_leaves_the_original_alone(void **state)
{
    (void)state;
    sample s;
    init_sample(&s);
    sample before = s;
    haul__plans plans;
    haul__rewrite rewrite = {0};
    ProtobufCMessage *message;
    assert_ok(haul__plans_init(&plans, s.request.base.descriptor));
    assert_ok(
        haul__rewrite_message(&rewrite, plans.root, &s.request.base, replace, NULL, &message));
    assert_memory_equal(&s, &before, sizeof(s));
    seen found = {0};
    assert_ok(haul__plan_walk(plans.root, message, see, &found));
    assert_int_equal(found.n, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(found.payloads[i]->inline_.len, 8);
        assert_memory_equal(found.payloads[i]->inline_.data, "replaced", 8);
    }
    const Haul__Test__ExchangeRequest *copy = (const Haul__Test__ExchangeRequest *)message;
    assert_string_equal(copy->blobs[0]->name, "name");
    haul__rewrite_fini(&rewrite);
    haul__plans_fini(&plans);
}

/* ---- Nesting ---- */

static size_t nest(unsigned depth, uint8_t *bytes, size_t room)
{
    size_t at = room;
    for (unsigned i = 0; i < depth; i++) {
        size_t len = room - at;
        if (len >= 0x80) {
            bytes[--at] = (uint8_t)(len >> 7);
        }
        bytes[--at] = (uint8_t)((len & 0x7f) | (len >= 0x80 ? 0x80 : 0));
        bytes[--at] = 0x12; /* Tree.branches */
    }
    memmove(bytes, bytes + at, room - at);
    return room - at;
}

static void nesting_has_a_bound(void **state)
{
    (void)state;
    uint8_t bytes[1024] = {0};
    const ProtobufCMessageDescriptor *tree = &haul__test__tree__descriptor;
    size_t len = nest(0, bytes, sizeof(bytes));
    assert_true(haul__nesting_ok(tree, bytes, len));
    len = nest(HAUL__NESTING_MAX - 2, bytes, sizeof(bytes));
    assert_true(haul__nesting_ok(tree, bytes, len));
    /* An empty message at the bottom is not entered, so one more level is within the bound. */
    len = nest(HAUL__NESTING_MAX, bytes, sizeof(bytes));
    assert_true(haul__nesting_ok(tree, bytes, len));
    len = nest(HAUL__NESTING_MAX + 1, bytes, sizeof(bytes));
    assert_false(haul__nesting_ok(tree, bytes, len));
    len = nest(3, bytes, sizeof(bytes));
    assert_false(haul__nesting_ok(tree, bytes, len - 1));
}

static void views_of_many_payloads(void **state)
{
    (void)state;
    enum {
        N = 300
    };
    haul_payload *payloads = calloc(N, sizeof(*payloads));
    haul__views views = {0};
    static const uint8_t bytes[N];
    assert_non_null(payloads);
    for (int i = N - 1; i >= 0; i--) {
        const haul_view view = {.data = bytes, .len = (uint64_t)i};
        assert_ok(haul__views_add(&views, &payloads[i], &view));
    }
    haul__views_seal(&views);
    haul_view found;
    for (int i = 0; i < N; i++) {
        assert_ok(haul__views_find(&views, &payloads[i], &found));
        assert_int_equal(found.len, i);
    }
    assert_status(haul__views_find(&views, payloads + N, &found), HAUL_INVALID);
    assert_false(haul__views_hold_pool_memory(&views));
    haul__views_fini(&views);
    free(payloads);
}

/* ---- Gifts ---- */

/* A peer may give more than its message means. */
static void a_part_of_a_gift(void **state)
{
    (void)state;
    uint8_t bytes[5000];
    haul_key key;
    haul_view view;
    haul_payload_out out;
    haul_pool *pool = test_pool_create("parts");
    haul_buf *buf = test_alloc(pool, sizeof(bytes));
    test_fill(bytes, sizeof(bytes), 3);
    memcpy(haul_buf_data(buf), bytes, sizeof(bytes));
    assert_ok(haul_buf_give(buf, sizeof(bytes), haul_pool_participant(pool), UINT64_MAX, &key));
    key.offset = 4900;
    haul_payload_set_key(&out, &key, 101);
    assert_status(haul__claim_view(pool, &out.payload, &view), HAUL_INVALID);
    haul_payload_set_key(&out, &key, 100);
    assert_ok(haul__claim_view(pool, &out.payload, &view));
    assert_int_equal(view.len, 100);
    assert_memory_equal(view.data, bytes + 4900, 100);
    haul_detach(&view);
    assert_all_free(pool);
    test_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_code),
        cmocka_unit_test(paths_have_names),
        cmocka_unit_test(deadlines_convert),
        cmocka_unit_test(keys_survive_the_wire),
        cmocka_unit_test(payloads_are_inspected),
        cmocka_unit_test(plans_know_where_payloads_are),
        cmocka_unit_test(walks_find_all),
        cmocka_unit_test(rewriting_leaves_the_original_alone),
        cmocka_unit_test(nesting_has_a_bound),
        cmocka_unit_test(views_of_many_payloads),
        cmocka_unit_test(a_part_of_a_gift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
