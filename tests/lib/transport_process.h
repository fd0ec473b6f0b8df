/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_TRANSPORT_PROCESS_H
#define SHORTHAUL_TESTS_TRANSPORT_PROCESS_H

/* The other process of a test (tests/process/transport_peer.c), which says when it has come to what
 * the test waits for. Each function fails the test if the peer does otherwise. */

#include <stdio.h>
#include <sys/types.h>

#include "transport_test.h"

typedef struct transport_peer {
    pid_t pid;
    int to;
    FILE *from;
} transport_peer;

/* @address and @mode may be NULL. */
void transport_peer_start(transport_peer *p, const char *role, const char *pool,
                          const char *address, const char *mode);

/* A server, ready, at a socket of this process' (test_socket_path(, , @tag)). */
void transport_peer_serve(transport_peer *p, const haul_pool *pool, const char *tag,
                          char out_address[128]);

/* Remove the socket that such a server has left, which was killed. */
void transport_peer_remove_socket(const char *address);

/* A client of the pair's server, in a role that takes a mode. */
void transport_peer_call(transport_peer *p, const char *role, const test_pair *pair,
                         Haul__Test__Mode mode);

/* Wait for the line @word. */
void transport_peer_expect(transport_peer *p, const char *word);

/* SIGKILL, and wait until it is dead. */
void transport_peer_kill(transport_peer *p);

/* SIGSTOP, and wait until it stands still; and let it go on. */
void transport_peer_freeze(const transport_peer *p);
void transport_peer_thaw(const transport_peer *p);

#endif
