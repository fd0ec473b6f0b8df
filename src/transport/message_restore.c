/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The second half of unpacking from a view: what message_cut.c has left where it is comes back into
 * the message that protobuf-c has made of the rest.
 *
 * Everything looked at here is private memory. A place was written by the cut, which checked it; its
 * nonce is how it is known. Bytes are pointed to; numbers are copied, for an array of numbers must be
 * aligned, and that is the one time that they are read. Runs in the thread that unpacks.
 */

#include "transport/message_cut.h"

#include <string.h>

#include "transport/plan.h"

/* ---- Restoring ----------------------------------------------------------------------------- */

static void restore_bytes(ProtobufCBinaryData *value, const haul__cut *cut)
{
    haul__place p;
    if (value->len != sizeof(p) || memcmp(value->data, cut->nonce, sizeof(cut->nonce)) != 0) {
        return;
    }
    memcpy(&p, value->data, sizeof(p));
    value->data = (uint8_t *)p.data; /* protobuf-c has no const bytes */
    value->len = p.len;
}

static void restore_bytes_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                                const haul__cut *cut)
{
    uint8_t *base = (uint8_t *)message;
    ProtobufCBinaryData *values = (ProtobufCBinaryData *)(void *)(base + field->offset);
    size_t n = 1;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        memcpy(&n, base + field->quantifier_offset, sizeof(n));
        memcpy((void *)&values, base + field->offset, sizeof(void *));
    } else if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t which;
        memcpy(&which, base + field->quantifier_offset, sizeof(which));
        n = which == field->id;
    }
    for (size_t i = 0; i < n; i++) {
        restore_bytes(&values[i], cut);
    }
}

/* The next place in an array of numbers of @width bytes. */
static bool find_place(const haul__cut *cut, unsigned width, const uint8_t *at, const uint8_t *end,
                       const uint8_t **out_found, haul__place *out_place)
{
    for (; end - at >= (ptrdiff_t)sizeof(haul__place); at += width) {
        if (memcmp(at, cut->nonce, sizeof(cut->nonce)) == 0) {
            memcpy(out_place, at, sizeof(*out_place));
            *out_found = at;
            return true;
        }
    }
    return false;
}

/* Bytes of the numbers from @at to @end with what their places stand for; 0 if there are none. */
static uint64_t count_bytes(const haul__cut *cut, unsigned width, const uint8_t *at,
                            const uint8_t *end)
{
    const uint8_t *found;
    haul__place p;
    uint64_t total = (uint64_t)(end - at);
    bool any = false;
    for (; find_place(cut, width, at, end, &found, &p); at = found + sizeof(p)) {
        total += p.len - sizeof(p);
        any = true;
    }
    return any ? total : 0;
}

static void copy_numbers(const haul__cut *cut, unsigned width, const uint8_t *at,
                         const uint8_t *end, uint8_t *to)
{
    const uint8_t *found;
    haul__place p;
    for (; find_place(cut, width, at, end, &found, &p); at = found + sizeof(p)) {
        memcpy(to, at, (size_t)(found - at));
        memcpy(to + (found - at), p.data, p.len);
        to += (size_t)(found - at) + p.len;
    }
    memcpy(to, at, (size_t)(end - at));
}

/* Make the numbers of a field whole. False: there is no memory. */
static bool restore_numbers(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                            const haul__cut *cut, const ProtobufCAllocator *allocator)
{
    uint8_t *base = (uint8_t *)message;
    unsigned width = haul__number_bytes(field);
    size_t n;
    uint8_t *old;
    memcpy(&n, base + field->quantifier_offset, sizeof(n));
    memcpy((void *)&old, base + field->offset, sizeof(void *));
    uint64_t total = n > 0 ? count_bytes(cut, width, old, old + n * width) : 0;
    if (total == 0) {
        return true;
    }
    uint8_t *whole = allocator->alloc(allocator->allocator_data, total);
    if (!whole) {
        return false;
    }
    copy_numbers(cut, width, old, old + n * width, whole);
    n = total / width;
    memcpy(base + field->quantifier_offset, &n, sizeof(n));
    memcpy(base + field->offset, (void *)&whole, sizeof(void *));
    allocator->free(allocator->allocator_data, old);
    return true;
}

static bool restore(ProtobufCMessage *message, const haul__cut *cut,
                    const ProtobufCAllocator *allocator)
{
    bool ok = true;
    for (unsigned f = 0; f < message->descriptor->n_fields && ok; f++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[f];
        if (field->type == PROTOBUF_C_TYPE_BYTES) {
            restore_bytes_field(message, field, cut);
        } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            ProtobufCMessage *single = NULL;
            haul__elements elements = haul__field_elements(message, field, &single);
            for (size_t i = 0; i < elements.n && ok; i++) {
                ok = restore(elements.items[i], cut, allocator);
            }
        } else if (haul__number_bytes(field) > 0) {
            ok = restore_numbers(message, field, cut, allocator);
        }
    }
    return ok;
}

bool haul__message_restore(ProtobufCMessage *message, const haul__cut *cut,
                           const ProtobufCAllocator *allocator)
{
    return !cut->has_places || restore(message, cut, allocator);
}
