/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_WIRE_H
#define SHORTHAUL_TRANSPORT_WIRE_H

/*
 * The framing of protobuf's wire format, byte by byte.
 *
 * The bytes may lie in shared memory and change while they are read. Each is loaded once, by an
 * access that a compiler may not repeat, and what it said is in the caller's own memory from then
 * on.
 */

#include <stdbool.h>
#include <stdint.h>

/* The depth of nesting at which protobuf's own parsers give up, too. */
#define HAUL__NESTING_MAX 100

#define HAUL__VARINT_MAX_BYTES 10
#define HAUL__TAG_MAX_BYTES    5 /* of a tag, and of a length, as protobuf-c takes them */

/* A varint as a number and as it was written, which need not be the shortest way. */
typedef struct haul__varint {
    uint64_t value;
    uint8_t n_raw;
    uint8_t raw[HAUL__VARINT_MAX_BYTES];
} haul__varint;

static inline uint8_t haul__wire_byte(const uint8_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

/* Read a varint and move @at behind it. */
static inline bool haul__wire_varint(const uint8_t **at, const uint8_t *end, haul__varint *out)
{
    out->value = 0;
    for (unsigned i = 0; i < HAUL__VARINT_MAX_BYTES && *at < end; i++) {
        uint8_t byte = haul__wire_byte((*at)++);
        out->raw[i] = byte;
        out->value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            out->n_raw = (uint8_t)(i + 1);
            return true;
        }
    }
    return false;
}

/* Write a varint; what is behind it. */
static inline uint8_t *haul__wire_put_varint(uint8_t *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        *to++ = (uint8_t)(value | 0x80);
    }
    *to++ = (uint8_t)value;
    return to;
}

/* Read a field's number and wire type; false for those that no field can have. */
static inline bool haul__wire_tag(const uint8_t **at, const uint8_t *end, uint32_t *out_id,
                                  uint8_t *out_wire_type)
{
    haul__varint tag;
    if (!haul__wire_varint(at, end, &tag) || tag.n_raw > HAUL__TAG_MAX_BYTES ||
        tag.value >> 3 == 0 || tag.value >> 32 != 0) {
        return false;
    }
    *out_id = (uint32_t)(tag.value >> 3);
    *out_wire_type = (uint8_t)(tag.value & 7);
    return true;
}

#endif
