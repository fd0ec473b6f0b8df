/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * HTTP/2 as far as a test needs it: writing is exact, reading looks for the end of a stream. A
 * status is found by its header's name, which a server writes out the first time it uses it on a
 * connection; so only the first answer of a connection is asked for. One thread per connection.
 */

#include "h2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "pool_test.h"

#define FRAME_HEAD_BYTES 9

void h2_add(h2_bytes *bytes, const void *data, size_t len)
{
    if (bytes->capacity - bytes->len < len) {
        bytes->capacity = 2 * bytes->capacity + len + 256;
        bytes->data = realloc(bytes->data, bytes->capacity);
        assert_non_null(bytes->data);
    }
    if (len > 0) {
        memcpy(bytes->data + bytes->len, data, len);
        bytes->len += len;
    }
}

static void add_u32(h2_bytes *bytes, uint32_t value)
{
    const uint8_t big_endian[] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16),
                                  (uint8_t)(value >> 8), (uint8_t)value};
    h2_add(bytes, big_endian, sizeof(big_endian));
}

void h2_add_frame(h2_bytes *bytes, unsigned type, unsigned flags, uint32_t stream, const void *data,
                  size_t len)
{
    const uint8_t kind[] = {(uint8_t)type, (uint8_t)flags};
    const uint8_t size[] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
    h2_add(bytes, size, sizeof(size));
    h2_add(bytes, kind, sizeof(kind));
    add_u32(bytes, stream);
    h2_add(bytes, data, len);
}

void h2_add_preface(h2_bytes *bytes, uint32_t window)
{
    static const char magic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    h2_bytes settings = {0};
    h2_add(&settings, "\0\4", 2); /* INITIAL_WINDOW_SIZE */
    add_u32(&settings, window);
    h2_add(bytes, magic, sizeof(magic) - 1);
    h2_add_frame(bytes, H2_SETTINGS, 0, 0, settings.data, settings.len);
    h2_free(&settings);
}

static void add_text(h2_bytes *bytes, const char *text)
{
    uint8_t len = (uint8_t)strlen(text);
    assert_in_range(len, 0, 126); /* one byte, no Huffman code */
    h2_add(bytes, &len, 1);
    h2_add(bytes, text, len);
}

/* A header that enters no table. */
static void add_header(h2_bytes *bytes, const char *name, const char *value)
{
    h2_add(bytes, "", 1);
    add_text(bytes, name);
    add_text(bytes, value);
}

void h2_add_call(h2_bytes *bytes, uint32_t stream, const char *path, const char *timeout)
{
    h2_bytes headers = {0};
    h2_add(&headers, "\x83\x86", 2); /* POST, http */
    add_header(&headers, ":path", path);
    add_header(&headers, ":authority", "localhost");
    add_header(&headers, "te", "trailers");
    add_header(&headers, "content-type", "application/grpc");
    if (timeout) {
        add_header(&headers, "grpc-timeout", timeout);
    }
    h2_add_frame(bytes, H2_HEADERS, H2_END_HEADERS, stream, headers.data, headers.len);
    h2_free(&headers);
}

void h2_add_message(h2_bytes *bytes, uint32_t stream, const void *data, size_t len,
                    uint32_t claimed)
{
    h2_bytes message = {0};
    h2_add(&message, "", 1); /* not compressed */
    add_u32(&message, claimed);
    h2_add(&message, data, len);
    h2_add_frame(bytes, H2_DATA, H2_END_STREAM, stream, message.data, message.len);
    h2_free(&message);
}

void h2_free(h2_bytes *bytes)
{
    free(bytes->data);
    *bytes = (h2_bytes){0};
}

int h2_connect(const char *address)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = address + strlen("unix:");
    assert_in_range(strlen(path), 1, sizeof(to.sun_path) - 1);
    memcpy(to.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

bool h2_write(int fd, const h2_bytes *bytes)
{
    size_t done = 0;
    while (done < bytes->len) {
        ssize_t n = send(fd, bytes->data + done, bytes->len - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool read_all(int fd, uint8_t *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = recv(fd, data + done, len - done, 0);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* The number behind the header's name; H2_RESET if the trailers have none. */
static int find_status(const uint8_t *headers, size_t len)
{
    static const char name[] = "grpc-status";
    const uint8_t *at = memmem(headers, len, name, sizeof(name) - 1);
    if (!at) {
        return H2_RESET;
    }
    at += sizeof(name) - 1;
    int status = 0;
    for (unsigned n = *at++; n > 0 && at < headers + len; n--) {
        status = 10 * status + (*at++ - '0');
    }
    return status;
}

typedef struct frame {
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
    uint8_t *data; /* to be freed */
    size_t len;
} frame;

static bool read_frame(int fd, frame *out)
{
    uint8_t head[FRAME_HEAD_BYTES];
    *out = (frame){0};
    if (!read_all(fd, head, sizeof(head))) {
        return false;
    }
    out->len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    out->type = head[3];
    out->flags = head[4];
    out->stream =
        ((uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8]) &
        INT32_MAX;
    out->data = malloc(out->len + 1);
    assert_non_null(out->data);
    return read_all(fd, out->data, out->len);
}

int h2_open(const char *address, uint32_t window)
{
    h2_bytes bytes = {0};
    h2_bytes yes = {0};
    frame f;
    bool read;
    int fd = h2_connect(address);
    h2_add_preface(&bytes, window);
    assert_true(h2_write(fd, &bytes));
    do {
        read = read_frame(fd, &f);
        free(f.data);
    } while (read && f.type != H2_SETTINGS);
    assert_true(read);
    h2_add_frame(&yes, H2_SETTINGS, H2_ACK, 0, NULL, 0);
    assert_true(h2_write(fd, &yes));
    h2_free(&bytes);
    h2_free(&yes);
    return fd;
}

int h2_read_status(int fd, uint32_t stream)
{
    frame f;
    int status = H2_CLOSED;
    bool ended = false;
    while (!ended && read_frame(fd, &f)) {
        ended = f.stream == stream &&
                (f.type == H2_RST_STREAM || (f.type <= H2_HEADERS && (f.flags & H2_END_STREAM)));
        if (ended) {
            status = f.type == H2_HEADERS ? find_status(f.data, f.len) : H2_RESET;
        }
        free(f.data);
    }
    return status;
}

void h2_read_to_end(int fd)
{
    uint8_t data[4096];
    ssize_t n;
    do {
        n = recv(fd, data, sizeof(data), 0);
    } while (n > 0 || (n < 0 && errno == EINTR));
}
