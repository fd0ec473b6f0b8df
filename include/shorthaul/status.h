/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_STATUS_H
#define SHORTHAUL_STATUS_H

/*
 * What every fallible function of Shorthaul returns.
 *
 * Zero is success. Positive codes are conditions: the function's comment lists them and its direct
 * caller is expected to handle them. Negative codes are failures: forward them unchanged.
 */

#if defined(__GNUC__)
#define HAUL_API        __attribute__((visibility("default")))
#define HAUL_MUST_CHECK __attribute__((warn_unused_result))
#else
#define HAUL_API
#define HAUL_MUST_CHECK
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum haul_status {
    HAUL_OK = 0,

    /* Conditions. */
    HAUL_AGAIN = 1, /* somebody else is at it right now; the same call may succeed later */
    HAUL_STALE = 2, /* the key named a buffer that has moved on, or never was that buffer's key */
    HAUL_PEER_GONE = 3, /* the participant meant is not joined */
    HAUL_TOO_BIG = 4,   /* larger than anything this pool may hold */
    HAUL_TIMEOUT = 5,   /* the deadline passed first */
    HAUL_EXHAUSTED = 6, /* buffers, slots, budget or memory are used up */
    HAUL_NOT_FOUND = 7, /* no such pool */
    HAUL_EXISTS = 8,    /* a pool of that name is there already */
    HAUL_BUSY = 9,      /* in use by living participants, or kept by another process */
    HAUL_END = 10,      /* nothing more will come: a stream is over, or its peer has said all */

    /* Failures. */
    HAUL_NOMEM = -1,    /* no memory for private structures */
    HAUL_INVALID = -2,  /* the caller passed something that is never right */
    HAUL_CORRUPT = -3,  /* shared memory holds something that no member of the pool writes */
    HAUL_PROTOCOL = -4, /* a peer sent something that is never right */
    HAUL_VERSION = -5,  /* the pool was made by an incompatible version */
    HAUL_SYSTEM = -6,   /* a system call failed; haul_error has errno */
    HAUL_DENIED = -7    /* permissions, or an object that is not safe to open */
} haul_status;

/* One line about what went wrong, for people. Never holds a key's ticket or a shm object's name. */
#define HAUL_ERROR_TEXT_BYTES 192
typedef struct haul_error {
    haul_status status;
    int sys_errno; /* 0 where no system call was involved */
    char text[HAUL_ERROR_TEXT_BYTES];
} haul_error;

/*
 * The status as a word, such as "STALE"; "UNKNOWN" for a value that is none.
 *
 * Ownership: a string literal.   Threads: any.   Blocking: never.
 */
HAUL_API const char *haul_status_name(haul_status status);

#ifdef __cplusplus
}
#endif

#endif
