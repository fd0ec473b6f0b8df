/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The sockets of a channel, so that a connection can be ended that gRPC cannot end.
 *
 * gRPC closes a connection when what it is writing has been written, which is never where the
 * server is frozen. A client's socket has no address of its own by which it could be found among
 * those of the process; but gRPC shows each new socket to whoever gives a "socket mutator" with the
 * channel's arguments. The argument is public. The struct behind it is named in a public header and
 * defined in none: it begins with a table of functions and a count of references, which has been so
 * since gRPC 1.3, with one function more at the table's end since 1.37. So it is used only with the
 * version of the core whose definition has been looked up; with others nothing is known, and
 * nothing is ended.
 *
 * Remembered is the number of the socket, not its descriptor: a copy of that would keep the
 * connection open. The channel and gRPC own it together. Any thread of gRPC's makes connections.
 */

#include "transport/connections.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <grpc/support/sync.h>

#include "transport/cut.h"

/* Of libgrpc.so.29, which is gRPC 1.51. */
#define KNOWN_CORE 29

/* A connection that has been replaced so often is gone. */
#define SOCKETS 16

typedef struct mutator_table {
    bool (*mutate_fd)(int fd, grpc_socket_mutator *mutator);
    int (*compare)(grpc_socket_mutator *a, grpc_socket_mutator *b);
    void (*destroy)(grpc_socket_mutator *mutator);
    bool (*mutate_fd_2)(const void *info, grpc_socket_mutator *mutator); /* NULL: the first one */
} mutator_table;

struct haul__connections {
    const mutator_table *table; /* these two as gRPC has them */
    gpr_refcount refs;
    pthread_mutex_t mutex; /* the following */
    ino_t sockets[SOCKETS];
    unsigned n;         /* ever made; the oldest make room */
    atomic_bool posted; /* gRPC counts references and orders what each owner does; this, stored with
                         * release and loaded with acquire, says so where ThreadSanitizer sees it */
};

static bool on_new_socket(int fd, grpc_socket_mutator *mutator)
{
    haul__connections *c = (haul__connections *)(void *)mutator;
    struct stat st;
    (void)atomic_load_explicit(&c->posted, memory_order_acquire);
    if (fstat(fd, &st) == 0) {
        (void)pthread_mutex_lock(&c->mutex);
        c->sockets[c->n++ % SOCKETS] = st.st_ino;
        (void)pthread_mutex_unlock(&c->mutex);
    }
    return true;
}

static int compare(grpc_socket_mutator *a, grpc_socket_mutator *b)
{
    return (a > b) - (a < b);
}

static void destroy(grpc_socket_mutator *mutator)
{
    haul__connections *c = (haul__connections *)(void *)mutator;
    (void)atomic_load_explicit(&c->posted, memory_order_acquire);
    (void)pthread_mutex_destroy(&c->mutex);
    free(c);
}

haul__connections *haul__connections_create(void)
{
    static const mutator_table table = {
        .mutate_fd = on_new_socket, .compare = compare, .destroy = destroy};
    if (strtol(grpc_version_string(), NULL, 10) != KNOWN_CORE) {
        return NULL;
    }
    haul__connections *c = calloc(1, sizeof(*c));
    if (!c || pthread_mutex_init(&c->mutex, NULL) != 0) {
        free(c);
        return NULL;
    }
    c->table = &table;
    gpr_ref_init(&c->refs, 1);
    atomic_store_explicit(&c->posted, true, memory_order_release);
    return c;
}

void haul__connections_unref(haul__connections *c)
{
    if (c && gpr_unref(&c->refs)) {
        destroy((grpc_socket_mutator *)(void *)c);
    }
}

static void *arg_copy(void *c)
{
    gpr_ref(&((haul__connections *)c)->refs);
    return c;
}

static void arg_destroy(void *c)
{
    haul__connections_unref(c);
}

static int arg_compare(void *a, void *b)
{
    return compare(a, b);
}

grpc_arg haul__connections_arg(haul__connections *c)
{
    static const grpc_arg_pointer_vtable vtable = {
        .copy = arg_copy, .destroy = arg_destroy, .cmp = arg_compare};
    return (grpc_arg){.type = GRPC_ARG_POINTER,
                      .key = (char *)GRPC_ARG_SOCKET_MUTATOR,
                      .value.pointer = {.p = c, .vtable = &vtable}};
}

void haul__connections_cut(haul__connections *c)
{
    ino_t sockets[SOCKETS];
    if (!c) {
        return;
    }
    (void)pthread_mutex_lock(&c->mutex);
    unsigned n = c->n < SOCKETS ? c->n : SOCKETS;
    for (unsigned i = 0; i < n; i++) {
        sockets[i] = c->sockets[i];
    }
    (void)pthread_mutex_unlock(&c->mutex);
    haul__cut_sockets(sockets, n);
}
