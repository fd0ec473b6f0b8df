/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_CLI_SOURCE_H
#define SHORTHAUL_CLI_SOURCE_H

/* Where the picture of a pool comes from: its control segment, or a sidecar. */

#include <shorthaul/pool.h>
#include <shorthaul/transport.h>

typedef struct source {
    const char *address;
    haul_channel *channel; /* NULL: control segments, nobody is asked */
} source;

/* A picture and the way to free it. */
typedef struct picture {
    haul_pool_info *info;
    void (*free_info)(haul_pool_info *info);
} picture;

/*
 * @address: of a sidecar; NULL for the control segments.
 *
 * Ownership: borrows @address; the source is the caller's, until source_close().
 * Failures:  HAUL_INVALID, HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status source_open(const char *address, source *out_source, haul_error *err);
void source_close(source *s);

/*
 * Names of the pools, sorted.
 *
 * Ownership:  the caller's, until source_free_names().
 * Conditions: HAUL_PEER_GONE  the sidecar does not answer
 * Failures:   HAUL_PROTOCOL, HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status source_list(source *s, char ***out_names, size_t *out_n,
                                        haul_error *err);
void source_free_names(char **names, size_t n);

/*
 * Ownership:  the picture is the caller's, until picture_free().
 * Conditions: HAUL_NOT_FOUND; HAUL_AGAIN  the pool is being created or removed;
 *             HAUL_PEER_GONE  the sidecar does not answer
 * Failures:   those of haul_pool_open() and haul_pool_get_info(); HAUL_PROTOCOL
 */
HAUL_MUST_CHECK haul_status source_info(source *s, const char *name, picture *out_picture,
                                        haul_error *err);
void picture_free(picture *p);

/* Open a pool to look at it, joining nothing. As haul_pool_open(). */
HAUL_MUST_CHECK haul_status source_observe(const char *name, haul_pool **out_pool, haul_error *err);

/* Open a pool to use it. As haul_pool_open(). */
HAUL_MUST_CHECK haul_status source_join(const char *name, const char *participant_name,
                                        haul_pool **out_pool, haul_error *err);

#endif
