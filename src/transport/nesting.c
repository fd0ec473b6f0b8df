/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A bound on nesting, before protobuf-c sees the bytes.
 *
 * protobuf-c unpacks by recursion and has no limit of its own, so a few hundred kilobytes that
 * nest a recursive type over and over would run a server's thread out of stack. This looks only at
 * the framing, with a stack of its own, and only types that can contain themselves need it.
 * Stateless; any thread.
 */

#include "transport/nesting.h"

typedef struct frame {
    const ProtobufCMessageDescriptor *type;
    const uint8_t *end;
} frame;

static bool skip(const uint8_t **at, const uint8_t *end, uint64_t n)
{
    if ((uint64_t)(end - *at) < n) {
        return false;
    }
    *at += n;
    return true;
}

/* Read a field's head; of a length-prefixed field @out_len is left to be read, of others all is
 * skipped. */
static bool take_field(const uint8_t **at, const uint8_t *end, uint32_t *out_id, uint64_t *out_len)
{
    uint8_t wire_type;
    haul__varint number;
    *out_len = 0;
    if (!haul__wire_tag(at, end, out_id, &wire_type)) {
        return false;
    }
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return haul__wire_varint(at, end, &number);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return skip(at, end, 8);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return skip(at, end, 4);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!haul__wire_varint(at, end, &number)) {
            return false;
        }
        *out_len = number.value;
        return number.value <= (uint64_t)(end - *at);
    default:
        return false;
    }
}

bool haul__nesting_ok(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len)
{
    frame frames[HAUL__NESTING_MAX];
    unsigned depth = 1;
    const uint8_t *at = data;
    frames[0] = (frame){.type = type, .end = data + len};
    while (depth > 0) {
        const frame *top = &frames[depth - 1];
        if (at == top->end) {
            depth--;
            continue;
        }
        uint32_t id;
        uint64_t n;
        if (!take_field(&at, top->end, &id, &n)) {
            return false;
        }
        const ProtobufCFieldDescriptor *field =
            n > 0 ? protobuf_c_message_descriptor_get_field(top->type, id) : NULL;
        if (!field || field->type != PROTOBUF_C_TYPE_MESSAGE) {
            at += n;
        } else if (depth == HAUL__NESTING_MAX) {
            return false;
        } else {
            frames[depth++] = (frame){.type = field->descriptor, .end = at + n};
        }
    }
    return true;
}
