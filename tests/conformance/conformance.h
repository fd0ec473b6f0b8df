/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_CONFORMANCE_H
#define SHORTHAUL_TESTS_CONFORMANCE_H

/* One list of cases over all kinds of call, sizes of payload and things that happen. */

#include <shorthaul/stream.h>
#include <stream_test.pb-c.h>

#include "peer.h"
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
    CONF_AGAIN_WITHOUT,
    CONF_SERVER_AGAIN,
    CONF_SERVER_KILLED,
    CONF_CLIENT_AGAIN,
    CONF_CLIENT_KILLED,
    CONF_CANCELLED_BEFORE,
    CONF_CANCELLED_DURING,
    CONF_CANCELLED_AFTER,
    CONF_DEADLINE_BEFORE,
    CONF_DEADLINE_DURING,
    CONF_DEADLINE_AFTER,
    CONF_N_EVENTS,
} conf_event;

typedef struct conf_case {
    char name[80];
    conf_kind kind;
    uint64_t size;
    conf_event event;
} conf_case;

/* What a client has, in whatever process. */
typedef struct conf_run {
    const conf_case *c;
    haul_pool *pool;
    haul_channel *channel;
    peer *server; /* NULL where that is another process' child */
} conf_run;

/* How a call should go. */
typedef struct conf_expected {
    grpc_status_code code;
    grpc_status_code or_code; /* where both are right */
    haul_path request;        /* looked at if the code is OK */
    haul_path answer;
} conf_expected;

/* How both sides take buffers: waiting for one, or not where the pool is meant to be exhausted. */
const haul_alloc_opts *conf_alloc_opts(conf_event event);

/* ---- scene.c ---- */

/* Run one case; a cmocka test whose initial state is the case. */
void conf_run_case(void **state);

/* After the last case: let the server's process go. */
void conf_end(void);

/* Of servers and channels: CONF_BUSY_POLL_NS in the environment, or 0. */
uint64_t conf_busy_poll_ns(void);

/* Of channels: whether CONF_NO_DATA is in the environment. */
bool conf_no_data(void);

/* Be a client that has joined @pool: open the channel. */
void conf_client_open(conf_run *run, haul_pool *pool, const char *address);

/* How a call of @c goes if nothing disturbs it, payloads that are large enough by @path. */
conf_expected conf_expect(const conf_case *c, haul_path path);

/* ---- service.c ---- */

/* Wait until the server's process says @word; it may have said "paused" before. */
void conf_wait_for(peer *server, const char *word);

/*
 * Be the server's process, until the input ends. It says "paused" at each pause of a handler, and
 * does as it is told:
 *
 *   begin ADDRESS POOL EVENT   joins the pool, unless that is "-", and serves; says "ready"
 *   stop                       stops the server and stays in the pool; says "stopped"
 *   leave                      leaves the pool; says "left"
 */
void conf_serve(void);

/* ---- calls.c ---- */

/* Make the case's call, and check the answers, every byte, and how it ended. */
void conf_call(const conf_run *run, const conf_expected *expected);

#endif
