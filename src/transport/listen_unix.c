/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Socket files.
 *
 * gRPC binds at the path it is given, removing whatever socket is there, a living server's too, and
 * leaves permissions to the umask, which belongs to the whole process and which a library must not
 * touch. So gRPC is given a path in a directory of our own that nobody else can enter. There the
 * socket gets its permissions, and then its real name, with link(2), which never replaces anything.
 *
 * A name that is taken is judged: only a socket that nobody listens at is taken away, by renaming
 * it into our directory and looking once more at what came. If another server has put a new socket
 * there in between, it gets its name back. So no listener is ever displaced, whoever races.
 *
 * When the process dies the socket file stays and the next server finds it abandoned; a directory
 * that was not removed (killed in between) is empty or holds a dead socket.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "transport/server.h"

#define PATH_MAX_BYTES (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define ATTEMPTS       16

/* Our directory beside the path, and the two names in it. */
typedef struct workshop {
    const char *path;
    char dir[PATH_MAX_BYTES + 1];
    char fresh[PATH_MAX_BYTES + 1]; /* where gRPC binds */
    char stale[PATH_MAX_BYTES + 1]; /* where an abandoned socket goes */
    haul_error *err;
} workshop;

/* 0: somebody listens there; else errno: ECONNREFUSED nobody does, ENOENT there is nothing. */
static int knock(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return errno;
    }
    int failed = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : errno;
    (void)close(fd);
    /* A full backlog; a socket of another kind. */
    return failed == EAGAIN || failed == EPROTOTYPE ? 0 : failed;
}

/* Whether @path is there and abandoned. Conditions: HAUL_NOT_FOUND, HAUL_BUSY */
static haul_status judge(const workshop *w, struct stat *out_stat)
{
    if (lstat(w->path, out_stat) != 0) {
        return errno == ENOENT ? HAUL_NOT_FOUND : haul__fail_errno(w->err, errno, "%s", w->path);
    }
    if (!S_ISSOCK(out_stat->st_mode)) {
        return haul__fail(w->err, HAUL_INVALID, "%s is there and is not a socket", w->path);
    }
    int failed = knock(w->path);
    switch (failed) {
    case 0:
        return haul__fail(w->err, HAUL_BUSY, "somebody listens at %s", w->path);
    case ECONNREFUSED:
        return HAUL_OK;
    case ENOENT:
        return HAUL_NOT_FOUND;
    default:
        return haul__fail_errno(w->err, failed, "%s", w->path);
    }
}

/* Remove the socket that was judged, and no other. */
static haul_status take_away(const workshop *w, const struct stat *judged)
{
    struct stat taken;
    if (rename(w->path, w->stale) != 0) {
        return errno == ENOENT ? HAUL_OK : haul__fail_errno(w->err, errno, "%s", w->path);
    }
    if (lstat(w->stale, &taken) == 0 &&
        (taken.st_dev != judged->st_dev || taken.st_ino != judged->st_ino)) {
        (void)rename(w->stale, w->path);
        return haul__fail(w->err, HAUL_BUSY, "another server is starting at %s", w->path);
    }
    (void)unlink(w->stale);
    return HAUL_OK;
}

/* Give the fresh socket its real name. */
static haul_status publish(const workshop *w)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        if (link(w->fresh, w->path) == 0) {
            return HAUL_OK;
        }
        if (errno != EEXIST) {
            return haul__fail_errno(w->err, errno, "%s", w->path);
        }
        struct stat judged;
        haul_status status = judge(w, &judged);
        if (status == HAUL_OK) {
            status = take_away(w, &judged);
        }
        if (status != HAUL_OK && status != HAUL_NOT_FOUND) {
            return status;
        }
    }
    return haul__fail(w->err, HAUL_BUSY, "other servers are starting at %s", w->path);
}

static haul_status open_workshop(workshop *w)
{
    const char *slash = strrchr(w->path, '/');
    int n = slash ? (int)(slash - w->path + 1) : 0;
    if (w->path[0] == '\0' || strlen(w->path) > PATH_MAX_BYTES || n > (int)PATH_MAX_BYTES - 9) {
        return haul__fail(w->err, HAUL_INVALID, "socket path: 1 to %zu bytes, its directory %zu",
                          PATH_MAX_BYTES, PATH_MAX_BYTES - 9);
    }
    struct stat judged;
    haul_status status = judge(w, &judged); /* before anything is made, most often the end of it */
    if (status != HAUL_OK && status != HAUL_NOT_FOUND) {
        return status;
    }
    (void)snprintf(w->dir, sizeof(w->dir), "%.*s.XXXXXX", n, w->path);
    if (!mkdtemp(w->dir)) {
        return haul__fail_errno(w->err, errno, "%s", w->path);
    }
    size_t len = strlen(w->dir);
    memcpy(w->fresh, w->dir, len);
    memcpy(w->fresh + len, "/s", sizeof("/s"));
    memcpy(w->stale, w->dir, len);
    memcpy(w->stale + len, "/o", sizeof("/o"));
    return HAUL_OK;
}

static void close_workshop(const workshop *w)
{
    (void)unlink(w->fresh);
    (void)rmdir(w->dir);
}

static haul_status bind_fresh(haul_server *server, const workshop *w, uint32_t mode,
                              grpc_server_credentials *credentials, struct stat *out_stat)
{
    char address[sizeof("unix:") + PATH_MAX_BYTES];
    (void)snprintf(address, sizeof(address), "unix:%s", w->fresh);
    if (haul__listen_grpc(server, address, credentials) == 0) {
        return haul__fail(w->err, HAUL_SYSTEM, "cannot listen at %s", w->path);
    }
    if (mode != 0 && chmod(w->fresh, mode & 0777) != 0) {
        return haul__fail_errno(w->err, errno, "%s", w->path);
    }
    if (lstat(w->fresh, out_stat) != 0) {
        return haul__fail_errno(w->err, errno, "%s", w->path);
    }
    return HAUL_OK;
}

haul_status haul__listen_unix(haul_server *server, const char *path, uint32_t mode,
                              grpc_server_credentials *credentials, haul_error *err)
{
    workshop w = {.path = path, .err = err};
    haul_status status = open_workshop(&w);
    if (status != HAUL_OK) {
        return status;
    }
    haul__socket_file *file = calloc(1, sizeof(*file) + strlen(path) + 1);
    if (!file) {
        close_workshop(&w);
        return haul__fail(err, HAUL_NOMEM, "%s", path);
    }
    struct stat st = {0};
    status = bind_fresh(server, &w, mode, credentials, &st);
    if (status == HAUL_OK) {
        status = publish(&w);
    }
    if (status == HAUL_OK) {
        /* Connections keep the name that the socket was bound to. */
        status = haul__listener_add(&server->listeners, 0, w.fresh, strlen(w.fresh));
        if (status != HAUL_OK) {
            (void)unlink(path);
        }
    }
    close_workshop(&w);
    if (status != HAUL_OK) {
        free(file);
        return status;
    }
    file->device = st.st_dev;
    file->inode = st.st_ino;
    memcpy(file->path, path, strlen(path) + 1);
    file->next = server->socket_files;
    server->socket_files = file;
    return HAUL_OK;
}
