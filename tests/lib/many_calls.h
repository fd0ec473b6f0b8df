/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_MANY_CALLS_H
#define SHORTHAUL_TESTS_MANY_CALLS_H

/*
 * Many calls at once, each of which the test can tell from the others: what is served counts how
 * often each was begun, and holds as many of them as the test wants. A call's number is the size
 * that its request asks for, and its answer says it.
 */

#include "transport_test.h"

enum {
    MANY_CALLS = 8192
};

/* A pair, of whose service Exchange is the one of this file. */
typedef struct many_scene {
    test_pair pair;
    pthread_mutex_t mutex; /* the following */
    pthread_cond_t changed;
    unsigned begun[MANY_CALLS];
    haul_call *held[MANY_CALLS]; /* answered by the test */
    ProtobufCClosure closures[MANY_CALLS];
    bool blocked[MANY_CALLS]; /* in its handler, until the test lets it go */
} many_scene;

void many_open(many_scene *scene, const test_pair_opts *opts);
void many_close(many_scene *scene);

/* Start another server of the same service at the same address. */
void many_start_server(many_scene *scene, haul_server **out_server);

/* Wait until call @number is held, or is in its handler. */
void many_wait_held(many_scene *scene, unsigned number);

/* Answer a call that is held, or have its handler return. */
void many_let_go(many_scene *scene, unsigned number);

/* Wait until the caller of a call that is held has gone away. */
void many_wait_cancelled(many_scene *scene, unsigned number);

unsigned many_begun(many_scene *scene, unsigned number);

/* A call by a thread of its own. */
typedef struct many_caller {
    pthread_t thread;
    many_scene *scene;
    unsigned number;
    Haul__Test__Mode mode; /* MODE_HOLD, MODE_BLOCK, or at once */
    haul_call_opts opts;
    haul_status status;
    haul_reply *reply;
} many_caller;

void many_call(many_caller *caller, many_scene *scene, unsigned number, Haul__Test__Mode mode);
void many_call_with(many_caller *caller, const haul_call_opts *opts);

/* Wait for its end; OK means with its own answer. */
void many_join(many_caller *caller, grpc_status_code expected);

/* A call by this thread, answered at once; its code. */
grpc_status_code many_call_here(many_scene *scene, unsigned number, const haul_call_opts *opts);

#endif
