/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The commands that pass bytes: put shares a file's bytes and holds them, get writes the bytes
 * behind a key or a name.
 *
 * One thread. put owns its buffer from the first byte until it ends: a signal makes it let go, and
 * if it is killed, the buffer is reaped. With --persistent the pool owns it instead from the moment
 * that it has a name. get pins the buffer while it writes, so that the bytes stay the same even if
 * put ends meanwhile.
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
    const char *name; /* NULL: none */
    bool persistent;
};

static error_t parse_put(int key, char *arg, struct argp_state *state)
{
    struct put *put = state->input;
    switch (key) {
    case 'p':
        put->pool = arg;
        return 0;
    case 'n':
        put->name = arg;
        return 0;
    case 'P':
        put->persistent = true;
        return 0;
    case ARGP_KEY_ARG:
        command_take_name(state, &put->file, arg);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "FILE is missing; '-' is standard input");
        return 0;
    case ARGP_KEY_END:
        if (put->persistent && !put->name) {
            argp_error(state, "--persistent needs --name, or nobody could withdraw the buffer");
        }
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

/* Share the buffer, and publish it if it is to have a name. */
static enum cli_exit share(const struct put *put, haul_buf *buf, uint64_t len, haul_key *out_key)
{
    haul_status status = haul_buf_share(buf, len, out_key);
    if (status != HAUL_OK) {
        return report_status(put->file, status, NULL);
    }
    if (put->name) {
        status = haul_buf_publish(buf, put->name, put->persistent);
    }
    return status == HAUL_OK ? CLI_OK : report_name(put->pool, put->name, status);
}

static enum cli_exit say_key(const haul_key *key, uint64_t len)
{
    char text[HAUL_KEY_TEXT_BYTES];
    haul_key_format(key, len, text);
    (void)printf("%s\n", text);
    return report_written(CLI_OK);
}

/* Pass the buffer on: to the pool, or to readers for as long as no signal comes. */
static enum cli_exit pass_on(const struct put *put, haul_pool *pool, haul_buf *buf, uint64_t len,
                             int signal_fd)
{
    haul_key key;
    enum cli_exit code = share(put, buf, len, &key);
    if (code != CLI_OK) {
        haul_buf_release(buf);
        return code;
    }
    code = say_key(&key, len);
    if (put->persistent) { /* the buffer is the pool's; but what failed leaves nothing behind */
        if (code != CLI_OK) {
            (void)!haul_pool_withdraw(pool, put->name);
        }
        return code;
    }
    if (code == CLI_OK) {
        wait_for_signal(signal_fd);
    }
    haul_buf_release(buf);
    return code;
}

/* Before a file is read that may be large: whether its name can be had, as far as one can tell. */
static enum cli_exit check_name(const struct put *put, haul_pool *pool)
{
    haul_key key;
    uint64_t len;
    haul_status status = haul_pool_find(pool, put->name, &key, &len);
    if (status == HAUL_NOT_FOUND) {
        return CLI_OK;
    }
    return report_name(put->pool, put->name, status == HAUL_OK ? HAUL_EXISTS : status);
}

static enum cli_exit fill_and_pass_on(const struct put *put, haul_pool *pool, int fd, int signal_fd)
{
    haul_buf *buf = NULL;
    uint64_t len = 0;
    haul_error err = {0};
    haul_status status = fill_from(pool, fd, signal_fd, &buf, &len, &err);
    if (status == HAUL_AGAIN) {
        return report(CLI_FAILURE, "%s: interrupted", put->file);
    }
    return status == HAUL_OK ? pass_on(put, pool, buf, len, signal_fd)
                             : report_status(put->file, status, &err);
}

static enum cli_exit put_from(const struct put *put, int fd, int signal_fd)
{
    haul_pool *pool = NULL;
    haul_error err = {0};
    haul_status status = source_join(put->pool, "shorthaul put", &pool, &err);
    if (status != HAUL_OK) {
        return report_status(put->pool, status, &err);
    }
    enum cli_exit code = put->name ? check_name(put, pool) : CLI_OK;
    if (code == CLI_OK) {
        code = fill_and_pass_on(put, pool, fd, signal_fd);
    }
    haul_pool_close(pool);
    return code;
}

enum cli_exit cmd_put(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"pool", 'p', "NAME", 0, "The pool to use. Default: " POOL_DEFAULT, 0},
        {"name", 'n', "BUFFER", 0, "Publish the buffer under this name", 0},
        {"persistent", 'P', NULL, 0,
         "Leave the published buffer to the pool, until it is withdrawn, and end at once", 0},
        {0}};
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

struct get {
    const char *text; /* of a key; or NULL, and a name */
    const char *pool;
    const char *name;
};

static error_t parse_get(int key, char *arg, struct argp_state *state)
{
    struct get *get = state->input;
    switch (key) {
    case 'p':
        get->pool = arg;
        return 0;
    case 'n':
        get->name = arg;
        return 0;
    case ARGP_KEY_ARG:
        command_take_name(state, &get->text, arg);
        return 0;
    case ARGP_KEY_END:
        if (!get->text && !get->name) {
            argp_error(state, "KEY is missing, or --name");
        } else if (get->text && (get->name || get->pool)) {
            argp_error(state, "a key says all; --name and --pool go without one");
        }
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

static enum cli_exit get_by_key(const char *text)
{
    haul_key key;
    uint64_t len = 0;
    haul_pool *pool = NULL;
    haul_error err = {0};
    if (haul_key_parse(text, &key, &len) != HAUL_OK) {
        return report(CLI_USAGE, "this is not a key as 'shorthaul put' prints it");
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

static enum cli_exit get_by_name(const char *pool_name, const char *name)
{
    haul_key key;
    uint64_t len = 0;
    haul_pool *pool = NULL;
    haul_error err = {0};
    haul_status status = source_join(pool_name, "shorthaul get", &pool, &err);
    if (status != HAUL_OK) {
        return report_status(pool_name, status, &err);
    }
    status = haul_pool_find(pool, name, &key, &len);
    enum cli_exit code =
        status == HAUL_OK ? get_from(pool, &key, len) : report_name(pool_name, name, status);
    haul_pool_close(pool);
    return code;
}

enum cli_exit cmd_get(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"name", 'n', "BUFFER", 0, "The buffer published under this name, and no key", 0},
        {"pool", 'p', "NAME", 0, "The pool that it is published in. Default: " POOL_DEFAULT, 0},
        {0}};
    const struct argp argp = {.options = options,
                              .parser = parse_get,
                              .args_doc = "KEY\n--name=BUFFER",
                              .doc = "Write the bytes behind a key, or a published buffer's, to "
                                     "standard output, which must not be a terminal."};
    struct get get = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &get) != 0) {
        return CLI_FAILURE;
    }
    if (isatty(STDOUT_FILENO)) {
        return report(CLI_USAGE, "the bytes are not written to a terminal; redirect the output");
    }
    return get.text ? get_by_key(get.text)
                    : get_by_name(get.pool ? get.pool : POOL_DEFAULT, get.name);
}
