/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The application's metadata: checked and copied before it is sent, copied when it has come.
 *
 * Going out it lives in gRPC's slices, which are shared with gRPC until the connection has written
 * them. Coming in it is copied once, into one block, with a terminator behind every key and value:
 * gRPC's own arrays have none and end with the call. Most calls carry nothing but what Shorthaul
 * and gRPC tell each other; for those nothing is allocated.
 *
 * A list or set belongs to one call, and one thread at a time uses it.
 */

#include "transport/user_metadata.h"

#include <stdlib.h>
#include <string.h>

#define OURS  "shorthaul-"
#define GRPCS "grpc-"

/* gRPC's own place for the details of a status, which applications are meant to fill. */
#define STATUS_DETAILS "grpc-status-details-bin"

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Names that gRPC or HTTP/2 fills in itself. */
static bool is_taken(const char *key)
{
    static const char *const taken[] = {"connection", "content-type", "host", "te", "user-agent"};
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (strcmp(key, taken[i]) == 0) {
            return true;
        }
    }
    return starts_with(key, OURS) || (starts_with(key, GRPCS) && strcmp(key, STATUS_DETAILS) != 0);
}

static bool is_legal(const haul_metadata *md)
{
    if (!md->key || md->key[0] == '\0' || (md->n_bytes > 0 && !md->value) || is_taken(md->key)) {
        return false;
    }
    grpc_slice key = grpc_slice_from_static_string(md->key);
    if (!grpc_header_key_is_legal(key)) {
        return false;
    }
    return grpc_is_binary_header(key) ||
           grpc_header_nonbin_value_is_legal(grpc_slice_from_static_buffer(md->value, md->n_bytes));
}

static haul_status make_room(haul__metadata_list *list, size_t n)
{
    size_t total;
    if (__builtin_add_overflow(list->n + HAUL__METADATA_SPARE, n, &total)) {
        return HAUL_INVALID;
    }
    grpc_metadata *grown = reallocarray(list->items, total, sizeof(*grown));
    if (!grown) {
        return HAUL_NOMEM;
    }
    list->items = grown;
    return HAUL_OK;
}

haul_status haul__metadata_add(haul__metadata_list *list, const haul_metadata *metadata)
{
    return haul__metadata_add_all(list, metadata, 1);
}

haul_status haul__metadata_add_all(haul__metadata_list *list, const haul_metadata *metadata,
                                   size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!is_legal(&metadata[i])) {
            return HAUL_INVALID;
        }
    }
    haul_status status = n > 0 ? make_room(list, n) : HAUL_OK;
    if (status != HAUL_OK) {
        return status;
    }
    for (size_t i = 0; i < n; i++) {
        list->items[list->n++] = (grpc_metadata){
            .key = grpc_slice_from_copied_string(metadata[i].key),
            .value = grpc_slice_from_copied_buffer(metadata[i].value, metadata[i].n_bytes),
        };
    }
    return HAUL_OK;
}

haul_status haul__metadata_add_own(haul__metadata_list *list, const char *key, grpc_slice value)
{
    haul_status status = make_room(list, 1);
    if (status != HAUL_OK) {
        grpc_slice_unref(value);
        return status;
    }
    list->items[list->n++] =
        (grpc_metadata){.key = grpc_slice_from_static_string(key), .value = value};
    return HAUL_OK;
}

void haul__metadata_drop_last(haul__metadata_list *list)
{
    list->n--;
    grpc_slice_unref(list->items[list->n].key);
    grpc_slice_unref(list->items[list->n].value);
}

void haul__metadata_list_fini(haul__metadata_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        grpc_slice_unref(list->items[i].key);
        grpc_slice_unref(list->items[i].value);
    }
    free(list->items);
    *list = (haul__metadata_list){0};
}

/* ---- Coming in ----------------------------------------------------------------------------- */

static bool is_ours(const grpc_metadata *md)
{
    size_t n = strlen(OURS);
    return GRPC_SLICE_LENGTH(md->key) >= n && memcmp(GRPC_SLICE_START_PTR(md->key), OURS, n) == 0;
}

/* Bytes with a terminator, at *@at, which moves on. */
static const char *copy(grpc_slice slice, char **at)
{
    char *start = *at;
    size_t n = GRPC_SLICE_LENGTH(slice);
    memcpy(start, GRPC_SLICE_START_PTR(slice), n);
    start[n] = '\0';
    *at += n + 1;
    return start;
}

haul_status haul__metadata_take(const grpc_metadata_array *from, haul__metadata_set *out_set)
{
    size_t n = 0;
    size_t n_bytes = 0;
    for (size_t i = 0; i < from->count; i++) {
        const grpc_metadata *md = &from->metadata[i];
        if (!is_ours(md)) {
            n++;
            n_bytes += GRPC_SLICE_LENGTH(md->key) + GRPC_SLICE_LENGTH(md->value) + 2;
        }
    }
    if (n == 0) {
        *out_set = (haul__metadata_set){0};
        return HAUL_OK;
    }
    haul_metadata *items = malloc(n * sizeof(*items) + n_bytes);
    if (!items) {
        return HAUL_NOMEM;
    }
    char *at = (char *)(items + n);
    size_t used = 0;
    for (size_t i = 0; i < from->count; i++) {
        const grpc_metadata *md = &from->metadata[i];
        if (!is_ours(md)) {
            const char *key = copy(md->key, &at);
            items[used++] = (haul_metadata){
                .key = key, .value = copy(md->value, &at), .n_bytes = GRPC_SLICE_LENGTH(md->value)};
        }
    }
    *out_set = (haul__metadata_set){.items = items, .n = n};
    return HAUL_OK;
}

haul_status haul__metadata_find(const haul__metadata_set *set, const char *key, size_t index,
                                haul_metadata *out_metadata)
{
    for (size_t i = 0; i < set->n; i++) {
        if ((!key || strcmp(set->items[i].key, key) == 0) && index-- == 0) {
            *out_metadata = set->items[i];
            return HAUL_OK;
        }
    }
    return HAUL_NOT_FOUND;
}

void haul__metadata_set_fini(haul__metadata_set *set)
{
    free(set->items);
    *set = (haul__metadata_set){0};
}
