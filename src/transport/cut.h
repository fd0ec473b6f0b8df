/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_CUT_H
#define SHORTHAUL_TRANSPORT_CUT_H

/* Ending connections that gRPC cannot end. */

#include <stddef.h>
#include <sys/types.h>

#include <shorthaul/status.h>

/* An address that connections of the server have as their own. */
typedef struct haul__listener {
    struct haul__listener *next;
    int port;      /* of TCP; 0: a Unix socket */
    size_t n_name; /* of a Unix socket: its path without terminator, or "\0name" */
    char name[];
} haul__listener;

/* Remember one more; @port or @name. Failures: HAUL_NOMEM */
HAUL_MUST_CHECK haul_status haul__listener_add(haul__listener **list, int port, const char *name,
                                               size_t n_name);
void haul__listeners_free(haul__listener **list);

/* Shut down every connection of this process that has one of these addresses as its own. */
void haul__cut(const haul__listener *list);

/* The same of the sockets with these numbers (st_ino). */
void haul__cut_sockets(const ino_t *sockets, size_t n);

#endif
