/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_STAGE_H
#define SHORTHAUL_TESTS_STAGE_H

/*
 * The pool on which one process dies, and the living around it. See stage.c.
 *
 *   auditor    reaps, audits and uses the pool afterwards; takes what an operation needs taken
 *   bystander  lives through it all, and has one buffer of each kind: nothing of it may be lost
 *   child      executes the operation and dies; a process of its own
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <shorthaul/pool.h>

#define STAGE_SMALL_BYTES    4096u
#define STAGE_LARGE_BYTES    8192u
#define STAGE_MEASURED_BYTES 20480u
#define STAGE_N_INITIAL      8u
#define STAGE_N_MAX          10u
#define STAGE_N_BYSTANDER    4u       /* buffers that the bystander has, one way or another */
#define STAGE_LIVING_NAME    "living" /* of what the bystander shares */
#define STAGE_MAX_TAKEN      16u

/* A page that the child and the harness share, and that is not the pool. */
typedef struct stage_mail {
    haul_key key;
    uint32_t slot;    /* the child's */
    atomic_bool told; /* the child has told @key */
    atomic_bool done; /* the operation has returned @status */
    haul_status status;
} stage_mail;

typedef struct stage {
    char name[HAUL_POOL_NAME_MAX + 1];
    stage_mail *mail;

    haul_pool *auditor;
    haul_buf *taken[STAGE_MAX_TAKEN]; /* of the auditor, until stage_close() */
    uint32_t n_taken;

    haul_pool *bystander;
    haul_buf *owned;
    haul_buf *shared;
    haul_key shared_key;
    haul_key gift_key;
    haul_view held;
    haul_view watched; /* something of the child's, or empty */

    /* The child's, in the child. */
    haul_pool *pool;
    haul_buf *buf;
    haul_view view;

    /* What was found. */
    uint32_t lost;           /* buffers */
    uint32_t false_reclaims; /* things that the living had and have no more */
    uint32_t n_faults;       /* of any kind */
    char fault[192];         /* the first one */
} stage;

/* Whatever is not about the child but about the harness itself: say it and exit(2). */
void stage_die(const char *what, haul_status s) __attribute__((noreturn));
#define must(call)                                                                                 \
    do {                                                                                           \
        haul_status must_s = (call);                                                               \
        if (must_s != HAUL_OK) {                                                                   \
            stage_die(#call, must_s);                                                              \
        }                                                                                          \
    } while (0)

/* Note a fault. */
void stage_fault(stage *st, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- Setting up ---- */

/* Make the pool and the living. @mail is kept over all stages. */
void stage_open(stage *st, const char *name, stage_mail *mail);

/* The same with nobody living and, unless @made, no pool either. */
void stage_open_empty(stage *st, const char *name, stage_mail *mail, bool made);

/* Make the pool anew. */
haul_status stage_create(const stage *st, haul_pool **out_pool);

/* Let the auditor take every free buffer of the small class but @n_left. */
void stage_take_all_but(stage *st, uint32_t n_left);

/* Give back what the auditor took last. */
void stage_give_back_one(stage *st);

/* Let a process join, own, share and hold something, be given something, and die. */
void stage_leave_dead(stage *st);

/* The same, and let it have died with a buffer half made: its word is written, not left by a death
 * (the sweep of alloc_grow has those). */
void stage_leave_dead_maker(stage *st);

/* A buffer of @pool with @len bytes of the pattern @seed, shared. */
haul_buf *stage_share(haul_pool *pool, uint64_t len, uint8_t seed, haul_key *out_key);

void stage_fill(void *data, uint64_t len, uint8_t seed);
bool stage_is_filled(const void *data, uint64_t len, uint8_t seed);

/* In the child: join. */
void stage_join(stage *st);

/* ---- Looking afterwards ---- */

/* Reap, audit, see that all that is not the living's is free and all that is theirs is still
 * theirs, pass a hundred buffers through, and look again. @settle (may be NULL) lets the living let
 * go of what they had of the child's. */
void stage_verify(stage *st, void (*settle)(stage *st));

/* End the pool, seeing that the living can still use what is theirs, and that nothing stays. */
void stage_close(stage *st);

#endif
