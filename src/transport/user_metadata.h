/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_USER_METADATA_H
#define SHORTHAUL_TRANSPORT_USER_METADATA_H

/* Metadata of the application's own, on its way out and as it came in. */

#include <grpc/grpc.h>

#include <shorthaul/transport.h>

/* What an application wants sent. Starts zeroed. */
typedef struct haul__metadata_list {
    grpc_metadata *items; /* with room for HAUL__METADATA_SPARE more, which the sender may fill */
    size_t n;
} haul__metadata_list;

#define HAUL__METADATA_SPARE 4

/* Copy and append. Failures: HAUL_INVALID (a key or a value that may not be sent), HAUL_NOMEM. */
HAUL_MUST_CHECK haul_status haul__metadata_add(haul__metadata_list *list,
                                               const haul_metadata *metadata);

/* The same with @n of them; on failure the list is as before. */
HAUL_MUST_CHECK haul_status haul__metadata_add_all(haul__metadata_list *list,
                                                   const haul_metadata *metadata, size_t n);

/* Append an entry of Shorthaul's own. @key: a literal.
 * Ownership: takes @value, whatever it returns.   Failures: HAUL_NOMEM */
HAUL_MUST_CHECK haul_status haul__metadata_add_own(haul__metadata_list *list, const char *key,
                                                   grpc_slice value);
void haul__metadata_drop_last(haul__metadata_list *list);

void haul__metadata_list_fini(haul__metadata_list *list);

/* What came for an application, in memory of its own. Starts zeroed. */
typedef struct haul__metadata_set {
    haul_metadata *items;
    size_t n;
} haul__metadata_set;

/* Copy what is not Shorthaul's own. Failures: HAUL_NOMEM. */
HAUL_MUST_CHECK haul_status haul__metadata_take(const grpc_metadata_array *from,
                                                haul__metadata_set *out_set);

/* The @index-th of those named @key, or of all if @key is NULL. Conditions: HAUL_NOT_FOUND. */
HAUL_MUST_CHECK haul_status haul__metadata_find(const haul__metadata_set *set, const char *key,
                                                size_t index, haul_metadata *out_metadata);
void haul__metadata_set_fini(haul__metadata_set *set);

#endif
