/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Who there is in a run, and what the class of the buffer is like. */

/*
 *   CAST_LIFE      an owner, two attachers, a recipient, a reaper: all of them at once
 *   CAST_READERS   the same without gifts
 *   CAST_GIFT      the same with one attacher, and a recipient that allocates too
 *   CAST_LOAN      a lender that claims or takes back, a recipient that fills or reads, an attacher, a
 *                  reaper
 *   CAST_NAME      one who publishes, one who withdraws, an attacher, a reaper: a kept buffer
 *   CAST_HINTS     two who make, take and trim, a reaper: what leads to a free buffer
 *   CAST_OBJECT    one who makes, shares and trims, an attacher, a reaper: what can be mapped
 *   CAST_MEASURED  one who makes, an attacher, a recipient, a reaper: a buffer made to measure
 */

/* What a participant does. Each may be killed, and joined again, whatever it does. */
#define TAKE   1   /* allocate, release */
#define SHARE  2   /* and share */
#define GIVE   4   /* give, and call it off */
#define CLAIM  8   /* take what is given to it, release */
#define ATTACH 16  /* attach with a key of any life, read, detach */
#define FORGE  32  /* attach with the ticket of another life */
#define REAP   64  /* the dead, and gifts past their deadline */
#define MAKE   128 /* grow, and trim */
#define LEAVE  256 /* close the pool in good order */
#define JOIN   512 /* somebody new joins in the slot of the dead */
#define PUBLISH  1024 /* a shared buffer for good */
#define WITHDRAW 2048
#define FILL     4096 /* take what is given to it as room, and own it */
#define RECALL   8192 /* take back what nobody has claimed, and own it */
#define VIEW     16384 /* read what it has shared itself */

#define RECIPIENT 4
#define LENDER    1

#define PICK(s, a, b, c, d, e)                                                                     \
    (s == 1 -> (a) : (s == 2 -> (b) : (s == 3 -> (c) : (s == 4 -> (d) : (e)))))

#if defined(CAST_LIFE)
#define N_SLOTS 6
#define CAST(s) PICK(s, TAKE | SHARE | GIVE, ATTACH, REAP | JOIN, CLAIM, ATTACH)
#elif defined(CAST_READERS)
#define N_SLOTS 5
#define CAST(s) (JOIN | PICK(s, TAKE | SHARE | VIEW, ATTACH | LEAVE, REAP, ATTACH | FORGE, 0))
#elif defined(CAST_GIFT)
#define N_SLOTS 5
#define CAST(s) (JOIN | PICK(s, TAKE | GIVE, ATTACH, REAP, CLAIM | TAKE, 0))
#elif defined(CAST_LOAN)
#define N_SLOTS 5
#define CAST(s)                                                                                    \
    (JOIN | PICK(s, TAKE | GIVE | CLAIM | RECALL, ATTACH, REAP, FILL | CLAIM | SHARE | GIVE, 0))
#elif defined(CAST_NAME)
#define WITH_NAME
#define N_SLOTS 5
#define CAST(s) (JOIN | PICK(s, TAKE | SHARE | VIEW | PUBLISH, WITHDRAW, REAP, ATTACH, 0))
#elif defined(CAST_HINTS)
#define WITH_OBJECT
#define N_SLOTS 4
#define CAST(s) (JOIN | PICK(s, TAKE | SHARE | MAKE, TAKE | MAKE, REAP, 0, 0))
#elif defined(CAST_OBJECT)
#define WITH_OBJECT
#define N_SLOTS 4
#define CAST(s) (JOIN | PICK(s, TAKE | MAKE | SHARE, ATTACH, REAP, 0, 0))
#elif defined(CAST_MEASURED)
#define WITH_OBJECT
#define MEASURED
#define N_SLOTS 5
#define CAST(s) (JOIN | PICK(s, MAKE | SHARE | GIVE, ATTACH, REAP, CLAIM, 0))
#endif
