/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The other processes of a benchmark.
 *
 * A peer is tied to its parent by one socket pair, which is its standard input and output. The
 * parent owns the peer and ends it by closing its own end; a parent that is killed closes it too,
 * so no peer is left over, whatever happened. A peer that dies is seen as the end of the stream.
 * Most peers only wait for that end; they answer each byte that comes before it with what they have
 * used.
 */
#include "bench.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int spawn_on(int fd, const char *const argv[], pid_t *out_pid)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) {
        return error;
    }
    error = posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
    if (error == 0) {
        error = posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
    }
    if (error == 0) {
        error = posix_spawn(out_pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

bool bench_peer_start(bench_peer *peer, const char *const argv[])
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        (void)fprintf(stderr, "socketpair: %s\n", strerror(errno));
        return false;
    }
    *peer = (bench_peer){.fd = ends[0]};
    int error = spawn_on(ends[1], argv, &peer->pid);
    (void)close(ends[1]);
    if (error != 0) {
        (void)fprintf(stderr, "%s: %s\n", argv[0], strerror(error));
        (void)close(ends[0]);
        *peer = (bench_peer){0};
        return false;
    }
    char ready = 0;
    if (!bench_read_all(peer->fd, &ready, 1)) {
        (void)fprintf(stderr, "%s %s: ended before it was ready\n", argv[0], argv[1]);
        bench_peer_stop(peer);
        return false;
    }
    return true;
}

void bench_peer_stop(bench_peer *peer)
{
    if (peer->pid != 0) {
        (void)close(peer->fd);
        while (waitpid(peer->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    *peer = (bench_peer){0};
}

bool bench_peer_say_ready(void)
{
    return bench_write_all(STDOUT_FILENO, "r", 1);
}

void bench_peer_wait_for_end(void)
{
    char asked = 0;
    bench_usage usage;
    while (bench_read_all(STDIN_FILENO, &asked, 1) && bench_usage_self(&usage) &&
           bench_write_all(STDOUT_FILENO, &usage, sizeof(usage))) {
    }
}

bool bench_peer_usage(bench_peer *peer, bench_usage *out_usage)
{
    return bench_write_all(peer->fd, "u", 1) &&
           bench_read_all(peer->fd, out_usage, sizeof(*out_usage));
}

bool bench_read_all(int fd, void *data, size_t len)
{
    uint8_t *to = data;
    while (len > 0) {
        ssize_t n = read(fd, to, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        to += n;
        len -= (size_t)n;
    }
    return true;
}

bool bench_write_all(int fd, const void *data, size_t len)
{
    const uint8_t *from = data;
    while (len > 0) {
        ssize_t n = write(fd, from, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        from += n;
        len -= (size_t)n;
    }
    return true;
}

bool bench_beside_self(const char *name, char *out_path, size_t n_path)
{
    ssize_t n = readlink("/proc/self/exe", out_path, n_path - 1);
    if (n <= 0) {
        return false;
    }
    out_path[n] = '\0';
    char *slash = strrchr(out_path, '/');
    size_t n_dir = slash != NULL ? (size_t)(slash - out_path) + 1 : 0;
    int n_name = snprintf(out_path + n_dir, n_path - n_dir, "%s", name);
    return n_name > 0 && (size_t)n_name < n_path - n_dir;
}
