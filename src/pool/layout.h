/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_LAYOUT_H
#define SHORTHAUL_POOL_LAYOUT_H

/*
 * Every byte that processes share, except the payloads themselves.
 *
 * The control segment is, in this order, each part starting on a 64-byte line:
 *
 *   header               what the pool is; written once, then never
 *   slots[n_slots + 1]   who has joined; slot 0 is nobody
 *   classes[n_classes]   hints of each size class
 *   hint bitmaps         one bit per buffer and class: "look here first"
 *   names                published buffers
 *   counters             [n_slots + 1][n_classes], each row written by its participant alone
 *   records              one per buffer, all classes one after the other: the truth
 *
 * geometry.h computes where each part is from the few numbers in the header. Little-endian, x86-64
 * and arm64 sizes; the fingerprint in the header is over all offsets and sizes below.
 *
 * Fields are grouped by who writes them, one group to a line, so that a reader does not take the
 * line away from a writer. Payload buffers have no header: they are shm objects of their own.
 */

#include <stddef.h>
#include <stdint.h>

#include <shorthaul/pool.h>

#include "base/atomics.h"

#define HAUL__MAGIC          UINT64_C(0x4c554148524f4853) /* "SHORHAUL" in memory */
#define HAUL__LAYOUT_VERSION 2u
#define HAUL__LINE           64u
#define HAUL__PAGE_BYTES     4096u
#define HAUL__WAITERS        128u
#define HAUL__HUGE_BYTES     (UINT64_C(2) << 20)

/* ---- Locks --------------------------------------------------------------------------------- */

/*
 * Open-file-description locks on bytes of the control object (beyond its size where need be; a lock
 * needs no byte there). The kernel drops them when their process dies, whatever it was doing.
 *
 *   byte 0                 admin: creating the pool, removing it
 *   byte k, 1..n_slots     participant k lives (or somebody proves it dead and reaps it)
 *   byte HAUL__LOCK_KEEPER the sidecar that keeps this pool
 */
#define HAUL__LOCK_ADMIN  0u
#define HAUL__LOCK_KEEPER 65536u

/* ---- Header -------------------------------------------------------------------------------- */

/* Life of the pool: haul__header.state.
 *
 * who              transition            access      because
 * creator (admin)  INIT     -> READY     store seq   everything else comes first
 * remover (admin)  READY    -> REMOVING  store seq   new joins wait for its verdict
 * remover (admin)  REMOVING -> READY     store seq   somebody lives: refuse
 * remover (admin)  REMOVING -> REMOVED   store seq   point of no return
 * joiner, maker    (reads)               load seq    after its slot lock, after its shm_open:
 *                                                    see join.c, grow.c
 * Admin dies in INIT: the next creator takes the lock and the half-made object away.
 * In REMOVING: the next admin goes on or back; no object has been touched yet.
 * In REMOVED: whoever creates or removes next finishes the unlinking. */
enum haul__pool_state {
    HAUL__POOL_INIT = 0, /* a new object reads as zeros */
    HAUL__POOL_READY = 1,
    HAUL__POOL_REMOVING = 2,
    HAUL__POOL_REMOVED = 3,
};

typedef struct haul__class_geometry {
    uint64_t size_bytes; /* 0: made to measure */
    uint32_t n_initial;
    uint32_t n_max;
} haul__class_geometry;

_Static_assert(sizeof(haul__class_geometry) == 16, "layout");

/* Plain fields are written by the creator before READY and are constant from then on. A process
 * reads them once, with pread, checks them, and uses its private copy. */
typedef struct haul__header {
    uint64_t magic;
    uint32_t layout_version;
    uint32_t header_bytes;
    uint64_t fingerprint;
    uint8_t uuid[16]; /* the first eight bytes, little-endian, are the pool id; not 0 */
    uint64_t total_bytes;
    uint64_t budget_bytes;
    uint64_t quota_bytes; /* 0: none */
    uint32_t n_slots;
    uint32_t n_classes;
    uint32_t n_names;
    uint32_t mode;
    haul__class_geometry classes[HAUL_CLASSES_MAX];

    _Alignas(HAUL__LINE) haul__a32 state; /* enum haul__pool_state */

    /* Where allocations wait for a release, and givers for a claim (claimed.c). Bit 0: somebody waits;
     * the rest counts wake-ups.
     *
     * who       transition            access      pairs with  because
     * waiter    sets bit 0 (W)        or seq      R           he looks for a buffer after it: either
     *                                                         he finds it or R sees the bit
     * releaser  (reads, after FREE,   load seq    W               a waiter that finds RETIRING looks again
     *           or after RETIRING)                                soon by himself (alloc.c)
     * claimer   (reads, after SHARED) load seq    W
     * releaser, clears bit 0, counts  cas acqrel  futex       the kernel compares the word: a waiter
     * claimer   up; wakes all                                 that was late does not sleep
     * Waiter dies: bit 0 stays until the next release clears it; one wake-up too many.
     * Releaser or claimer dies before waking: what it did stands, and waiters look again after a
     * while by themselves (alloc.c, claimed.c). */
    _Alignas(HAUL__LINE) haul__a32 wake;

    /* The queue of those who wait, so that they are served in turn. A ticket is drawn by adding to
     * next_ticket; a cell is ticket (40) | participant (16) | class (8), 0 = free.
     *
     * who     transition        access      because
     * waiter  0 -> its cell     cas acqrel
     * waiter  its cell -> 0     store rel   it has a buffer, or has given up; then it wakes the others
     * reaper  a dead cell -> 0  cas acqrel  under the dead slot's lock
     * waiter  (reads all)       load acq    whoever has the smallest ticket of a class goes first
     * Waiter dies or is stopped: the others pass it after a nap that nobody ended (alloc.c). Ticket
     * and cells are for fairness alone: garbage in them costs a turn, never a buffer. */
    _Alignas(HAUL__LINE) haul__a64 next_ticket;
    _Alignas(HAUL__LINE) haul__a64 waiters[HAUL__WAITERS];
} haul__header;

_Static_assert(offsetof(haul__header, classes) == 80, "layout");
_Static_assert(offsetof(haul__header, state) == 640, "layout");
_Static_assert(offsetof(haul__header, wake) == 704, "layout");
_Static_assert(offsetof(haul__header, next_ticket) == 768, "layout");
_Static_assert(offsetof(haul__header, waiters) == 832, "layout");
_Static_assert(sizeof(haul__header) == 832 + 8 * HAUL__WAITERS, "layout");

/* ---- Participants -------------------------------------------------------------------------- */

/* What the tables show of a participant. The lock on its byte is what counts; this says where to
 * look. Written by the participant under its lock, cleared by it or its reaper under the same lock.
 * Dies before pid is stored: nothing is owned yet. After: the reaper finds pid set and byte free.
 */
typedef struct haul__slot {
    haul__a32 pid;   /* stored last (release); 0 = nobody, or left in good order */
    haul__a32 joins; /* how often this slot has been taken */
    uint64_t joined_ns;
    char name[HAUL_PARTICIPANT_NAME_MAX + 1];
    uint8_t tail[HAUL__LINE - 48];
} haul__slot;

_Static_assert(sizeof(haul__slot) == HAUL__LINE, "layout");

/* ---- Classes ------------------------------------------------------------------------------- */

/* Hints: wrong values cost time, never a buffer. */
typedef struct haul__class {
    haul__a32 fresh;  /* buffers below this index have been used before, or are not there */
    haul__a32 n_used; /* existing buffers that have been used before */
    haul__a32
        high_water; /* the most n_used has been: see take.c for why that is the high-water mark */
    uint8_t tail[HAUL__LINE - 12];
} haul__class;

_Static_assert(sizeof(haul__class) == HAUL__LINE, "layout");

/* ---- Names --------------------------------------------------------------------------------- */

/* A published buffer: haul__name.state is generation (32) | participant (16) | phase (8) | flags (8),
 * like a buffer's word.
 *
 * who        transition             access      pairs with  because
 * publisher  FREE    -> WRITING     cas acqrel              it is his to write
 * publisher  WRITING -> PUBLISHED   store seq   publishers  all fields come first; then he looks for
 *                                               like him    the same name: of two, one sees the other,
 *                                                           and takes his own entry away
 * withdrawer PUBLISHED -> FREE      cas acqrel  withdrawers a persistent buffer is RETIRED before it
 * reaper     WRITING, PUBLISHED     cas acqrel              under the dead slot's lock
 *            -> FREE
 * sweeper    PUBLISHED -> FREE      cas acqrel              what it names is not there any more
 * finder     (reads)                load acq                before and after the fields
 * The generation goes up by one with each -> FREE.
 *
 * A persistent publication moves the buffer from SHARED to KEPT after the entry is PUBLISHED, and
 * from KEPT to RETIRED before the entry is FREE: a KEPT buffer always has an entry. Publisher dies in
 * between: the buffer is reaped as SHARED by the dead, and the sweep takes the entry. Withdrawer dies
 * in between: the sweep takes the entry. */
enum haul__name_phase {
    HAUL__NAME_FREE = 0,
    HAUL__NAME_WRITING = 1,
    HAUL__NAME_PUBLISHED = 2,
};
#define HAUL__NAME_PERSISTENT 1u /* flag */
#define HAUL__NAME_WORDS      6u

typedef struct haul__name {
    haul__a64 state;
    haul__a64 ticket; /* the buffer's key */
    haul__a64 length;
    haul__a32 index;
    haul__a32 generation;
    haul__a64 name[HAUL__NAME_WORDS]; /* bytes, padded with zeros */
    uint8_t tail[48];
} haul__name;

_Static_assert(sizeof(haul__name) == 2 * (size_t)HAUL__LINE, "layout");
_Static_assert(8 * HAUL__NAME_WORDS == HAUL_BUF_NAME_MAX + 1, "layout");

/* ---- Counters ------------------------------------------------------------------------------ */

/* Each allocation is counted in a histogram of the sizes asked for. An atomic addition would be a
 * fifth of what taking a buffer costs. So the buffer's record counts requests of the same size that
 * follow each other, count (56) | bucket (8), which its owner can do with a store; when another
 * size comes, or so many have come, they are added to the owner's row. Owner dies in between: they
 * are not counted. */
#define HAUL__RUN_BUCKET UINT64_C(0xff)
#define HAUL__RUN_ONE    UINT64_C(0x100)
#define HAUL__RUN_MAX    UINT64_C(1024)

/* One row per participant and class; only that participant adds to it (relaxed: numbers, not
 * order). A row stays when its participant leaves, and the slot's next user adds to it, so sums
 * over all rows count everything since the pool was created. Dies between an act and its count: the
 * count is one short.
 *
 * Two numbers are not counted, for they would cost an atomic addition each on the fastest path:
 * allocations are the sum of the histogram and of all runs, and releases are the allocations that
 * did not end as reaped_buffers or expirations and are not in use now. */
typedef struct haul__counters {
    haul__a64 spills;
    haul__a64 grows;
    haul__a64 waits;
    haul__a64 waited_ns;
    haul__a64 exhaustions;
    haul__a64 reaped_buffers;
    haul__a64 reaped_holds;
    haul__a64 expirations;
    haul__a64 requested[HAUL_HISTOGRAM_BUCKETS];
} haul__counters;

_Static_assert(sizeof(haul__counters) == 448 && 448 % HAUL__LINE == 0, "layout");

/* ---- Buffers ------------------------------------------------------------------------------- */

/* The life of one buffer: haul__record.state, see word.h for its fields.
 *
 * who        transition             access      pairs with   because
 * maker      ABSENT   -> CREATING   cas seq     other sums   the budget is summed after it: of two
 *                                                            makers one sees the other
 * maker      CREATING -> FREE,OWNED cas seq     allocator    object, capacity, born come first
 * allocator  FREE     -> OWNED      cas acqrel  F            the last reader is done
 * owner      OWNED    -> SHARED     store rel   A            payload, length, ticket come first
 * owner      OWNED    -> GIVEN      store rel   recipient    the same, and the deadline
 * owner      OWNED    -> FREE (F)   store seq   W, hints     nobody can have attached it
 * owner      SHARED   -> RETIRING   store seq   A            new readers see it, or I see their bits
 * owner      RETIRING -> FREE       store rel   allocator    nobody reads. Hint and wake are looked at
 *                                                            before: to W and hints RETIRING is F
 * owner      SHARED,  -> RETIRED    store seq   A            somebody reads: whoever ends last finishes
 *            RETIRING
 * owner      SHARED   -> KEPT       store rel   names        its name is published for good
 * withdrawer KEPT     -> RETIRED    cas seq     A            its name is about to go
 * recipient  GIVEN    -> SHARED     cas seq     the others   recipient, giver, reaper: one wins
 * recipient  GIVEN    -> OWNED      cas seq     the others   the same; it is filled, or used again
 * giver      GIVEN    -> OWNED      cas seq     the others   called off, to be used again
 * giver      GIVEN    -> RETIRED    cas seq     the others   called off
 * reaper     GIVEN    -> RETIRED    cas seq     the others   past the deadline
 * recipient  GIVEN    -> RETIRED    cas seq     the others   it will never be told of it: refused
 * finisher   RETIRED  -> FREE (F)   cas seq     allocator    no holder bit: nobody reads any more
 * finisher   RETIRED  -> TRIMMING   cas seq     maker        the same, for one made to measure
 * trimmer    FREE     -> TRIMMING   cas seq     allocator    nobody else has it
 * trimmer    TRIMMING -> ABSENT     cas seq     maker        the object is gone
 * reaper     OWNED, SHARED, GIVEN,  -> RETIRED  cas seq      of a dead slot, under its lock
 *            RETIRING
 * reaper     CREATING, TRIMMING     -> ABSENT   cas seq      the same
 * attacher   (reads; A)             load seq    bit set      either I see that it is not SHARED any
 *                                                            more, or he sees my bit
 *
 * Where only one process may move the word on, its store needs no swap: it looks that the word is
 * still what it left, which only a scribbler can have changed.
 *
 * The generation goes up by one with each -> FREE, with each -> CREATING and with GIVEN -> OWNED, so
 * that the key of an empty gift opens nothing that its recipient makes of it.
 * Owner dies in OWNED: bytes nobody can see; reaped. In SHARED: holders finish, then it is free. In
 * RETIRING: the same.
 * Giver dies in GIVEN: the recipient claims as usual, or refuses what it will not be told of; if
 * neither, it is reaped past the deadline. Recipient dies: reaped.
 * Maker or trimmer dies: the reaper removes the object, if there is one, and stores ABSENT.
 * Finisher dies before F: no bit is left and nobody is named; the next sweep finishes it.
 *
 * Holders: haul__record.holders, one bit per participant.
 *
 * who        transition             access      pairs with   because
 * attacher   sets its own bit       or seq      retire       before it looks at the state; but not of
 *                                                            what its process owns, see hold.c
 * owner      sets its own bit       or seq      finisher     a thread of it reads: before RETIRED, KEPT
 * attacher   clears its own bit     and seq     finisher     after its last look at the payload
 * reaper     clears a dead bit      and seq     finisher     under the dead slot's lock
 * finisher   (reads all words)      load seq    bit set      after it has seen RETIRED
 * Attacher dies with its bit set: whether it read or not is unknown and does not matter; reaped.
 *
 * ticket, length, deadline, group, capacity, born are relaxed: they are written by the one process named
 * in the state word, and read by others only between two looks at that word. So is run, which
 * others only add up. */
typedef struct haul__record {
    haul__a64 state;
    haul__a64 ticket;      /* of this life; written before SHARED and GIVEN */
    haul__a64 length;      /* bytes of payload; likewise */
    haul__a64 deadline_ns; /* CLOCK_MONOTONIC; written before GIVEN */
    haul__a64 capacity;    /* bytes of the object; written in CREATING, 0 in ABSENT */
    haul__a32 born;        /* the generation in which the object was made: tells old mappings */
    uint32_t reserved0;
    haul__a64 run; /* requests not counted yet: see HAUL__RUN_MAX */
    /* Of a gift that can be refused with others, xor its ticket: so what an earlier life, or a giver
     * that died before GIVEN, has left here names no group, and who gives without one writes nothing. */
    haul__a64 group;

    _Alignas(HAUL__LINE) haul__a64 holders[]; /* bit s of word s / 64: participant s */
} haul__record;

_Static_assert(offsetof(haul__record, born) == 40, "layout");
_Static_assert(offsetof(haul__record, run) == 48, "layout");
_Static_assert(offsetof(haul__record, group) == 56, "layout");
_Static_assert(offsetof(haul__record, holders) == HAUL__LINE, "layout");
_Static_assert(sizeof(haul__record) == HAUL__LINE, "layout");

#endif
