/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_PLAN_H
#define SHORTHAUL_TRANSPORT_PLAN_H

/* Where Payloads can be in a type of message: found out once per type, used for every message. */

#include <shorthaul/transport.h>

typedef struct haul__plan haul__plan;

typedef struct haul__plan_field {
    const ProtobufCFieldDescriptor *field;
    const haul__plan *sub;
} haul__plan_field;

/* One message type from which a Payload can be reached, and its fields that lead to one. */
struct haul__plan {
    const ProtobufCMessageDescriptor *type;
    bool is_payload;
    unsigned n_fields;
    haul__plan_field *fields;
};

/* All plans below one root type. */
typedef struct haul__plans {
    const ProtobufCMessageDescriptor *type;
    const haul__plan *root; /* NULL: no Payload can occur */
    bool recursive;         /* messages of the type can nest without end */
    haul__plan *plans;
    haul__plan_field *fields;
} haul__plans;

/* Failures: HAUL_NOMEM. */
HAUL_MUST_CHECK haul_status haul__plans_init(haul__plans *plans,
                                             const ProtobufCMessageDescriptor *type);
void haul__plans_fini(haul__plans *plans);

/* What becomes of one payload; a status other than HAUL_OK ends the walk. */
typedef haul_status (*haul__payload_fn)(void *ctx, const haul_payload *payload);

/* Call @fn for every payload of @message, in the order of the fields. */
HAUL_MUST_CHECK haul_status haul__plan_walk(const haul__plan *plan, const ProtobufCMessage *message,
                                            haul__payload_fn fn, void *ctx);

/* The messages that a set field of @message holds: one or, if it is repeated, any number. */
typedef struct haul__elements {
    ProtobufCMessage *const *items;
    size_t n;
} haul__elements;

/* @single: room for the pointer of a field that is not repeated. */
haul__elements haul__field_elements(const ProtobufCMessage *message,
                                    const ProtobufCFieldDescriptor *field,
                                    ProtobufCMessage **single);

#endif
