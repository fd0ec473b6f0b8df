/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Starting and visiting peers of stock gRPC. One thread; a peer is a process of its own and ends when
 * this one does, for its input ends then. */

#include "interop.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "transport_raw.h"
#include "transport_test.h"

static const char *way;
static char **command;
static int n_command;

bool interop_has_pool(void)
{
    return strcmp(way, "inline") != 0;
}

bool interop_is_participant(void)
{
    return strcmp(way, "participant") == 0;
}

peer interop_start(const char *role, const char *address, const haul_pool *pool)
{
    char *argv[16] = {NULL};
    int n = 0;
    assert_true(n_command <= 8);
    while (n < n_command) {
        argv[n] = command[n];
        n++;
    }
    argv[n++] = (char *)role;
    argv[n++] = (char *)address;
    if (interop_has_pool()) {
        argv[n++] = (char *)haul_pool_name(pool);
        argv[n++] = (char *)way;
    }
    return peer_start_argv(argv);
}

void interop_begin(interop_visit *v, haul_pool *pool)
{
    char path[100];
    test_socket_path(path, sizeof(path), "interop");
    (void)snprintf(v->address, sizeof(v->address), "unix:%s", path);
    v->pool = pool;
    v->server = interop_start("serve", v->address, v->pool);
    peer_expect(&v->server, "ready");
    const haul_channel_opts opts = {.struct_size = sizeof(opts), .pool = v->pool};
    assert_ok(haul_channel_open(v->address, &opts, &v->channel, NULL));
}

void interop_end(interop_visit *v)
{
    haul_channel_close(v->channel);
    peer_stop(&v->server);
    assert_audit_clean(v->pool);
    assert_all_free(v->pool);
    test_pool_destroy(v->pool);
    (void)unlink(v->address + strlen("unix:"));
}

static void assert_ends(const interop_visit *v, const char *path, const ProtobufCMessage *message,
                        grpc_status_code code, const char *refused)
{
    uint8_t bytes[128];
    raw_answer answer;
    assert_in_range(protobuf_c_message_get_packed_size(message), 1, sizeof(bytes));
    const raw_request request = {.address = v->address,
                                 .path = path,
                                 .bytes = bytes,
                                 .len = protobuf_c_message_pack(message, bytes)};
    raw_call(&request, &answer);
    assert_int_equal(answer.code, code);
    assert_string_equal(answer.refused, refused);
}

void interop_assert_refuses(const interop_visit *v, const char *path,
                            const ProtobufCMessage *message, haul_payload_out *out)
{
    const haul_key forged = {.pool_id = haul_pool_id(v->pool), .ticket = 1, .generation = 1};
    haul_payload_set_key(out, &forged, 100);
    assert_ends(v, path, message, GRPC_STATUS_FAILED_PRECONDITION, "key");
    haul_payload_set_inline(out, "bytes", 5);
    out->payload.length = 6;
    assert_ends(v, path, message, GRPC_STATUS_INVALID_ARGUMENT, "");
}

int interop_run(int argc, char **argv, const struct CMUnitTest *tests, size_t n_tests)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: %s inline|reader|participant COMMAND...\n", argv[0]);
        return 2;
    }
    way = argv[1];
    command = &argv[2];
    n_command = argc - 2;
    return _cmocka_run_group_tests(way, tests, n_tests, NULL, NULL);
}
