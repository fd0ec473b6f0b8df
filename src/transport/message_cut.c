/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Cutting the large bytes out of a serialised message.
 *
 * protobuf-c copies every field, and it looks at the bytes more than once: it may not be shown
 * shared memory, where a length can change between two looks. So the message is written anew into
 * private memory first, as a message of the same type in which each large `bytes` field says where
 * its bytes are: a nonce of 128 random bits, a pointer and a length. protobuf-c unpacks that with all
 * its own rules (which of two values counts, how messages are merged, what is required, what is
 * unknown), and restoring then replaces each value that begins with the nonce by what it stands for.
 * The nonce is drawn for each message and seen by nobody, so that no field can pass for such a place.
 *
 * Large packed numbers of a fixed size are treated alike, as so many numbers that are such a place,
 * so that they are copied once: into the array of the message, in which they must be aligned.
 *
 * What is shared is read once, front to back: a tag or length is loaded into a local, checked
 * against the end that is known here, written from the local, and the contents are copied or
 * skipped by it. Whoever changes the bytes meanwhile gets a message of his own making, as if he had
 * sent it so. Nothing is looked at a second time, so no later step trusts an earlier look.
 *
 * Recursion is bounded by HAUL__NESTING_MAX. Owned and used by the thread that unpacks; a process
 * that dies here leaves nothing but its private memory.
 */

#include "transport/message_cut.h"

#include <string.h>
#include <sys/random.h>

#include "transport/large.h"
#include "transport/wire.h"

#define FIRST_BYTES 4096u

/* What is reserved at once for a large message, of which only what is written costs memory. */
#define RESERVE_MAX (UINT64_C(1) << 30)

/* Packed numbers of so many bytes are worth a place of their own. */
#define NUMBERS_MIN 4096u

#define HEAD_MAX_BYTES 20u
_Static_assert(HEAD_MAX_BYTES >= 2 * HAUL__VARINT_MAX_BYTES, "a tag and what follows it");

/* A length that is not known yet is written in so many bytes. */
#define LENGTH_BYTES 5u

/* What is left of one message on the wire. */
typedef struct span {
    const uint8_t *at;
    const uint8_t *end;
} span;

/* ---- Writing ------------------------------------------------------------------------------- */

static bool grow(haul__cut *cut, uint64_t n)
{
    size_t needed;
    if (__builtin_add_overflow(cut->n, n, &needed)) {
        return false;
    }
    size_t capacity = cut->capacity > SIZE_MAX / 2 ? needed : 2 * cut->capacity;
    capacity = capacity < needed ? needed : capacity;
    uint8_t *grown = haul__large_alloc(capacity);
    if (!grown) {
        return false;
    }
    if (cut->n > 0) {
        memcpy(grown, cut->bytes, cut->n);
    }
    haul__large_free(cut->bytes);
    cut->bytes = grown;
    cut->capacity = capacity;
    return true;
}

/* Make room for @n bytes. False: there is no memory, and nothing more is written. */
static inline bool make_room(haul__cut *cut, uint64_t n)
{
    if (cut->capacity - cut->n < n && !cut->no_memory) {
        cut->no_memory = !grow(cut, n);
    }
    return !cut->no_memory;
}

static inline void put(haul__cut *cut, const void *bytes, uint64_t n)
{
    if (n > 0 && make_room(cut, n)) {
        memcpy(cut->bytes + cut->n, bytes, n);
        cut->n += n;
    }
}

/* A tag, and the @n bytes after it that are the field's number or length. */
static void put_head(haul__cut *cut, uint64_t tag, const uint8_t *raw, unsigned n)
{
    if (!make_room(cut, HEAD_MAX_BYTES)) {
        return;
    }
    uint8_t *at = cut->bytes + cut->n;
    for (; tag >= 0x80; tag >>= 7) {
        *at++ = (uint8_t)(tag | 0x80);
    }
    *at++ = (uint8_t)tag;
    memcpy(at, raw, n);
    cut->n = (size_t)(at + n - cut->bytes);
}

/* Write the length of what has been written since the length's place was left before @at. */
static void put_length_before(haul__cut *cut, size_t at)
{
    if (cut->no_memory) {
        return;
    }
    uint64_t len = cut->n - at;
    for (unsigned i = 0; i < LENGTH_BYTES; i++, len >>= 7) {
        cut->bytes[at - LENGTH_BYTES + i] =
            (uint8_t)((len & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
    }
}

/* ---- Cutting ------------------------------------------------------------------------------- */

/* Whether places can be told from other bytes. Without random bits none are made. */
static bool has_nonce(haul__cut *cut)
{
    if (!cut->has_places) {
        cut->has_places =
            getrandom(cut->nonce, sizeof(cut->nonce), 0) == (ssize_t)sizeof(cut->nonce);
    }
    return cut->has_places;
}

/* Whether the contents of a field are left where they are for now. */
static bool is_cut(haul__cut *cut, const ProtobufCFieldDescriptor *field, uint64_t len)
{
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        return len >= cut->in_place_min_bytes && has_nonce(cut);
    }
    unsigned n = haul__number_bytes(field);
    return n > 0 && len % n == 0 && len >= cut->numbers_min_bytes && has_nonce(cut);
}

static void put_place(haul__cut *cut, uint64_t tag, const uint8_t *data, uint64_t len)
{
    static const uint8_t place_len = sizeof(haul__place);
    haul__place p = {.data = data, .len = len};
    memcpy(p.nonce, cut->nonce, sizeof(p.nonce));
    put_head(cut, tag, &place_len, 1);
    put(cut, &p, sizeof(p));
}

static haul_status cut_message(haul__cut *cut, const ProtobufCMessageDescriptor *type, span in,
                               unsigned depth);

static haul_status cut_length_prefixed(haul__cut *cut, uint64_t tag,
                                       const ProtobufCFieldDescriptor *field, span *in,
                                       unsigned depth)
{
    haul__varint len;
    if (!haul__wire_varint(&in->at, in->end, &len) || len.n_raw > HAUL__TAG_MAX_BYTES ||
        len.value > (uint64_t)(in->end - in->at)) {
        return HAUL_PROTOCOL;
    }
    const span content = {.at = in->at, .end = in->at + len.value};
    in->at = content.end;
    if (field && is_cut(cut, field, len.value)) {
        put_place(cut, tag, content.at, len.value);
        return HAUL_OK;
    }
    if (!field || field->type != PROTOBUF_C_TYPE_MESSAGE || len.value == 0) {
        put_head(cut, tag, len.raw, len.n_raw);
        put(cut, content.at, len.value);
        return HAUL_OK;
    }
    if (depth == HAUL__NESTING_MAX) {
        return HAUL_PROTOCOL;
    }
    put_head(cut, tag, (uint8_t[LENGTH_BYTES]){0}, LENGTH_BYTES);
    size_t at = cut->n;
    haul_status status = cut_message(cut, field->descriptor, content, depth + 1);
    put_length_before(cut, at);
    return status;
}

static haul_status cut_fixed(haul__cut *cut, uint64_t tag, span *in, unsigned n)
{
    if (in->end - in->at < (ptrdiff_t)n) {
        return HAUL_PROTOCOL;
    }
    put_head(cut, tag, in->at, n);
    in->at += n;
    return HAUL_OK;
}

static haul_status cut_field(haul__cut *cut, const ProtobufCMessageDescriptor *type, span *in,
                             unsigned depth)
{
    uint32_t id;
    uint8_t wire_type;
    haul__varint number;
    if (!haul__wire_tag(&in->at, in->end, &id, &wire_type)) {
        return HAUL_PROTOCOL;
    }
    uint64_t tag = (uint64_t)id << 3 | wire_type;
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        if (!haul__wire_varint(&in->at, in->end, &number)) {
            return HAUL_PROTOCOL;
        }
        put_head(cut, tag, number.raw, number.n_raw);
        return HAUL_OK;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return cut_fixed(cut, tag, in, 8);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return cut_fixed(cut, tag, in, 4);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        return cut_length_prefixed(cut, tag, protobuf_c_message_descriptor_get_field(type, id), in,
                                   depth);
    default: /* groups, which protobuf-c does not take either */
        return HAUL_PROTOCOL;
    }
}

static haul_status cut_message(haul__cut *cut, const ProtobufCMessageDescriptor *type, span in,
                               unsigned depth)
{
    haul_status status = HAUL_OK;
    while (in.at < in.end && status == HAUL_OK && !cut->no_memory) {
        status = cut_field(cut, type, &in, depth);
    }
    return status;
}

/* Room for most messages as a whole; for the others it is made when it is needed. */
static void reserve(haul__cut *cut, uint64_t len)
{
    uint64_t n = len < RESERVE_MAX ? len + len / 4 + FIRST_BYTES : FIRST_BYTES;
    cut->bytes = haul__large_alloc(n);
    cut->capacity = cut->bytes ? n : 0;
}

haul_status haul__message_cut(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                              uint64_t len, uint64_t in_place_min_bytes, haul__cut *out_cut)
{
    /* An empty value has no bytes that could be left anywhere. */
    haul__cut cut = {.in_place_min_bytes = in_place_min_bytes ? in_place_min_bytes : 1};
    cut.numbers_min_bytes =
        cut.in_place_min_bytes < NUMBERS_MIN ? cut.in_place_min_bytes : NUMBERS_MIN;
    haul_status status = HAUL_OK;
    if (len > 0) {
        reserve(&cut, len);
        status = cut_message(&cut, type, (span){.at = data, .end = data + len}, 1);
    }
    if (status == HAUL_OK && cut.no_memory) {
        status = HAUL_NOMEM;
    }
    if (status == HAUL_OK && cut.n > INT32_MAX) {
        status = HAUL_TOO_BIG;
    }
    if (status != HAUL_OK) {
        haul__cut_fini(&cut);
        return status;
    }
    *out_cut = cut;
    return HAUL_OK;
}

void haul__cut_fini(haul__cut *cut)
{
    haul__large_free(cut->bytes);
    cut->bytes = NULL;
}
