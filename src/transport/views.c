/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The table from payloads to bytes, of one message of one call.
 *
 * Filled by one thread, then read by any. A view of a pool's buffer is let go of with the table,
 * unless gRPC needs its bytes for longer: then a pin takes it over (pin.c) and the table keeps a
 * reference to the slice.
 */

#include "transport/views.h"

#include <stdlib.h>
#include <string.h>

/* Up to so many entries are searched one by one. */
#define LINEAR_MAX 16

static haul__view_entry *entries_of(haul__views *views)
{
    return views->large ? views->large : views->small;
}

static const haul__view_entry *entries_of_const(const haul__views *views)
{
    return views->large ? views->large : views->small;
}

static bool make_room(haul__views *views)
{
    if (!views->large && views->n < HAUL__VIEWS_SMALL) {
        return true;
    }
    if (views->large && views->n < views->capacity) {
        return true;
    }
    size_t capacity = 4 * views->n;
    haul__view_entry *grown = realloc(views->large, capacity * sizeof(*grown));
    if (!grown) {
        return false;
    }
    if (!views->large) {
        memcpy(grown, views->small, sizeof(views->small));
    }
    views->large = grown;
    views->capacity = capacity;
    return true;
}

haul_status haul__views_add(haul__views *views, const haul_payload *payload, const haul_view *view)
{
    if (!make_room(views)) {
        haul_view taken = *view;
        haul_detach(&taken);
        return HAUL_NOMEM;
    }
    entries_of(views)[views->n++] = (haul__view_entry){.payload = payload, .view = *view};
    views->sorted = false;
    return HAUL_OK;
}

haul_status haul__views_put_inline(haul__views *views, haul_buf *buf, uint64_t len,
                                   haul_payload_out *out)
{
    haul_key key;
    haul_view view;
    haul_status status = haul_buf_share(buf, len, &key);
    if (status == HAUL_OK) {
        status = haul_buf_view(buf, &view);
    }
    if (status == HAUL_OK) {
        haul_payload_set_inline(out, view.data, view.len);
        status = haul__views_add(views, &out->payload, &view);
    }
    haul_buf_release(buf);
    return status;
}

static int compare(const void *a, const void *b)
{
    uintptr_t pa = (uintptr_t)((const haul__view_entry *)a)->payload;
    uintptr_t pb = (uintptr_t)((const haul__view_entry *)b)->payload;
    return (pa > pb) - (pa < pb);
}

void haul__views_seal(haul__views *views)
{
    if (views->n > LINEAR_MAX) {
        qsort(views->large, views->n, sizeof(*views->large), compare);
        views->sorted = true;
    }
}

haul_status haul__views_find(const haul__views *views, const haul_payload *payload,
                             haul_view *out_view)
{
    const haul__view_entry *entries = entries_of_const(views);
    const haul__view_entry *found = NULL;
    if (views->sorted) {
        const haul__view_entry wanted = {.payload = payload};
        found = bsearch(&wanted, entries, views->n, sizeof(*entries), compare);
    } else {
        for (size_t i = 0; i < views->n && !found; i++) {
            found = entries[i].payload == payload ? &entries[i] : NULL;
        }
    }
    if (!found) {
        return HAUL_INVALID;
    }
    /* The reader must not detach it, so he does not get what that takes. */
    *out_view = (haul_view){.data = found->view.data, .len = found->view.len};
    return HAUL_OK;
}

static bool in_pool(const haul__view_entry *entry)
{
    return entry->pinned || entry->view.pool != NULL;
}

bool haul__views_hold_pool_memory(const haul__views *views)
{
    const haul__view_entry *entries = entries_of_const(views);
    for (size_t i = 0; i < views->n; i++) {
        if (in_pool(&entries[i])) {
            return true;
        }
    }
    return false;
}

static bool covers(const haul__view_entry *entry, const uint8_t *data, size_t len)
{
    uintptr_t from = (uintptr_t)entry->view.data;
    uintptr_t at = (uintptr_t)data;
    return in_pool(entry) && at >= from && at - from <= entry->view.len &&
           entry->view.len - (at - from) >= len;
}

bool haul__views_cover(const haul__views *views, const uint8_t *data, size_t len)
{
    const haul__view_entry *entries = entries_of_const(views);
    bool found = false;
    for (size_t i = 0; i < views->n && !found; i++) {
        found = covers(&entries[i], data, len);
    }
    return found;
}

haul_status haul__views_slice(haul__views *views, haul__pins *pins, const uint8_t *data, size_t len,
                              grpc_slice *out_slice)
{
    haul__view_entry *entries = entries_of(views);
    haul__view_entry *found = NULL;
    for (size_t i = 0; i < views->n && !found; i++) {
        found = covers(&entries[i], data, len) ? &entries[i] : NULL;
    }
    if (!found) {
        return HAUL_NOT_FOUND;
    }
    if (!found->pinned) {
        haul_status status = haul__pin_take(pins, &found->view, &found->slice);
        if (status != HAUL_OK) {
            return status;
        }
        found->pinned = true;
    }
    size_t from = (size_t)(data - found->view.data);
    *out_slice = grpc_slice_sub(found->slice, from, from + len);
    return HAUL_OK;
}

void haul__views_fini(haul__views *views)
{
    haul__view_entry *entries = entries_of(views);
    for (size_t i = 0; i < views->n; i++) {
        if (entries[i].pinned) {
            grpc_slice_unref(entries[i].slice);
        } else {
            haul_detach(&entries[i].view);
        }
    }
    free(views->large);
    views->large = NULL;
    views->capacity = 0;
    views->n = 0;
    views->sorted = false;
}
