/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Both ends of data connections. The server is one of the library's that offers none, with a DataService
 * of the test's beside the test service; its thread sees to one client, and ends with the scene. */

#include "data_scene.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACE_MS 50
#define LOOK_NS UINT64_C(30000000000) /* nobody here waits for so long */

/* ---- A client ---- */

void data_ask(haul_channel *channel, data_server *out_server)
{
    const Shorthaul__V1__OpenDataRequest request = SHORTHAUL__V1__OPEN_DATA_REQUEST__INIT;
    haul_reply *reply;
    assert_ok(haul_channel_call(channel, &shorthaul__v1__data_service__descriptor, 0, &request.base,
                                NULL, &reply));
    assert_int_equal(haul_reply_code(reply), GRPC_STATUS_OK);
    const Shorthaul__V1__OpenDataResponse *told = (const void *)haul_reply_message(reply);
    assert_int_equal(told->client_token.len, HAUL__DATA_TOKEN_BYTES);
    assert_int_equal(told->server_token.len, HAUL__DATA_TOKEN_BYTES);
    out_server->name = told->name;
    memcpy(out_server->client_token, told->client_token.data, HAUL__DATA_TOKEN_BYTES);
    memcpy(out_server->server_token, told->server_token.data, HAUL__DATA_TOKEN_BYTES);
    out_server->letters = told->letters_token.len > 0;
    if (out_server->letters) {
        assert_int_equal(told->letters_token.len, HAUL__DATA_TOKEN_BYTES);
        memcpy(out_server->letters_token, told->letters_token.data, HAUL__DATA_TOKEN_BYTES);
    }
    haul_reply_free(reply);
}

static bool never(void *ctx, bool moved)
{
    (void)ctx;
    return moved;
}

void data_write(int fd, const void *data, size_t n)
{
    assert_true(haul__data_send(fd, data, n, never, NULL));
}

void data_read(int fd, void *data, size_t n)
{
    assert_true(haul__data_receive(fd, data, n, never, NULL));
}

static int connect_with(const data_server *server, const uint8_t client_token[])
{
    uint8_t token[HAUL__DATA_TOKEN_BYTES];
    haul__data_hello hello;
    int fd = haul__data_connect(server->name, LOOK_NS);
    assert_true(fd >= 0);
    memcpy(hello.magic, HAUL__DATA_MAGIC, sizeof(hello.magic));
    memcpy(hello.token, client_token, sizeof(hello.token));
    data_write(fd, &hello, sizeof(hello));
    data_read(fd, token, sizeof(token));
    assert_memory_equal(token, server->server_token, sizeof(token));
    return fd;
}

int data_connect(const data_server *server)
{
    return connect_with(server, server->client_token);
}

int data_connect_letters(const data_server *server)
{
    assert_true(server->letters);
    return connect_with(server, server->letters_token);
}

uint64_t data_put(int fd, size_t len, uint8_t seed)
{
    uint8_t number[8];
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    test_fill(bytes, len, seed);
    haul__data_put_u64(number, len);
    data_write(fd, number, sizeof(number));
    data_write(fd, bytes, len);
    free(bytes);
    data_read(fd, number, sizeof(number));
    assert_true(haul__data_get_u64(number) != 0);
    return haul__data_get_u64(number);
}

void data_assert_closed(int fd)
{
    uint8_t byte;
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    assert_int_equal(close(fd), 0);
}

/* ---- A server ---- */

static void handle_open_data(Shorthaul__V1__DataService_Service *service,
                             const Shorthaul__V1__OpenDataRequest *request,
                             Shorthaul__V1__OpenDataResponse_Closure closure, void *closure_data)
{
    (void)request;
    data_scene *scene = (data_scene *)service;
    (void)pthread_mutex_lock(&scene->mutex);
    scene->n_asked++;
    (void)pthread_mutex_unlock(&scene->mutex);
    Shorthaul__V1__OpenDataResponse response = SHORTHAUL__V1__OPEN_DATA_RESPONSE__INIT;
    response.name = scene->told.name;
    response.client_token = (ProtobufCBinaryData){HAUL__DATA_TOKEN_BYTES, scene->told.client_token};
    response.server_token = (ProtobufCBinaryData){HAUL__DATA_TOKEN_BYTES, scene->told.server_token};
    closure(&response, closure_data);
}

static void greet(data_scene *scene)
{
    haul__data_hello hello;
    data_read(scene->conn, &hello, sizeof(hello));
    assert_memory_equal(hello.token, scene->told.client_token, sizeof(hello.token));
    uint8_t token[HAUL__DATA_TOKEN_BYTES];
    memcpy(token, scene->told.server_token, sizeof(token));
    token[sizeof(token) - 1] ^= scene->manner == DATA_IMPOSTOR;
    data_write(scene->conn, token, sizeof(token));
    (void)pthread_mutex_lock(&scene->mutex);
    scene->greeted = true;
    (void)pthread_cond_broadcast(&scene->changed);
    (void)pthread_mutex_unlock(&scene->mutex);
}

/* Slow enough to take seconds, and not so slow as to be given up. */
static void read_slowly(data_scene *scene)
{
    static uint8_t bytes[65536];
    ssize_t n;
    while ((n = recv(scene->conn, bytes, sizeof(bytes), 0)) > 0) {
        scene->n_read += (size_t)n;
        (void)poll(NULL, 0, PACE_MS);
    }
}

static void *be_server(void *arg)
{
    data_scene *scene = arg;
    uint8_t number[8];
    scene->conn = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC);
    if (scene->conn < 0 || scene->manner == DATA_MUTE) {
        return NULL;
    }
    greet(scene);
    if (scene->manner == DATA_DEAF) {
        return NULL;
    }
    if (scene->manner == DATA_SLOW) {
        read_slowly(scene);
        return NULL;
    }
    if (scene->manner == DATA_IMPOSTOR) { /* who must get nothing to see */
        assert_int_equal(recv(scene->conn, number, sizeof(number), 0), 0);
        return NULL;
    }
    data_read(scene->conn, number, sizeof(number));
    size_t len = (size_t)haul__data_get_u64(number);
    size_t n = scene->manner == DATA_RUDE ? len / 2 : len;
    uint8_t *bytes = malloc(n);
    assert_non_null(bytes);
    data_read(scene->conn, bytes, n);
    free(bytes);
    if (scene->manner == DATA_RUDE) {
        (void)shutdown(scene->conn, SHUT_RDWR);
        return NULL;
    }
    haul__data_put_u64(number, scene->manner == DATA_LIAR ? 0 : 12345);
    data_write(scene->conn, number, sizeof(number));
    return NULL;
}

static void open_server(data_scene *scene)
{
    const haul_server_opts so = {.struct_size = sizeof(so), .no_data_connections = true};
    static const Shorthaul__V1__DataService_Service handlers =
        SHORTHAUL__V1__DATA_SERVICE__INIT(handle_);
    char path[100];
    scene->base = handlers;
    test_service_init(&scene->service);
    test_socket_path(path, sizeof(path), "data-scene");
    (void)snprintf(scene->address, sizeof(scene->address), "unix:%s", path);
    assert_ok(haul_server_create(&so, &scene->server, NULL));
    assert_ok(haul_server_add_service(scene->server, (ProtobufCService *)&scene->service, NULL));
    assert_ok(haul_server_add_service(scene->server, (ProtobufCService *)&scene->base, NULL));
    assert_ok(haul_server_listen(scene->server, scene->address, 0600, NULL, NULL));
    assert_ok(haul_server_start(scene->server, NULL));
    assert_ok(haul_channel_open(scene->address, NULL, &scene->channel, NULL));
}

void data_scene_open_elsewhere(data_scene *scene, const data_server *told)
{
    *scene = (data_scene){.manner = DATA_NOBODY,
                          .told = *told,
                          .conn = -1,
                          .mutex = PTHREAD_MUTEX_INITIALIZER,
                          .changed = PTHREAD_COND_INITIALIZER};
    open_server(scene);
}

void data_scene_open(data_scene *scene, data_manner manner)
{
    data_server told;
    assert_int_equal(getrandom(&told, sizeof(told), 0), sizeof(told));
    data_scene_open_elsewhere(scene, &told);
    scene->manner = manner;
    if (manner != DATA_NOBODY) {
        scene->listener = haul__data_listen(told.name);
        assert_true(scene->listener >= 0);
        assert_int_equal(pthread_create(&scene->thread, NULL, be_server, scene), 0);
    }
}

void data_scene_close_channel(data_scene *scene)
{
    haul_channel_close(scene->channel);
    scene->channel = NULL;
}

void data_scene_close(data_scene *scene)
{
    haul_channel_close(scene->channel);
    haul_server_destroy(scene->server);
    if (scene->manner != DATA_NOBODY) {
        (void)shutdown(scene->listener, SHUT_RDWR);
        (void)data_scene_wait_hung_up(scene);
        (void)close(scene->listener);
    }
    if (scene->conn >= 0) {
        (void)close(scene->conn);
    }
    test_service_fini(&scene->service);
    (void)pthread_mutex_destroy(&scene->mutex);
    (void)pthread_cond_destroy(&scene->changed);
}

haul_reply *data_scene_call(const data_scene *scene, size_t len, const haul_call_opts *opts)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_payload_out out;
    haul_reply *reply;
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    test_fill(bytes, len, 1);
    haul_payload_set_inline(&out, bytes, len);
    request.data = &out.payload;
    assert_ok(haul_channel_call(scene->channel, &haul__test__test_service__descriptor, 1,
                                &request.base, opts, &reply));
    free(bytes);
    return reply;
}

void data_scene_wait_greeted(data_scene *scene)
{
    (void)pthread_mutex_lock(&scene->mutex);
    while (!scene->greeted) {
        (void)pthread_cond_wait(&scene->changed, &scene->mutex);
    }
    (void)pthread_mutex_unlock(&scene->mutex);
}

size_t data_scene_wait_hung_up(data_scene *scene)
{
    if (!scene->joined) {
        assert_int_equal(pthread_join(scene->thread, NULL), 0);
        scene->joined = true;
    }
    return scene->n_read;
}

unsigned data_scene_asked(data_scene *scene)
{
    (void)pthread_mutex_lock(&scene->mutex);
    unsigned n = scene->n_asked;
    (void)pthread_mutex_unlock(&scene->mutex);
    return n;
}
