/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A file's bytes into a buffer, in one read where its size is known.
 *
 * What has no size beforehand, such as a pipe, is read into a buffer and moved to a larger one
 * whenever that is full: no private copy of a payload that may be larger than private memory. A
 * file that grows meanwhile is treated likewise. If the process dies here, the buffer is one that
 * is being filled by the dead, and is reaped.
 */

#include "cli/fill.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_BYTES UINT64_C(65536)
#define READ_BYTES  UINT64_C(1073741824) /* read() takes no more than 2 GiB at once */

static haul_status fail(haul_error *err, int code)
{
    *err = (haul_error){.status = HAUL_SYSTEM, .sys_errno = code};
    (void)snprintf(err->text, sizeof(err->text), "cannot be read: %s", strerror(code));
    return HAUL_SYSTEM;
}

/* What to begin with: the rest of a regular file. */
static uint64_t first_size(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0) {
        return FIRST_BYTES;
    }
    off_t at = lseek(fd, 0, SEEK_CUR);
    return at >= 0 && at < st.st_size ? (uint64_t)(st.st_size - at) : FIRST_BYTES;
}

static haul_status wait_for(int fd, int stop_fd, haul_error *err)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0) {
        if (errno != EINTR) {
            return fail(err, errno);
        }
    }
    return fds[1].revents != 0 ? HAUL_AGAIN : HAUL_OK;
}

/* Read up to @room bytes; *@out_n is 0 at the end of @fd. */
static haul_status read_some(int fd, int stop_fd, void *to, uint64_t room, uint64_t *out_n,
                             haul_error *err)
{
    haul_status status = wait_for(fd, stop_fd, err);
    if (status != HAUL_OK) {
        return status;
    }
    ssize_t n = read(fd, to, room < READ_BYTES ? room : READ_BYTES);
    if (n < 0) {
        return fail(err, errno);
    }
    *out_n = (uint64_t)n;
    return HAUL_OK;
}

/* Move @len bytes to a buffer twice as large, or as large as there can be. */
static haul_status move_to_larger(haul_pool *pool, haul_buf **buf, uint64_t len)
{
    haul_buf *larger = NULL;
    uint64_t want = len > UINT64_MAX / 2 ? UINT64_MAX : len * 2;
    uint64_t most = haul_pool_max_bytes(pool);
    if (len < most && want > most) {
        want = most;
    }
    haul_status status = haul_buf_alloc(pool, want, NULL, &larger);
    if (status != HAUL_OK) {
        return status;
    }
    memcpy(haul_buf_data(larger), haul_buf_data(*buf), len);
    haul_buf_release(*buf);
    *buf = larger;
    return HAUL_OK;
}

/* Whether @fd is at its end, now that the buffer is full; if not, its next byte is @out_byte. */
static haul_status look_beyond(int fd, int stop_fd, uint8_t *out_byte, bool *out_end,
                               haul_error *err)
{
    uint64_t n = 0;
    haul_status status = read_some(fd, stop_fd, out_byte, 1, &n, err);
    *out_end = n == 0;
    return status;
}

static haul_status fill(haul_pool *pool, int fd, int stop_fd, haul_buf **buf, uint64_t *out_len,
                        haul_error *err)
{
    uint64_t len = 0;
    for (;;) {
        uint8_t byte = 0;
        bool end = false;
        uint64_t n = 0;
        haul_status status;
        if (len < haul_buf_capacity(*buf)) {
            uint8_t *to = (uint8_t *)haul_buf_data(*buf) + len;
            status = read_some(fd, stop_fd, to, haul_buf_capacity(*buf) - len, &n, err);
            end = n == 0;
            len += n;
        } else {
            status = look_beyond(fd, stop_fd, &byte, &end, err);
            if (status == HAUL_OK && !end) {
                status = move_to_larger(pool, buf, len);
            }
            if (status == HAUL_OK && !end) {
                ((uint8_t *)haul_buf_data(*buf))[len++] = byte;
            }
        }
        if (status != HAUL_OK || end) {
            *out_len = len;
            return status;
        }
    }
}

haul_status fill_from(haul_pool *pool, int fd, int stop_fd, haul_buf **out_buf, uint64_t *out_len,
                      haul_error *err)
{
    haul_buf *buf = NULL;
    haul_status status = haul_buf_alloc(pool, first_size(fd), NULL, &buf);
    if (status != HAUL_OK) {
        return status;
    }
    status = fill(pool, fd, stop_fd, &buf, out_len, err);
    if (status != HAUL_OK) {
        haul_buf_release(buf);
        return status;
    }
    *out_buf = buf;
    return HAUL_OK;
}
