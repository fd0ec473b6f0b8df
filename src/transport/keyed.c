/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The payloads of most messages by key are fields of the message itself, and each is a key and a length. To
 * protobuf-c that is two messages one in the other, of which it works out the sizes again and again when it
 * packs and for which it walks through its tables when it unpacks: two thirds of what a key costs a
 * call beyond an empty one. Here they are written and read in place, and protobuf-c
 * sees the message without them.
 *
 * Nothing is decided here: what is not exactly of this kind is left to protobuf-c as it came, and so is what
 * is wrong with it. The order of fields, which protobuf leaves open, becomes: payloads last.
 *
 * The thread that packs or parses; no state.
 */

#include "transport/keyed.h"

#include <stddef.h>
#include <string.h>

#include "transport/letter_fields.h"
#include "transport/wire.h"

/* Bytes of a struct that is copied without its payloads. */
#define STRUCT_MAX 512

/* Payload fields of one message. */
#define FIELDS_MAX 4

/* payload.proto */
enum {
    PAYLOAD_LENGTH = 1,
    PAYLOAD_KEY = 3,

    KEY_POOL_ID = 1,
    KEY_INDEX = 2,
    KEY_GENERATION = 3,
    KEY_TICKET = 4,
    KEY_OFFSET = 5,
};

/* What one takes at most: 6 for its tag and length, 13 for what is before the numbers, 40 for those. */
#define PAYLOAD_BYTES_MAX 64

/* Whether every payload below @plan is a field of it that can be there once. */
static bool is_flat(const haul__plan *plan)
{
    if (!plan || plan->is_payload || plan->n_fields > FIELDS_MAX ||
        plan->type->sizeof_message > STRUCT_MAX) {
        return false;
    }
    for (unsigned i = 0; i < plan->n_fields; i++) {
        const haul__plan_field *f = &plan->fields[i];
        if (f->sub->type != &shorthaul__v1__payload__descriptor ||
            f->field->label == PROTOBUF_C_LABEL_REPEATED ||
            f->field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
            return false;
        }
    }
    return true;
}

/* ---- Writing ------------------------------------------------------------------------------- */

static uint8_t *put_tag(uint8_t *to, uint32_t id, unsigned wire_type)
{
    return haul__wire_put_varint(to, (uint64_t)id << 3 | wire_type);
}

static uint8_t *put_number(uint8_t *to, uint32_t id, uint64_t value)
{
    return value == 0 ? to : haul__wire_put_varint(put_tag(to, id, HAUL__WIRE_VARINT), value);
}

static uint8_t *put_fixed(uint8_t *to, uint32_t id, uint64_t value, unsigned wire_type)
{
    if (value == 0) {
        return to;
    }
    unsigned n = wire_type == HAUL__WIRE_FIXED64 ? 8 : 4;
    to = put_tag(to, id, wire_type);
    for (unsigned i = 0; i < n; i++) {
        *to++ = (uint8_t)(value >> 8 * i);
    }
    return to;
}

static bool is_by_key(const haul_payload *payload)
{
    return payload->source_case == SHORTHAUL__V1__PAYLOAD__SOURCE_KEY && payload->key &&
           payload->base.n_unknown_fields == 0 && payload->key->base.n_unknown_fields == 0;
}

static uint8_t *put_payload(uint8_t *to, uint32_t id, const haul_payload *payload)
{
    const Shorthaul__V1__Key *key = payload->key;
    uint8_t numbers[PAYLOAD_BYTES_MAX];
    uint8_t body[PAYLOAD_BYTES_MAX];
    uint8_t *end = numbers;
    end = put_fixed(end, KEY_POOL_ID, key->pool_id, HAUL__WIRE_FIXED64);
    end = put_number(end, KEY_INDEX, key->index);
    end = put_fixed(end, KEY_GENERATION, key->generation, HAUL__WIRE_FIXED32);
    end = put_fixed(end, KEY_TICKET, key->ticket, HAUL__WIRE_FIXED64);
    end = put_number(end, KEY_OFFSET, key->offset);
    size_t n_numbers = (size_t)(end - numbers);

    end = put_number(body, PAYLOAD_LENGTH, payload->length);
    end = haul__wire_put_varint(put_tag(end, PAYLOAD_KEY, HAUL__WIRE_BYTES), n_numbers);
    memcpy(end, numbers, n_numbers);
    size_t n_body = (size_t)(end - body) + n_numbers;

    to = haul__wire_put_varint(put_tag(to, id, HAUL__WIRE_BYTES), n_body);
    memcpy(to, body, n_body);
    return to + n_body;
}

size_t haul__keyed_pack(const haul__plan *plan, const ProtobufCMessage *message,
                        uint8_t to[HAUL__KEYED_MAX])
{
    _Alignas(max_align_t) uint8_t rest[STRUCT_MAX];
    const haul_payload *payloads[FIELDS_MAX];
    if (!is_flat(plan)) {
        return 0;
    }
    bool any = false;
    memcpy(rest, message, plan->type->sizeof_message);
    for (unsigned i = 0; i < plan->n_fields; i++) {
        unsigned offset = plan->fields[i].field->offset;
        memcpy((void *)&payloads[i], rest + offset, sizeof(void *));
        memset(rest + offset, 0, sizeof(void *));
        if (payloads[i] && !is_by_key(payloads[i])) {
            return 0;
        }
        any |= payloads[i] != NULL;
    }
    const ProtobufCMessage *without = (const ProtobufCMessage *)rest;
    const size_t room = HAUL__KEYED_MAX - (size_t)FIELDS_MAX * PAYLOAD_BYTES_MAX;
    if (!any || protobuf_c_message_get_packed_size(without) > room) {
        return 0;
    }
    uint8_t *end = to + protobuf_c_message_pack(without, to);
    for (unsigned i = 0; i < plan->n_fields; i++) {
        if (payloads[i]) {
            end = put_payload(end, plan->fields[i].field->id, payloads[i]);
        }
    }
    return (size_t)(end - to);
}

/* ---- Reading ------------------------------------------------------------------------------- */

typedef struct reader {
    const uint8_t *at;
    const uint8_t *end;
} reader;

typedef struct wire_field {
    uint32_t id;
    uint8_t type;
    uint64_t number; /* or the length of the bytes */
    reader bytes;
} wire_field;

static bool get_fixed(reader *r, unsigned n, uint64_t *out)
{
    if ((size_t)(r->end - r->at) < n) {
        return false;
    }
    *out = 0;
    for (unsigned i = 0; i < n; i++) {
        *out |= (uint64_t)*r->at++ << 8 * i;
    }
    return true;
}

static bool get_varint(reader *r, uint64_t *out)
{
    haul__varint varint;
    if (!haul__wire_varint(&r->at, r->end, &varint)) {
        return false;
    }
    *out = varint.value;
    return true;
}

static bool get_bytes(reader *r, wire_field *out)
{
    if (!get_varint(r, &out->number) || out->number > (size_t)(r->end - r->at)) {
        return false;
    }
    out->bytes = (reader){.at = r->at, .end = r->at + out->number};
    r->at += out->number;
    return true;
}

static bool get_field(reader *r, wire_field *out)
{
    *out = (wire_field){0};
    if (!haul__wire_tag(&r->at, r->end, &out->id, &out->type)) {
        return false;
    }
    switch (out->type) {
    case HAUL__WIRE_VARINT:
        return get_varint(r, &out->number);
    case HAUL__WIRE_FIXED64:
        return get_fixed(r, sizeof(uint64_t), &out->number);
    case HAUL__WIRE_FIXED32:
        return get_fixed(r, sizeof(uint32_t), &out->number);
    case HAUL__WIRE_BYTES:
        return get_bytes(r, out);
    default:
        return false;
    }
}

static bool get_key(reader r, Shorthaul__V1__Key *key)
{
    shorthaul__v1__key__init(key);
    while (r.at < r.end) {
        wire_field f;
        if (!get_field(&r, &f)) {
            return false;
        }
        if (f.id == KEY_POOL_ID && f.type == HAUL__WIRE_FIXED64) {
            key->pool_id = f.number;
        } else if (f.id == KEY_INDEX && f.type == HAUL__WIRE_VARINT) {
            key->index = (uint32_t)f.number;
        } else if (f.id == KEY_GENERATION && f.type == HAUL__WIRE_FIXED32) {
            key->generation = (uint32_t)f.number;
        } else if (f.id == KEY_TICKET && f.type == HAUL__WIRE_FIXED64) {
            key->ticket = f.number;
        } else if (f.id == KEY_OFFSET && f.type == HAUL__WIRE_VARINT) {
            key->offset = f.number;
        } else {
            return false;
        }
    }
    return true;
}

/* A payload in the arena. */
typedef struct keyed {
    haul_payload payload;
    Shorthaul__V1__Key key;
} keyed;

/* A length and one key, and nothing else. */
static bool get_payload(reader r, keyed *k)
{
    shorthaul__v1__payload__init(&k->payload);
    while (r.at < r.end) {
        wire_field f;
        if (!get_field(&r, &f)) {
            return false;
        }
        if (f.id == PAYLOAD_LENGTH && f.type == HAUL__WIRE_VARINT) {
            k->payload.length = f.number;
        } else if (f.id == PAYLOAD_KEY && f.type == HAUL__WIRE_BYTES && !k->payload.key &&
                   get_key(f.bytes, &k->key)) {
            k->payload.source_case = SHORTHAUL__V1__PAYLOAD__SOURCE_KEY;
            k->payload.key = &k->key;
        } else {
            return false;
        }
    }
    return k->payload.key != NULL;
}

/* Which of the plan's fields it is; n_fields: none. */
static unsigned find(const haul__plan *plan, const wire_field *f)
{
    unsigned i = 0;
    while (i < plan->n_fields &&
           (f->type != HAUL__WIRE_BYTES || f->id != plan->fields[i].field->id)) {
        i++;
    }
    return i;
}

/* Take the payloads out; what is left goes to @rest. How many there were; 0: it is not such a message. */
static unsigned take_out(const haul__plan *plan, reader r, keyed *found[FIELDS_MAX],
                         haul__arena *arena, uint8_t *rest, size_t *out_n_rest)
{
    unsigned n = 0;
    *out_n_rest = 0;
    while (r.at < r.end) {
        const uint8_t *start = r.at;
        wire_field f;
        if (!get_field(&r, &f)) {
            return 0;
        }
        unsigned i = find(plan, &f);
        if (i == plan->n_fields) {
            memcpy(rest + *out_n_rest, start, (size_t)(r.at - start));
            *out_n_rest += (size_t)(r.at - start);
            continue;
        }
        if (found[i]) { /* protobuf would merge them */
            return 0;
        }
        found[i] = haul__arena_take(arena, sizeof(*found[i]), _Alignof(keyed));
        if (!found[i] || !get_payload(f.bytes, found[i])) {
            return 0;
        }
        n++;
    }
    return n;
}

ProtobufCMessage *haul__keyed_unpack(const haul__plans *plans, haul__arena *arena,
                                     const uint8_t *data, size_t len)
{
    const haul__plan *plan = plans->root;
    keyed *found[FIELDS_MAX] = {NULL};
    uint8_t rest[HAUL__KEYED_MAX];
    size_t n_rest;
    if (len > sizeof(rest) || plans->recursive || !is_flat(plan) ||
        take_out(plan, (reader){.at = data, .end = data + len}, found, arena, rest, &n_rest) == 0) {
        return NULL;
    }
    ProtobufCAllocator allocator = haul__arena_allocator(arena);
    ProtobufCMessage *message = protobuf_c_message_unpack(plans->type, &allocator, n_rest, rest);
    for (unsigned i = 0; message && i < plan->n_fields; i++) {
        if (found[i]) {
            const haul_payload *payload = &found[i]->payload;
            memcpy((uint8_t *)message + plan->fields[i].field->offset, (const void *)&payload,
                   sizeof(void *));
        }
    }
    return message;
}
