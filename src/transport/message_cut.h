/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_MESSAGE_CUT_H
#define SHORTHAUL_TRANSPORT_MESSAGE_CUT_H

/* A serialised message without the large bytes in it, and their way back into the message. */

#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

#include <shorthaul/pool.h>

/* The serialised message that protobuf-c gets to see, in this process's own memory. */
typedef struct haul__cut {
    uint8_t *bytes;
    size_t n;
    size_t capacity;
    uint64_t in_place_min_bytes;
    bool no_memory; /* nothing more was written from then on */
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

/* Make the `bytes` fields of a message that protobuf-c unpacked from a cut say what they did. */
void haul__message_restore(ProtobufCMessage *message, const ProtobufCAllocator *allocator);

#endif
