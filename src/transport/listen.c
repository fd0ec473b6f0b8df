/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Addresses of a server. Before it starts, in the application's thread.
 *
 * gRPC says only that it could not listen, and says why on stderr. So an address is tried first
 * with a socket of our own, which tells a port that is taken from one that cannot be had, and keeps
 * stderr quiet.
 */

#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "transport/server.h"

#define UNIX_PREFIX     "unix:"
#define ABSTRACT_PREFIX "unix-abstract:"

int haul__listen_grpc(haul_server *server, const char *address,
                      grpc_server_credentials *credentials)
{
    return grpc_server_add_http2_port(server->grpc, address, credentials);
}

/* Bind a socket and close it again; 0 or errno. */
static int try_bind(int family, const struct sockaddr *address, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    const int on = 1;
    int failed = 0;
    if (family != AF_UNIX) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (bind(fd, address, len) != 0) {
        failed = errno;
    }
    (void)close(fd);
    return failed;
}

static haul_status try_abstract(const char *name, haul_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    if (n == 0 || n >= sizeof(address.sun_path)) {
        return haul__fail(err, HAUL_INVALID, "abstract socket: a name has 1 to %zu bytes",
                          sizeof(address.sun_path) - 1);
    }
    memcpy(address.sun_path + 1, name, n);
    int failed = try_bind(AF_UNIX, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n));
    if (failed == EADDRINUSE) {
        return haul__fail(err, HAUL_BUSY, "somebody listens at unix-abstract:%s", name);
    }
    return failed ? haul__fail_errno(err, failed, "unix-abstract:%s", name) : HAUL_OK;
}

static haul_status add_abstract(haul_server *server, const char *name)
{
    char sun_path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1] = {0};
    size_t n = strlen(name);
    memcpy(sun_path + 1, name, n + 1); /* its length has been looked at */
    return haul__listener_add(&server->listeners, 0, sun_path, n + 1);
}

/* Take "host:port" or "[host]:port" apart, in place. */
static bool split(char *address, char **out_host, char **out_port)
{
    char *colon = strrchr(address, ':');
    if (!colon || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strtoul(colon + 1, NULL, 10) > UINT16_MAX) {
        return false;
    }
    *colon = '\0';
    *out_host = address;
    *out_port = colon + 1;
    size_t n = strlen(address);
    if (address[0] == '[' && n > 2 && address[n - 1] == ']') {
        address[n - 1] = '\0';
        *out_host = address + 1;
    } else if (strchr(address, ':')) {
        return false;
    }
    return n > 0;
}

static haul_status try_tcp(const char *address, haul_error *err)
{
    char text[256];
    char *host;
    char *port;
    if (strlen(address) >= sizeof(text)) {
        return haul__fail(err, HAUL_INVALID, "address: longer than %zu bytes", sizeof(text) - 1);
    }
    memcpy(text, address, strlen(address) + 1);
    if (!split(text, &host, &port)) {
        return haul__fail(err, HAUL_INVALID,
                          "address %s: not unix:PATH, unix-abstract:NAME or "
                          "HOST:PORT",
                          address);
    }
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed != 0) {
        return haul__fail(err, HAUL_INVALID, "address %s: %s", address, gai_strerror(failed));
    }
    failed = 0;
    bool usable = false;
    for (const struct addrinfo *a = found; a && failed != EADDRINUSE; a = a->ai_next) {
        failed = try_bind(a->ai_family, a->ai_addr, a->ai_addrlen);
        usable |= failed == 0;
    }
    freeaddrinfo(found);
    if (failed == EADDRINUSE) {
        return haul__fail(err, HAUL_BUSY, "somebody listens at %s", address);
    }
    return usable ? HAUL_OK : haul__fail_errno(err, failed, "address %s", address);
}

static haul_status listen_at(haul_server *server, const char *address, uint32_t socket_mode,
                             grpc_server_credentials *credentials, int *out_port, haul_error *err)
{
    *out_port = 0;
    if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        const char *path = address + strlen(UNIX_PREFIX);
        path += strncmp(path, "//", 2) == 0 ? 2 : 0;
        return haul__listen_unix(server, path, socket_mode, credentials, err);
    }
    bool abstract = strncmp(address, ABSTRACT_PREFIX, strlen(ABSTRACT_PREFIX)) == 0;
    haul_status status =
        abstract ? try_abstract(address + strlen(ABSTRACT_PREFIX), err) : try_tcp(address, err);
    if (status != HAUL_OK) {
        return status;
    }
    *out_port = haul__listen_grpc(server, address, credentials);
    if (*out_port <= 0) {
        return haul__fail(err, HAUL_SYSTEM, "cannot listen at %s", address);
    }
    status = abstract ? add_abstract(server, address + strlen(ABSTRACT_PREFIX))
                      : haul__listener_add(&server->listeners, *out_port, NULL, 0);
    return status == HAUL_OK ? HAUL_OK : haul__fail(err, status, "%s", address);
}

haul_status haul_server_listen_with(haul_server *server, const char *address,
                                    const haul_listen_opts *opts, int *out_port, haul_error *err)
{
    haul_listen_opts o = {0};
    if (opts && opts->struct_size != sizeof(o)) {
        return haul__fail(err, HAUL_INVALID, "address %s: the options are not valid", address);
    }
    if (opts) {
        o = *opts;
    }
    if (server->phase != HAUL__SERVER_NEW) {
        return haul__fail(err, HAUL_INVALID, "address %s: the server has been started", address);
    }
    grpc_server_credentials *credentials;
    int port;
    haul_status status = haul__server_creds(o.credentials, address, &credentials, err);
    if (status != HAUL_OK) {
        return status;
    }
    status = listen_at(server, address, o.socket_mode, credentials, &port, err);
    haul__server_creds_release(o.credentials, credentials);
    if (status != HAUL_OK) {
        return status;
    }
    if (out_port) {
        *out_port = port;
    }
    return HAUL_OK;
}

haul_status haul_server_listen(haul_server *server, const char *address, uint32_t socket_mode,
                               int *out_port, haul_error *err)
{
    const haul_listen_opts opts = {.struct_size = sizeof(opts), .socket_mode = socket_mode};
    return haul_server_listen_with(server, address, &opts, out_port, err);
}
