/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * transport_peer: the other process of test_transport_death, made to be killed.
 *
 *   serve POOL ADDRESS       serves the test service; says "ready", and "held" when a handler holds
 *                            a call
 *   call POOL ADDRESS MODE   sends a payload by key, says "called", makes one call
 *   direct POOL ADDRESS MODE the same, after some calls that make it go on a data connection
 *   lend POOL ADDRESS MODE   the same, and lends room for the answer
 *   lend-own POOL ADDRESS MODE   the same with a buffer of its own
 *   half POOL ADDRESS        sends half of a payload over a data connection and says "half"
 *   fill POOL                takes a buffer, writes into it and says "filling"
 *
 * Each then waits for the end of its standard input, so that none outlives the test.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data_scene.h"

#define LEN      50000
#define HALF_LEN 12000000
#define N_WARM   20

static void say(const char *word)
{
    (void)dprintf(STDOUT_FILENO, "%s\n", word);
}

static void *report_held(void *service)
{
    test_service_wait_held(service);
    say("held");
    return NULL;
}

static int wait_for_end(void)
{
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return EXIT_SUCCESS;
}

static int serve(haul_pool *pool, const char *address)
{
    static test_service service;
    test_service_init(&service);
    haul_pool *const pools[] = {pool};
    const haul_server_opts opts = {.struct_size = sizeof(opts), .pools = pools, .n_pools = 1};
    haul_server *server;
    pthread_t reporter;
    if (haul_server_create(&opts, &server, NULL) != HAUL_OK ||
        haul_server_add_service(server, (ProtobufCService *)&service.base, NULL) != HAUL_OK ||
        haul_server_listen(server, address, 0600, NULL, NULL) != HAUL_OK ||
        haul_server_start(server, NULL) != HAUL_OK ||
        pthread_create(&reporter, NULL, report_held, &service) != 0) {
        return EXIT_FAILURE;
    }
    say("ready");
    return wait_for_end();
}

static bool warm_up(haul_channel *channel)
{
    bool ok = true;
    for (int i = 0; i < N_WARM && ok; i++) {
        const Haul__Test__EmptyRequest request = HAUL__TEST__EMPTY_REQUEST__INIT;
        haul_reply *reply = NULL;
        ok = haul_channel_call(channel, &haul__test__test_service__descriptor, 0, &request.base,
                               NULL, &reply) == HAUL_OK &&
             haul_reply_code(reply) == GRPC_STATUS_OK;
        haul_reply_free(reply);
    }
    return ok;
}

static int call(haul_pool *pool, const char *address, const char *mode, bool direct,
                uint64_t lend_bytes, haul_buf **lend_buf)
{
    const haul_channel_opts opts = {.struct_size = sizeof(opts), .pool = pool};
    haul_channel *channel;
    haul_payload_out out;
    haul_buf *buf;
    if (haul_channel_open(address, &opts, &channel, NULL) != HAUL_OK ||
        haul_buf_alloc(pool, LEN, NULL, &buf) != HAUL_OK || (direct && !warm_up(channel))) {
        return EXIT_FAILURE;
    }
    test_fill(haul_buf_data(buf), LEN, 1);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = (Haul__Test__Mode)strtol(mode, NULL, 10);
    request.size = LEN;
    const haul_call_opts co = {
        .struct_size = sizeof(co), .lend_bytes = lend_bytes, .lend_buf = lend_buf};
    haul_reply *reply;
    if (haul_payload_set_buf(&out, buf, LEN) != HAUL_OK) {
        return EXIT_FAILURE;
    }
    request.data = &out.payload;
    say("called");
    if (haul_channel_call(channel, &haul__test__test_service__descriptor, 1, &request.base, &co,
                          &reply) != HAUL_OK) {
        return EXIT_FAILURE;
    }
    say("answered");
    return wait_for_end();
}

static int send_half(const char *address)
{
    haul_channel *channel;
    data_server server;
    uint8_t head[8];
    static uint8_t half[HALF_LEN / 2];
    if (haul_channel_open(address, NULL, &channel, NULL) != HAUL_OK) {
        return EXIT_FAILURE;
    }
    data_ask(channel, &server);
    int fd = data_connect(&server);
    haul__data_put_u64(head, HALF_LEN);
    data_write(fd, head, sizeof(head));
    data_write(fd, half, sizeof(half));
    say("half");
    return wait_for_end();
}

static int fill(haul_pool *pool)
{
    haul_buf *buf;
    if (haul_buf_alloc(pool, LEN, NULL, &buf) != HAUL_OK) {
        return EXIT_FAILURE;
    }
    test_fill(haul_buf_data(buf), LEN / 2, 1);
    say("filling");
    return wait_for_end();
}

int main(int argc, char **argv)
{
    haul_pool *pool;
    if (argc < 3 || haul_pool_open(argv[2], NULL, &pool, NULL) != HAUL_OK) {
        return EXIT_FAILURE;
    }
    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        return serve(pool, argv[3]);
    }
    if (argc == 4 && strcmp(argv[1], "half") == 0) {
        return send_half(argv[3]);
    }
    if (argc == 5 && strcmp(argv[1], "call") == 0) {
        return call(pool, argv[3], argv[4], false, 0, NULL);
    }
    if (argc == 5 && strcmp(argv[1], "direct") == 0) {
        return call(pool, argv[3], argv[4], true, 0, NULL);
    }
    if (argc == 5 && strcmp(argv[1], "lend") == 0) {
        return call(pool, argv[3], argv[4], false, LEN, NULL);
    }
    if (argc == 5 && strcmp(argv[1], "lend-own") == 0) {
        haul_buf *own = NULL;
        return haul_buf_alloc(pool, LEN, NULL, &own) == HAUL_OK
                   ? call(pool, argv[3], argv[4], false, 0, &own)
                   : EXIT_FAILURE;
    }
    return strcmp(argv[1], "fill") == 0 ? fill(pool) : EXIT_FAILURE;
}
