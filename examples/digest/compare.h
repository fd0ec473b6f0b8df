/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef DIGEST_COMPARE_H
#define DIGEST_COMPARE_H

/* Sending one file both ways and timing it: see compare_measure.c. */

#include "common.h"

#define COMPARE_PROGRAM "digest_compare"

typedef struct session {
    haul_pool *pool;
    haul_channel *channel;
} session;

/* What is known of one way of sending one file. */
typedef struct figures {
    char sha256[DIGEST_HEX_BYTES];
    haul_path path;
    size_t n_message_bytes;
    double handover_us;
    double work_us;
} figures;

typedef struct subject {
    const char *name;
    const char *expected; /* SHA-256 in hexadecimal */
    digest_file file;
    uint64_t ends_sum, whole_sum; /* what TouchResponse must say */
    bool sha256_ok;               /* both digests are the expected one */
    figures by_key, by_inline;
} subject;

/* Send @sub both ways, check the answers, time them. False, and a line on stderr, if a call failed,
 * an answer was wrong, or a payload did not go the way meant. */
bool compare_measure(session *s, subject *sub);

#endif
