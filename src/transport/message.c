/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Whole messages in buffers of a pool: serialised into one, unpacked from a view of one.
 *
 * Packing goes through a ProtobufCBuffer, field by field from front to back: protobuf-c's packing
 * into plain memory would move a nested message again for each level that it is nested, and would
 * write beyond the buffer if the message grew meanwhile. The buffer is OWNED while it is written,
 * so whoever dies here leaves bytes that nobody can see, for the reaper.
 *
 * Unpacking leaves large bytes where they are (message_cut.c). Those are not protobuf-c's to free:
 * the allocator that a message is freed with knows them by their address. A message is made and
 * freed by one thread each and read by any.
 */

#include <shorthaul/message.h>

#include <stdlib.h>
#include <string.h>

#include "transport/large.h"
#include "transport/message_cut.h"

/* What protobuf-c's lengths can say. */
#define MESSAGE_MAX UINT32_MAX

/* ---- Into a buffer ------------------------------------------------------------------------- */

typedef struct writer {
    ProtobufCBuffer base; /* first: the append function is given its address */
    uint8_t *at;
    uint64_t left;
    bool full;
} writer;

static void append(ProtobufCBuffer *buffer, size_t len, const uint8_t *data)
{
    writer *w = (writer *)buffer;
    if (len == 0 || w->full) {
        return;
    }
    if (len > w->left) {
        w->full = true;
        return;
    }
    memcpy(w->at, data, len);
    w->at += len;
    w->left -= len;
}

/* The size that a well-formed message takes. */
static haul_status measure(const ProtobufCMessage *message, uint64_t *out_size)
{
    if (!message || !protobuf_c_message_check(message)) {
        return HAUL_INVALID;
    }
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > MESSAGE_MAX) {
        return HAUL_TOO_BIG;
    }
    *out_size = size;
    return HAUL_OK;
}

static haul_status write_message(const ProtobufCMessage *message, haul_buf *buf, uint64_t *out_len)
{
    uint8_t *start = haul_buf_data(buf);
    if (!start) {
        return HAUL_INVALID;
    }
    writer w = {.base.append = append, .at = start, .left = haul_buf_capacity(buf)};
    (void)protobuf_c_message_pack_to_buffer(message, &w.base);
    if (w.full) {
        return HAUL_TOO_BIG;
    }
    *out_len = (uint64_t)(w.at - start);
    return HAUL_OK;
}

haul_status haul_message_pack_into(const ProtobufCMessage *message, haul_buf *buf,
                                   uint64_t *out_len)
{
    uint64_t size;
    haul_status status = measure(message, &size);
    return status == HAUL_OK ? write_message(message, buf, out_len) : status;
}

haul_status haul_message_pack(haul_pool *pool, const ProtobufCMessage *message,
                              const haul_alloc_opts *opts, haul_buf **out_buf, uint64_t *out_len)
{
    uint64_t size;
    haul_buf *buf;
    haul_status status = measure(message, &size);
    if (status == HAUL_OK) {
        status = haul_buf_alloc(pool, size, opts, &buf);
    }
    if (status != HAUL_OK) {
        return status;
    }
    status = write_message(message, buf, out_len);
    if (status != HAUL_OK) {
        haul_buf_release(buf);
        return status;
    }
    *out_buf = buf;
    return HAUL_OK;
}

/* ---- Out of a view ------------------------------------------------------------------------- */

struct haul_message {
    ProtobufCMessage *root;
    const uint8_t *view; /* whose bytes are not ours to free */
    uint64_t n_view_bytes;
    bool no_memory;
};

static void *allocate(void *allocator_data, size_t size)
{
    haul_message *message = allocator_data;
    void *memory = haul__large_alloc(size);
    message->no_memory |= memory == NULL;
    return memory;
}

static void release(void *allocator_data, void *memory)
{
    const haul_message *message = allocator_data;
    if ((uintptr_t)memory - (uintptr_t)message->view >= message->n_view_bytes) {
        haul__large_free(memory);
    }
}

static ProtobufCAllocator allocator_of(haul_message *message)
{
    return (ProtobufCAllocator){.alloc = allocate, .free = release, .allocator_data = message};
}

static haul_status unpack(haul_message *message, const ProtobufCMessageDescriptor *type,
                          uint64_t in_place_min_bytes)
{
    haul__cut cut;
    haul_status status =
        haul__message_cut(type, message->view, message->n_view_bytes, in_place_min_bytes, &cut);
    if (status != HAUL_OK) {
        return status;
    }
    ProtobufCAllocator allocator = allocator_of(message);
    message->root = protobuf_c_message_unpack(type, &allocator, cut.n, cut.bytes);
    haul__cut_fini(&cut);
    if (!message->root) {
        return message->no_memory ? HAUL_NOMEM : HAUL_PROTOCOL;
    }
    haul__message_restore(message->root, &allocator);
    return HAUL_OK;
}

haul_status haul_message_unpack_view(const ProtobufCMessageDescriptor *type, const haul_view *view,
                                     const haul_unpack_opts *opts, haul_message **out_message)
{
    uint64_t in_place_min_bytes = opts ? opts->in_place_min_bytes : 0;
    if (!type || (opts && opts->struct_size != sizeof(*opts))) {
        return HAUL_INVALID;
    }
    if (in_place_min_bytes == 0) {
        in_place_min_bytes = HAUL_IN_PLACE_MIN_BYTES_DEFAULT;
    }
    haul_message *message = malloc(sizeof(*message));
    if (!message) {
        return HAUL_NOMEM;
    }
    *message = (haul_message){.view = view->data, .n_view_bytes = view->len};
    haul_status status = unpack(message, type, in_place_min_bytes);
    if (status != HAUL_OK) {
        free(message);
        return status;
    }
    *out_message = message;
    return HAUL_OK;
}

const ProtobufCMessage *haul_message_get(const haul_message *message)
{
    return message->root;
}

void haul_message_free(haul_message *message)
{
    if (!message) {
        return;
    }
    ProtobufCAllocator allocator = allocator_of(message);
    protobuf_c_message_free_unpacked(message->root, &allocator);
    free(message);
}
