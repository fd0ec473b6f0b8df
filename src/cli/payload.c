/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The commands that pass bytes: put shares a file's bytes and holds them, get writes the bytes
 * behind a key.
 *
 * One thread. put owns its buffer from the first byte until it ends: a signal makes it let go, and
 * if it is killed, the buffer is reaped. get pins the buffer while it writes, so that the bytes
 * stay the same even if put ends meanwhile.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/fill.h"
#include "cli/report.h"
#include "cli/source.h"

#define POOL_DEFAULT "default"

/* ---- put ----------------------------------------------------------------------------------- */

struct put {
    const char *file;
    const char *pool;
};

static error_t parse_put(int key, char *arg, struct argp_state *state)
{
    struct put *put = state->input;
    switch (key) {
    case 'p':
        put->pool = arg;
        return 0;
    case ARGP_KEY_ARG:
        command_take_name(state, &put->file, arg);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "FILE is missing; '-' is standard input");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int open_file(const char *path)
{
    return strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
}

/* From here on SIGINT, SIGTERM and SIGHUP wait in the descriptor that is returned. */
static int catch_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    return sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_CLOEXEC) : -1;
}

static void wait_for_signal(int signal_fd)
{
    struct signalfd_siginfo info;
    while (read(signal_fd, &info, sizeof(info)) < 0 && errno == EINTR) {
    }
}

/* Share the buffer, say its key, and hold it until a signal comes. */
static enum cli_exit share_and_hold(const struct put *put, haul_buf *buf, uint64_t len,
                                    int signal_fd)
{
    haul_key key;
    char text[HAUL_KEY_TEXT_BYTES];
    haul_status status = haul_buf_share(buf, len, &key);
    if (status != HAUL_OK) {
        return report_status(put->file, status, NULL);
    }
    haul_key_format(&key, len, text);
    (void)printf("%s\n", text);
    enum cli_exit code = report_written(CLI_OK);
    if (code == CLI_OK) {
        wait_for_signal(signal_fd);
    }
    return code;
}

static enum cli_exit put_from(const struct put *put, int fd, int signal_fd)
{
    haul_pool *pool = NULL;
    haul_buf *buf = NULL;
    uint64_t len = 0;
    haul_error err = {0};
    haul_status status = source_join(put->pool, "shorthaul put", &pool, &err);
    if (status != HAUL_OK) {
        return report_status(put->pool, status, &err);
    }
    enum cli_exit code;
    status = fill_from(pool, fd, signal_fd, &buf, &len, &err);
    if (status == HAUL_AGAIN) {
        code = report(CLI_FAILURE, "%s: interrupted", put->file);
    } else if (status != HAUL_OK) {
        code = report_status(put->file, status, &err);
    } else {
        code = share_and_hold(put, buf, len, signal_fd);
    }
    haul_buf_release(buf);
    haul_pool_close(pool);
    return code;
}

enum cli_exit cmd_put(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"pool", 'p', "NAME", 0, "The pool to use. Default: " POOL_DEFAULT, 0}, {0}};
    const struct argp argp = {
        .options = options,
        .parser = parse_put,
        .args_doc = "FILE",
        .doc = "Put the bytes of FILE, or of standard input if FILE is '-', into a buffer of a "
               "pool, print the key, and hold the buffer until SIGINT or SIGTERM."};
    struct put put = {.pool = POOL_DEFAULT};
    if (argp_parse(&argp, argc, argv, 0, NULL, &put) != 0) {
        return CLI_FAILURE;
    }
    int fd = open_file(put.file);
    if (fd < 0) {
        return report(CLI_FAILURE, "%s: %s", put.file, strerror(errno));
    }
    enum cli_exit code;
    int signal_fd = catch_signals();
    if (signal_fd < 0) {
        code = report(CLI_FAILURE, "signals: %s", strerror(errno));
    } else {
        code = put_from(&put, fd, signal_fd);
        (void)close(signal_fd);
    }
    (void)close(fd);
    return code;
}

/* ---- get ----------------------------------------------------------------------------------- */

static error_t parse_get(int key, char *arg, struct argp_state *state)
{
    const char **text = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        command_take_name(state, text, arg);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "KEY is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool has_id(const char *name, uint64_t id)
{
    haul_pool *pool = NULL;
    bool found = source_observe(name, &pool, NULL) == HAUL_OK && haul_pool_id(pool) == id;
    haul_pool_close(pool);
    return found;
}

/* Join the pool that a key belongs to. A key holds its id; names never travel. */
static haul_status join_by_id(uint64_t id, haul_pool **out_pool, haul_error *err)
{
    char **names = NULL;
    size_t n = 0;
    haul_status status = haul_pool_list(&names, &n, err);
    if (status != HAUL_OK) {
        return status;
    }
    status = HAUL_NOT_FOUND;
    for (size_t i = 0; i < n && status == HAUL_NOT_FOUND; i++) {
        if (has_id(names[i], id)) {
            status = source_join(names[i], "shorthaul get", out_pool, err);
        }
    }
    source_free_names(names, n);
    return status;
}

static enum cli_exit write_all(const uint8_t *data, uint64_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, data, len);
        if (n < 0 && errno != EINTR) {
            return report(CLI_FAILURE, "cannot write: %s", strerror(errno));
        }
        if (n > 0) {
            data += n;
            len -= (uint64_t)n;
        }
    }
    return CLI_OK;
}

static enum cli_exit get_from(haul_pool *pool, const haul_key *key, uint64_t len)
{
    haul_view view = {0};
    haul_status status = haul_attach(pool, key, len, &view);
    if (status == HAUL_INVALID) {
        return report(CLI_FAILURE, "the pool has no buffer that this key could mean");
    }
    if (status != HAUL_OK) {
        return report_status("the key", status, NULL);
    }
    enum cli_exit code = write_all(view.data, view.len);
    haul_detach(&view);
    return code;
}

enum cli_exit cmd_get(int argc, char **argv)
{
    const struct argp argp = {.parser = parse_get,
                              .args_doc = "KEY",
                              .doc = "Write the bytes behind a key to standard output, which must "
                                     "not be a terminal."};
    const char *text = NULL;
    haul_key key;
    uint64_t len = 0;
    haul_pool *pool = NULL;
    haul_error err = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &text) != 0) {
        return CLI_FAILURE;
    }
    if (haul_key_parse(text, &key, &len) != HAUL_OK) {
        return report(CLI_USAGE, "this is not a key as 'shorthaul put' prints it");
    }
    if (isatty(STDOUT_FILENO)) {
        return report(CLI_USAGE, "the bytes are not written to a terminal; redirect the output");
    }
    haul_status status = join_by_id(key.pool_id, &pool, &err);
    if (status == HAUL_NOT_FOUND) {
        return report(CLI_NOT_FOUND, "the key's pool is not on this machine, or may not be opened");
    }
    if (status != HAUL_OK) {
        return report_status("the key's pool", status, &err);
    }
    enum cli_exit code = get_from(pool, &key, len);
    haul_pool_close(pool);
    return code;
}
