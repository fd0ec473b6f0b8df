/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_LETTER_H
#define SHORTHAUL_TRANSPORT_LETTER_H

/*
 * What goes over a trunk: the messages Call and Answer of trunk.proto, here both called letters.
 *
 * Written and read by hand, for what a letter carries should be neither copied nor taken from the
 * heap. The fields of both have numbers of their own, so that one struct and one reader serve both.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <grpc/grpc.h>
#include <grpc/slice.h>

#define HAUL__TRUNK_METHOD "/shorthaul.v1.TrunkService/Carry"

/* Up to so many bytes a call's message goes over the trunk; and so many an answer's part has. */
#define HAUL__LETTER_MAX ((size_t)64 << 10)

/* No message on a trunk is larger: that is some letters, and what is around them. */
#define HAUL__TRUNK_MESSAGE_MAX ((size_t)256 << 10)

/* Entries of metadata that need no memory of their own. */
#define HAUL__LETTER_METADATA 4

/* Metadata of a letter. Keys and values are a part of the frame that was read. */
typedef struct haul__letter_metadata {
    grpc_metadata_array array; /* its memory is @small or gRPC's */
    grpc_metadata small[HAUL__LETTER_METADATA];
} haul__letter_metadata;

void haul__letter_metadata_move(haul__letter_metadata *to, haul__letter_metadata *from);
void haul__letter_metadata_fini(haul__letter_metadata *metadata);

/* As HTTP/2 counts it. */
size_t haul__metadata_bytes(const grpc_metadata *items, size_t n);

/* A letter that was read. The slices have no reference of their own: they live as long as the frame. */
typedef struct haul__letter {
    uint64_t id;
    uint64_t timeout_ns;
    uint64_t status;
    grpc_slice method;
    grpc_slice text;
    grpc_slice message;
    bool has_message;
    bool more;
    bool cancelled;
    bool unbegun;
    haul__letter_metadata initial;
    haul__letter_metadata trailing;
} haul__letter;

/*
 * Read what one message of a trunk holds and show it letter by letter; @read may move the metadata
 * out of it. @frame: of haul__frame_of(). @out_max_calls: may be NULL.
 *
 * False: the message is malformed, or there is no memory; letters before that have been shown.
 */
bool haul__letters_read(grpc_slice frame, void (*read)(void *ctx, haul__letter *letter), void *ctx,
                        uint64_t *out_max_calls);

/* The bytes of a message of gRPC's in one piece that is not part of the struct itself, as short ones
 * else are; for grpc_slice_unref(). */
grpc_slice haul__frame_of(grpc_byte_buffer *bytes);

/* A letter to be written, but for its message. Fields that are zero or NULL are not there. */
typedef struct haul__letter_fields {
    uint64_t id;
    uint64_t timeout_ns;
    const char *method;
    const grpc_slice *text;
    const grpc_metadata *metadata;
    size_t n_metadata;
    const grpc_metadata *trailing;
    size_t n_trailing;
    uint32_t status;
    bool more;
    bool cancelled;
    bool unbegun;
} haul__letter_fields;

/* Serialise; for grpc_slice_unref(). */
grpc_slice haul__letter_write(const haul__letter_fields *fields);

/* What stands before a letter's fields, and between them and the @n_message bytes of its message. */
#define HAUL__LETTER_HEAD_MAX 11
size_t haul__letter_head(size_t n_fields, size_t n_message, bool has_message,
                         uint8_t out[HAUL__LETTER_HEAD_MAX]);
size_t haul__letter_message_head(size_t n_message, uint8_t out[HAUL__LETTER_HEAD_MAX]);

/* The first message of a server. */
grpc_slice haul__letters_hello(uint32_t max_calls);

#endif
