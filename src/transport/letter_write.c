/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Letters to bytes, in protobuf's wire format: everything but the message itself, which stays where
 * it is (outbox.c). Each is counted first and then written, to a slice that is as long as it must be.
 * Stateless; any thread.
 */

#include <string.h>

#include "transport/letter.h"
#include "transport/letter_fields.h"
#include "transport/wire.h"

/* Counts, and writes where there is something to write to. */
typedef struct writer {
    uint8_t *to; /* NULL: only count */
    size_t n;
} writer;

static void put_bytes(writer *w, const void *from, size_t n)
{
    if (w->to) {
        memcpy(w->to + w->n, from, n);
    }
    w->n += n;
}

static void put_varint(writer *w, uint64_t number)
{
    uint8_t raw[HAUL__VARINT_MAX_BYTES];
    put_bytes(w, raw, (size_t)(haul__wire_put_varint(raw, number) - raw));
}

static void put_number(writer *w, uint32_t id, uint64_t number)
{
    if (number != 0) {
        put_varint(w, (uint64_t)id << 3 | HAUL__WIRE_VARINT);
        put_varint(w, number);
    }
}

static void put_head(writer *w, uint32_t id, size_t n)
{
    put_varint(w, (uint64_t)id << 3 | HAUL__WIRE_BYTES);
    put_varint(w, n);
}

static void put_slice(writer *w, uint32_t id, const grpc_slice *slice)
{
    put_head(w, id, GRPC_SLICE_LENGTH(*slice));
    put_bytes(w, GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

static void put_entry(writer *w, const grpc_metadata *entry)
{
    put_slice(w, HAUL__IN_KEY, &entry->key);
    put_slice(w, HAUL__IN_VALUE, &entry->value);
}

static void put_metadata(writer *w, uint32_t id, const grpc_metadata *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        writer count = {0};
        put_entry(&count, &items[i]);
        put_head(w, id, count.n);
        put_entry(w, &items[i]);
    }
}

static void put_fields(writer *w, const haul__letter_fields *fields)
{
    put_number(w, HAUL__IN_ID, fields->id);
    if (fields->method) {
        size_t n = strlen(fields->method);
        put_head(w, HAUL__IN_METHOD, n);
        put_bytes(w, fields->method, n);
    }
    put_number(w, HAUL__IN_TIMEOUT, fields->timeout_ns);
    put_metadata(w, HAUL__IN_METADATA, fields->metadata, fields->n_metadata);
    put_metadata(w, HAUL__IN_TRAILING, fields->trailing, fields->n_trailing);
    put_number(w, HAUL__IN_STATUS, fields->status);
    if (fields->text) {
        put_slice(w, HAUL__IN_TEXT, fields->text);
    }
    put_number(w, HAUL__IN_MORE, fields->more);
    put_number(w, HAUL__IN_CANCELLED, fields->cancelled);
    put_number(w, HAUL__IN_UNBEGUN, fields->unbegun);
}

grpc_slice haul__letter_write(const haul__letter_fields *fields)
{
    writer w = {0};
    put_fields(&w, fields);
    grpc_slice slice = grpc_slice_malloc(w.n);
    w = (writer){.to = GRPC_SLICE_START_PTR(slice)};
    put_fields(&w, fields);
    return slice;
}

size_t haul__letter_message_head(size_t n_message, uint8_t out[HAUL__LETTER_HEAD_MAX])
{
    writer w = {.to = out};
    put_head(&w, HAUL__IN_MESSAGE, n_message);
    return w.n;
}

size_t haul__letter_head(size_t n_fields, size_t n_message, bool has_message,
                         uint8_t out[HAUL__LETTER_HEAD_MAX])
{
    uint8_t head[HAUL__LETTER_HEAD_MAX];
    size_t n = n_fields;
    if (has_message) {
        n += haul__letter_message_head(n_message, head) + n_message;
    }
    writer w = {.to = out};
    put_head(&w, HAUL__IN_LETTERS, n);
    return w.n;
}

grpc_slice haul__letters_hello(uint32_t max_calls)
{
    uint8_t raw[HAUL__LETTER_HEAD_MAX];
    writer w = {.to = raw};
    put_number(&w, HAUL__IN_MAX_CALLS, max_calls);
    return grpc_slice_from_copied_buffer((const char *)raw, w.n);
}
