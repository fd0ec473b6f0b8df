/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Cutting the large bytes out of a serialised message.
 *
 * protobuf-c copies every field, and it looks at the bytes more than once: it may not be shown
 * shared memory, where a length can change between two looks. So the message is written anew into
 * private memory first, as a message of the same type in which each `bytes` field that is not empty
 * begins with a mark. KEPT: the field's bytes follow. IN_PLACE: a pointer and a length follow, of
 * the bytes that stay where they are. protobuf-c unpacks that with all its own rules (which of two
 * values counts, how messages are merged, what is required, what is unknown), and restoring then
 * replaces each field by what its mark stands for. A mark cannot be forged, because every `bytes`
 * field that protobuf-c sees has been given one here.
 *
 * What is shared is read once, front to back: a tag or length is loaded into a local, checked
 * against the end that is known here, written from the local, and the contents are copied or
 * skipped by it. Whoever changes the bytes meanwhile gets a message of his own making, as if he had
 * sent it so. Nothing is looked at a second time, so no later step trusts an earlier look.
 *
 * Recursion is bounded by HAUL__NESTING_MAX. Owned and used by the thread that unpacks; a process
 * that dies here leaves nothing but its private memory.
 */

#include "transport/message_cut.h"

#include <string.h>

#include "transport/large.h"
#include "transport/plan.h"
#include "transport/wire.h"

#define FIRST_BYTES 4096u

/* A length that is not known yet is written in so many bytes. */
#define LENGTH_BYTES 5u

enum mark {
    KEPT = 0,
    IN_PLACE = 1
};

typedef struct place {
    const uint8_t *data;
    uint64_t len;
} place;

#define PLACE_BYTES (1 + sizeof(place))

/* What is left of one message on the wire. */
typedef struct span {
    const uint8_t *at;
    const uint8_t *end;
} span;

/* ---- Writing ------------------------------------------------------------------------------- */

static bool make_room(haul__cut *cut, uint64_t n)
{
    if (cut->capacity - cut->n >= n) {
        return true;
    }
    size_t needed;
    if (__builtin_add_overflow(cut->n, n, &needed)) {
        return false;
    }
    size_t capacity = cut->capacity > SIZE_MAX / 2 ? needed : 2 * cut->capacity;
    capacity = capacity < needed ? needed : capacity;
    capacity = capacity < FIRST_BYTES ? FIRST_BYTES : capacity;
    uint8_t *grown = haul__large_alloc(capacity);
    if (!grown) {
        return false;
    }
    if (cut->n > 0) {
        memcpy(grown, cut->bytes, cut->n);
    }
    haul__large_free(cut->bytes);
    cut->bytes = grown;
    cut->capacity = capacity;
    return true;
}

static void put(haul__cut *cut, const void *bytes, uint64_t n)
{
    if (n == 0 || cut->no_memory) {
        return;
    }
    if (!make_room(cut, n)) {
        cut->no_memory = true;
        return;
    }
    memcpy(cut->bytes + cut->n, bytes, n);
    cut->n += n;
}

static void put_varint(haul__cut *cut, uint64_t value)
{
    uint8_t raw[HAUL__VARINT_MAX_BYTES];
    unsigned n = 0;
    for (; value >= 0x80; value >>= 7) {
        raw[n++] = (uint8_t)(value | 0x80);
    }
    raw[n++] = (uint8_t)value;
    put(cut, raw, n);
}

/* Write the length of what has been written since the length's place was left at @at. */
static void put_length_at(haul__cut *cut, size_t at)
{
    if (cut->no_memory) {
        return;
    }
    uint64_t len = cut->n - at - LENGTH_BYTES;
    for (unsigned i = 0; i < LENGTH_BYTES; i++, len >>= 7) {
        cut->bytes[at + i] = (uint8_t)((len & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
    }
}

/* ---- Cutting ------------------------------------------------------------------------------- */

static void put_bytes_field(haul__cut *cut, const uint8_t *data, uint64_t len)
{
    const place p = {.data = data, .len = len};
    if (len == 0) {
        put_varint(cut, 0); /* protobuf-c tells an empty value from others when it merges */
    } else if (len < cut->in_place_min_bytes) {
        put_varint(cut, len + 1);
        put(cut, &(uint8_t){KEPT}, 1);
        put(cut, data, len);
    } else {
        put_varint(cut, PLACE_BYTES);
        put(cut, &(uint8_t){IN_PLACE}, 1);
        put(cut, &p, sizeof(p));
    }
}

static haul_status cut_message(haul__cut *cut, const ProtobufCMessageDescriptor *type, span in,
                               unsigned depth);

static haul_status cut_length_prefixed(haul__cut *cut, const ProtobufCFieldDescriptor *field,
                                       span *in, unsigned depth)
{
    haul__varint len;
    if (!haul__wire_varint(&in->at, in->end, &len) || len.n_raw > HAUL__TAG_MAX_BYTES ||
        len.value > (uint64_t)(in->end - in->at)) {
        return HAUL_PROTOCOL;
    }
    const span content = {.at = in->at, .end = in->at + len.value};
    in->at = content.end;
    if (field && field->type == PROTOBUF_C_TYPE_BYTES) {
        put_bytes_field(cut, content.at, len.value);
        return HAUL_OK;
    }
    if (!field || field->type != PROTOBUF_C_TYPE_MESSAGE || len.value == 0) {
        put(cut, len.raw, len.n_raw);
        put(cut, content.at, len.value);
        return HAUL_OK;
    }
    if (depth == HAUL__NESTING_MAX) {
        return HAUL_PROTOCOL;
    }
    size_t at = cut->n;
    put(cut, (uint8_t[LENGTH_BYTES]){0}, LENGTH_BYTES);
    haul_status status = cut_message(cut, field->descriptor, content, depth + 1);
    put_length_at(cut, at);
    return status;
}

static haul_status cut_fixed(haul__cut *cut, span *in, unsigned n)
{
    if (in->end - in->at < (ptrdiff_t)n) {
        return HAUL_PROTOCOL;
    }
    put(cut, in->at, n);
    in->at += n;
    return HAUL_OK;
}

static haul_status cut_field(haul__cut *cut, const ProtobufCMessageDescriptor *type, span *in,
                             unsigned depth)
{
    uint32_t id;
    uint8_t wire_type;
    haul__varint number;
    if (!haul__wire_tag(&in->at, in->end, &id, &wire_type)) {
        return HAUL_PROTOCOL;
    }
    put_varint(cut, (uint64_t)id << 3 | wire_type);
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        if (!haul__wire_varint(&in->at, in->end, &number)) {
            return HAUL_PROTOCOL;
        }
        put(cut, number.raw, number.n_raw);
        return HAUL_OK;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return cut_fixed(cut, in, 8);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return cut_fixed(cut, in, 4);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        return cut_length_prefixed(cut, protobuf_c_message_descriptor_get_field(type, id), in,
                                   depth);
    default: /* groups, which protobuf-c does not take either */
        return HAUL_PROTOCOL;
    }
}

static haul_status cut_message(haul__cut *cut, const ProtobufCMessageDescriptor *type, span in,
                               unsigned depth)
{
    haul_status status = HAUL_OK;
    while (in.at < in.end && status == HAUL_OK && !cut->no_memory) {
        status = cut_field(cut, type, &in, depth);
    }
    return status;
}

haul_status haul__message_cut(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                              uint64_t len, uint64_t in_place_min_bytes, haul__cut *out_cut)
{
    haul__cut cut = {.in_place_min_bytes = in_place_min_bytes};
    haul_status status = HAUL_OK;
    if (len > 0) {
        status = cut_message(&cut, type, (span){.at = data, .end = data + len}, 1);
    }
    if (status == HAUL_OK && cut.no_memory) {
        status = HAUL_NOMEM;
    }
    if (status == HAUL_OK && cut.n > INT32_MAX) {
        status = HAUL_TOO_BIG;
    }
    if (status != HAUL_OK) {
        haul__cut_fini(&cut);
        return status;
    }
    *out_cut = cut;
    return HAUL_OK;
}

void haul__cut_fini(haul__cut *cut)
{
    haul__large_free(cut->bytes);
    cut->bytes = NULL;
}

/* ---- Restoring ----------------------------------------------------------------------------- */

static void restore_bytes(ProtobufCBinaryData *value, const ProtobufCFieldDescriptor *field,
                          const ProtobufCAllocator *allocator)
{
    const ProtobufCBinaryData *preset = field->default_value;
    if (!value->data || (preset && value->data == preset->data)) {
        return;
    }
    if (value->data[0] == KEPT) {
        value->len--;
        memmove(value->data, value->data + 1, value->len);
        return;
    }
    place p;
    memcpy(&p, value->data + 1, sizeof(p));
    allocator->free(allocator->allocator_data, value->data);
    value->data = (uint8_t *)p.data; /* protobuf-c has no const bytes */
    value->len = p.len;
}

static void restore_bytes_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                                const ProtobufCAllocator *allocator)
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
        restore_bytes(&values[i], field, allocator);
    }
}

void haul__message_restore(ProtobufCMessage *message, const ProtobufCAllocator *allocator)
{
    for (unsigned f = 0; f < message->descriptor->n_fields; f++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[f];
        if (field->type == PROTOBUF_C_TYPE_BYTES) {
            restore_bytes_field(message, field, allocator);
        } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            ProtobufCMessage *single = NULL;
            haul__elements elements = haul__field_elements(message, field, &single);
            for (size_t i = 0; i < elements.n; i++) {
                haul__message_restore(elements.items[i], allocator);
            }
        }
    }
}
