/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_H
#define SHORTHAUL_POOL_H

/*
 * A pool of shared-memory buffers in size classes, used by many processes of one machine.
 *
 * One process creates a pool under a name, any number join it. A participant allocates a buffer,
 * fills it and shares it, which yields a key; another participant attaches the key and reads the
 * bytes where they are. Any of them may die at any instruction: what it owned and held is taken
 * back by whoever reaps next, and nothing else is touched.
 *
 * Unless a comment says otherwise a function may be called from any thread, a handle by one thread
 * at a time, and nothing may be used in the child after fork() except haul_pool_close() and a
 * haul_pool_open() of its own.
 *
 * haul_error pointers may be NULL. Out-parameters are written only on HAUL_OK.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <shorthaul/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Limits of the layout ------------------------------------------------------------------ */

#define HAUL_POOL_NAME_MAX        64 /* bytes without the terminator */
#define HAUL_PARTICIPANT_NAME_MAX 31 /* bytes without the terminator; longer names are cut */
#define HAUL_CLASSES_MAX          32 /* the made-to-measure class counts as one */
#define HAUL_CLASS_BUFFERS_MAX    65536
#define HAUL_PARTICIPANTS_MAX     4096
#define HAUL_PARTICIPANTS_DEFAULT 256
#define HAUL_NAMES_MAX            4096 /* published buffers of one pool */
#define HAUL_NAMES_DEFAULT        64
#define HAUL_BUF_NAME_MAX         47 /* bytes without the terminator */
#define HAUL_HISTOGRAM_BUCKETS    48 /* bucket b counts requests of 2^(b-1) < bytes <= 2^b */

typedef struct haul_pool haul_pool;
typedef struct haul_buf haul_buf;

/* ---- Creating, joining, leaving ------------------------------------------------------------ */

typedef struct haul_class_config {
    uint64_t size_bytes; /* capacity; classes ascend strictly. Rounded up to whole pages */
    uint32_t n_initial;  /* buffers made when the pool is created, and kept by trim */
    uint32_t n_max;      /* buffers the class may grow to, 1..HAUL_CLASS_BUFFERS_MAX */
} haul_class_config;

typedef struct haul_pool_config {
    size_t struct_size; /* sizeof(haul_pool_config) */
    const haul_class_config *classes;
    uint32_t n_classes;
    uint32_t n_measured_max; /* buffers made to measure beyond the largest class; 0 forbids them */
    uint64_t budget_bytes;   /* bound on the bytes of all buffers together; 0 = what the classes
                              * may grow to, and then n_measured_max must be 0 */
    uint64_t quota_bytes; /* bound on the bytes one participant may own by allocation; 0 = none */
    uint32_t n_participants; /* slots; 0 = HAUL_PARTICIPANTS_DEFAULT */
    uint32_t n_names;        /* names for published buffers; 0 = HAUL_NAMES_DEFAULT */
    uint32_t mode;           /* 0600 or 0660; 0 = 0600 */
    gid_t gid;               /* group of the objects when mode is 0660; (gid_t)-1 = keep */
} haul_pool_config;

typedef struct haul_open_opts {
    size_t struct_size;           /* sizeof(haul_open_opts) */
    const char *participant_name; /* what tables show; NULL = the program's name */
    bool observe;                 /* join nothing: only haul_pool_info/audit/close/participant */
    bool keeper;            /* be the pool's one keeper (the sidecar): HAUL_BUSY if there is one */
    bool preattach;         /* map every buffer that exists, read-only, before this returns */
    bool populate;          /* fault in the pages of every mapping when it is made */
    uint64_t map_bytes_max; /* bound on what this process keeps mapped of the buffers; those used
                             * longest ago are unmapped first, those in use never. 0 = none */
} haul_open_opts;

/*
 * Make a pool and join it. The initial buffers exist, reserved, when this returns.
 *
 * @name: 1..HAUL_POOL_NAME_MAX of [A-Za-z0-9._-], not starting with a dot.
 * @opts: as for haul_pool_open(); may be NULL.
 *
 * Ownership:  the handle is the caller's, until haul_pool_close(). The pool outlives it, and every
 *             process: haul_pool_remove() ends it.
 * Blocking:   system calls; reserving memory takes about 0.2 ms per MiB.
 * Conditions: HAUL_EXISTS     a pool of that name is there (join it with haul_pool_open())
 *             HAUL_EXHAUSTED  the initial buffers do not fit into /dev/shm or the memory limit;
 *                             nothing is left behind
 *             HAUL_AGAIN      another process is creating or removing it right now
 *             HAUL_BUSY       opts->keeper is set and another process keeps it
 * Failures:   HAUL_INVALID (name, classes, budget; the text says which), HAUL_DENIED, HAUL_NOMEM,
 *             HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_create(const char *name,
                                                      const haul_pool_config *config,
                                                      const haul_open_opts *opts,
                                                      haul_pool **out_pool, haul_error *err);

/*
 * Join a pool that exists: take a free slot, reaping what its last user left.
 *
 * Ownership:  the handle is the caller's, until haul_pool_close().
 * Blocking:   system calls, no waiting for other processes.
 * Conditions: HAUL_NOT_FOUND  no such pool
 *             HAUL_AGAIN      it is being created or removed right now
 *             HAUL_EXHAUSTED  every slot is taken by a living participant
 *             HAUL_BUSY       opts->keeper is set and another process keeps the pool
 * Failures:   HAUL_INVALID (name), HAUL_CORRUPT, HAUL_VERSION, HAUL_DENIED (permissions; another
 *             user's object; world-writable), HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_open(const char *name, const haul_open_opts *opts,
                                                    haul_pool **out_pool, haul_error *err);

/*
 * Leave. What this process still owned or held in the pool is given back at once; its pointers into
 * buffers become invalid. In a forked child only the handle's memory is freed.
 *
 * Ownership: takes @pool; NULL is allowed.   Threads: no other call on @pool may be under way.
 * Blocking:  system calls.   errno is kept.
 */
HAUL_API void haul_pool_close(haul_pool *pool);

/*
 * End a pool: its name and every shm object of it. Processes that still use it (@force) keep their
 * mappings, so none of them crashes, and the memory is returned when the last of them leaves.
 *
 * Blocking:   system calls.
 * Conditions: HAUL_NOT_FOUND  no such pool
 *             HAUL_BUSY       participants live, and @force is false; the text says how many
 *             HAUL_AGAIN      another process is creating or removing it right now
 * Failures:   HAUL_INVALID (name), HAUL_CORRUPT (not a pool's object; with @force a control object
 *             that nobody can read is unlinked), HAUL_VERSION, HAUL_DENIED, HAUL_NOMEM,
 *             HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_remove(const char *name, bool force,
                                                      haul_error *err);

/*
 * Whether the pool has been removed by force while this process uses it. What is mapped stays; what
 * is not mapped yet, and new buffers, are HAUL_NOT_FOUND. False in a forked child.
 *
 * Blocking: none.
 */
HAUL_API bool haul_pool_is_removed(const haul_pool *pool);

/*
 * Names of the pools of this machine (of this /dev/shm), sorted.
 *
 * Ownership: the caller's: free() each name and the array.   Blocking: reads a directory.
 * Failures:  HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_list(char ***out_names, size_t *out_n,
                                                    haul_error *err);

/* The pool's name. Lives as long as @pool. */
HAUL_API const char *haul_pool_name(const haul_pool *pool);

/* The 64-bit id that keys carry: random, drawn when the pool was created, never 0. */
HAUL_API uint64_t haul_pool_id(const haul_pool *pool);

/* This process's slot in the pool, 1 and up; 0 for an observer. */
HAUL_API uint32_t haul_pool_participant(const haul_pool *pool);

/* The largest length haul_buf_alloc() could ever satisfy here. */
HAUL_API uint64_t haul_pool_max_bytes(const haul_pool *pool);

/* ---- The allocator half -------------------------------------------------------------------- */

typedef enum haul_alloc_policy {
    HAUL_ALLOC_LARGER = 1 << 0,   /* take a buffer of a larger class if the best one is empty */
    HAUL_ALLOC_GROW = 1 << 1,     /* make a new buffer if the class may have one more */
    HAUL_ALLOC_MEASURED = 1 << 2, /* beyond the largest class, make a buffer to measure */
} haul_alloc_policy;
#define HAUL_ALLOC_DEFAULT (HAUL_ALLOC_LARGER | HAUL_ALLOC_GROW | HAUL_ALLOC_MEASURED)

typedef struct haul_alloc_opts {
    size_t struct_size; /* sizeof(haul_alloc_opts) */
    uint32_t policy;    /* haul_alloc_policy bits; 0 = the smallest class that fits or nothing */
    int64_t wait_ns;    /* after the policy came to nothing: 0 = fail, >0 = wait that long for a
                         * release, <0 = wait without end. Those who wait are served in turn */
} haul_alloc_opts;

/*
 * Take one buffer that can hold @len bytes. What it contains is undefined (what an earlier user of
 * the pool wrote).
 *
 * @opts: NULL = HAUL_ALLOC_DEFAULT, no waiting.
 *
 * Ownership:  the caller's, until haul_buf_give() or haul_buf_release().
 * Blocking:   never, unless opts->wait_ns is set. No system call when a free buffer exists that
 *             this process has mapped.
 * Conditions: HAUL_EXHAUSTED  no buffer of a class that fits, the policy forbids more or memory is
 *                             used up; dead participants were reaped before saying so
 *             HAUL_TIMEOUT    the same, and wait_ns has passed
 *             HAUL_TOO_BIG    @len exceeds haul_pool_max_bytes()
 *             HAUL_NOT_FOUND  the pool has been removed by force, and this process has not mapped
 *                             the buffer
 * Failures:   HAUL_INVALID (observer, forked child, options), HAUL_CORRUPT, HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_buf_alloc(haul_pool *pool, uint64_t len,
                                                    const haul_alloc_opts *opts,
                                                    haul_buf **out_buf);

/* The buffer's first byte, page-aligned, writable until it is shared or given; NULL for a buffer
 * that this process may not write (claimed, or shared already). */
HAUL_API void *haul_buf_data(haul_buf *buf);

/* The pool that a buffer belongs to. */
HAUL_API haul_pool *haul_buf_pool(const haul_buf *buf);

/* Bytes that fit into the buffer. */
HAUL_API uint64_t haul_buf_capacity(const haul_buf *buf);

/* What another process needs to attach a buffer. Numbers only; all are checked on arrival. */
typedef struct haul_key {
    uint64_t pool_id;
    uint64_t ticket;
    uint64_t offset; /* where the payload starts in the buffer; 0 as made by share and give */
    uint32_t index;
    uint32_t generation;
} haul_key;

/*
 * Make the first @len bytes readable to whoever has the key. From here on nobody may write them.
 *
 * Ownership:  @buf stays the caller's until haul_buf_release(); readers that are attached then
 *             finish in peace.
 * Blocking:   never.
 * Failures:   HAUL_INVALID (not being filled, @len exceeds the capacity), HAUL_CORRUPT
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_buf_share(haul_buf *buf, uint64_t len, haul_key *out_key);

/*
 * Make the first @len bytes the property of participant @recipient, who has until @deadline_ns to
 * claim them with haul_buf_claim(). Past it the giver (haul_pool_revoke()) or a reaper takes the
 * buffer back; if both try, exactly one wins.
 *
 * A buffer given with @len 0 can be claimed with haul_buf_claim_empty() instead, to be filled: that is
 * how room is lent.
 *
 * @deadline_ns: CLOCK_MONOTONIC, nanoseconds.
 *
 * Ownership:  takes @buf on HAUL_OK.
 * Blocking:   never.
 * Conditions: HAUL_PEER_GONE  no participant has joined in that slot; @buf is still the caller's
 * Failures:   HAUL_INVALID, HAUL_CORRUPT
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_buf_give(haul_buf *buf, uint64_t len, uint32_t recipient,
                                                   uint64_t deadline_ns, haul_key *out_key);

/*
 * The same as one of a group of gifts, which @recipient can refuse all at once when it knows that it
 * will not be told of any more of them: what it has not claimed then need not wait for its deadline.
 *
 * @group: random, so that no other group has it; 0 = none, which is haul_buf_give().
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_buf_give_grouped(haul_buf *buf, uint64_t len,
                                                           uint32_t recipient, uint64_t deadline_ns,
                                                           uint64_t group, haul_key *out_key);

/*
 * Let go of whatever was given to this process as one of @group and has not been claimed: the buffers
 * are free at once, and their keys are stale.
 *
 * @out_n: how many; may be NULL.
 *
 * Blocking:  none; looks at every buffer of the pool.
 * Failures:  HAUL_INVALID (observer, forked child, no group)
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_refuse(haul_pool *pool, uint64_t group,
                                                      size_t *out_n);

/*
 * Take a given buffer back, whether or not its deadline has passed.
 *
 * Blocking:   never.
 * Conditions: HAUL_STALE  the recipient has claimed it, or it was taken back already
 * Failures:   HAUL_INVALID, HAUL_CORRUPT
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_revoke(haul_pool *pool, const haul_key *key);

/*
 * Wait until a given buffer is no longer on its way: its recipient has claimed it, or it has been
 * taken back (by haul_pool_revoke(), past its deadline, or because the recipient died).
 *
 * @wait_ns: 0 = only look, >0 = wait that long, <0 = wait without end.
 *
 * Blocking:   as @wait_ns says; a claim or release in any process of this machine wakes.
 * Conditions: HAUL_TIMEOUT  nobody has claimed it yet
 * Failures:   HAUL_INVALID (another pool's key, observer, forked child), HAUL_CORRUPT
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_wait_claimed(haul_pool *pool, const haul_key *key,
                                                            int64_t wait_ns);

/*
 * Become the owner of a buffer that was given to this process.
 *
 * @len: the payload's length, from the same message as the key.
 *
 * Ownership:  the buffer is the caller's, until haul_buf_release(). Its bytes are immutable; read
 *             them with haul_buf_view().
 * Blocking:   never.
 * Conditions: HAUL_STALE  taken back, claimed before, or given to somebody else
 * Failures:   HAUL_INVALID (another pool's key, index or length out of bounds), HAUL_CORRUPT
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_buf_claim(haul_pool *pool, const haul_key *key,
                                                    uint64_t len, haul_buf **out_buf);

/*
 * Become the owner of a buffer that was given to this process with length 0, to write into it: it is
 * like one of haul_buf_alloc() from then on, and may be given back. It counts for this participant's
 * quota and is never refused for it.
 *
 * Ownership:  the buffer is the caller's, until haul_buf_give() or haul_buf_release(). What it
 *             contains is undefined.
 * Blocking:   never. No system call if this process has mapped the buffer for writing before.
 * Conditions: HAUL_STALE      taken back, claimed before, or given to somebody else
 *             HAUL_NOT_FOUND  the pool has been removed by force, and this process has not mapped
 *                             the buffer
 * Failures:   HAUL_INVALID (another pool's key, index or offset out of bounds, not given empty),
 *             HAUL_CORRUPT, HAUL_NOMEM, HAUL_SYSTEM. If the buffer cannot be mapped it is released
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_buf_claim_empty(haul_pool *pool, const haul_key *key,
                                                          haul_buf **out_buf);

/*
 * Become the owner of a buffer that was given to this process, to read it and then to write into it:
 * it is like one of haul_buf_alloc() that holds the payload, at haul_buf_data(). Nobody else can open
 * it any more.
 *
 * @len: the payload's length, from the same message as the key.
 *
 * Ownership, blocking, conditions: as haul_buf_claim_empty().
 * Failures:   HAUL_INVALID (another pool's key, index or length out of bounds), HAUL_CORRUPT,
 *             HAUL_NOMEM, HAUL_SYSTEM. If the buffer cannot be mapped it is released
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_buf_claim_writable(haul_pool *pool, const haul_key *key,
                                                             uint64_t len, haul_buf **out_buf);

/*
 * Take a given buffer back, as haul_pool_revoke() does, and become its owner again: it is like one of
 * haul_buf_alloc(), and nobody else can have it in between. It counts for this participant's quota
 * and is never refused for it.
 *
 * Ownership:  the buffer is the caller's, until haul_buf_give() or haul_buf_release().
 * Blocking:   never. No system call if this process has mapped the buffer for writing before.
 * Conditions: HAUL_STALE      the recipient has claimed it, or it was taken back already
 *             HAUL_NOT_FOUND  the pool has been removed by force, and this process has not mapped
 *                             the buffer
 * Failures:   HAUL_INVALID, HAUL_CORRUPT, HAUL_NOMEM, HAUL_SYSTEM. If the buffer cannot be mapped it
 *             is released
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_buf_take_back(haul_pool *pool, const haul_key *key,
                                                        haul_buf **out_buf);

/*
 * Let go of a buffer this process owns. It is free for others when the last reader detaches.
 *
 * Ownership:  takes @buf; NULL is allowed.
 * Blocking:   never; a buffer made to measure is removed (system calls). errno is kept.
 */
HAUL_API void haul_buf_release(haul_buf *buf);

/* ---- The attacher half --------------------------------------------------------------------- */

/* Bytes that stay readable until haul_detach(). Copy it freely; detach it once. */
typedef struct haul_view {
    const uint8_t *data;
    uint64_t len;
    haul_pool *pool; /* NULL: nothing to detach */
    uint32_t index;
} haul_view;

/*
 * Pin a shared buffer and see @len bytes of it from key->offset on, read-only.
 *
 * Ownership:  the view is the caller's, until haul_detach().
 * Blocking:   never. No system call if this process has mapped the buffer before.
 * Conditions: HAUL_STALE      released meanwhile, or the ticket is not this buffer's
 *             HAUL_NOT_FOUND  the pool has been removed by force, and this process has not mapped
 *                             the buffer
 * Failures:   HAUL_INVALID (another pool's key; index, offset or length out of bounds; observer;
 *             forked child), HAUL_CORRUPT, HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_attach(haul_pool *pool, const haul_key *key, uint64_t len,
                                                 haul_view *out_view);

/*
 * Let go of a view and empty it. An empty view is allowed.
 *
 * Blocking: never; the last reader of a buffer made to measure removes it (system calls).
 */
HAUL_API void haul_detach(haul_view *view);

/*
 * See the bytes of a buffer this process owns and has shared or claimed, pinned like any reader's:
 * the view outlives haul_buf_release().
 *
 * Ownership:  the view is the caller's, until haul_detach().
 * Conditions: HAUL_NOT_FOUND  the buffer was claimed, and the pool was removed by force before
 *                             this process had mapped it
 * Failures:   HAUL_INVALID (still being filled), HAUL_CORRUPT, HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_buf_view(haul_buf *buf, haul_view *out_view);

/* ---- Published buffers --------------------------------------------------------------------- */

/*
 * Publish a shared buffer under a name, so that any participant finds it without being sent a key.
 *
 * @name:       1..HAUL_BUF_NAME_MAX bytes, printable ASCII without spaces.
 * @persistent: false: until it is withdrawn or released, or its owner dies.
 *              true: the pool keeps it until it is withdrawn, whoever dies, so that a restarted
 *              process finds its data again.
 *
 * Ownership:  takes @buf if @persistent, on HAUL_OK; else it stays the caller's.
 * Blocking:   never.
 * Conditions: HAUL_EXISTS     another buffer has that name; of two that publish it at the same moment
 *                             both may be told so
 *             HAUL_EXHAUSTED  all of the pool's names are in use
 * Failures:   HAUL_INVALID (name; not shared by this process), HAUL_CORRUPT
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_buf_publish(haul_buf *buf, const char *name,
                                                      bool persistent);

/*
 * The key and length of the buffer published as @name; attach it like any other.
 *
 * Blocking:   never.
 * Conditions: HAUL_NOT_FOUND
 * Failures:   HAUL_INVALID (name, observer, forked child)
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_find(haul_pool *pool, const char *name,
                                                    haul_key *out_key, uint64_t *out_len);

/*
 * Take a name away. A persistent buffer is then free as soon as its readers let go. Any participant
 * may withdraw any name.
 *
 * Blocking:   never; a buffer made to measure is removed (system calls).
 * Conditions: HAUL_NOT_FOUND
 * Failures:   HAUL_INVALID (name, observer, forked child)
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_withdraw(haul_pool *pool, const char *name);

/* ---- Keys as text -------------------------------------------------------------------------- */

#define HAUL_KEY_TEXT_BYTES 128 /* with the terminator */

/* Write a key and its payload's length as one word without spaces. Never fails. */
HAUL_API void haul_key_format(const haul_key *key, uint64_t len,
                              char out_text[HAUL_KEY_TEXT_BYTES]);

/* Read what haul_key_format() wrote. Failures: HAUL_INVALID. */
HAUL_API HAUL_MUST_CHECK haul_status haul_key_parse(const char *text, haul_key *out_key,
                                                    uint64_t *out_len);

/* ---- Housekeeping -------------------------------------------------------------------------- */

/*
 * Take back what dead participants owned and held, and what was given and is past its deadline.
 *
 * @out_n: buffers and holds taken back; may be NULL.
 *
 * Blocking:   system calls (a lock test per slot in use), no waiting.
 * Failures:   HAUL_INVALID (observer, forked child), HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_reap(haul_pool *pool, size_t *out_n,
                                                    haul_error *err);

/*
 * A descriptor to poll(2) for reading: readable when a participant may have died (or one has left).
 * haul_pool_reap() makes it unreadable again. It works across PID namespaces, for it watches the
 * control object being closed (inotify(7)); the locks say who is dead.
 *
 * Ownership:  the pool's, until haul_pool_close().
 * Failures:   HAUL_INVALID (observer, forked child), HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_watch_fd(haul_pool *pool, int *out_fd,
                                                        haul_error *err);

/*
 * Wait until something could be taken back, and take it back.
 *
 * @timeout_ns: how long to wait at most.   @out_n: as for haul_pool_reap().
 *
 * Blocking:   until a participant died that owned or held something, or the time is up.
 * Conditions: HAUL_TIMEOUT
 * Failures:   HAUL_INVALID (observer, forked child), HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_reap_wait(haul_pool *pool, uint64_t timeout_ns,
                                                         size_t *out_n, haul_error *err);

/*
 * Make buffers ahead of time until the class of @class_index has @n of them.
 *
 * Conditions: HAUL_EXHAUSTED  the class's maximum, the budget, /dev/shm or the memory limit
 * Failures:   HAUL_INVALID, HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_grow(haul_pool *pool, uint32_t class_index,
                                                    uint32_t n, haul_error *err);

/*
 * Give free buffers beyond each class's n_initial back to the system.
 *
 * @out_bytes: bytes returned; may be NULL.
 *
 * Blocking:   system calls.
 * Failures:   HAUL_INVALID, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_trim(haul_pool *pool, uint64_t *out_bytes,
                                                    haul_error *err);

typedef struct haul_class_info {
    uint64_t size_bytes; /* 0: the class of buffers made to measure */
    uint32_t n_initial, n_max;
    uint32_t n_free, n_owned, n_shared, n_given, n_retired, n_absent;
    uint32_t n_changing; /* being made or removed */
    uint32_t n_huge;     /* whose pages were collapsed into huge pages */
    uint32_t high_water; /* most buffers ever in use at once */
    uint64_t bytes;      /* of the buffers that exist */
    uint64_t allocations, releases;
    uint64_t spills;      /* requests that this class fitted best and a larger one served */
    uint64_t grows;       /* buffers made on demand */
    uint64_t waits;       /* allocations that had to wait */
    uint64_t waited_ns;   /* all of them together */
    uint32_t n_waiting;   /* threads that wait right now */
    uint64_t exhaustions; /* allocations that failed for want of a buffer */
    uint64_t reaps;       /* buffers and holds taken back from the dead */
    uint64_t expirations; /* given buffers taken back past their deadline */
    uint64_t requested[HAUL_HISTOGRAM_BUCKETS]; /* sizes asked for, of what this class served */
} haul_class_info;

typedef struct haul_participant_info {
    uint32_t slot;
    uint32_t pid; /* in that process's own PID namespace */
    bool alive;
    char name[HAUL_PARTICIPANT_NAME_MAX + 1];
    uint32_t n_owned;
    uint32_t n_held; /* attached; without those it owns, which it may look at unseen */
    uint64_t bytes_owned, bytes_held; /* bytes_owned counts what is on its way to it, too */
} haul_participant_info;

/* A published buffer. */
typedef struct haul_name_info {
    char name[HAUL_BUF_NAME_MAX + 1];
    bool persistent;
    uint32_t owner; /* the publisher's slot; 0 where the pool keeps the buffer */
    uint32_t index;
    uint64_t len; /* bytes of payload */
} haul_name_info;

typedef struct haul_pool_info {
    char name[HAUL_POOL_NAME_MAX + 1];
    uint8_t uuid[16];
    uint64_t id;
    uint32_t mode;
    uint32_t n_slots;
    uint64_t budget_bytes;
    uint64_t bytes; /* of all buffers that exist */
    uint64_t control_bytes;
    uint32_t n_classes;
    uint32_t n_participants;
    haul_class_info *classes;
    haul_participant_info *participants;
    uint64_t quota_bytes;
    uint32_t n_names_max; /* names that there are */
    uint32_t n_names;     /* those in use */
    haul_name_info *names;
} haul_pool_info;

/*
 * A picture of the pool. Others go on meanwhile, so sums may be off by what moved.
 *
 * Ownership:  the caller's, until haul_pool_info_free().
 * Blocking:   a lock test per slot in use.
 * Failures:   HAUL_INVALID (forked child), HAUL_CORRUPT, HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_get_info(haul_pool *pool, haul_pool_info **out_info,
                                                        haul_error *err);
HAUL_API void haul_pool_info_free(haul_pool_info *info);

/* One broken invariant, as a line of text. Called from haul_pool_audit(), in its thread. */
typedef void (*haul_finding_fn)(void *ctx, const char *finding);

/*
 * Check every invariant of the pool: phases, names, holders, objects and their sizes, hints,
 * budget. On a pool that others use meanwhile it may report what is only in passing; on a quiet
 * pool each finding is a fault.
 *
 * @fn: may be NULL.   @out_n_findings: how many there were.
 *
 * Blocking:   system calls (one per buffer and slot).
 * Failures:   HAUL_INVALID (forked child), HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_pool_audit(haul_pool *pool, haul_finding_fn fn, void *ctx,
                                                     size_t *out_n_findings, haul_error *err);

#ifdef __cplusplus
}
#endif

#endif
