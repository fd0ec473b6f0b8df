/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * One worker of the storm: it allocates, fills, shares, gives, attaches, claims, compares and lets
 * go, in random order, until it is killed.
 *
 * What it has, it looks at again before it lets go of it, and all of it at once after it was
 * stopped and continued: a buffer being filled still has its bytes and can be shared, a shared one
 * can be attached by its key (so it is in the same life, the same generation), and a view still
 * shows what it showed. If one does not, somebody took from the living.
 *
 * A shared buffer whose key somebody else got may be gone when they look (STALE): its owner may
 * have let go of it, or died. That is no fault. Wrong bytes always are.
 */

#include "storm.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define N_THINGS      12u
#define ACTS_PER_REST 16u
#define MAX_REST_NS   2000000u

typedef enum kind {
    NOTHING,
    FILLING,
    SHARED,
    CLAIMED,
    VIEWING
} kind;

typedef struct thing {
    kind kind;
    haul_buf *buf;
    haul_view view;
    haul_key key;
    uint64_t len;
    uint64_t seed;
} thing;

typedef struct worker {
    storm_board *board;
    haul_pool *pool;
    uint32_t seat;
    uint64_t random;
    uint64_t seed;
    thing things[N_THINGS];
} worker;

static uint64_t roll(worker *w, uint64_t n)
{
    return storm_random(&w->random) % n;
}

/* A status that is none of the conditions that a storm brings. */
static void unexpected(worker *w, const char *what, haul_status s)
{
    storm_note(w->board, &w->board->n_errors, 1, "%s: %s", what, haul_status_name(s));
}

/* ---- Looking again ------------------------------------------------------------------------- */

static void check_bytes(worker *w, const void *data, const thing *t, const char *what)
{
    uint64_t wrong = data ? storm_count_wrong(data, t->len, t->seed) : t->len;
    if (wrong > 0) {
        storm_note(w->board, &w->board->wrong_bytes, wrong,
                   "%s changed under the living: buffer %u, %u bytes of %u", what, t->key.index,
                   (unsigned)wrong, (unsigned)t->len);
        (void)atomic_fetch_add(&w->board->false_reclaims, 1);
    }
}

static void check_by_key(worker *w, const thing *t)
{
    haul_view view;
    haul_status s = haul_attach(w->pool, &t->key, t->len, &view);
    if (s != HAUL_OK) {
        storm_note(w->board, &w->board->false_reclaims, 1,
                   "its owner lives, and cannot attach buffer %u: %s", t->key.index,
                   haul_status_name(s));
        return;
    }
    check_bytes(w, view.data, t, "a shared buffer");
    haul_detach(&view);
}

/* A claimed buffer cannot be attached by the giver's key alone: it is the same key, so it can. */
static void check(worker *w, const thing *t)
{
    if (t->kind == NOTHING) {
        return;
    }
    (void)atomic_fetch_add(&w->board->n_rechecks, 1);
    if (t->kind == FILLING) {
        check_bytes(w, haul_buf_data(t->buf), t, "a buffer being filled");
    } else if (t->kind == VIEWING) {
        check_bytes(w, t->view.data, t, "a buffer being read");
    } else {
        check_by_key(w, t);
    }
}

static void check_all_after_stop(worker *w)
{
    uint32_t pid = (uint32_t)getpid();
    atomic_store(&w->board->seats[w->seat].resumed, 0);
    for (uint32_t i = 0; i < N_THINGS; i++) {
        if (w->things[i].kind != NOTHING) {
            check(w, &w->things[i]);
            (void)atomic_fetch_add(&w->board->n_continued, 1);
        }
    }
    (void)send(w->board->report[1], &pid, sizeof(pid), 0);
}

/* ---- Making and sending -------------------------------------------------------------------- */

static uint64_t random_len(worker *w)
{
    uint64_t r = roll(w, 256);
    uint64_t max = r < 160   ? 4096
                   : r < 240 ? 65536
                   : r < 255 ? 300000 /* made to measure, or large */
                             : UINT64_C(2) << 20;
    return 1 + roll(w, max);
}

static void make(worker *w, thing *t)
{
    static const uint32_t policies[] = {HAUL_ALLOC_DEFAULT, HAUL_ALLOC_DEFAULT, 0,
                                        HAUL_ALLOC_LARGER, HAUL_ALLOC_GROW};
    const haul_alloc_opts opts = {.struct_size = sizeof(opts),
                                  .policy = policies[roll(w, 5)],
                                  .wait_ns = roll(w, 4) == 0 ? (int64_t)roll(w, 2000000) : 0};
    haul_buf *buf;
    uint64_t len = random_len(w);
    haul_status s = haul_buf_alloc(w->pool, len, &opts, &buf);
    if (s == HAUL_EXHAUSTED || s == HAUL_TIMEOUT) {
        (void)atomic_fetch_add(&w->board->n_exhausted, 1);
        return;
    }
    if (s != HAUL_OK) {
        unexpected(w, "alloc", s);
        return;
    }
    *t = (thing){.kind = FILLING, .buf = buf, .len = len, .seed = w->seed++};
    storm_fill(haul_buf_data(buf), len, t->seed);
}

/* False: the inbox is full. */
static bool post(worker *w, uint32_t to, const thing *t, bool is_gift)
{
    const storm_message m = {
        .key = t->key, .len = t->len, .seed = t->seed, .is_gift = is_gift, .sender = w->seat};
    return send(w->board->seats[to].inbox[1], &m, sizeof(m), MSG_DONTWAIT) == sizeof(m);
}

static void share(worker *w, thing *t)
{
    check(w, t);
    haul_status s = haul_buf_share(t->buf, t->len, &t->key);
    if (s != HAUL_OK) {
        storm_note(w->board, &w->board->false_reclaims, 1,
                   "its owner lives, and cannot share a buffer: %s", haul_status_name(s));
        *t = (thing){0};
        return;
    }
    t->kind = SHARED;
    for (uint64_t n = 1 + roll(w, 3); n > 0; n--) {
        (void)post(w, (uint32_t)roll(w, STORM_N_WORKERS), t, false);
    }
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A payload, or room for the other to fill. The slot may have passed to another process by now; then
 * nobody claims, and the gift expires. */
static void give(worker *w, thing *t)
{
    uint32_t to = (uint32_t)roll(w, STORM_N_WORKERS);
    uint32_t slot = atomic_load(&w->board->seats[to].slot);
    uint64_t deadline = now_ns() + roll(w, 200000000);
    check(w, t);
    if (slot == 0) {
        return;
    }
    uint64_t len = roll(w, 4) == 0 ? 0 : t->len;
    haul_status s = haul_buf_give(t->buf, len, slot, deadline, &t->key);
    if (s == HAUL_PEER_GONE) {
        return;
    }
    t->len = len;
    if (s != HAUL_OK) {
        storm_note(w->board, &w->board->false_reclaims, 1,
                   "its owner lives, and cannot give a buffer: %s", haul_status_name(s));
    } else if (!post(w, to, t, true)) {
        s = haul_pool_revoke(w->pool, &t->key);
        if (s != HAUL_OK && s != HAUL_STALE) {
            unexpected(w, "revoke", s);
        }
    }
    *t = (thing){0};
}

/* ---- Receiving ----------------------------------------------------------------------------- */

static haul_status take(worker *w, const storm_message *m, thing *t)
{
    if (!m->is_gift) {
        return haul_attach(w->pool, &m->key, m->len, &t->view);
    }
    if (m->len == 0) {
        return haul_buf_claim_empty(w->pool, &m->key, &t->buf);
    }
    haul_status s = haul_buf_claim(w->pool, &m->key, m->len, &t->buf);
    if (s == HAUL_OK) {
        s = haul_buf_view(t->buf, &t->view);
        if (s != HAUL_OK) {
            storm_note(w->board, &w->board->false_reclaims, 1, "claimed and gone: %s",
                       haul_status_name(s));
        }
    }
    return s;
}

/* Room that was lent is filled like a buffer of one's own. */
static void fill(worker *w, thing *t)
{
    (void)atomic_fetch_add(&w->board->n_gifts, 1);
    t->kind = FILLING;
    t->len = haul_buf_capacity(t->buf);
    t->seed = w->seed++;
    storm_fill(haul_buf_data(t->buf), t->len, t->seed);
}

static void receive(worker *w, thing *t)
{
    storm_message m;
    if (recv(w->board->seats[w->seat].inbox[0], &m, sizeof(m), MSG_DONTWAIT) != sizeof(m)) {
        return;
    }
    *t = (thing){.key = m.key, .len = m.len, .seed = m.seed};
    haul_status s = take(w, &m, t);
    if (s == HAUL_STALE) {
        (void)atomic_fetch_add(&w->board->n_stale, 1);
        return;
    }
    if (s != HAUL_OK) {
        unexpected(w, m.is_gift ? "claim" : "attach", s);
        return;
    }
    if (m.is_gift && m.len == 0) {
        fill(w, t);
        return;
    }
    uint64_t wrong = storm_count_wrong(t->view.data, m.len, m.seed);
    if (wrong > 0) {
        storm_note(w->board, &w->board->wrong_bytes, wrong, "%u bytes of %u of buffer %u are wrong",
                   (unsigned)wrong, (unsigned)m.len, m.key.index);
    }
    (void)atomic_fetch_add(&w->board->n_messages, 1);
    t->kind = VIEWING;
    if (m.is_gift) {
        (void)atomic_fetch_add(&w->board->n_gifts, 1);
        haul_detach(&t->view);
        t->kind = CLAIMED;
    }
}

static void let_go(worker *w, thing *t)
{
    check(w, t);
    if (t->kind == VIEWING) {
        haul_detach(&t->view);
    } else {
        haul_buf_release(t->buf);
    }
    *t = (thing){0};
}

/* ---- The whole ----------------------------------------------------------------------------- */

static void trim(worker *w)
{
    haul_status s = haul_pool_trim(w->pool, NULL, NULL);
    if (s != HAUL_OK) {
        unexpected(w, "trim", s);
    }
}

/* An empty place is filled, by receiving more often than by making; what is there moves on. */
static void act(worker *w)
{
    thing *t = &w->things[roll(w, N_THINGS)];
    uint64_t r = roll(w, 16);
    if (t->kind == NOTHING && r < 3) {
        make(w, t);
    } else if (t->kind == NOTHING) {
        receive(w, t);
    } else if (t->kind == FILLING && r < 6) {
        share(w, t);
    } else if (t->kind == FILLING && r < 12) {
        give(w, t);
    } else if (r < 4) {
        let_go(w, t);
    }
    if (roll(w, 2000) == 0) {
        trim(w);
    }
    if (roll(w, 64) == 0) {
        storm_unkeep(w->board, w->pool, w->seat);
        storm_keep(w->board, w->pool, w->seat);
    }
}

/* Eight that never rest would leave the dying no processor to die on: wait for a message, or a
 * little. */
static void rest(worker *w)
{
    struct pollfd on = {.fd = w->board->seats[w->seat].inbox[0], .events = POLLIN};
    struct timespec timeout = {.tv_nsec = (long)roll(w, MAX_REST_NS)};
    (void)ppoll(&on, 1, &timeout, NULL);
}

/* All slots may be locked for a moment, by those who look whether their last user is dead. */
static haul_status join(worker *w)
{
    haul_status s;
    do {
        s = haul_pool_open(w->board->pool_name, NULL, &w->pool, NULL);
    } while (s == HAUL_EXHAUSTED || s == HAUL_AGAIN);
    return s;
}

int storm_work(storm_board *board, uint32_t seat)
{
    worker w = {.board = board, .seat = seat};
    uint64_t number = atomic_fetch_add(&board->n_started, 1) + 1;
    w.random = number * UINT64_C(0x2545f4914f6cdd1d);
    w.seed = number << 32;
    haul_status s = join(&w);
    if (s != HAUL_OK) {
        unexpected(&w, "join", s);
        return 1;
    }
    atomic_store(&board->seats[seat].slot, haul_pool_participant(w.pool));
    atomic_store(&board->seats[seat].ready, (uint32_t)getpid());
    for (;;) {
        act(&w);
        if (roll(&w, ACTS_PER_REST) == 0) {
            rest(&w);
        }
        if (atomic_load(&board->seats[seat].resumed) == (uint32_t)getpid()) {
            check_all_after_stop(&w);
        }
    }
}
