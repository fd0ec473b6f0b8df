/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * One side of a stream is killed in the middle of it; the other gets a status, loses nothing that it
 * had, and after one reap the pool is free and clean. The side that dies is stream_peer, a process
 * of its own.
 */

#include "peer.h"
#include "stream_test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "transport/stream.h"

#define LEN   3000
#define LARGE 60000 /* worth a buffer though it lies in ordinary memory */

typedef struct scene {
    haul_pool *pool;
    char path[100];
    char address[128];
    peer p;
} scene;

static void set_up(scene *s)
{
    *s = (scene){.pool = test_pool_create_one("stream-death", 65536, 32)};
    test_socket_path(s->path, sizeof(s->path), "stream-death");
    (void)snprintf(s->address, sizeof(s->address), "unix:%s", s->path);
    s->p = peer_start(STREAM_PEER);
}

static void tear_down(scene *s)
{
    assert_ok(haul_pool_reap(s->pool, NULL, NULL));
    assert_all_free(s->pool);
    assert_audit_clean(s->pool);
    test_pool_destroy(s->pool);
    (void)unlink(s->path);
}

static haul_stream *open_to_peer(scene *s, haul_channel **out_channel, unsigned method,
                                 uint32_t window)
{
    haul_stream *stream;
    const haul_channel_opts co = {
        .struct_size = sizeof(co), .pool = s->pool, .key_threshold_bytes = LEN};
    const haul_stream_opts so = {.struct_size = sizeof(so), .window = window};
    assert_ok(peer_call(&s->p, "serve %s %s", haul_pool_name(s->pool), s->address));
    assert_ok(haul_channel_open(s->address, &co, out_channel, NULL));
    assert_ok(haul_channel_stream(*out_channel, &haul__test__stream_service__descriptor, method,
                                  &so, &stream));
    return stream;
}

/* What was sent and not claimed is reaped or taken back; what was received stays readable. */
static void the_server_with_frames_on_their_way(void **state)
{
    (void)state;
    scene s;
    haul_channel *channel;
    haul_received *received;
    haul_view view;
    set_up(&s);
    haul_stream *stream = open_to_peer(&s, &channel, STREAM_CHAT, 8);
    assert_ok(stream_send(stream, 0, LEN, 1));
    assert_ok(haul_stream_receive(stream, -1, &received));
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_PAUSE, 0, 0));
    for (unsigned i = 0; i < 5; i++) {
        assert_ok(stream_send(stream, i, LEN, 1));
    }
    assert_true(test_class_info(s.pool, 0).n_given >= 5);
    (void)peer_kill(&s.p);
    assert_status(stream_drop(stream), HAUL_END);
    const Haul__Test__Frame *frame = (const Haul__Test__Frame *)haul_received_message(received);
    assert_ok(haul_received_view(received, frame->data[0], &view));
    assert_true(test_sum(view.data, view.len) == test_payload_sum(LEN, 1));
    haul_received_free(received);
    stream_finish(stream, GRPC_STATUS_UNAVAILABLE);
    haul_channel_close(channel);
    tear_down(&s);
}

/* What the client sends, from the pool or from ordinary memory. */
static haul_status send(haul_stream *stream, unsigned number, bool plain)
{
    static uint8_t bytes[LARGE];
    return plain ? stream_send_plain(stream, HAUL__TEST__ACT__ACT_ECHO, number, bytes, LARGE)
                 : stream_send(stream, number, LEN, 1);
}

/* The window is full and the sender sleeps: the death ends its wait. */
static void wait_for_room_of_the_dead(bool plain)
{
    scene s;
    haul_channel *channel;
    set_up(&s);
    haul_stream *stream = open_to_peer(&s, &channel, STREAM_CHAT, 2);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_PAUSE, 0, 0));
    assert_ok(send(stream, 0, plain));
    assert_ok(send(stream, 1, plain));
    assert_int_equal(test_class_info(s.pool, 0).n_given, 2);
    peer_tell(&s.p, "die");
    haul_status status = HAUL_OK;
    for (unsigned i = 2; status == HAUL_OK; i++) {
        status = send(stream, i, plain);
    }
    assert_status(status, HAUL_END);
    stream_finish(stream, GRPC_STATUS_UNAVAILABLE);
    (void)peer_wait(&s.p);
    haul_channel_close(channel);
    tear_down(&s);
}

static void the_server_while_the_client_waits_for_room(void **state)
{
    (void)state;
    wait_for_room_of_the_dead(false);
    wait_for_room_of_the_dead(true);
}

/* The server is sending when it dies: what has come can be received or is reaped, nothing hangs. */
static void the_server_while_it_sends(void **state)
{
    (void)state;
    scene s;
    haul_channel *channel;
    haul_status status = HAUL_OK;
    set_up(&s);
    haul_stream *stream = open_to_peer(&s, &channel, STREAM_DOWNLOAD, 0);
    assert_ok(stream_act(stream, HAUL__TEST__ACT__ACT_ECHO, 1000000, LEN));
    for (unsigned i = 0; i < 50; i++) {
        stream_expect(stream, i, LEN, (uint8_t)i, HAUL_PATH_SHM);
    }
    (void)peer_kill(&s.p);
    while (status == HAUL_OK) {
        status = stream_drop(stream);
    }
    assert_status(status, HAUL_END);
    stream_finish(stream, GRPC_STATUS_UNAVAILABLE);
    haul_channel_close(channel);
    assert_int_equal(test_class_info(s.pool, 0).n_given, 0); /* sent and never received: refused */
    tear_down(&s);
}

/* The client dies; the server's handler ends, and what was on its way to the client comes back. */
static void the_client_in_the_middle(void **state)
{
    (void)state;
    static const char *const deeds[] = {"download", "upload", "plain"};
    for (size_t i = 0; i < 3; i++) {
        scene s;
        stream_service service;
        set_up(&s);
        stream_service_init(&service);
        haul_server *server = stream_server_start(&service, s.pool, s.address, NULL,
                                                  &(stream_pair_opts){.window = 4});
        assert_ok(peer_call(&s.p, "%s %s %s", deeds[i], haul_pool_name(s.pool), s.address));
        stream_wait_entered(&service, 1); /* a call that is over by then gets no handler */
        (void)peer_kill(&s.p);
        stream_wait_ended(&service, 1);
        haul_server_destroy(server);
        stream_service_fini(&service);
        tear_down(&s);
    }
}

/* Nobody dies: the server is frozen while the client sends it bytes inline. The sender learns that the
 * stream's time is up, though what it was sending is stuck. */
static void a_server_that_is_frozen(void **state)
{
    (void)state;
    enum {
        HUGE = 8000000
    };
    scene s;
    haul_channel *channel;
    haul_stream *stream;
    set_up(&s);
    assert_ok(peer_call(&s.p, "serve %s %s", haul_pool_name(s.pool), s.address));
    const haul_channel_opts co = {.struct_size = sizeof(co)};
    const haul_stream_opts so = {.struct_size = sizeof(so), .timeout_ns = 500000000};
    assert_ok(haul_channel_open(s.address, &co, &channel, NULL));
    assert_ok(haul_channel_stream(channel, &haul__test__stream_service__descriptor, STREAM_CHAT,
                                  &so, &stream));
    void *bytes = calloc(1, HUGE);
    assert_non_null(bytes);
    assert_int_equal(kill(s.p.pid, SIGSTOP), 0);
    haul_status status = HAUL_OK;
    for (unsigned i = 0; i < 100 && status == HAUL_OK; i++) {
        status = stream_send_plain(stream, HAUL__TEST__ACT__ACT_ECHO, i, bytes, HUGE);
    }
    assert_status(status, HAUL_END);
    stream_finish(stream, GRPC_STATUS_DEADLINE_EXCEEDED);
    haul_channel_close(channel);
    assert_int_equal(kill(s.p.pid, SIGCONT), 0);
    (void)peer_kill(&s.p);
    free(bytes);
    tear_down(&s);
}

/*
 * What a sender gave that was killed before it could tell: forged, by a third participant that gives in
 * the stream's name and is not heard of again. Each side refuses it when the stream is over.
 */
static void what_the_dead_had_not_told(void **state)
{
    (void)state;
    for (int at_server = 0; at_server < 2; at_server++) {
        stream_pair pair;
        haul_pool *ghost;
        haul_key key;
        haul_key other;
        stream_pair_open(&pair, &(stream_pair_opts){.n_buffers = 16});
        assert_ok(haul_pool_open(haul_pool_name(pair.client_pool), NULL, &ghost, NULL));
        haul_stream *stream = stream_open(&pair, STREAM_CHAT, NULL);
        assert_ok(stream_send(stream, 0, LEN, 1));
        stream_expect(stream, 0, LEN, 1, HAUL_PATH_SHM);
        uint64_t group = stream->sending.gifts.group;
        assert_true(group != 0);
        uint32_t to = haul_pool_participant(at_server ? pair.server_pool : pair.client_pool);
        assert_ok(haul_buf_give_grouped(test_alloc(ghost, LEN), LEN, to, UINT64_MAX, group, &key));
        assert_ok(
            haul_buf_give_grouped(test_alloc(ghost, LEN), LEN, to, UINT64_MAX, group + 1, &other));
        haul_stream_cancel(stream);
        stream_finish(stream, GRPC_STATUS_CANCELLED);
        haul_server_stop(pair.server, 0);
        assert_ok(haul_pool_wait_claimed(ghost, &key, 0));
        assert_status(haul_pool_wait_claimed(ghost, &other, 0), HAUL_TIMEOUT); /* another's */
        assert_ok(haul_pool_revoke(ghost, &other));
        haul_pool_close(ghost);
        stream_pair_close(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_with_frames_on_their_way),
        cmocka_unit_test(the_server_while_the_client_waits_for_room),
        cmocka_unit_test(the_server_while_it_sends),
        cmocka_unit_test(the_client_in_the_middle),
        cmocka_unit_test(what_the_dead_had_not_told),
        cmocka_unit_test(a_server_that_is_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
