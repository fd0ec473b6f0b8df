/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Calls between a server and a channel that have joined one pool as two participants: each path a
 * payload can take, over each kind of address. Every test ends with a clean audit and a free pool.
 */

#include "transport_test.h"

#include <string.h>

#define LEN 50000

static void echo(const test_pair_opts *opts, bool inline_only, haul_path expected)
{
    test_pair pair;
    test_pair_open(&pair, opts);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_ECHO;
    request.data = &out.payload;
    const haul_call_opts co = {.struct_size = sizeof(co), .inline_only = inline_only};
    for (int i = 0; i < 3; i++) {
        haul_reply *reply = test_exchange(&pair, &request, &co);
        const Haul__Test__ExchangeResponse *response = test_response(reply);
        assert_int_equal(response->n_sums, 1);
        assert_true(response->sums[0] == test_payload_sum(LEN, 1));
        assert_int_equal(haul_reply_request_path(reply), expected);
        assert_int_equal(haul_reply_path(reply), HAUL_PATH_INLINE);
        assert_false(haul_reply_was_resent(reply));
        assert_int_equal(haul_reply_request_bytes(reply), response->request_bytes);
        if (expected == HAUL_PATH_SHM) {
            assert_in_range(haul_reply_request_bytes(reply), 1, 100);
        } else {
            assert_in_range(haul_reply_request_bytes(reply), LEN, LEN + 100);
        }
        haul_view view;
        assert_ok(haul_reply_view(reply, response->data, &view));
        assert_int_equal(view.len, LEN);
        assert_true(test_sum(view.data, view.len) == test_payload_sum(LEN, 1));
        haul_reply_free(reply);
    }
    assert_ptr_equal(request.data, &out.payload);
    assert_int_equal(out.payload.source_case, SHORTHAUL__V1__PAYLOAD__SOURCE_KEY);
    haul_buf_release(buf);
    test_pair_close(&pair);
}

static void by_key_over_unix(void **state)
{
    (void)state;
    echo(NULL, false, HAUL_PATH_SHM);
}

static void by_key_over_tcp(void **state)
{
    (void)state;
    const test_pair_opts opts = {.tcp = true};
    echo(&opts, false, HAUL_PATH_SHM);
}

static void inline_over_unix(void **state)
{
    (void)state;
    echo(NULL, true, HAUL_PATH_INLINE);
}

static void inline_over_tcp(void **state)
{
    (void)state;
    const test_pair_opts opts = {.tcp = true};
    echo(&opts, true, HAUL_PATH_INLINE);
}

static void inline_to_a_server_without_the_pool(void **state)
{
    (void)state;
    const test_pair_opts opts = {.server_without_pool = true};
    echo(&opts, false, HAUL_PATH_INLINE);
}

static void inline_below_the_threshold(void **state)
{
    (void)state;
    const test_pair_opts opts = {.key_threshold_bytes = LEN + 1};
    echo(&opts, false, HAUL_PATH_INLINE);
}

static void users_own_bytes(void **state)
{
    (void)state;
    const test_pair_opts opts = {.client_without_pool = true};
    test_pair pair;
    test_pair_open(&pair, &opts);
    uint8_t bytes[1000];
    test_fill(bytes, sizeof(bytes), 3);
    haul_payload_out out;
    haul_payload_set_inline(&out, bytes, sizeof(bytes));
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    haul_reply *reply = test_exchange(&pair, &request, NULL);
    assert_true(test_response(reply)->sums[0] == test_sum(bytes, sizeof(bytes)));
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_INLINE);
    assert_int_equal(haul_reply_path(reply), HAUL_PATH_NONE);
    haul_reply_free(reply);
    test_pair_close(&pair);
}

/* A payload in every place the message has for one, large and small, keys and bytes. */
static void payloads_everywhere(void **state)
{
    (void)state;
    const test_pair_opts opts = {.key_threshold_bytes = 4000};
    test_pair pair;
    test_pair_open(&pair, &opts);
    haul_payload_out out[6];
    haul_buf *bufs[5];
    const uint64_t lens[5] = {LEN, 100, 4000, 30000, 200};
    for (int i = 0; i < 5; i++) {
        bufs[i] = test_payload(pair.client_pool, lens[i], (uint8_t)i, &out[i]);
    }
    haul_payload_set_inline(&out[5], "bytes", 5);
    Haul__Test__Blob blob = HAUL__TEST__BLOB__INIT;
    blob.data = &out[1].payload;
    Haul__Test__Blob nothing = HAUL__TEST__BLOB__INIT;
    Haul__Test__Blob *blobs[] = {&nothing, &blob};
    Haul__Test__Tree branch = HAUL__TEST__TREE__INIT;
    branch.leaf = &out[3].payload;
    Haul__Test__Tree *branches[] = {&branch};
    Haul__Test__Tree tree = HAUL__TEST__TREE__INIT;
    tree.n_branches = 1;
    tree.branches = branches;
    haul_payload *row[] = {&out[4].payload, &out[5].payload};
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out[0].payload;
    request.n_blobs = 2;
    request.blobs = blobs;
    request.choice_case = HAUL__TEST__EXCHANGE_REQUEST__CHOICE_CHOSEN;
    request.chosen = &out[2].payload;
    request.tree = &tree;
    request.n_row = 2;
    request.row = row;
    for (int inline_only = 0; inline_only < 2; inline_only++) {
        const haul_call_opts co = {.struct_size = sizeof(co), .inline_only = inline_only != 0};
        haul_reply *reply = test_exchange(&pair, &request, &co);
        const Haul__Test__ExchangeResponse *response = test_response(reply);
        assert_int_equal(response->n_sums, 6);
        for (int i = 0; i < 5; i++) {
            assert_true(response->sums[i] == test_payload_sum(lens[i], (uint8_t)i));
        }
        assert_true(response->sums[5] == test_sum("bytes", 5));
        assert_int_equal(haul_reply_request_path(reply),
                         inline_only ? HAUL_PATH_INLINE : HAUL_PATH_MIXED);
        haul_reply_free(reply);
    }
    for (int i = 0; i < 5; i++) {
        haul_buf_release(bufs[i]);
    }
    test_pair_close(&pair);
}

static void put(const test_pair_opts *opts, bool inline_only, haul_path expected)
{
    test_pair pair;
    test_pair_open(&pair, opts);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_PUT_TWO;
    request.size = LEN;
    const haul_call_opts co = {.struct_size = sizeof(co), .inline_only = inline_only};
    for (int i = 0; i < 3; i++) {
        haul_reply *reply = test_exchange(&pair, &request, &co);
        const Haul__Test__ExchangeResponse *response = test_response(reply);
        haul_view view;
        assert_ok(haul_reply_view(reply, response->data, &view));
        assert_true(test_sum(view.data, view.len) == test_payload_sum(LEN, 7));
        assert_ok(haul_reply_view(reply, response->more, &view));
        assert_true(test_sum(view.data, view.len) == test_payload_sum(LEN, 8));
        assert_int_equal(haul_reply_path(reply), expected);
        assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_NONE);
        haul_reply_free(reply);
        if (expected == HAUL_PATH_SHM) { /* nobody but the caller had them */
            assert_int_equal(test_free_count(pair.client_pool, 1), 2);
        }
    }
    test_pair_close(&pair);
}

static void answers_by_key(void **state)
{
    (void)state;
    put(NULL, false, HAUL_PATH_SHM);
}

static void answers_inline_if_asked_to(void **state)
{
    (void)state;
    put(NULL, true, HAUL_PATH_INLINE);
}

static void answers_inline_to_a_client_without_the_pool(void **state)
{
    (void)state;
    const test_pair_opts opts = {.client_without_pool = true};
    put(&opts, false, HAUL_PATH_INLINE);
}

static void a_payload_that_is_not_of_this_call(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    const Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_reply *reply = test_exchange(&pair, &request, NULL);
    haul_payload stray = SHORTHAUL__V1__PAYLOAD__INIT;
    haul_view view;
    assert_status(haul_reply_view(reply, &stray, &view), HAUL_INVALID);
    haul_reply_free(reply);
    test_pair_close(&pair);
}

/* Ends of calls that are not an answer. */
static void ends(void **state)
{
    (void)state;
    static const struct {
        Haul__Test__Mode mode;
        grpc_status_code code;
        const char *text;
    } cases[] = {
        {HAUL__TEST__MODE__MODE_FAIL, GRPC_STATUS_FAILED_PRECONDITION, "as asked"},
        {HAUL__TEST__MODE__MODE_PUT_FAIL, GRPC_STATUS_FAILED_PRECONDITION, "as asked"},
        {HAUL__TEST__MODE__MODE_NOTHING, GRPC_STATUS_INTERNAL,
         "the handler's response is not valid"},
        {HAUL__TEST__MODE__MODE_FORGE, GRPC_STATUS_INTERNAL, "the handler's response is not valid"},
        {HAUL__TEST__MODE__MODE_LATER, GRPC_STATUS_OK, ""},
        {HAUL__TEST__MODE__MODE_PUT_DROP, GRPC_STATUS_OK, ""},
    };
    test_pair pair;
    test_pair_open(&pair, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        request.mode = cases[i].mode;
        request.size = LEN;
        haul_reply *reply = test_exchange(&pair, &request, NULL);
        assert_string_equal(haul_reply_text(reply), cases[i].text);
        assert_int_equal(haul_reply_code(reply), cases[i].code);
        assert_true((haul_reply_message(reply) != NULL) == (cases[i].code == GRPC_STATUS_OK));
        assert_int_equal(haul_reply_path(reply), HAUL_PATH_NONE);
        haul_reply_free(reply);
    }
    test_pair_close(&pair);
}

static void misuse(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    haul_reply *reply = NULL;
    const Haul__Test__EmptyRequest other_type = HAUL__TEST__EMPTY_REQUEST__INIT;
    const ProtobufCServiceDescriptor *service = &haul__test__test_service__descriptor;
    assert_status(haul_channel_call(pair.channel, service, 1, &other_type.base, NULL, &reply),
                  HAUL_INVALID);
    assert_status(haul_channel_call(pair.channel, service, 2, &other_type.base, NULL, &reply),
                  HAUL_INVALID);
    assert_status(haul_channel_call(pair.channel, service, 0, NULL, NULL, &reply), HAUL_INVALID);
    haul_payload_out out;
    const haul_key foreign = {.pool_id = haul_pool_id(pair.client_pool) + 1};
    haul_payload_set_key(&out, &foreign, 10);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    assert_status(haul_channel_call(pair.channel, service, 1, &request.base, NULL, &reply),
                  HAUL_INVALID);
    haul_payload_set_inline(&out, "bytes", 5);
    out.payload.length = 6;
    assert_status(haul_channel_call(pair.channel, service, 1, &request.base, NULL, &reply),
                  HAUL_INVALID);
    assert_null(reply);
    test_pair_close(&pair);
}

/* The channel as a service, for generated stubs. */
typedef struct seen {
    unsigned n;
    uint64_t sum;
    bool is_inline;
} seen;

static void see(const Haul__Test__ExchangeResponse *response, void *closure_data)
{
    seen *s = closure_data;
    s->n++;
    if (response) {
        s->is_inline = response->data->source_case == SHORTHAUL__V1__PAYLOAD__SOURCE_INLINE;
        s->sum = test_sum(response->data->inline_.data, response->data->inline_.len);
    }
}

static void through_a_stub(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    ProtobufCService *stub;
    assert_ok(haul_channel_service(pair.channel, &haul__test__test_service__descriptor, &stub));
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_PUT;
    request.size = LEN;
    seen s = {0};
    haul__test__test_service__exchange(stub, &request, see, &s);
    assert_int_equal(s.n, 1);
    assert_true(s.is_inline);
    assert_true(s.sum == test_payload_sum(LEN, 7));
    request.mode = HAUL__TEST__MODE__MODE_FAIL;
    haul__test__test_service__exchange(stub, &request, see, &s);
    assert_int_equal(s.n, 2);
    protobuf_c_service_destroy(stub);
    test_pair_close(&pair);
}

/* gRPC counts deadlines in milliseconds; a call that has none of its left must not be made. */
static void a_deadline_that_has_passed(void **state)
{
    (void)state;
    for (int no_trunk = 0; no_trunk < 2; no_trunk++) {
        const haul_channel_opts channel = {.struct_size = sizeof(channel), .no_trunk = no_trunk};
        const test_pair_opts opts = {.channel = &channel};
        test_pair pair;
        test_pair_open(&pair, &opts);
        const Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
        haul_reply_free(test_exchange(&pair, &request, NULL)); /* there is a connection */
        for (int i = 0; i < 50; i++) {
            const haul_call_opts call = {.struct_size = sizeof(call), .timeout_ns = 1};
            haul_reply *reply = test_exchange(&pair, &request, &call);
            assert_int_equal(haul_reply_code(reply), GRPC_STATUS_DEADLINE_EXCEEDED);
            haul_reply_free(reply);
        }
        test_pair_close(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_that_has_passed),
        cmocka_unit_test(by_key_over_unix),
        cmocka_unit_test(by_key_over_tcp),
        cmocka_unit_test(inline_over_unix),
        cmocka_unit_test(inline_over_tcp),
        cmocka_unit_test(inline_to_a_server_without_the_pool),
        cmocka_unit_test(inline_below_the_threshold),
        cmocka_unit_test(users_own_bytes),
        cmocka_unit_test(payloads_everywhere),
        cmocka_unit_test(answers_by_key),
        cmocka_unit_test(answers_inline_if_asked_to),
        cmocka_unit_test(answers_inline_to_a_client_without_the_pool),
        cmocka_unit_test(a_payload_that_is_not_of_this_call),
        cmocka_unit_test(ends),
        cmocka_unit_test(misuse),
        cmocka_unit_test(through_a_stub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
