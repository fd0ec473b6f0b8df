/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Whole messages in buffers of a pool: serialised into one, unpacked from a view of one.
 *
 * protobuf-c packs into plain memory, where it moves a nested message again for each level that it is
 * nested, or into a ProtobufCBuffer, where it calls a function for each field. So many small
 * messages take the first way and few large ones the second (docs/adr/0010-whole-messages.md). The
 * buffer is OWNED while it is written, so whoever dies here leaves bytes that nobody can see, for the
 * reaper.
 *
 * Unpacking leaves large bytes where they are (message_cut.c). A message is made and freed by one
 * thread each and read by any; it is freed as a whole (arena.c), never field by field.
 */

#include <shorthaul/message.h>

#include <stdlib.h>
#include <string.h>

#include "transport/arena.h"
#include "transport/bulk.h"
#include "transport/large.h"
#include "transport/message_cut.h"
#include "transport/plan.h"

/* What protobuf-c's lengths can say. */
#define MESSAGE_MAX UINT32_MAX

/* Messages smaller than this on average are cheaper to move than to append field by field. */
#define SMALL_BYTES 4096u

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
    haul__bulk_copy(w->at, data, len);
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

/* The message and those within it. */
static size_t count_messages(const ProtobufCMessage *message)
{
    size_t n = 1;
    for (unsigned f = 0; f < message->descriptor->n_fields; f++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[f];
        if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            ProtobufCMessage *single = NULL;
            haul__elements elements = haul__field_elements(message, field, &single);
            for (size_t i = 0; i < elements.n; i++) {
                n += count_messages(elements.items[i]);
            }
        }
    }
    return n;
}

/* @size: what measure() said. */
static haul_status write_message(const ProtobufCMessage *message, uint64_t size, haul_buf *buf,
                                 uint64_t *out_len)
{
    uint8_t *start = haul_buf_data(buf);
    if (!start) {
        return HAUL_INVALID;
    }
    if (size > haul_buf_capacity(buf)) {
        return HAUL_TOO_BIG;
    }
    if (size / count_messages(message) < SMALL_BYTES) {
        *out_len = protobuf_c_message_pack(message, start);
        return HAUL_OK;
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
    return status == HAUL_OK ? write_message(message, size, buf, out_len) : status;
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
    status = write_message(message, size, buf, out_len);
    if (status != HAUL_OK) {
        haul_buf_release(buf);
        return status;
    }
    *out_buf = buf;
    return HAUL_OK;
}

/* ---- Out of a view ------------------------------------------------------------------------- */

/* Memory that is not cut from the arena: protobuf-c gives back what it needs only while it unpacks, and
 * where that is much it must not stay as long as the message. */
#define PIECE_MIN_BYTES 32768u

typedef struct piece {
    struct piece *next;
    uint64_t reserved; /* the bytes are aligned like malloc()'s */
    uint8_t bytes[];
} piece;

struct haul_message {
    ProtobufCMessage *root;
    haul__arena arena; /* in which it lies, but for pieces and what lies in the view */
    piece *pieces;     /* the newest first */
    bool no_memory;
};

static void *take_piece(haul_message *message, size_t size)
{
    size_t total;
    piece *p = NULL;
    if (!__builtin_add_overflow(size, sizeof(*p), &total)) {
        p = haul__large_alloc(total);
    }
    if (!p) {
        return NULL;
    }
    p->next = message->pieces;
    message->pieces = p;
    return p->bytes;
}

static void *allocate(void *arg, size_t size)
{
    haul_message *message = arg;
    void *memory = size < PIECE_MIN_BYTES
                       ? haul__arena_take(&message->arena, size, message->arena.alignment)
                       : take_piece(message, size);
    message->no_memory |= memory == NULL;
    return memory;
}

/* What protobuf-c frees it has allocated not long ago, so a piece is found soon. */
static void release(void *arg, void *memory)
{
    haul_message *message = arg;
    for (piece **link = &message->pieces; *link; link = &(*link)->next) {
        piece *p = *link;
        if (p->bytes == memory) {
            *link = p->next;
            haul__large_free(p);
            return;
        }
    }
}

static haul_status unpack(haul_message *message, const ProtobufCMessageDescriptor *type,
                          const haul_view *view, uint64_t in_place_min_bytes)
{
    haul__cut cut;
    haul_status status = haul__message_cut(type, view->data, view->len, in_place_min_bytes, &cut);
    if (status != HAUL_OK) {
        return status;
    }
    ProtobufCAllocator allocator = {.alloc = allocate, .free = release, .allocator_data = message};
    message->root = protobuf_c_message_unpack(type, &allocator, cut.n, cut.bytes);
    if (!message->root || !haul__message_restore(message->root, &cut, &allocator)) {
        status = message->no_memory ? HAUL_NOMEM : HAUL_PROTOCOL;
    }
    haul__cut_fini(&cut);
    return status;
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
    haul_message *message = calloc(1, sizeof(*message));
    if (!message) {
        return HAUL_NOMEM;
    }
    haul__arena_init(&message->arena, _Alignof(max_align_t), NULL, 0);
    haul_status status = unpack(message, type, view, in_place_min_bytes);
    if (status != HAUL_OK) {
        haul_message_free(message);
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
    while (message->pieces) {
        piece *p = message->pieces;
        message->pieces = p->next;
        haul__large_free(p);
    }
    haul__arena_fini(&message->arena);
    free(message);
}
