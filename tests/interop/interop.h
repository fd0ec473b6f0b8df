/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_INTEROP_H
#define SHORTHAUL_TESTS_INTEROP_H

/*
 * What the tests with peers of stock gRPC share. They are run with
 *
 *   WAY COMMAND...
 *
 * COMMAND is a program that serves the services of the tests ("serve ADDRESS [POOL WAY]", ready when
 * it says so, until its standard input ends), or calls them with a list of its own ("call ADDRESS
 * [POOL WAY]" and "stream ADDRESS [POOL WAY]"; its status is 0 if all was right). WAY says how it
 * uses the pool: inline (not at all, and it is not told of one), reader (it opens keys, and can
 * neither send them nor be given any) or participant.
 */

#include <shorthaul/transport.h>

#include "peer.h"
#include "pool_test.h"

/* Which way it is. */
bool interop_has_pool(void);
bool interop_is_participant(void);

/* Start the program, to do @role at @address, with @pool if its way has one. */
peer interop_start(const char *role, const char *address, const haul_pool *pool);

/* The program serves, and a channel of ours to it. */
typedef struct interop_visit {
    haul_pool *pool;
    haul_channel *channel;
    char address[128];
    peer server;
} interop_visit;

/* Takes @pool. */
void interop_begin(interop_visit *v, haul_pool *pool);

/* Stop and close all, with the pool quiet and free at the end. */
void interop_end(interop_visit *v);

/*
 * The program refuses a key that was never anybody's, in the way that makes a client send again, and
 * a payload that contradicts itself, which is never right. @message is for the method at @path and
 * holds @out's payload.
 */
void interop_assert_refuses(const interop_visit *v, const char *path,
                            const ProtobufCMessage *message, haul_payload_out *out);

/* What main() does. */
int interop_run(int argc, char **argv, const struct CMUnitTest *tests, size_t n_tests);

#endif
