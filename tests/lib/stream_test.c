/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Servers and channels for tests of streams, one pair per test, and the frames between them. */

#include "stream_test.h"

#include <stdio.h>

static const haul_alloc_opts wait_for_buffer = {
    .struct_size = sizeof(wait_for_buffer), .policy = HAUL_ALLOC_DEFAULT, .wait_ns = -1};

haul_server *stream_server_start(stream_service *service, haul_pool *pool, const char *address,
                                 int *out_port, const stream_pair_opts *opts)
{
    haul_pool *const pools[] = {pool};
    const haul_server_opts so = {.struct_size = sizeof(so),
                                 .pools = pools,
                                 .n_pools = pool != NULL,
                                 .n_stream_threads = opts->n_stream_threads,
                                 .n_streams_waiting = opts->n_streams_waiting,
                                 .stream_window = opts->window,
                                 .key_threshold_bytes = opts->key_threshold_bytes};
    const haul_listen_opts lo = {
        .struct_size = sizeof(lo), .socket_mode = 0600, .credentials = opts->server_credentials};
    haul_server *server;
    haul_error err = {0};
    assert_ok(haul_server_create(&so, &server, &err));
    stream_service_add(service, server);
    assert_ok(haul_server_listen_with(server, address, &lo, out_port, &err));
    assert_ok(haul_server_start(server, &err));
    return server;
}

void stream_pair_open(stream_pair *pair, const stream_pair_opts *opts)
{
    static const stream_pair_opts none = {0};
    char path[100];
    int port = 0;
    opts = opts ? opts : &none;
    *pair = (stream_pair){0};
    pair->server_pool = opts->large       ? test_pool_create_streams("stream")
                        : opts->n_buffers ? test_pool_create_one("stream", 65536, opts->n_buffers)
                                          : test_pool_create("stream");
    assert_ok(haul_pool_open(haul_pool_name(pair->server_pool), NULL, &pair->client_pool, NULL));
    test_socket_path(path, sizeof(path), "stream");
    (void)snprintf(pair->address, sizeof(pair->address), "%s%s",
                   opts->tcp ? "127.0.0.1:0" : "unix:", opts->tcp ? "" : path);
    stream_service_init(&pair->service);
    pair->server =
        stream_server_start(&pair->service, opts->server_without_pool ? NULL : pair->server_pool,
                            pair->address, &port, opts);
    if (opts->tcp) {
        (void)snprintf(pair->address, sizeof(pair->address), "127.0.0.1:%d", port);
    }
    const haul_channel_opts co = {.struct_size = sizeof(co),
                                  .pool = opts->client_without_pool ? NULL : pair->client_pool,
                                  .key_threshold_bytes = opts->key_threshold_bytes,
                                  .credentials = opts->client_credentials};
    assert_ok(haul_channel_open(pair->address, &co, &pair->channel, NULL));
}

void stream_pair_close(stream_pair *pair)
{
    haul_channel_close(pair->channel);
    haul_server_destroy(pair->server);
    stream_service_fini(&pair->service);
    assert_audit_clean(pair->client_pool);
    assert_all_free(pair->client_pool);
    haul_pool_close(pair->client_pool);
    test_pool_destroy(pair->server_pool);
}

/* ---- Frames -------------------------------------------------------------------------------- */

const Haul__Test__Frame *stream_frame(const haul_received *received)
{
    return (const Haul__Test__Frame *)haul_received_message(received);
}

haul_stream *stream_open(stream_pair *pair, unsigned method, const haul_stream_opts *opts)
{
    haul_stream *stream = NULL;
    assert_ok(haul_channel_stream(pair->channel, &haul__test__stream_service__descriptor, method,
                                  opts, &stream));
    return stream;
}

haul_status stream_send(haul_stream *stream, uint64_t number, uint64_t len, uint8_t seed)
{
    haul_payload_out out;
    haul_payload *data[] = {&out.payload};
    haul_buf *buf;
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    haul_status status = haul_stream_alloc(stream, len, &wait_for_buffer, &buf);
    if (status != HAUL_OK) {
        return status;
    }
    test_fill(haul_buf_data(buf), len, seed);
    status = haul_stream_put(stream, buf, len, -1, &out);
    if (status != HAUL_OK) {
        return status;
    }
    frame.number = number;
    frame.data = data;
    frame.n_data = 1;
    return haul_stream_send(stream, &frame.base);
}

haul_status stream_send_plain(haul_stream *stream, Haul__Test__Act what, uint64_t number,
                              const void *bytes, uint64_t len)
{
    haul_payload_out out;
    haul_payload *data[] = {&out.payload};
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    haul_payload_set_inline(&out, bytes, len);
    frame.act = what;
    frame.number = number;
    frame.data = data;
    frame.n_data = 1;
    return haul_stream_send(stream, &frame.base);
}

haul_status stream_act(haul_stream *stream, Haul__Test__Act what, uint64_t count, uint64_t size)
{
    Haul__Test__Frame frame = HAUL__TEST__FRAME__INIT;
    frame.act = what;
    frame.count = count;
    frame.size = size;
    return haul_stream_send(stream, &frame.base);
}

void stream_expect(haul_stream *stream, uint64_t number, uint64_t len, uint8_t seed, haul_path path)
{
    haul_received *received = NULL;
    haul_view view;
    assert_ok(haul_stream_receive(stream, -1, &received));
    const Haul__Test__Frame *frame = stream_frame(received);
    assert_int_equal(frame->number, number);
    assert_int_equal(frame->n_data, 1);
    assert_ok(haul_received_view(received, frame->data[0], &view));
    assert_int_equal(view.len, len);
    assert_true(test_sum(view.data, view.len) == test_payload_sum(len, seed));
    assert_int_equal(haul_received_path(received), path);
    haul_received_free(received);
}

haul_stream *stream_open_chat(stream_pair *pair, const haul_stream_opts *opts)
{
    haul_stream *stream = stream_open(pair, STREAM_CHAT, opts);
    assert_ok(stream_send(stream, 0, 3000, 1));
    stream_expect(stream, 0, 3000, 1, HAUL_PATH_SHM);
    return stream;
}

haul_status stream_drop(haul_stream *stream)
{
    haul_received *received = NULL;
    haul_status status = haul_stream_receive(stream, -1, &received);
    haul_received_free(received);
    return status;
}

void stream_finish(haul_stream *stream, grpc_status_code code)
{
    haul_reply *reply = NULL;
    haul_stream_finish(stream, &reply);
    assert_non_null(reply);
    if (haul_reply_code(reply) != code) {
        fail_msg("the stream ended %d: %s", haul_reply_code(reply), haul_reply_text(reply));
    }
    haul_reply_free(reply);
}
