/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef DIGEST_COMMON_H
#define DIGEST_COMMON_H

/* What the three digest programs share: see common.c. */

#include <shorthaul/transport.h>

#include "digest.pb-c.h"

/* Method numbers of DigestService, in the order of digest.proto. */
enum {
    DIGEST_SUM = 0,
    DIGEST_TOUCH = 1
};

#define DIGEST_HEX_BYTES 65 /* a SHA-256 as text, with the terminator */

/* Exit codes of the three programs. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2
};

/* A file mapped for reading; data is NULL when it is empty. */
typedef struct digest_file {
    void *data;
    size_t size;
} digest_file;

/* Map @path. On failure says why on stderr and returns false. */
bool digest_file_map(const char *path, digest_file *out_file);
/* Unmap; the size stays known. */
void digest_file_unmap(digest_file *file);

/* Join the pool @name; NULL stands for no pool, which is fine. Says why not on stderr. */
bool digest_pool_open(const char *name, const char *program, haul_pool **out_pool);

/* Say on stderr what went wrong in @what. */
void digest_complain(const char *program, const char *what, haul_status status,
                     const haul_error *err);

/* One call. Says what went wrong on stderr; a reply is set only if the call ended OK. */
bool digest_call(haul_channel *channel, unsigned method, const ProtobufCMessage *request,
                 bool inline_only, haul_reply **out_reply);

/* A digest as lower-case hexadecimal; false if it is not 32 bytes. */
bool digest_hex(const ProtobufCBinaryData *sha256, char out_text[DIGEST_HEX_BYTES]);

/* The sum of TouchResponse, over the whole payload or its ends. */
uint64_t digest_touch(const uint8_t *data, uint64_t len, bool whole);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t digest_now_ns(void);

/* The median of @n samples, n > 0, in microseconds. Sorts them. */
double digest_median_us(uint64_t *samples_ns, size_t n);

#endif
