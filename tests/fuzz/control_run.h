/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef CONTROL_RUN_H
#define CONTROL_RUN_H

/* What the two halves of the control target share: one run, and the calls that it is made of. */

#include "dice.h"
#include "fuzz_pool.h"

#define N_POOLS 3
#define N_BUFS  6
#define N_VIEWS 6
#define N_KEYS  6

typedef struct held_buf {
    haul_buf *buf; /* NULL: none */
    uint8_t *data; /* as haul_buf_data() gave it; NULL once shared */
    uint64_t bytes;
    uint32_t pool;
} held_buf;

typedef struct held_view {
    haul_view view;
    uint32_t pool;
    bool held;
} held_view;

typedef struct known_key {
    haul_key key;
    uint64_t len;
} known_key;

typedef struct control_run {
    dice dice;
    haul_pool *pools[N_POOLS];
    haul_pool *observer;
    held_buf bufs[N_BUFS];
    held_view views[N_VIEWS];
    known_key keys[N_KEYS];
    uint32_t n_keys;
    uint64_t now_ns;
    uint8_t *control; /* the pen's own mapping; NULL: nothing to scribble on */
    haul__geometry g;
    haul__header header; /* as the creator wrote it */
    bool header_spoilt;
} control_run;

extern control_run f;

/* The pen writes once. */
void scribble_once(void);

#define N_CONTROL_CALLS 23

/* Each makes one call of the pool's, with what the dice say. */
extern void (*const control_calls[N_CONTROL_CALLS])(void);

/* @s is one of the statuses that there are. */
haul_status known(haul_status s);

/* Use all that the callers have. */
void touch(void);

/* Ask the pool for everything it says of itself. */
void look_at(haul_pool *pool);

/* Participant @p forgets what it has and closes its handle. */
void leave(uint32_t p);

#endif
