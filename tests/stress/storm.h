/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_STORM_H
#define SHORTHAUL_TESTS_STORM_H

/*
 * What the storm's killer and its workers share besides the pool: a page of numbers (the board) and
 * datagram sockets. A datagram has arrived whole or not at all, whoever dies meanwhile, and the
 * numbers are added to atomically, so that killing a worker costs at most one count.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <shorthaul/pool.h>

#define STORM_N_WORKERS  8u
#define STORM_TEXT_BYTES 200u

typedef struct storm_message {
    haul_key key;
    uint64_t len;
    uint64_t seed; /* what the bytes are made of */
    uint32_t is_gift;
    uint32_t sender;
} storm_message;

/* One worker's part. */
typedef struct storm_seat {
    int inbox[2]; /* [0] read by the worker, [1] written to by all; the same numbers in all */
    _Atomic uint32_t slot;    /* of the last process in this seat, 0 = has not joined yet */
    _Atomic uint32_t kept;    /* the seat's data has been published, and not been withdrawn */
    _Atomic uint32_t ready;   /* pid of the process that can be stopped and continued */
    _Atomic uint32_t resumed; /* pid of one that has been, and has not looked at its things yet */
} storm_seat;

typedef struct storm_board {
    char pool_name[HAUL_POOL_NAME_MAX + 1];
    int report[2]; /* a worker has looked at what it has after it was continued: its pid */
    storm_seat seats[STORM_N_WORKERS];

    _Atomic uint64_t n_started;      /* also what makes each process's seeds different */
    _Atomic uint64_t n_messages;     /* read, by attaching or claiming, and compared */
    _Atomic uint64_t n_gifts;        /* of them claimed */
    _Atomic uint64_t n_stale;        /* messages whose buffer was gone */
    _Atomic uint64_t n_exhausted;    /* allocations that got nothing */
    _Atomic uint64_t n_kept;         /* persistent buffers found again */
    _Atomic uint64_t n_rechecks;     /* things that were had for a while and looked at again */
    _Atomic uint64_t n_continued;    /* of them after a SIGCONT */
    _Atomic uint64_t wrong_bytes;    /* bytes that were not what the message said */
    _Atomic uint64_t false_reclaims; /* things that a living process had and has no more */
    _Atomic uint64_t n_errors;       /* statuses that nobody should see */
    char text[STORM_TEXT_BYTES];     /* of the first fault */
    _Atomic uint32_t text_taken;
} storm_board;

/* One worker's life; ends with an exit code, mostly by a signal. */
int storm_work(storm_board *board, uint32_t seat);

/* ---- Data that outlives its process ---- */

/* Each seat has a persistent buffer, now and then. Publish it. */
void storm_keep(storm_board *board, haul_pool *pool, uint32_t seat);

/* Look at it: if it was published it is there, whoever died meanwhile, and right. Withdraw it. */
void storm_unkeep(storm_board *board, haul_pool *pool, uint32_t seat);

/* ---- Content ---- */

void storm_fill(void *data, uint64_t len, uint64_t seed);

/* Bytes that are not what storm_fill() wrote. */
uint64_t storm_count_wrong(const void *data, uint64_t len, uint64_t seed);

/* The next of a row of numbers that look random; @state is never 0. */
uint64_t storm_random(uint64_t *state);

/* Note a fault; the first one's text is kept. */
void storm_note(storm_board *board, _Atomic uint64_t *counter, uint64_t n, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
