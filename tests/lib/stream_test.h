/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_STREAM_TEST_H
#define SHORTHAUL_TESTS_STREAM_TEST_H

/* A server whose methods stream (stream_test.proto), and frames for it. */

#include <shorthaul/stream.h>
#include <stream_test.pb-c.h>

#include "transport_test.h"

enum {
    STREAM_UPLOAD,
    STREAM_DOWNLOAD,
    STREAM_CHAT,
    STREAM_ONCE
};

/* What the handlers and a test tell each other. */
typedef struct stream_service {
    Haul__Test__StreamService_Service base; /* of the method that does not stream */
    pthread_mutex_t mutex;                  /* the following */
    pthread_cond_t changed;
    unsigned n_entered;
    unsigned n_ended;       /* handlers that have returned */
    unsigned n_paused;      /* at ACT_PAUSE so far */
    unsigned n_resumed;     /* that may go on */
    haul_status last;       /* of the last thing that a handler did before it returned */
    haul_security security; /* of the last handler's caller */
    char caller[32];        /* its common name; "" if it has none */
} stream_service;

/* Two participants of one pool: a server with the one, a channel with the other. */
typedef struct stream_pair {
    haul_pool *server_pool;
    haul_pool *client_pool;
    stream_service service;
    haul_server *server;
    haul_channel *channel;
    char address[128];
} stream_pair;

typedef struct stream_pair_opts {
    bool tcp;
    bool server_without_pool;
    bool client_without_pool;
    bool large;         /* test_pool_create_streams() */
    uint32_t n_buffers; /* of 64 KiB, the only ones; 0 = test_pool_create() */
    uint32_t n_stream_threads;
    uint32_t n_streams_waiting;
    uint32_t window;              /* of the server */
    uint64_t key_threshold_bytes; /* of both */
    const haul_credentials *server_credentials;
    const haul_credentials *client_credentials;
} stream_pair_opts;

void stream_pair_open(stream_pair *pair, const stream_pair_opts *opts);

/* Stop and close all, with the pool quiet and free at the end. */
void stream_pair_close(stream_pair *pair);

/* A server with the stream service at @address. @out_port: of a TCP address; may be NULL. */
haul_server *stream_server_start(stream_service *service, haul_pool *pool, const char *address,
                                 int *out_port, const stream_pair_opts *opts);

void stream_service_init(stream_service *service);
void stream_service_fini(stream_service *service);

/* Have @server serve it. Before start. */
void stream_service_add(stream_service *service, haul_server *server);

/* Wait until @n handlers have been called; until one has paused for the @n-th time; until @n have returned. */
void stream_wait_entered(stream_service *service, unsigned n);
void stream_wait_paused(stream_service *service, unsigned n);
void stream_wait_ended(stream_service *service, unsigned n);

/* Let all handlers go on that have paused, or will. */
void stream_resume(stream_service *service);

/* A message that has been received. */
const Haul__Test__Frame *stream_frame(const haul_received *received);

haul_stream *stream_open(stream_pair *pair, unsigned method, const haul_stream_opts *opts);

/* A chat whose handler has answered a first frame. */
haul_stream *stream_open_chat(stream_pair *pair, const haul_stream_opts *opts);

/* Put @len bytes of @seed, in a buffer of @stream's, into a frame and send it. */
haul_status stream_send(haul_stream *stream, uint64_t number, uint64_t len, uint8_t seed);

/* Send a frame with @len bytes at @bytes, from ordinary memory. */
haul_status stream_send_plain(haul_stream *stream, Haul__Test__Act act, uint64_t number,
                              const void *bytes, uint64_t len);

/* Send a frame without bytes. */
haul_status stream_act(haul_stream *stream, Haul__Test__Act act, uint64_t count, uint64_t size);

/* Receive a frame, check that it is that one with these bytes and came that way, and free it. */
void stream_expect(haul_stream *stream, uint64_t number, uint64_t len, uint8_t seed,
                   haul_path path);

/* Receive and free; nothing is checked. */
haul_status stream_drop(haul_stream *stream);

/* End the stream and check how. */
void stream_finish(haul_stream *stream, grpc_status_code code);

#endif
