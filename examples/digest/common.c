/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Small things that the digest server and its clients share: mapping a file, joining a pool, making
 * a call and saying why it failed, the sum that TouchResponse carries, a clock and a median.
 *
 * Everything here belongs to one process and runs in whichever thread calls it; nothing is kept
 * between calls. If the process dies, the kernel unmaps the file, and what it held in the pool is
 * reaped like that of any participant.
 */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S  1000000000ull
#define NS_PER_US 1000.0

static bool map_fd(int fd, digest_file *out_file)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return false;
    }
    digest_file file = {.size = (size_t)st.st_size};
    if (file.size > 0) {
        file.data = mmap(NULL, file.size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        if (file.data == MAP_FAILED) {
            return false;
        }
    }
    *out_file = file;
    return true;
}

bool digest_file_map(const char *path, digest_file *out_file)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && map_fd(fd, out_file);
    if (!ok) {
        (void)fprintf(stderr, "%s: %s\n", path,
                      errno == EINVAL ? "not a regular file" : strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

void digest_file_unmap(digest_file *file)
{
    if (file->data != NULL) {
        (void)munmap(file->data, file->size);
    }
    file->data = NULL;
}

void digest_complain(const char *program, const char *what, haul_status status,
                     const haul_error *err)
{
    const char *text = err != NULL && err->text[0] != '\0' ? err->text : haul_status_name(status);
    (void)fprintf(stderr, "%s: %s: %s\n", program, what, text);
}

bool digest_pool_open(const char *name, const char *program, haul_pool **out_pool)
{
    if (name == NULL) {
        *out_pool = NULL;
        return true;
    }
    haul_error err = {0};
    haul_open_opts opts = {.struct_size = sizeof(opts), .participant_name = program};
    haul_status status = haul_pool_open(name, &opts, out_pool, &err);
    if (status != HAUL_OK) {
        digest_complain(program, name, status, &err);
        return false;
    }
    return true;
}

bool digest_call(haul_channel *channel, unsigned method, const ProtobufCMessage *request,
                 bool inline_only, haul_reply **out_reply)
{
    haul_call_opts opts = {.struct_size = sizeof(opts),
                           .timeout_ns = 60 * (int64_t)NS_PER_S,
                           .inline_only = inline_only};
    haul_reply *reply = NULL;
    haul_status status = haul_channel_call(channel, &digest__v1__digest_service__descriptor, method,
                                           request, &opts, &reply);
    if (status != HAUL_OK) {
        (void)fprintf(stderr, "call failed: %s\n", haul_status_name(status));
        return false;
    }
    if (haul_reply_code(reply) != GRPC_STATUS_OK) {
        (void)fprintf(stderr, "call failed: gRPC status %d: %s\n", (int)haul_reply_code(reply),
                      haul_reply_text(reply));
        haul_reply_free(reply);
        return false;
    }
    *out_reply = reply;
    return true;
}

bool digest_hex(const ProtobufCBinaryData *sha256, char out_text[DIGEST_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    if (sha256->len != (DIGEST_HEX_BYTES - 1) / 2) {
        return false;
    }
    for (size_t i = 0; i < sha256->len; i++) {
        out_text[2 * i] = digits[sha256->data[i] >> 4];
        out_text[2 * i + 1] = digits[sha256->data[i] & 15];
    }
    out_text[DIGEST_HEX_BYTES - 1] = '\0';
    return true;
}

uint64_t digest_touch(const uint8_t *data, uint64_t len, bool whole)
{
    if (len == 0) {
        return 0;
    }
    if (!whole) {
        return data[0] + 256ull * data[len - 1];
    }
    uint64_t sum = 0;
    uint64_t word = 0;
    uint64_t at = 0;
    for (; at + sizeof(word) <= len; at += sizeof(word)) {
        memcpy(&word, data + at, sizeof(word));
        sum += word;
    }
    word = 0;
    memcpy(&word, data + at, len - at);
    return sum + word;
}

uint64_t digest_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double digest_median_us(uint64_t *samples_ns, size_t n)
{
    qsort(samples_ns, n, sizeof(*samples_ns), compare_u64);
    size_t middle = n / 2;
    return (double)samples_ns[middle] / NS_PER_US;
}
