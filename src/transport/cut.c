/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Ending connections that gRPC cannot end.
 *
 * gRPC closes a connection when what it is writing has been written, and that is never where the
 * peer does not read: one such client would keep a server from stopping, and what is in its answers
 * from being free; such a server would keep a channel from being closed. gRPC does not tell its
 * descriptors, but a connection that was accepted has the listener's address as its own, so it can
 * be found among the descriptors of the process; for a channel's see connections.c. Each is
 * duplicated before it is looked at: what is shut down is then what was looked at, whatever other
 * threads close and open meanwhile. shutdown(2) takes nothing from gRPC, whose write fails.
 *
 * Used by the thread that stops the server or closes the channel. Without /proc nothing is found
 * and nothing is ended.
 */

#include "transport/cut.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

haul_status haul__listener_add(haul__listener **list, int port, const char *name, size_t n_name)
{
    haul__listener *listener = calloc(1, sizeof(*listener) + n_name);
    if (!listener) {
        return HAUL_NOMEM;
    }
    listener->port = port;
    listener->n_name = n_name;
    if (n_name > 0) {
        memcpy(listener->name, name, n_name);
    }
    listener->next = *list;
    *list = listener;
    return HAUL_OK;
}

void haul__listeners_free(haul__listener **list)
{
    while (*list) {
        haul__listener *next = (*list)->next;
        free(*list);
        *list = next;
    }
}

static bool is_named(const haul__listener *listener, const struct sockaddr_un *own, socklen_t len)
{
    size_t n = len - offsetof(struct sockaddr_un, sun_path);
    if (own->sun_path[0] != '\0') {
        n = strnlen(own->sun_path, n);
    }
    return listener->port == 0 && n == listener->n_name &&
           memcmp(own->sun_path, listener->name, n) == 0;
}

static bool is_ours(const haul__listener *list, int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } own = {0};
    socklen_t len = sizeof(own);
    if (getsockname(fd, &own.any, &len) != 0 || len > sizeof(own)) {
        return false;
    }
    for (const haul__listener *l = list; l; l = l->next) {
        if ((own.any.sa_family == AF_INET && l->port == ntohs(own.in.sin_port)) ||
            (own.any.sa_family == AF_INET6 && l->port == ntohs(own.in6.sin6_port)) ||
            (own.any.sa_family == AF_UNIX && len > offsetof(struct sockaddr_un, sun_path) &&
             is_named(l, &own.un, len))) {
            return true;
        }
    }
    return false;
}

/* Which sockets are meant: by their own address or by their number. */
typedef struct meant {
    const haul__listener *list;
    const ino_t *sockets;
    size_t n_sockets;
} meant;

static bool is_meant(const meant *m, int fd)
{
    struct stat st;
    if (m->list) {
        return is_ours(m->list, fd);
    }
    bool found = false;
    if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) {
        for (size_t i = 0; i < m->n_sockets; i++) {
            found |= m->sockets[i] == st.st_ino;
        }
    }
    return found;
}

static void cut(const meant *m)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        int fd = fcntl((int)strtol(entry->d_name, NULL, 10), F_DUPFD_CLOEXEC, 0);
        if (fd >= 0) {
            if (is_meant(m, fd)) {
                (void)shutdown(fd, SHUT_RDWR);
            }
            (void)close(fd);
        }
    }
    (void)closedir(dir);
}

void haul__cut(const haul__listener *list)
{
    const meant m = {.list = list};
    if (list) {
        cut(&m);
    }
}

void haul__cut_sockets(const ino_t *sockets, size_t n)
{
    const meant m = {.sockets = sockets, .n_sockets = n};
    if (n > 0) {
        cut(&m);
    }
}
