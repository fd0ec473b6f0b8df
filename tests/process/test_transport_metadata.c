/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Metadata both ways: what the caller sends is what the handler reads, and what the handler adds is
 * what the caller finds, whether the call ends well or not. The handler mirrors what it gets.
 */

#include "transport_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEN 50000

static const uint8_t raw[] = {0, 1, 0xff, 0, '\n'};

typedef struct mirror {
    Haul__Test__TestService_Service base; /* first: what protobuf-c is given */
    haul_server *server;
    haul_channel *channel;
} mirror;

/* Every entry "up-*" of the request comes back twice: as "initial-*" and as "trailing-*". */
static haul_status reflect(haul_call *call, const haul_metadata *md)
{
    char key[64];
    haul_metadata back = {.key = key, .value = md->value, .n_bytes = md->n_bytes};
    (void)snprintf(key, sizeof(key), "initial-%s", md->key + strlen("up-"));
    haul_status status = haul_call_add_metadata(call, HAUL_METADATA_INITIAL, &back);
    (void)snprintf(key, sizeof(key), "trailing-%s", md->key + strlen("up-"));
    return status == HAUL_OK ? haul_call_add_metadata(call, HAUL_METADATA_TRAILING, &back) : status;
}

static void exchange(Haul__Test__TestService_Service *base,
                     const Haul__Test__ExchangeRequest *request,
                     Haul__Test__ExchangeResponse_Closure closure, void *closure_data)
{
    haul_call *call = closure_data;
    haul_metadata md;
    for (size_t i = 0; haul_call_metadata(call, NULL, i, &md) == HAUL_OK; i++) {
        if (strncmp(md.key, "up-", 3) == 0 && reflect(call, &md) != HAUL_OK) {
            closure(NULL, closure_data);
            return;
        }
    }
    if (request->mode == HAUL__TEST__MODE__MODE_FAIL) {
        const haul_metadata details = {
            .key = "grpc-status-details-bin", .value = raw, .n_bytes = sizeof(raw)};
        (void)!haul_call_add_metadata(call, HAUL_METADATA_TRAILING, &details);
        haul_call_fail(call, GRPC_STATUS_ALREADY_EXISTS, "as asked");
        return;
    }
    (void)base;
    Haul__Test__ExchangeResponse response = HAUL__TEST__EXCHANGE_RESPONSE__INIT;
    closure(&response, closure_data);
}

static void empty(Haul__Test__TestService_Service *base, const Haul__Test__EmptyRequest *request,
                  Haul__Test__EmptyResponse_Closure closure, void *closure_data)
{
    (void)base;
    (void)request;
    closure(NULL, closure_data);
}

static void open_mirror(mirror *m, haul_pool *pool, char path[100])
{
    static const Haul__Test__TestService_Service handlers = HAUL__TEST__TEST_SERVICE__INIT();
    char address[128];
    *m = (mirror){.base = handlers};
    m->base.exchange = exchange;
    m->base.empty = empty;
    test_socket_path(path, 100, "mirror");
    (void)snprintf(address, sizeof(address), "unix:%s", path);
    haul_pool *const pools[] = {pool};
    const haul_server_opts so = {
        .struct_size = sizeof(so), .pools = pools, .n_pools = pool != NULL};
    assert_ok(haul_server_create(&so, &m->server, NULL));
    assert_ok(haul_server_add_service(m->server, (ProtobufCService *)m, NULL));
    assert_ok(haul_server_listen(m->server, address, 0600, NULL, NULL));
    assert_ok(haul_server_start(m->server, NULL));
    const haul_channel_opts co = {.struct_size = sizeof(co), .pool = pool};
    assert_ok(haul_channel_open(address, &co, &m->channel, NULL));
}

static void close_mirror(mirror *m)
{
    haul_channel_close(m->channel);
    haul_server_destroy(m->server);
}

static haul_status send(mirror *m, const haul_metadata *metadata, size_t n, haul_payload *data,
                        bool fail, haul_reply **out_reply)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = data;
    request.mode = fail ? HAUL__TEST__MODE__MODE_FAIL : HAUL__TEST__MODE__MODE_SUM;
    const haul_call_opts opts = {
        .struct_size = sizeof(opts), .metadata = metadata, .n_metadata = n};
    return haul_channel_call(m->channel, &haul__test__test_service__descriptor, 1, &request.base,
                             &opts, out_reply);
}

static void assert_value(const haul_reply *reply, haul_metadata_when when, const char *key,
                         size_t index, const void *value, size_t n_bytes)
{
    haul_metadata md;
    assert_ok(haul_reply_metadata(reply, when, key, index, &md));
    assert_string_equal(md.key, key);
    assert_int_equal(md.n_bytes, n_bytes);
    assert_memory_equal(md.value, value, n_bytes);
    assert_int_equal(((const char *)md.value)[n_bytes], '\0');
}

static const haul_metadata sent[] = {
    {.key = "up-word", .value = "one", .n_bytes = 3},
    {.key = "up-raw-bin", .value = raw, .n_bytes = sizeof(raw)},
    {.key = "up-word", .value = "two two", .n_bytes = 7},
    {.key = "up-none", .value = NULL, .n_bytes = 0},
};

static void assert_mirrored(const haul_reply *reply)
{
    haul_metadata md;
    const char *const prefixes[] = {"initial-", "trailing-"};
    for (int when = 0; when < 2; when++) {
        char key[64];
        (void)snprintf(key, sizeof(key), "%sword", prefixes[when]);
        assert_value(reply, when, key, 0, "one", 3);
        assert_value(reply, when, key, 1, "two two", 7);
        assert_status(haul_reply_metadata(reply, when, key, 2, &md), HAUL_NOT_FOUND);
        (void)snprintf(key, sizeof(key), "%sraw-bin", prefixes[when]);
        assert_value(reply, when, key, 0, raw, sizeof(raw));
        (void)snprintf(key, sizeof(key), "%snone", prefixes[when]);
        assert_value(reply, when, key, 0, "", 0);
    }
    assert_status(haul_reply_metadata(reply, HAUL_METADATA_INITIAL, "trailing-word", 0, &md),
                  HAUL_NOT_FOUND);
}

static void both_ways(void **state)
{
    (void)state;
    mirror m;
    char path[100];
    open_mirror(&m, NULL, path);
    for (int fail = 0; fail < 2; fail++) {
        haul_reply *reply;
        assert_ok(send(&m, sent, 4, NULL, fail, &reply));
        assert_int_equal(haul_reply_code(reply),
                         fail ? GRPC_STATUS_ALREADY_EXISTS : GRPC_STATUS_OK);
        assert_mirrored(reply);
        haul_reply_free(reply);
    }
    close_mirror(&m);
}

/* A call with payloads by key: the entries go along with ours, and ours are not shown. */
static void beside_our_own(void **state)
{
    (void)state;
    mirror m;
    char path[100];
    haul_pool *pool = test_pool_create("metadata");
    open_mirror(&m, pool, path);
    haul_payload_out out;
    haul_buf *buf = test_payload(pool, LEN, 1, &out);
    haul_reply *reply;
    assert_ok(send(&m, sent, 4, &out.payload, false, &reply));
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_SHM);
    assert_mirrored(reply);
    haul_metadata md;
    for (int when = 0; when < 2; when++) {
        for (size_t i = 0; haul_reply_metadata(reply, when, NULL, i, &md) == HAUL_OK; i++) {
            assert_int_not_equal(strncmp(md.key, "shorthaul-", 10), 0);
        }
    }
    haul_reply_free(reply);
    haul_buf_release(buf);
    close_mirror(&m);
    assert_all_free(pool);
    test_pool_destroy(pool);
}

/* The details of a status have a place of their own, which is gRPC's. */
static void details_of_a_status(void **state)
{
    (void)state;
    mirror m;
    char path[100];
    open_mirror(&m, NULL, path);
    haul_reply *reply;
    assert_ok(send(&m, NULL, 0, NULL, true, &reply));
    assert_value(reply, HAUL_METADATA_TRAILING, "grpc-status-details-bin", 0, raw, sizeof(raw));
    haul_reply_free(reply);
    close_mirror(&m);
}

/* What would break the connection, or pass for somebody else's, does not leave the process. */
static void what_cannot_be_sent(void **state)
{
    (void)state;
    mirror m;
    char path[100];
    open_mirror(&m, NULL, path);
    const haul_metadata wrong[] = {
        {.key = NULL, .value = "x", .n_bytes = 1},
        {.key = "", .value = "x", .n_bytes = 1},
        {.key = "Upper", .value = "x", .n_bytes = 1},
        {.key = "with space", .value = "x", .n_bytes = 1},
        {.key = ":path", .value = "x", .n_bytes = 1},
        {.key = "shorthaul-accept", .value = "x", .n_bytes = 1},
        {.key = "grpc-timeout", .value = "1S", .n_bytes = 2},
        {.key = "content-type", .value = "x", .n_bytes = 1},
        {.key = "te", .value = "x", .n_bytes = 1},
        {.key = "text", .value = "line\n", .n_bytes = 5},
        {.key = "text", .value = raw, .n_bytes = sizeof(raw)},
        {.key = "text", .value = NULL, .n_bytes = 1},
    };
    haul_reply *reply = NULL;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const haul_metadata two[] = {sent[0], wrong[i]};
        assert_status(send(&m, two, 2, NULL, false, &reply), HAUL_INVALID);
        assert_null(reply);
    }
    close_mirror(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(beside_our_own),
        cmocka_unit_test(details_of_a_status),
        cmocka_unit_test(what_cannot_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
