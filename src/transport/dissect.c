/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Taking a message apart before protobuf-c sees it.
 *
 * protobuf-c wants a message in one piece and copies every `bytes` field out of it, so a payload of
 * 64 MiB would be copied twice after it has been received. Here the framing is walked where it lies,
 * in gRPC's slices, down to the payloads that the plan knows. Their bytes stay where they are and
 * are noted; the rest, a few dozen bytes, is written down for protobuf-c, with a token in place of
 * each of them. Since all are replaced, also small ones, no sender can forge a token.
 *
 * A message around a cut one changes its length. Its length prefix is therefore written with all of
 * the five bytes that one may have, and filled in when its end has been reached.
 *
 * The walk is made twice, to count and to write. The slices are private to the process and do not
 * change in between. What protobuf-c would not understand either ends the walk; what only protobuf-c
 * can judge is passed on to it as it came. Stateless; any thread.
 */

#include "transport/dissect.h"

#include <stdlib.h>

#include "transport/cursor.h"
#include "transport/large.h"
#include "transport/nesting.h"

#define VARINT_MAX 10
#define PREFIX_MAX 5

/* A message that the walk is inside of. */
typedef struct frame {
    const haul__plan *plan;
    size_t end;  /* of what came */
    size_t body; /* its first byte in the rest */
} frame;

typedef struct cutter {
    haul__cursor in;
    uint8_t *rest; /* NULL while counting; so is @pieces */
    size_t n_rest;
    haul__piece *pieces;
    size_t n_pieces;
    frame frames[HAUL__NESTING_MAX];
    unsigned depth;
} cutter;

/* A varint as it came. */
typedef struct varint {
    uint64_t value;
    uint8_t raw[VARINT_MAX];
    size_t n;
} varint;

static bool take_varint(cutter *c, size_t end, varint *out)
{
    *out = (varint){0};
    while (out->n < VARINT_MAX && c->in.at < end) {
        uint8_t *byte = &out->raw[out->n];
        haul__cursor_take(&c->in, 1, byte);
        out->value |= (uint64_t)(*byte & 0x7f) << (7 * out->n);
        out->n++;
        if (*byte < 0x80) {
            return true;
        }
    }
    return false;
}

static void write_bytes(cutter *c, const void *bytes, size_t n)
{
    if (c->rest) {
        memcpy(c->rest + c->n_rest, bytes, n);
    }
    c->n_rest += n;
}

/* Write the next @n bytes down as they are. */
static bool pass_on(cutter *c, size_t end, size_t n)
{
    if (end - c->in.at < n) {
        return false;
    }
    haul__cursor_take(&c->in, n, c->rest ? c->rest + c->n_rest : NULL);
    c->n_rest += n;
    return true;
}

static void cut_out(cutter *c, size_t len)
{
    const uint8_t prefix = HAUL__TOKEN_BYTES;
    const uint64_t token = c->n_pieces;
    write_bytes(c, &prefix, sizeof(prefix));
    write_bytes(c, &token, sizeof(token));
    if (c->pieces) {
        c->pieces[c->n_pieces] = (haul__piece){.at = c->in.at, .len = len};
    }
    c->n_pieces++;
    haul__cursor_take(&c->in, len, NULL);
}

static bool enter(cutter *c, const haul__plan *plan, size_t len)
{
    static const uint8_t room[PREFIX_MAX] = {0};
    if (c->depth == HAUL__NESTING_MAX) {
        return false;
    }
    write_bytes(c, room, sizeof(room));
    c->frames[c->depth++] = (frame){.plan = plan, .end = c->in.at + len, .body = c->n_rest};
    return true;
}

static void leave(cutter *c)
{
    const frame *left = &c->frames[--c->depth];
    if (c->depth == 0 || !c->rest) {
        return; /* the message itself has no prefix */
    }
    size_t len = c->n_rest - left->body;
    uint8_t *prefix = c->rest + left->body - PREFIX_MAX;
    for (unsigned i = 0; i < PREFIX_MAX; i++) {
        prefix[i] = (uint8_t)((len >> (7 * i) & 0x7f) | (i + 1 < PREFIX_MAX ? 0x80 : 0));
    }
}

static const haul__plan *sub_plan(const haul__plan *plan, uint64_t id)
{
    for (unsigned f = 0; f < plan->n_fields; f++) {
        if (plan->fields[f].field->id == id) {
            return plan->fields[f].sub;
        }
    }
    return NULL;
}

static bool take_prefixed(cutter *c, const frame *top, uint64_t id)
{
    varint len;
    if (!take_varint(c, top->end, &len) || len.n > PREFIX_MAX || len.value > top->end - c->in.at) {
        return false;
    }
    if (top->plan->is_payload && id == SHORTHAUL__V1__PAYLOAD__SOURCE_INLINE) {
        cut_out(c, len.value);
        return true;
    }
    const haul__plan *sub = sub_plan(top->plan, id);
    if (sub) {
        return enter(c, sub, len.value);
    }
    write_bytes(c, len.raw, len.n);
    return pass_on(c, top->end, len.value);
}

static bool take_field(cutter *c, const frame *top)
{
    varint tag;
    varint value;
    if (!take_varint(c, top->end, &tag)) {
        return false;
    }
    write_bytes(c, tag.raw, tag.n);
    switch (tag.value & 7) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        if (!take_varint(c, top->end, &value)) {
            return false;
        }
        write_bytes(c, value.raw, value.n);
        return true;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return pass_on(c, top->end, 8);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return pass_on(c, top->end, 4);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        return take_prefixed(c, top, tag.value >> 3);
    default:
        return false;
    }
}

static bool walk(cutter *c, const haul__plan *plan, const grpc_slice_buffer *message)
{
    c->in = haul__cursor_of(message);
    c->n_rest = 0;
    c->n_pieces = 0;
    c->frames[0] = (frame){.plan = plan, .end = message->length};
    c->depth = 1;
    while (c->depth > 0) {
        const frame *top = &c->frames[c->depth - 1];
        if (c->in.at == top->end) {
            leave(c);
        } else if (!take_field(c, top)) {
            return false;
        }
    }
    return true;
}

haul_status haul__dissect(const haul__plan *plan, const grpc_slice_buffer *message,
                          haul__dissection *out_cut)
{
    cutter c;
    c.rest = NULL;
    c.pieces = NULL;
    if (!walk(&c, plan, message)) {
        return HAUL_PROTOCOL;
    }
    c.rest = haul__large_alloc(c.n_rest);
    c.pieces = calloc(c.n_pieces + 1, sizeof(*c.pieces));
    haul__dissection cut = {.rest = c.rest, .pieces = c.pieces};
    if (!c.rest || !c.pieces) {
        haul__dissection_fini(&cut);
        return HAUL_NOMEM;
    }
    if (!walk(&c, plan, message)) {
        haul__dissection_fini(&cut);
        return HAUL_PROTOCOL;
    }
    cut.n_rest = c.n_rest;
    cut.n_pieces = c.n_pieces;
    *out_cut = cut;
    return HAUL_OK;
}

void haul__dissection_fini(haul__dissection *cut)
{
    haul__large_free(cut->rest);
    free(cut->pieces);
    *cut = (haul__dissection){0};
}
