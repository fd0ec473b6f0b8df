/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Letters out of bytes, in protobuf's wire format.
 *
 * What is read comes from another process and is believed in nothing: every length is held against
 * the bytes that are there. Unknown fields are skipped, so that later versions may add some. Where a
 * field stands twice the last one counts, as protobuf has it. Stateless; any thread.
 */

#include "transport/letter.h"

#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>

#include "transport/letter_fields.h"
#include "transport/wire.h"

/* What HTTP/2 adds to the bytes of a key and its value: RFC 7541, 4.1. */
#define ENTRY_BYTES 32

/* Nobody sends so many. */
#define METADATA_MAX 1024

/* ---- Metadata ------------------------------------------------------------------------------ */

void haul__letter_metadata_move(haul__letter_metadata *to, haul__letter_metadata *from)
{
    *to = *from;
    if (from->array.metadata == from->small) {
        to->array.metadata = to->small;
    }
    from->array = (grpc_metadata_array){0};
}

void haul__letter_metadata_fini(haul__letter_metadata *metadata)
{
    if (metadata->array.metadata != metadata->small) {
        gpr_free(metadata->array.metadata);
    }
    metadata->array = (grpc_metadata_array){0};
}

size_t haul__metadata_bytes(const grpc_metadata *items, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += ENTRY_BYTES + GRPC_SLICE_LENGTH(items[i].key) + GRPC_SLICE_LENGTH(items[i].value);
    }
    return bytes;
}

static bool add_metadata(haul__letter_metadata *metadata, const grpc_metadata *entry)
{
    grpc_metadata_array *array = &metadata->array;
    if (!array->metadata) {
        array->metadata = metadata->small;
        array->capacity = HAUL__LETTER_METADATA;
    }
    if (array->count == METADATA_MAX) {
        return false;
    }
    if (array->count == array->capacity) {
        size_t capacity = 2 * array->capacity;
        grpc_metadata *grown = gpr_malloc(capacity * sizeof(*grown));
        memcpy(grown, array->metadata, array->count * sizeof(*grown));
        if (array->metadata != metadata->small) {
            gpr_free(array->metadata);
        }
        array->metadata = grown;
        array->capacity = capacity;
    }
    array->metadata[array->count++] = *entry;
    return true;
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* A stretch of the frame. */
typedef struct reader {
    grpc_slice frame;
    const uint8_t *at;
    const uint8_t *end;
} reader;

/* One field: its number, and what it says. */
typedef struct field {
    uint32_t id;
    uint8_t wire_type;
    uint64_t number; /* of a varint */
    reader bytes;    /* of a stretch */
} field;

static bool skip(reader *r, size_t n)
{
    if ((size_t)(r->end - r->at) < n) {
        return false;
    }
    r->at += n;
    return true;
}

static bool read_bytes(reader *r, reader *out)
{
    haul__varint length;
    if (!haul__wire_varint(&r->at, r->end, &length) || length.value > (uint64_t)(r->end - r->at)) {
        return false;
    }
    *out = (reader){.frame = r->frame, .at = r->at, .end = r->at + length.value};
    r->at = out->end;
    return true;
}

/* Read the next field; false if there is no more that is right. */
static bool read_field(reader *r, field *out)
{
    haul__varint number;
    *out = (field){0};
    if (!haul__wire_tag(&r->at, r->end, &out->id, &out->wire_type)) {
        return false;
    }
    switch (out->wire_type) {
    case HAUL__WIRE_VARINT:
        if (!haul__wire_varint(&r->at, r->end, &number)) {
            return false;
        }
        out->number = number.value;
        return true;
    case HAUL__WIRE_BYTES:
        return read_bytes(r, &out->bytes);
    case HAUL__WIRE_FIXED64:
        return skip(r, sizeof(uint64_t));
    case HAUL__WIRE_FIXED32:
        return skip(r, sizeof(uint32_t));
    default:
        return false; /* groups, which nobody has sent for long */
    }
}

static grpc_slice slice_of(const reader *bytes)
{
    const uint8_t *start = GRPC_SLICE_START_PTR(bytes->frame);
    return grpc_slice_sub_no_ref(bytes->frame, (size_t)(bytes->at - start),
                                 (size_t)(bytes->end - start));
}

static bool read_metadata(reader r, haul__letter_metadata *metadata)
{
    grpc_metadata entry = {.key = grpc_empty_slice(), .value = grpc_empty_slice()};
    while (r.at < r.end) {
        field f;
        if (!read_field(&r, &f)) {
            return false;
        }
        if (f.wire_type == HAUL__WIRE_BYTES && f.id == HAUL__IN_KEY) {
            entry.key = slice_of(&f.bytes);
        } else if (f.wire_type == HAUL__WIRE_BYTES && f.id == HAUL__IN_VALUE) {
            entry.value = slice_of(&f.bytes);
        }
    }
    return add_metadata(metadata, &entry);
}

static bool take_bytes(haul__letter *letter, const field *f)
{
    switch (f->id) {
    case HAUL__IN_METHOD:
        letter->method = slice_of(&f->bytes);
        return true;
    case HAUL__IN_METADATA:
        return read_metadata(f->bytes, &letter->initial);
    case HAUL__IN_TRAILING:
        return read_metadata(f->bytes, &letter->trailing);
    case HAUL__IN_TEXT:
        letter->text = slice_of(&f->bytes);
        return true;
    case HAUL__IN_MESSAGE:
        letter->message = slice_of(&f->bytes);
        letter->has_message = true;
        return true;
    default:
        return true;
    }
}

static void take_number(haul__letter *letter, const field *f)
{
    switch (f->id) {
    case HAUL__IN_ID:
        letter->id = f->number;
        break;
    case HAUL__IN_TIMEOUT:
        letter->timeout_ns = f->number;
        break;
    case HAUL__IN_STATUS:
        letter->status = f->number;
        break;
    case HAUL__IN_MORE:
        letter->more = f->number != 0;
        break;
    case HAUL__IN_CANCELLED:
        letter->cancelled = f->number != 0;
        break;
    case HAUL__IN_UNBEGUN:
        letter->unbegun = f->number != 0;
        break;
    default:
        break;
    }
}

static bool read_letter(reader r, haul__letter *letter)
{
    while (r.at < r.end) {
        field f;
        if (!read_field(&r, &f)) {
            return false;
        }
        if (f.wire_type == HAUL__WIRE_VARINT) {
            take_number(letter, &f);
        } else if (f.wire_type == HAUL__WIRE_BYTES && !take_bytes(letter, &f)) {
            return false;
        }
    }
    return true;
}

bool haul__letters_read(grpc_slice frame, void (*read)(void *ctx, haul__letter *letter), void *ctx,
                        uint64_t *out_max_calls)
{
    reader r = {
        .frame = frame, .at = GRPC_SLICE_START_PTR(frame), .end = GRPC_SLICE_END_PTR(frame)};
    while (r.at < r.end) {
        field f;
        if (!read_field(&r, &f)) {
            return false;
        }
        if (f.id == HAUL__IN_MAX_CALLS && f.wire_type == HAUL__WIRE_VARINT && out_max_calls) {
            *out_max_calls = f.number;
        }
        if (f.id != HAUL__IN_LETTERS || f.wire_type != HAUL__WIRE_BYTES) {
            continue;
        }
        haul__letter letter = {.method = grpc_empty_slice(),
                               .text = grpc_empty_slice(),
                               .message = grpc_empty_slice()};
        bool ok = read_letter(f.bytes, &letter);
        if (ok) {
            read(ctx, &letter);
        }
        haul__letter_metadata_fini(&letter.initial);
        haul__letter_metadata_fini(&letter.trailing);
        if (!ok) {
            return false;
        }
    }
    return true;
}

grpc_slice haul__frame_of(grpc_byte_buffer *bytes)
{
    grpc_slice_buffer *slices = &bytes->data.raw.slice_buffer;
    bool whole = bytes->data.raw.compression == GRPC_COMPRESS_NONE && slices->count == 1;
    if (whole && slices->slices[0].refcount) {
        return grpc_slice_ref(slices->slices[0]);
    }
    grpc_byte_buffer_reader pieces;
    if (!grpc_byte_buffer_reader_init(&pieces, bytes)) {
        return grpc_empty_slice();
    }
    grpc_slice bytes_read = grpc_byte_buffer_reader_readall(&pieces);
    grpc_byte_buffer_reader_destroy(&pieces);
    if (bytes_read.refcount) {
        return bytes_read;
    }
    grpc_slice frame = grpc_slice_malloc_large(GRPC_SLICE_LENGTH(bytes_read));
    memcpy(GRPC_SLICE_START_PTR(frame), GRPC_SLICE_START_PTR(bytes_read),
           GRPC_SLICE_LENGTH(bytes_read));
    grpc_slice_unref(bytes_read);
    return frame;
}
