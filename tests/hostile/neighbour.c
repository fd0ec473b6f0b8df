/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A process of tests/hostile. It does one of two things:
 *
 *   neighbour scribble POOL SEED   write into the pool's control segment, until its input ends
 *   neighbour work POOL SEED FD    use the pool by the rules for a bounded number of calls, and
 *                                  touch every page of what it is given; FD is the board
 *
 * A worker makes its calls in rounds, and joins anew for each. It exits 0 whatever statuses it gets,
 * and prints how often it got which. A call that does not return is left to the test's timeout.
 */

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/poll.h>
#include <time.h>
#include <unistd.h>

#include "board.h"
#include "fuzz_pool.h"
#include "pool/layout.h"
#include "scribble.h"

#define N_ROUNDS   8
#define N_JOINS    1000 /* tries, for a scribbled header is refused */
#define N_CALLS    400  /* per thread and round */
#define N_BUFS     4
#define N_VIEWS    4
#define BUDGET_S   12 /* no new round after that: a scribbled pool is slow, and that is allowed */
#define N_STATUSES 32

/* A forged word can make two threads of a process owners of one buffer only where the library lets
 * it; but what they read of each other's bytes is theirs to lose, and no race of ours. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define N_THREADS 1
#endif
#endif
#ifndef N_THREADS
#define N_THREADS 2
#endif

/* ---- Scribbling ---------------------------------------------------------------------------- */

/* Half of what is written is what once stood there: others get on, and old states come back. One
 * time in four it is the header, or else nobody could join any more. */
static void restore(uint8_t *base, const uint8_t *before, const haul__geometry *g, dice *d)
{
    uint64_t from = dice_roll(d, 4) == 0 ? 0 : 8 * dice_roll(d, g->total_bytes / 8);
    uint64_t to = from + 2048 < g->total_bytes ? from + 2048 : g->total_bytes;
    for (uint64_t at = from; at < to; at += 8) {
        uint64_t word;
        memcpy(&word, before + at, sizeof(word));
        haul__store64_relaxed((haul__a64 *)(void *)(base + at), word);
    }
}

static int scribble_until_told(const char *name, uint64_t seed)
{
    haul__geometry g;
    dice d = {.seed = seed};
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    uint8_t *base = fuzz_map_control(name, &g);
    uint8_t *before = malloc(g.total_bytes);
    if (!before) {
        return 1;
    }
    memcpy(before, base, g.total_bytes);
    (void)printf("ready\n");
    (void)fflush(stdout);
    while (poll(&input, 1, 0) == 0) {
        for (int i = 0; i < 16; i++) {
            if (dice_roll(&d, 2)) {
                restore(base, before, &g, &d);
            } else {
                (void)scribble(base, &g, &d);
            }
            (void)sched_yield();
        }
    }
    free(before);
    fuzz_unmap_control(base, &g);
    return 0;
}

/* ---- Working ------------------------------------------------------------------------------- */

typedef struct worker {
    haul_pool *pool;
    board *board;
    dice dice;
    haul_buf *bufs[N_BUFS];
    uint8_t *data[N_BUFS]; /* NULL: not to be written (any more) */
    uint64_t bytes[N_BUFS];
    haul_view views[N_VIEWS];
    uint64_t n_statuses[N_STATUSES];
    uint8_t sum;
} worker;

static haul_status count(worker *w, haul_status s)
{
    FUZZ_REQUIRE(strcmp(haul_status_name(s), "UNKNOWN") != 0);
    w->n_statuses[(int)s + N_STATUSES / 2]++;
    return s;
}

static void touch(worker *w)
{
    for (int i = 0; i < N_BUFS; i++) {
        if (w->data[i]) {
            memset(w->data[i], i, w->bytes[i]);
        }
    }
    for (int i = 0; i < N_VIEWS; i++) {
        for (uint64_t at = 0; at < w->views[i].len; at += 64) {
            w->sum ^= w->views[i].data[at];
        }
    }
}

static void may_write(worker *w, uint64_t i)
{
    w->data[i] = haul_buf_data(w->bufs[i]);
    w->bytes[i] = haul_buf_capacity(w->bufs[i]);
    FUZZ_REQUIRE(w->data[i]);
}

static void alloc(worker *w, uint64_t i)
{
    static const uint64_t lengths[] = {1, 4096, 5000, 8192, 20000, 100000};
    const haul_alloc_opts opts = {.struct_size = sizeof(opts),
                                  .policy = (uint32_t)dice_roll(&w->dice, HAUL_ALLOC_DEFAULT + 1),
                                  .wait_ns = (int64_t)dice_roll(&w->dice, 2) * 1000000};
    uint64_t len = lengths[dice_roll(&w->dice, 6)];
    if (!w->bufs[i] && count(w, haul_buf_alloc(w->pool, len, &opts, &w->bufs[i])) == HAUL_OK) {
        may_write(w, i);
        FUZZ_REQUIRE(w->bytes[i] >= len);
    }
}

static void share(worker *w, uint64_t i)
{
    haul_key key;
    if (w->data[i] && count(w, haul_buf_share(w->bufs[i], w->bytes[i], &key)) == HAUL_OK) {
        w->data[i] = NULL;
        board_write(w->board, dice_roll(&w->dice, BOARD_ENTRIES), &key, w->bytes[i]);
    }
}

static void give(worker *w, uint64_t i)
{
    haul_key key;
    uint32_t to = 1 + (uint32_t)dice_roll(&w->dice, 6);
    uint64_t len = dice_roll(&w->dice, 3) ? w->bytes[i] : 0;
    if (w->data[i] && count(w, haul_buf_give(w->bufs[i], len, to, UINT64_MAX, &key)) == HAUL_OK) {
        w->bufs[i] = NULL;
        w->data[i] = NULL;
        board_write(w->board, dice_roll(&w->dice, BOARD_ENTRIES), &key, w->bytes[i]);
    }
}

static void release(worker *w, uint64_t i)
{
    haul_buf *buf = w->bufs[i];
    w->bufs[i] = NULL;
    w->data[i] = NULL;
    haul_buf_release(buf);
}

static void take(worker *w, uint64_t i)
{
    uint64_t len;
    haul_key key = board_read(w->board, dice_roll(&w->dice, BOARD_ENTRIES), &len);
    switch (dice_roll(&w->dice, 8)) {
    case 0:
        (void)count(w, haul_pool_revoke(w->pool, &key));
        break;
    case 1:
        if (!w->bufs[i]) {
            (void)count(w, haul_buf_claim(w->pool, &key, len, &w->bufs[i]));
        }
        break;
    case 2:
        if (!w->bufs[i] && count(w, haul_buf_claim_empty(w->pool, &key, &w->bufs[i])) == HAUL_OK) {
            may_write(w, i);
        }
        break;
    default:
        if (!w->views[i].pool) {
            (void)count(w, haul_attach(w->pool, &key, len, &w->views[i]));
        }
        break;
    }
}

static void look(worker *w)
{
    haul_pool_info *info;
    size_t n;
    switch (dice_roll(&w->dice, 5)) {
    case 0:
        (void)count(w, haul_pool_reap(w->pool, &n, NULL));
        break;
    case 1:
        (void)count(w, haul_pool_audit(w->pool, NULL, NULL, &n, NULL));
        break;
    case 2:
        if (count(w, haul_pool_get_info(w->pool, &info, NULL)) == HAUL_OK) {
            haul_pool_info_free(info);
        }
        break;
    case 3:
        (void)count(w, haul_pool_grow(w->pool, (uint32_t)dice_roll(&w->dice, 2), 3, NULL));
        break;
    default:
        (void)count(w, haul_pool_trim(w->pool, NULL, NULL));
        break;
    }
}

/* Names, too: published, found by others, and withdrawn by whoever likes. */
static void publish(worker *w, uint64_t i)
{
    static const char *const names[] = {"a", "b", "c"};
    const char *name = names[dice_roll(&w->dice, 3)];
    bool persistent = dice_roll(&w->dice, 2) != 0;
    haul_key key;
    uint64_t len;
    switch (dice_roll(&w->dice, 3)) {
    case 0:
        if (w->bufs[i] && count(w, haul_buf_publish(w->bufs[i], name, persistent)) == HAUL_OK &&
            persistent) {
            w->bufs[i] = NULL;
        }
        break;
    case 1:
        if (count(w, haul_pool_find(w->pool, name, &key, &len)) == HAUL_OK) {
            board_write(w->board, dice_roll(&w->dice, BOARD_ENTRIES), &key, len);
        }
        break;
    default:
        (void)count(w, haul_pool_withdraw(w->pool, name));
        break;
    }
}

static void *work_one_round(void *arg)
{
    worker *w = arg;
    for (int n = 0; n < N_CALLS; n++) {
        uint64_t i = dice_roll(&w->dice, N_BUFS);
        switch (dice_roll(&w->dice, 16)) {
        case 0:
            look(w);
            break;
        case 1:
        case 2:
            give(w, i);
            break;
        case 3:
        case 4:
        case 5:
            share(w, i);
            break;
        case 6:
        case 7:
            release(w, i);
            break;
        case 8:
        case 9:
            haul_detach(&w->views[i]);
            break;
        case 10:
            publish(w, i);
            break;
        case 11:
        case 12:
            take(w, i);
            break;
        default:
            alloc(w, i);
            break;
        }
        touch(w);
    }
    return NULL;
}

static void forget(worker *w)
{
    memset(w->bufs, 0, sizeof(w->bufs));
    memset(w->data, 0, sizeof(w->data));
    memset(w->views, 0, sizeof(w->views));
}

static haul_pool *join(worker *w, const char *name)
{
    const haul_open_opts opts = {.struct_size = sizeof(opts),
                                 .preattach = dice_roll(&w->dice, 2) != 0,
                                 .map_bytes_max = 16384 * dice_roll(&w->dice, 2)};
    haul_pool *pool = NULL;
    for (int n = 0; n < N_JOINS && !pool; n++) {
        if (count(w, haul_pool_open(name, &opts, &pool, NULL)) != HAUL_OK) {
            (void)sched_yield();
        }
    }
    return pool;
}

static void work_rounds(const char *name, worker workers[N_THREADS])
{
    for (int round = 0; round < N_ROUNDS && clock() < BUDGET_S * CLOCKS_PER_SEC; round++) {
        pthread_t threads[N_THREADS];
        haul_pool *pool = join(&workers[0], name);
        if (!pool) {
            continue;
        }
        for (int t = 0; t < N_THREADS; t++) {
            workers[t].pool = pool;
            FUZZ_REQUIRE(pthread_create(&threads[t], NULL, work_one_round, &workers[t]) == 0);
        }
        for (int t = 0; t < N_THREADS; t++) {
            FUZZ_REQUIRE(pthread_join(threads[t], NULL) == 0);
            forget(&workers[t]); /* leaving gives it back */
        }
        haul_pool_close(pool);
    }
}

static int work(const char *name, uint64_t seed, int board_fd)
{
    static worker workers[N_THREADS];
    void *shared = mmap(NULL, BOARD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, board_fd, 0);
    FUZZ_REQUIRE(shared != MAP_FAILED);
    for (int t = 0; t < N_THREADS; t++) {
        workers[t] = (worker){.board = shared, .dice = {.seed = seed * N_THREADS + (uint64_t)t}};
    }
    work_rounds(name, workers);
    for (int s = 0; s < N_STATUSES; s++) {
        uint64_t n = 0;
        for (int t = 0; t < N_THREADS; t++) {
            n += workers[t].n_statuses[s];
        }
        if (n > 0) {
            (void)printf("%s %llu ", haul_status_name((haul_status)(s - N_STATUSES / 2)),
                         (unsigned long long)n);
        }
    }
    (void)printf("\n");
    (void)munmap(shared, BOARD_BYTES);
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc >= 4 ? strtoull(argv[3], NULL, 10) : 0;
    if (argc == 4 && strcmp(argv[1], "scribble") == 0) {
        return scribble_until_told(argv[2], seed);
    }
    if (argc == 5 && strcmp(argv[1], "work") == 0) {
        return work(argv[2], seed, (int)strtol(argv[4], NULL, 10));
    }
    (void)fprintf(stderr, "usage: neighbour scribble POOL SEED | work POOL SEED FD\n");
    return 2;
}
