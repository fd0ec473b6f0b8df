/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_PEER_H
#define SHORTHAUL_TESTS_PEER_H

/* Another process that uses a pool, told what to do line by line (tests/process/pool_peer.c). A
 * test knows what the peer has done because it answers; nobody sleeps. */

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include <shorthaul/status.h>

typedef struct peer {
    pid_t pid;
    FILE *to;
    FILE *from;
    char answer[256]; /* of the last command, without the newline */
} peer;

/* Start @program (fork and exec). */
peer peer_start(const char *program);

/* The same with arguments; argv[0] is the program's path. */
peer peer_start_argv(char *const argv[]);

/* Wait until it says @word on a line of its own; fails the test if it says something else. */
void peer_expect(peer *p, const char *word);

/* Send a command and return the answer's status, with what follows it in peer->answer. Fails the
 * test if the peer died instead; see peer_tell(). */
haul_status peer_call(peer *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Send a command and do not wait: for those that the peer does not survive. */
void peer_tell(peer *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* SIGKILL, and wait until it is dead. Returns the wait status. */
int peer_kill(peer *p);

/* Wait until it has ended by itself. Returns the wait status. */
int peer_wait(peer *p);

/* Let it end in good order (end of its input), and check that it did. */
void peer_stop(peer *p);

#endif
