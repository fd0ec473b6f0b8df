/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_MESSAGE_H
#define SHORTHAUL_MESSAGE_H

/*
 * Whole messages in buffers of a pool, for those whose large message is not one blob.
 *
 * A protobuf-c message is serialised straight into a buffer, which then goes by key like any other:
 *
 *   haul_message_pack(pool, &frame.base, NULL, &buf, &len);
 *   haul_payload_set_buf(&out, buf, len);
 *
 * and the other side unpacks it from the view that it has of the payload, with large fields left
 * where they are:
 *
 *   haul_call_view(call, request->frame, &view);
 *   haul_message_unpack_view(&frame__descriptor, &view, NULL, &message);
 *
 * A payload that came inline is unpacked the same way. What travels is protobuf's ordinary wire
 * format, so either side may be any program that has the bytes.
 *
 * Part of shorthaul::transport, but needs nothing of gRPC.
 */

#include <protobuf-c/protobuf-c.h>

#include <shorthaul/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Into a buffer ------------------------------------------------------------------------- */

/*
 * Take a buffer of @pool and serialise @message into it.
 *
 * @opts: as for haul_buf_alloc(); may be NULL.
 * @out_len: bytes that the message takes in the buffer.
 *
 * Ownership:  @out_buf is the caller's, as from haul_buf_alloc(); it refers to nothing of @message.
 * Threads:    any; nobody may change @message meanwhile.
 * Blocking:   as haul_buf_alloc() does.
 * Conditions: those of haul_buf_alloc(); HAUL_TOO_BIG as well for more than 4 GiB - 1 bytes. Other
 *             implementations of protobuf read no more than 2 GiB - 1
 * Failures:   those of haul_buf_alloc(); HAUL_INVALID (a message that is not well-formed)
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_message_pack(haul_pool *pool,
                                                       const ProtobufCMessage *message,
                                                       const haul_alloc_opts *opts,
                                                       haul_buf **out_buf, uint64_t *out_len);

/*
 * Serialise @message into a buffer that is there already, such as one of haul_call_alloc(). It needs
 * protobuf_c_message_get_packed_size() bytes.
 *
 * Ownership:  @buf stays the caller's.   Threads: nobody may change @message meanwhile.
 * Blocking:   never.
 * Conditions: HAUL_TOO_BIG  the message does not fit, or has more than 4 GiB - 1 bytes
 * Failures:   HAUL_INVALID (a message that is not well-formed, a buffer that may not be written)
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_message_pack_into(const ProtobufCMessage *message,
                                                            haul_buf *buf, uint64_t *out_len);

/* ---- Out of a view ------------------------------------------------------------------------- */

/* A message that was unpacked from a view. */
typedef struct haul_message haul_message;

#define HAUL_IN_PLACE_MIN_BYTES_DEFAULT 4096

typedef struct haul_unpack_opts {
    size_t struct_size;          /* sizeof(haul_unpack_opts) */
    uint64_t in_place_min_bytes; /* `bytes` fields of so many bytes are not copied; UINT64_MAX =
                                  * copy all; 0 = HAUL_IN_PLACE_MIN_BYTES_DEFAULT */
} haul_unpack_opts;

/*
 * Unpack a message of @type from the bytes of @view. Large `bytes` fields, also in repeated fields,
 * oneofs and messages within, are not copied: they point into the view. Everything else is copied:
 * strings, for they get a terminator; numbers, for their place on the wire is aligned to nothing;
 * fields that @type does not know. Large packed numbers of a fixed size (double, float, fixed64 and
 * the like) are copied once, the rest twice.
 *
 * The result is what protobuf_c_message_unpack() makes of the same bytes. Groups, and messages
 * nested deeper than 100 levels, are refused.
 *
 * A member of the pool that breaks its rules can change the bytes at any time. What is copied stays
 * as it was read, lengths and pointers too, and pointers lie within the view; bytes left in place
 * may change under the reader's eyes like those of any view.
 *
 * @opts: NULL = the default.
 *
 * Ownership:  the message is the caller's, until haul_message_free(); it borrows @view's bytes until
 *             then, and the view is not detached.
 * Threads:    any; the message may be read by several.
 * Blocking:   never.
 * Conditions: HAUL_TOO_BIG   more than 2 GiB - 1 bytes would have to be copied
 * Failures:   HAUL_PROTOCOL (not a message of @type), HAUL_INVALID (options), HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status
haul_message_unpack_view(const ProtobufCMessageDescriptor *type, const haul_view *view,
                         const haul_unpack_opts *opts, haul_message **out_message);

/* The message itself. Not to be changed, and freed with haul_message_free() alone. */
HAUL_API const ProtobufCMessage *haul_message_get(const haul_message *message);

/* Free a message; the view's bytes are left alone. NULL is allowed. */
HAUL_API void haul_message_free(haul_message *message);

#ifdef __cplusplus
}
#endif

#endif
