/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_MESSAGE_CUT_H
#define SHORTHAUL_TRANSPORT_MESSAGE_CUT_H

/* A serialised message without the large bytes in it, and their way back into the message. */

#include <stdbool.h>
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

#include <shorthaul/pool.h>

#define HAUL__CUT_NONCE_BYTES 16

/* Stands in a field for bytes that are elsewhere. */
typedef struct haul__place {
    uint8_t nonce[HAUL__CUT_NONCE_BYTES];
    const uint8_t *data;
    uint64_t len;
} haul__place;

/* The size of the numbers of a repeated field, if they are on the wire as in memory; else 0. */
static inline unsigned haul__number_bytes(const ProtobufCFieldDescriptor *field)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__) {
        return 0;
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return 4;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 0;
    }
}

/* The serialised message that protobuf-c gets to see, in this process's own memory. */
typedef struct haul__cut {
    uint8_t *bytes;
    size_t n;
    size_t capacity;
    uint64_t in_place_min_bytes;
    uint64_t numbers_min_bytes;
    bool no_memory;  /* nothing more was written from then on */
    bool has_places; /* something was left where it is, and marked with @nonce */
    uint8_t nonce[HAUL__CUT_NONCE_BYTES];
} haul__cut;

/*
 * Copy the serialised message of @type at @data, of which the bytes may change meanwhile, and leave
 * `bytes` fields of @in_place_min_bytes and more where they are.
 *
 * Ownership:  @out_cut is the caller's, until haul__cut_fini(), on HAUL_OK only.
 * Conditions: HAUL_TOO_BIG  more than protobuf-c takes (2 GiB - 1) would have to be copied
 * Failures:   HAUL_PROTOCOL, HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status haul__message_cut(const ProtobufCMessageDescriptor *type,
                                              const uint8_t *data, uint64_t len,
                                              uint64_t in_place_min_bytes, haul__cut *out_cut);
void haul__cut_fini(haul__cut *cut);

/*
 * Make a message that protobuf-c unpacked from @cut by @allocator whole: `bytes` point to what was left
 * in place, and numbers that were are copied. What `bytes` pointed to is not freed. False: there is no
 * memory, and the message is not to be used.
 */
HAUL_MUST_CHECK bool haul__message_restore(ProtobufCMessage *message, const haul__cut *cut,
                                           const ProtobufCAllocator *allocator);

#endif
