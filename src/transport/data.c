/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Data connections: sockets in the abstract namespace, and whole pieces of bytes on them.
 *
 * Abstract, because that leaves nothing behind when a process dies, and is reached by exactly those
 * who share a network namespace with the server. The name in the message is a number and not an
 * address, so that no peer can send a client anywhere else than to a data connection. Who listens
 * there is proven by tokens that were told over gRPC.
 *
 * Bytes go from where they are to where they stay in as few system calls as the kernel allows: each
 * call moves up to a chunk and sleeps in between. The sockets' timeouts bound that sleep, which is
 * when a thread looks whether it is still wanted. Who wants it to end at once shuts the socket down.
 */

#include "transport/data.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* Between two looks at the clock. A peer that keeps just ahead of the timeouts makes ten times them
 * of it, for the kernel takes about 100 KiB at a time. */
#define CHUNK ((size_t)1 << 20)

#define BACKLOG 16

void haul__data_set_look(int fd, uint64_t look_ns)
{
    const struct timeval look = {.tv_sec = (time_t)(look_ns / 1000000000),
                                 .tv_usec = (suseconds_t)(look_ns % 1000000000 / 1000)};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &look, sizeof(look));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &look, sizeof(look));
}

static socklen_t address_of(uint64_t name, struct sockaddr_un *out_address)
{
    *out_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    char *text = out_address->sun_path + 1; /* which begins with a zero: abstract */
    int n = snprintf(text, sizeof(out_address->sun_path) - 1, "shorthaul-data-%016" PRIx64, name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

int haul__data_listen(uint64_t name)
{
    struct sockaddr_un address;
    socklen_t len = address_of(name, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 &&
        (bind(fd, (const struct sockaddr *)&address, len) != 0 || listen(fd, BACKLOG) != 0)) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

int haul__data_connect(uint64_t name, uint64_t look_ns)
{
    struct sockaddr_un address;
    socklen_t len = address_of(name, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    haul__data_set_look(fd, look_ns); /* connect() waits so long, too, where many knock at once */
    if (connect(fd, (const struct sockaddr *)&address, len) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

/* One of the two is NULL. */
static bool move(int fd, const uint8_t *from, uint8_t *to, size_t n, haul__data_patience patience,
                 void *ctx)
{
    while (n > 0) {
        size_t chunk = n < CHUNK ? n : CHUNK;
        ssize_t moved =
            from ? send(fd, from, chunk, MSG_NOSIGNAL) : recv(fd, to, chunk, MSG_WAITALL);
        if (moved == 0 || (moved < 0 && errno != EAGAIN && errno != EINTR)) {
            return false;
        }
        size_t done = moved > 0 ? (size_t)moved : 0;
        from = from ? from + done : NULL;
        to = to ? to + done : NULL;
        n -= done;
        if (n > 0 && !patience(ctx, done > 0)) {
            return false;
        }
    }
    return true;
}

bool haul__data_send(int fd, const void *data, size_t n, haul__data_patience patience, void *ctx)
{
    return move(fd, data, NULL, n, patience, ctx);
}

bool haul__data_receive(int fd, void *data, size_t n, haul__data_patience patience, void *ctx)
{
    return move(fd, NULL, data, n, patience, ctx);
}

bool haul__data_tokens_equal(const uint8_t a[HAUL__DATA_TOKEN_BYTES],
                             const uint8_t b[HAUL__DATA_TOKEN_BYTES])
{
    unsigned differing = 0;
    for (size_t i = 0; i < HAUL__DATA_TOKEN_BYTES; i++) {
        differing |= (unsigned)(a[i] ^ b[i]);
    }
    return differing == 0;
}

void haul__data_put_u64(uint8_t bytes[8], uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> 8 * i);
    }
}

uint64_t haul__data_get_u64(const uint8_t bytes[8])
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)bytes[i] << 8 * i;
    }
    return value;
}
