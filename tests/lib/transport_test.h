/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_TRANSPORT_TEST_H
#define SHORTHAUL_TESTS_TRANSPORT_TEST_H

/*
 * What the tests of the transport share: the test service (transport_test.proto), a server and a
 * channel that use one pool as two participants, and payloads that can be told apart.
 */

#include <pthread.h>

#include <shorthaul/transport.h>
#include <transport_test.pb-c.h>

#include "pool_test.h"

/* ---- The service ---- */

typedef struct test_service {
    Haul__Test__TestService_Service base; /* first: what protobuf-c is given */
    pthread_mutex_t mutex;                /* the following */
    pthread_cond_t changed;
    unsigned n_entered; /* handlers that have been called */
    haul_call *held;    /* by MODE_HOLD and the like */
    ProtobufCClosure held_closure;
    haul_payload_out held_out; /* by MODE_PUT_HOLD */
    bool held_has_out;
    haul_buf *held_buf; /* by MODE_TAKE_HOLD; put when the call is let go */
    uint64_t held_size;
    haul_view held_view; /* the bytes of the request's first payload */
} test_service;

void test_service_init(test_service *service);
void test_service_fini(test_service *service);

/* Wait until a handler holds a call. */
void test_service_wait_held(test_service *service);

/* Answer the call that is held, from this thread. */
void test_service_let_go(test_service *service);

/* Wait until the caller of the call that is held has gone away. */
void test_service_wait_cancelled(test_service *service);

/* Handlers called so far. */
unsigned test_service_entered(test_service *service);

/* What the service answers for some bytes; differs if any byte or the length does. */
uint64_t test_sum(const void *data, uint64_t len);

/* Fill with bytes that depend on @seed. */
void test_fill(void *data, uint64_t len, uint8_t seed);

/* Whether test_fill() with @seed makes these bytes. */
bool test_is_filled(const void *data, uint64_t len, uint8_t seed);

/* ---- Server and channel ---- */

/* Two participants of one pool, a server with the one, a channel with the other. */
typedef struct test_pair {
    haul_pool *server_pool;
    haul_pool *client_pool;
    test_service service;
    haul_server *server;
    haul_channel *channel;
    char address[128];
} test_pair;

typedef struct test_pair_opts {
    bool tcp;
    bool server_without_pool;
    bool client_without_pool;
    bool large; /* a pool for large payloads */
    uint32_t n_threads;
    uint64_t give_ns;
    uint64_t key_threshold_bytes;     /* of the channel, and of a server that has none of its own */
    size_t max_message_bytes;         /* of both */
    const haul_server_opts *server;   /* the rest of the options; NULL = as they are by default */
    const haul_channel_opts *channel; /* the same */
    const haul_credentials *server_credentials;
    const haul_credentials *client_credentials;
} test_pair_opts;

void test_pair_open(test_pair *pair, const test_pair_opts *opts);

/* Stop and close all, with the pool quiet and free at the end. */
void test_pair_close(test_pair *pair);

/* Stop the server, and start another one at the same address. */
void test_pair_restart_server(test_pair *pair, const test_pair_opts *opts);

/* A path for a socket, of this process. */
void test_socket_path(char *out, size_t size, const char *tag);

/* ---- Calls ---- */

/* Exchange one message; fails the test unless haul_channel_call() is HAUL_OK. */
haul_reply *test_exchange(test_pair *pair, const Haul__Test__ExchangeRequest *request,
                          const haul_call_opts *opts);

/* An answer that is OK. */
const Haul__Test__ExchangeResponse *test_response(const haul_reply *reply);

/* A buffer of @pool with @len bytes of @seed, shared, as a payload. */
haul_buf *test_payload(haul_pool *pool, uint64_t len, uint8_t seed, haul_payload_out *out);

/* The sum that test_payload(, @len, @seed,) has. */
uint64_t test_payload_sum(uint64_t len, uint8_t seed);

#endif
