/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_CONTROL_H
#define SHORTHAUL_POOL_CONTROL_H

/* The control object as a file: opened and checked before a byte of it is mapped. */

#include "pool/impl.h"

/* An open control object, of which nothing is mapped. */
typedef struct haul__control {
    haul__header header; /* private copy */
    uint64_t bytes;      /* of the file */
    haul__geometry geometry;
    int fd;
    haul_status verdict; /* HAUL_OK: header and geometry are good; HAUL_NOT_FOUND: it was never
                          * finished (INIT); else why it is not a pool */
    uint32_t state;      /* enum haul__pool_state, if the verdict is good */
    haul_error error;    /* of the verdict */
} haul__control;

/*
 * Open the control object of pool @name and read its header. HAUL_OK says that the object is there
 * and safe to open; the verdict says what it is.
 *
 * Ownership:  fill @out_control and own it until haul__control_close().
 * Conditions: HAUL_NOT_FOUND   Failures: HAUL_INVALID (name), HAUL_DENIED, HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status haul__control_open(const char *name, bool writable,
                                               haul__control *out_control, haul_error *err);
void haul__control_close(haul__control *control);

/* Whether pool @name still is this object, and not one made since. */
bool haul__control_is_named(const haul__control *control, const char *name);

/* The state word as it is now, read from the file. */
uint32_t haul__control_read_state(const haul__control *control);

/* Store the state word through the file; only under the admin lock, and for an object that nobody
 * maps or whose state words only the admin lock's holder writes. */
HAUL_MUST_CHECK haul_status haul__control_write_state(const haul__control *control, uint32_t state);

/*
 * Unlink every buffer the geometry speaks of, then the control object. Under the admin lock, in
 * REMOVED or INIT. Who has them mapped keeps them: the pages are not touched.
 *
 * Failures: HAUL_DENIED  some belong to other users and stay; so does the control object, that root
 *           can finish
 */
HAUL_MUST_CHECK haul_status haul__control_unlink_all(const haul__control *control, const char *name,
                                                     haul_error *err);

uint64_t haul__pool_id_of_uuid(const uint8_t uuid[16]);

#endif
