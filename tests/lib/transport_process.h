/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_TRANSPORT_PROCESS_H
#define SHORTHAUL_TESTS_TRANSPORT_PROCESS_H

/* The other process of a test (tests/process/transport_peer.c), which says when it has come to what
 * the test waits for. Each function fails the test if the peer does otherwise. */

#include <stdio.h>
#include <sys/types.h>

typedef struct transport_peer {
    pid_t pid;
    int to;
    FILE *from;
} transport_peer;

/* @address and @mode may be NULL. */
void transport_peer_start(transport_peer *p, const char *role, const char *pool,
                          const char *address, const char *mode);

/* Wait for the line @word. */
void transport_peer_expect(transport_peer *p, const char *word);

/* SIGKILL, and wait until it is dead. */
void transport_peer_kill(transport_peer *p);

/* SIGSTOP, and wait until it stands still; and let it go on. */
void transport_peer_freeze(const transport_peer *p);
void transport_peer_thaw(const transport_peer *p);

#endif
