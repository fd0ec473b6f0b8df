/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * haul_buf_alloc(): the policy, from the cheapest way of getting a buffer to the dearest.
 *
 *   1. a free buffer of the smallest class that fits     nanoseconds, no system call
 *   2. of a larger class, smallest first                 the same
 *   3. a new buffer                                      milliseconds: memory is reserved
 *   4. reap the dead and mend the hints, 1 to 3 again    microseconds
 *   5. wait in turn for a release, 4 again, until the deadline
 *
 * Until the state word names this process nothing is held, and from then on the word says all. So a
 * process may die anywhere here.
 */

#include <inttypes.h>

#include "base/error.h"
#include "pool/grow.h"
#include "pool/life.h"
#include "pool/maps.h"
#include "pool/queue.h"
#include "pool/reap.h"
#include "pool/take.h"
#include "pool/wait.h"

static const haul_alloc_opts default_opts = {
    .struct_size = sizeof(haul_alloc_opts), .policy = HAUL_ALLOC_DEFAULT, .wait_ns = 0};

/* One request, and what became of it. */
typedef struct request {
    uint64_t len;
    uint32_t class_index; /* the best class */
    uint32_t n_sized;     /* classes with a size */
    uint32_t policy;
} request;

/* ---- One attempt --------------------------------------------------------------------------- */

static uint64_t measured_bytes(uint64_t len)
{
    return (len + HAUL__PAGE_BYTES - 1) & ~(uint64_t)(HAUL__PAGE_BYTES - 1);
}

/* Take @bytes into this participant's quota. False: they exceed it. */
static bool quota_take(haul_pool *pool, uint64_t bytes)
{
    uint64_t quota = pool->g.quota_bytes;
    if (quota == 0) {
        return true;
    }
    if (haul__add64_relaxed(&pool->owned_bytes, bytes) + bytes <= quota) {
        return true;
    }
    (void)haul__add64_relaxed(&pool->owned_bytes, -bytes);
    return false;
}

static void quota_untake(haul_pool *pool, uint64_t bytes)
{
    if (pool->g.quota_bytes != 0) {
        (void)haul__add64_relaxed(&pool->owned_bytes, -bytes);
    }
}

static inline haul_buf *take_within_quota(haul_pool *pool, uint32_t c)
{
    uint64_t bytes = pool->g.classes[c].capacity_bytes;
    if (!quota_take(pool, bytes)) {
        return NULL;
    }
    haul_buf *buf = haul__take(pool, c);
    if (!buf) {
        quota_untake(pool, bytes);
    }
    return buf;
}

static haul_status grow_within_quota(haul_pool *pool, uint32_t c, uint64_t bytes,
                                     haul_buf **out_buf)
{
    if (!quota_take(pool, bytes)) {
        return HAUL_EXHAUSTED;
    }
    haul_status s = haul__grow_owned(pool, c, bytes, out_buf, NULL);
    if (s != HAUL_OK) {
        quota_untake(pool, bytes);
    }
    return s;
}

static haul_status attempt_sized(haul_pool *pool, const request *rq, haul_buf **out_buf)
{
    uint32_t last = rq->policy & HAUL_ALLOC_LARGER ? rq->n_sized - 1 : rq->class_index;
    for (uint32_t c = rq->class_index; c <= last; c++) {
        haul_buf *buf = take_within_quota(pool, c);
        if (buf) {
            *out_buf = buf;
            return HAUL_OK;
        }
    }
    haul_status s = HAUL_EXHAUSTED;
    if (rq->policy & HAUL_ALLOC_GROW) {
        for (uint32_t c = rq->class_index; c <= last && s == HAUL_EXHAUSTED; c++) {
            s = grow_within_quota(pool, c, pool->g.classes[c].capacity_bytes, out_buf);
        }
    }
    return s;
}

static haul_status attempt(haul_pool *pool, const request *rq, haul_buf **out_buf)
{
    if (rq->class_index < rq->n_sized) {
        return attempt_sized(pool, rq, out_buf);
    }
    if ((rq->policy & HAUL_ALLOC_MEASURED) == 0) {
        return HAUL_EXHAUSTED;
    }
    return grow_within_quota(pool, rq->class_index, measured_bytes(rq->len), out_buf);
}

/* ---- Waiting ------------------------------------------------------------------------------- */

/* For the first look at a buffer that is about to be free; each further one waits twice as long. A
 * little more than it takes to wake up at all. */
#define SHORT_NAP_NS UINT64_C(20000)

static haul_status attempt_thoroughly(haul_pool *pool, const request *rq, haul_buf **out_buf)
{
    (void)haul__reap_dead(pool);
    return attempt(pool, rq, out_buf);
}

/* Whether somebody waits for this class: then whoever can wait lines up behind. */
static bool has_queue(const haul_pool *pool, uint32_t c)
{
    return (haul__load32_relaxed(&haul__header_of(pool)->wake) & 1) != 0 &&
           haul__queue_length(pool, c) > 0;
}

/* When a waiter last looked for a buffer, and last saw that somebody had freed one. */
typedef struct vigil {
    uint64_t looked_ns;
    uint64_t woken_ns;
    uint32_t wake;         /* the word as it was then */
    uint64_t short_nap_ns; /* the next one, where a buffer is about to be free */
} vigil;

/*
 * Whether to look out of turn. Those in front may be dead, stopped or forged, and somebody may have
 * died who wakes nobody. But whoever is in front gets a nap's time from each release, so that he is
 * not overtaken because it took him a moment to wake up; unless there are releases all the time,
 * which may be of other classes, or wake-ups of anybody's: then it is two naps in all.
 */
static bool is_overdue(const vigil *v, uint64_t now_ns)
{
    uint64_t since_ns = v->looked_ns > v->woken_ns ? v->looked_ns : v->woken_ns;
    return now_ns - since_ns >= HAUL__NAP_NS || now_ns - v->looked_ns >= 2 * HAUL__NAP_NS;
}

/*
 * Whether a buffer that would do is about to be free. Its owner may have seen that nobody waited,
 * before we said that we do: then nobody wakes us (buf.c). It is between two instructions, or has
 * lost its core there. To be asked after haul__wait_prepare() and before the look for a buffer: what
 * becomes free in between is found by that look.
 */
static bool is_one_retiring(const haul_pool *pool, const request *rq)
{
    uint32_t last = rq->class_index < rq->n_sized ? rq->n_sized - 1 : rq->class_index;
    const haul__class_place *end = &pool->g.classes[last];
    for (uint32_t i = pool->g.classes[rq->class_index].first; i < end->first + end->n_max; i++) {
        uint64_t word = haul__load64_seq(&haul__record_of(pool, i)->state);
        if (haul__word_phase(word) == HAUL__RETIRING) {
            return true;
        }
    }
    return false;
}

/* How long to nap, of @nap_ns, if a buffer may have become free unheard. */
static uint64_t shortened(vigil *v, bool is_missed, uint64_t nap_ns)
{
    if (!is_missed) {
        v->short_nap_ns = SHORT_NAP_NS;
        return nap_ns;
    }
    nap_ns = v->short_nap_ns < nap_ns ? v->short_nap_ns : nap_ns;
    v->short_nap_ns = 2 * nap_ns;
    return nap_ns;
}

static haul_status wait_in_turn(haul_pool *pool, const request *rq, const haul__place *place,
                                int64_t wait_ns, uint64_t start, haul_buf **out_buf)
{
    vigil v = {.looked_ns = start, .woken_ns = start, .short_nap_ns = SHORT_NAP_NS};
    for (;;) {
        uint32_t prepared = haul__wait_prepare(pool);
        uint64_t now_ns = haul__now_ns();
        if (prepared != v.wake) {
            v.wake = prepared;
            v.woken_ns = now_ns;
        }
        bool is_missed = false;
        if (haul__queue_is_first(pool, place) || is_overdue(&v, now_ns)) {
            is_missed = is_one_retiring(pool, rq);
            haul_status s = attempt_thoroughly(pool, rq, out_buf);
            if (s != HAUL_EXHAUSTED) {
                return s;
            }
            v.looked_ns = haul__now_ns();
        }
        uint64_t nap = haul__nap_ns(start, wait_ns);
        if (nap == 0) {
            return HAUL_TIMEOUT;
        }
        haul__wait(pool, prepared, shortened(&v, is_missed, nap));
    }
}

static haul_status wait_for_one(haul_pool *pool, const request *rq, int64_t wait_ns,
                                haul_buf **out_buf)
{
    haul__counters *mine = &pool->my_counters[rq->class_index];
    uint64_t start = haul__now_ns();
    haul__place place = haul__queue_join(pool, rq->class_index);
    haul_status s = wait_in_turn(pool, rq, &place, wait_ns, start, out_buf);
    haul__queue_leave(pool, &place);
    haul__wake(pool); /* the next in the queue may have his buffer already */
    (void)haul__add64_relaxed(&mine->waits, 1);
    (void)haul__add64_relaxed(&mine->waited_ns, haul__now_ns() - start);
    return s;
}

/* ---- The whole ----------------------------------------------------------------------------- */

static haul_status find_class(const haul_pool *pool, uint64_t len, request *rq)
{
    uint32_t n = pool->g.n_classes;
    rq->n_sized = haul__class_is_measured(pool, n - 1) ? n - 1 : n;
    for (uint32_t c = 0; c < rq->n_sized; c++) {
        if (len <= pool->g.classes[c].capacity_bytes) {
            rq->class_index = c;
            return HAUL_OK;
        }
    }
    rq->class_index = rq->n_sized;
    return len <= haul_pool_max_bytes(pool) ? HAUL_OK : HAUL_TOO_BIG;
}

uint64_t haul_pool_max_bytes(const haul_pool *pool)
{
    bool measured = haul__class_is_measured(pool, pool->g.n_classes - 1);
    return measured ? pool->g.budget_bytes & ~(uint64_t)(HAUL__PAGE_BYTES - 1)
                    : pool->g.largest_bytes;
}

static uint32_t histogram_bucket(uint64_t len)
{
    uint32_t b = len <= 1 ? 0 : 64 - (uint32_t)__builtin_clzll(len - 1);
    return b < HAUL_HISTOGRAM_BUCKETS ? b : HAUL_HISTOGRAM_BUCKETS - 1;
}

/* The ends of runs, a thousandth of all requests where sizes do not change (layout.h). */
static void end_run(haul_buf *buf, uint32_t bucket)
{
    uint64_t run = haul__load64_relaxed(&buf->record->run);
    haul__store64_relaxed(&buf->record->run, HAUL__RUN_ONE | bucket);
    uint64_t old_bucket = run & HAUL__RUN_BUCKET;
    if (old_bucket < HAUL_HISTOGRAM_BUCKETS) {
        haul__a64 *requested = buf->pool->my_counters[buf->class_index].requested;
        (void)haul__add64_relaxed(&requested[old_bucket], run / HAUL__RUN_ONE);
    }
}

static inline void count_request(haul_buf *buf, uint64_t len)
{
    uint32_t bucket = histogram_bucket(len);
    uint64_t run = haul__load64_relaxed(&buf->record->run);
    if ((run & HAUL__RUN_BUCKET) == bucket && run < HAUL__RUN_MAX * HAUL__RUN_ONE) {
        haul__store64_relaxed(&buf->record->run, run + HAUL__RUN_ONE);
    } else {
        end_run(buf, bucket);
    }
}

static inline haul_status hand_out(haul_buf *buf, const request *rq, haul_buf **out_buf)
{
    haul_pool *pool = buf->pool;
    buf->published = false;
    if (pool->g.quota_bytes != 0) {
        buf->quota_bytes = haul__class_is_measured(pool, buf->class_index)
                               ? measured_bytes(rq->len)
                               : pool->g.classes[buf->class_index].capacity_bytes;
    }
    count_request(buf, rq->len);
    haul_status s = haul__map_rw(buf);
    if (s == HAUL_OK && buf->rw.bytes < rq->len) {
        s = HAUL_CORRUPT; /* the object was made anew by somebody who took its word for ABSENT */
    }
    if (s != HAUL_OK) {
        haul_buf_release(buf);
        return s;
    }
    if (buf->class_index != rq->class_index) {
        (void)haul__add64_relaxed(&pool->my_counters[rq->class_index].spills, 1);
    }
    *out_buf = buf;
    return HAUL_OK;
}

/* What the quick way did not find. */
static haul_status get_slowly(haul_pool *pool, const request *rq, int64_t wait_ns,
                              haul_buf **out_buf)
{
    haul_status s = HAUL_EXHAUSTED;
    if (wait_ns == 0 || !has_queue(pool, rq->class_index)) {
        s = attempt(pool, rq, out_buf);
        if (s == HAUL_EXHAUSTED) {
            s = attempt_thoroughly(pool, rq, out_buf);
        }
    }
    if (s == HAUL_EXHAUSTED && wait_ns != 0) {
        s = wait_for_one(pool, rq, wait_ns, out_buf);
    }
    if (s == HAUL_EXHAUSTED || s == HAUL_TIMEOUT) {
        (void)haul__add64_relaxed(&pool->my_counters[rq->class_index].exhaustions, 1);
    }
    return s;
}

haul_status haul_buf_alloc(haul_pool *pool, uint64_t len, const haul_alloc_opts *opts,
                           haul_buf **out_buf)
{
    if (!opts) {
        opts = &default_opts;
    }
    if (!pool || !pool->usable || opts->struct_size != sizeof(*opts) ||
        (opts->policy & ~(uint32_t)HAUL_ALLOC_DEFAULT) != 0) {
        return HAUL_INVALID;
    }
    request rq = {.len = len, .policy = opts->policy};
    haul_status s = find_class(pool, len, &rq);
    if (s != HAUL_OK) {
        return s;
    }
    if (rq.class_index == pool->g.n_classes) {
        return HAUL_TOO_BIG;
    }
    haul_buf *buf = NULL;
    if (rq.class_index < rq.n_sized && (opts->wait_ns == 0 || !has_queue(pool, rq.class_index))) {
        buf = take_within_quota(pool, rq.class_index);
    }
    if (!buf) {
        s = get_slowly(pool, &rq, opts->wait_ns, &buf);
    }
    return s == HAUL_OK ? hand_out(buf, &rq, out_buf) : s;
}
