/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_CONFORMANCE_H
#define SHORTHAUL_TESTS_CONFORMANCE_H

/* One list of cases over all kinds of call, sizes of payload and things that happen. */

#include <shorthaul/stream.h>
#include <stream_test.pb-c.h>

#include "transport_test.h"

/* Payloads below are sent inline, though they lie in a buffer. */
#define CONF_THRESHOLD 65536

/* Numbers of the answers' frames count from here; a frame's number is the seed of its bytes. */
#define CONF_ANSWER 100

typedef enum conf_kind {
    CONF_UPLOAD, /* the order of stream_test.proto */
    CONF_DOWNLOAD,
    CONF_CHAT,
    CONF_UNARY,
    CONF_N_KINDS,
} conf_kind;

typedef enum conf_event {
    CONF_SHM,
    CONF_INLINE,
    CONF_EXHAUSTED,
    CONF_WITHOUT_POOL,
    CONF_LOSES_POOL,
    CONF_SERVER_AGAIN,
    CONF_CLIENT_AGAIN,
    CONF_CANCELLED_BEFORE,
    CONF_CANCELLED_DURING,
    CONF_CANCELLED_AFTER,
    CONF_DEADLINE_BEFORE,
    CONF_DEADLINE_DURING,
    CONF_DEADLINE_AFTER,
    CONF_N_EVENTS,
} conf_event;

typedef struct conf_case {
    char name[64];
    conf_kind kind;
    uint64_t size;
    conf_event event;
} conf_case;

/* The service, and what it tells the test. */
typedef struct conf_service {
    Haul__Test__StreamService_Service base;
    const haul_alloc_opts *alloc; /* for answers */
    pthread_mutex_t mutex;        /* the following */
    pthread_cond_t changed;
    unsigned n_paused; /* handlers that wait for their call's end */
} conf_service;

/* One case while it runs. */
typedef struct conf_run {
    const conf_case *c;
    haul_pool *client_pool;
    haul_channel *channel;
    conf_service *service;
    const haul_alloc_opts *alloc; /* for requests */
    unsigned n_frames;            /* of one stream */
} conf_run;

/* How a call should go. */
typedef struct conf_expected {
    grpc_status_code code;
    grpc_status_code or_code; /* where both are right */
    haul_path request;        /* looked at if the code is OK */
    haul_path answer;
} conf_expected;

/* ---- service.c ---- */

void conf_service_init(conf_service *service);

/* A server with the service at @address; @pool may be NULL. */
haul_server *conf_server_start(conf_service *service, haul_pool *pool, const char *address);

/* Wait until the @n-th handler has paused. */
void conf_wait_paused(conf_service *service, unsigned n);

/* ---- calls.c ---- */

/* Make the case's call, and check the answers, every byte, and how it ended. */
void conf_call(const conf_run *run, const conf_expected *expected);

#endif
