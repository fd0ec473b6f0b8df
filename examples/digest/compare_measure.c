/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * One file, by key and inline over one channel: digests, message sizes, and two timings in turns.
 *
 *   hand-over       the round trip of a call whose payload is ready; the server reads two bytes.
 *   produce + read  filling the payload from the file's pages, the call, in which the server reads
 *                   every byte, and letting go of the payload.
 *
 * The first alone would say nothing of the cost of the bytes. Every answer is checked: digests
 * against the one given, sums against the file's own, paths against the path meant.
 *
 * The caller's thread owns everything. If the process is killed, its buffers are taken back by the
 * next reap.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

#define ROUNDS_MAX   200
#define ROUNDS_MIN   5
#define ROUNDS_BYTES (1ull << 30) /* bytes to move per timing, which bounds the rounds */
#define KEY_CALLS                                                                                  \
    20 /* hand-overs by key per round: they are short, and the first one meets the                 \
        * caches and threads as the round before has left them */

typedef enum way_of_timing {
    KEY_HANDOVER,
    INLINE_HANDOVER,
    KEY_WORK,
    INLINE_WORK,
    N_TIMINGS
} way_of_timing;

/* The digest, and what the call was like. */
static bool take_digest(session *s, haul_payload *data, bool inline_only, figures *out)
{
    Digest__V1__SumRequest request = DIGEST__V1__SUM_REQUEST__INIT;
    request.data = data;
    haul_reply *reply = NULL;
    if (!digest_call(s->channel, DIGEST_SUM, &request.base, inline_only, &reply)) {
        return false;
    }
    const Digest__V1__SumResponse *sum = (const void *)haul_reply_message(reply);
    bool ok = digest_hex(&sum->sha256, out->sha256);
    out->path = haul_reply_request_path(reply);
    out->n_message_bytes = haul_reply_request_bytes(reply);
    haul_reply_free(reply);
    return ok;
}

/* One call that reads the payload's ends or all of it, checked. */
static bool touch(session *s, const subject *sub, haul_payload *data, const figures *way,
                  bool whole)
{
    Digest__V1__TouchRequest request = DIGEST__V1__TOUCH_REQUEST__INIT;
    request.data = data;
    request.whole = whole;
    haul_reply *reply = NULL;
    bool inline_only = way == &sub->by_inline;
    if (!digest_call(s->channel, DIGEST_TOUCH, &request.base, inline_only, &reply)) {
        return false;
    }
    const Digest__V1__TouchResponse *got = (const void *)haul_reply_message(reply);
    bool ok = got->size == sub->file.size && haul_reply_request_path(reply) == way->path &&
              got->sum == (whole ? sub->whole_sum : sub->ends_sum);
    haul_reply_free(reply);
    if (!ok) {
        (void)fprintf(stderr, COMPARE_PROGRAM ": %s: a wrong answer, or not the path meant\n",
                      sub->name);
    }
    return ok;
}

/* A new buffer with the file's bytes, shared. */
static bool fill_buf(session *s, const subject *sub, haul_buf **out_buf, haul_payload_out *data)
{
    haul_buf *buf = NULL;
    haul_status status = haul_buf_alloc(s->pool, sub->file.size, NULL, &buf);
    if (status == HAUL_OK) {
        if (sub->file.size > 0) {
            memcpy(haul_buf_data(buf), sub->file.data, sub->file.size);
        }
        status = haul_payload_set_buf(data, buf, sub->file.size);
    }
    if (status != HAUL_OK) {
        digest_complain(COMPARE_PROGRAM, sub->name, status, NULL);
        haul_buf_release(buf);
        return false;
    }
    *out_buf = buf;
    return true;
}

/* Fill a new buffer and send its key. */
static bool produce_by_key(session *s, const subject *sub)
{
    haul_buf *buf = NULL;
    haul_payload_out data;
    if (!fill_buf(s, sub, &buf, &data)) {
        return false;
    }
    bool ok = touch(s, sub, &data.payload, &sub->by_key, true);
    haul_buf_release(buf);
    return ok;
}

/* Fill private memory and send it. */
static bool produce_inline(session *s, const subject *sub)
{
    void *bytes = malloc(sub->file.size + 1);
    if (bytes == NULL) {
        return false;
    }
    if (sub->file.size > 0) {
        memcpy(bytes, sub->file.data, sub->file.size);
    }
    haul_payload_out data;
    haul_payload_set_inline(&data, bytes, sub->file.size);
    bool ok = touch(s, sub, &data.payload, &sub->by_inline, true);
    free(bytes);
    return ok;
}

static size_t rounds_of(const subject *sub)
{
    uint64_t n = ROUNDS_BYTES / (sub->file.size + 1);
    return n > ROUNDS_MAX ? ROUNDS_MAX : n < ROUNDS_MIN ? ROUNDS_MIN : (size_t)n;
}

/* The samples of one of the four. */
typedef struct timing {
    uint64_t samples_ns[ROUNDS_MAX * KEY_CALLS];
    size_t n;
} timing;

static bool take_sample(session *s, const subject *sub, haul_payload *ready, way_of_timing way,
                        timing *t)
{
    uint64_t start_ns = digest_now_ns();
    bool ok = way == KEY_HANDOVER      ? touch(s, sub, ready, &sub->by_key, false)
              : way == INLINE_HANDOVER ? touch(s, sub, ready, &sub->by_inline, false)
              : way == KEY_WORK        ? produce_by_key(s, sub)
                                       : produce_inline(s, sub);
    t->samples_ns[t->n++] = digest_now_ns() - start_ns;
    return ok;
}

/* All four timings, in turns. */
static bool time_rounds(session *s, const subject *sub, haul_payload *ready,
                        timing timings[N_TIMINGS])
{
    bool ok = true;
    size_t n = rounds_of(sub);
    for (size_t round = 0; ok && round < n; round++) {
        for (size_t i = 0; ok && i < KEY_CALLS; i++) {
            ok = take_sample(s, sub, ready, KEY_HANDOVER, &timings[KEY_HANDOVER]);
        }
        for (way_of_timing way = INLINE_HANDOVER; ok && way < N_TIMINGS; way++) {
            ok = take_sample(s, sub, ready, way, &timings[way]);
        }
    }
    return ok;
}

static bool time_ways(session *s, subject *sub, haul_payload *ready)
{
    timing *timings = calloc(N_TIMINGS, sizeof(*timings));
    bool ok = timings != NULL && time_rounds(s, sub, ready, timings);
    if (ok) {
        double *const medians[N_TIMINGS] = {
            [KEY_HANDOVER] = &sub->by_key.handover_us,
            [INLINE_HANDOVER] = &sub->by_inline.handover_us,
            [KEY_WORK] = &sub->by_key.work_us,
            [INLINE_WORK] = &sub->by_inline.work_us,
        };
        for (int way = 0; way < N_TIMINGS; way++) {
            *medians[way] = digest_median_us(timings[way].samples_ns, timings[way].n);
        }
    }
    free(timings);
    return ok;
}

static bool digests_match(const subject *sub)
{
    bool ok = strcmp(sub->by_key.sha256, sub->expected) == 0 &&
              strcmp(sub->by_inline.sha256, sub->expected) == 0;
    if (!ok) {
        (void)fprintf(stderr, COMPARE_PROGRAM ": %s: digest by key %s, inline %s, expected %s\n",
                      sub->name, sub->by_key.sha256, sub->by_inline.sha256, sub->expected);
    }
    return ok;
}

bool compare_measure(session *s, subject *sub)
{
    sub->ends_sum = digest_touch(sub->file.data, sub->file.size, false);
    sub->whole_sum = digest_touch(sub->file.data, sub->file.size, true);
    haul_buf *buf = NULL;
    haul_payload_out data;
    if (!fill_buf(s, sub, &buf, &data)) {
        return false;
    }
    bool ok = take_digest(s, &data.payload, false, &sub->by_key) &&
              take_digest(s, &data.payload, true, &sub->by_inline);
    if (ok && sub->file.size > 0 && sub->by_key.path != HAUL_PATH_SHM) {
        (void)fprintf(stderr, COMPARE_PROGRAM ": %s: did not go by key\n", sub->name);
        ok = false;
    }
    if (ok) {
        sub->sha256_ok = digests_match(sub);
        ok = time_ways(s, sub, &data.payload);
    }
    haul_buf_release(buf);
    return ok;
}
