/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Plans: for each type of message, the fields through which a Payload can be reached.
 *
 * They are made when a method is registered or first called, are constant from then on and are
 * read by any thread. Most messages hold no Payload or one, so that a walk costs next to nothing.
 *
 * Types may contain themselves. What can be reached is therefore found by repeating until nothing
 * changes, never by following types down.
 */

#include "transport/plan.h"

#include <stdlib.h>
#include <string.h>

/* One type met below the root. */
typedef struct node {
    const ProtobufCMessageDescriptor *type;
    bool reaches; /* a Payload can be reached from here, or it is one */
    bool ends;    /* no chain of types from here comes back to one it has passed */
} node;

typedef struct graph {
    node *nodes;
    unsigned n;
    unsigned capacity;
} graph;

/* By name, because a program may hold two copies of the generated code, in a plugin for one. */
static bool is_payload(const ProtobufCMessageDescriptor *type)
{
    const ProtobufCMessageDescriptor *payload = &shorthaul__v1__payload__descriptor;
    return type == payload || (strcmp(type->name, payload->name) == 0 &&
                               type->sizeof_message == payload->sizeof_message);
}

static node *find(const graph *g, const ProtobufCMessageDescriptor *type)
{
    for (unsigned i = 0; i < g->n; i++) {
        if (g->nodes[i].type == type) {
            return &g->nodes[i];
        }
    }
    return NULL;
}

static bool add(graph *g, const ProtobufCMessageDescriptor *type)
{
    if (find(g, type)) {
        return true;
    }
    if (g->n == g->capacity) {
        unsigned capacity = g->capacity ? 2 * g->capacity : 8;
        node *grown = realloc(g->nodes, capacity * sizeof(*grown));
        if (!grown) {
            return false;
        }
        g->nodes = grown;
        g->capacity = capacity;
    }
    g->nodes[g->n++] = (node){.type = type, .reaches = is_payload(type)};
    return true;
}

static const ProtobufCMessageDescriptor *message_type(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
}

static bool collect(graph *g, const ProtobufCMessageDescriptor *root)
{
    if (!add(g, root)) {
        return false;
    }
    for (unsigned i = 0; i < g->n; i++) {
        const ProtobufCMessageDescriptor *type = g->nodes[i].type;
        for (unsigned f = 0; f < type->n_fields; f++) {
            const ProtobufCMessageDescriptor *sub = message_type(&type->fields[f]);
            if (sub && !add(g, sub)) {
                return false;
            }
        }
    }
    return true;
}

/* One round for one node; true if it learned something. */
static bool learn(const graph *g, node *at)
{
    bool reaches = at->reaches;
    bool ends = true;
    for (unsigned f = 0; f < at->type->n_fields; f++) {
        const ProtobufCMessageDescriptor *type = message_type(&at->type->fields[f]);
        if (type) {
            const node *sub = find(g, type);
            reaches |= sub->reaches;
            ends &= sub->ends;
        }
    }
    bool learned = reaches != at->reaches || ends != at->ends;
    at->reaches = reaches;
    at->ends = ends;
    return learned;
}

static void settle(graph *g)
{
    bool changed = true;
    while (changed) {
        changed = false;
        for (unsigned i = 0; i < g->n; i++) {
            changed |= learn(g, &g->nodes[i]);
        }
    }
}

static bool leads(const graph *g, const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *type = message_type(field);
    return type && find(g, type)->reaches;
}

static size_t count_leading(const graph *g)
{
    size_t n = 0;
    for (unsigned i = 0; i < g->n; i++) {
        const ProtobufCMessageDescriptor *type = g->nodes[i].type;
        for (unsigned f = 0; f < type->n_fields; f++) {
            n += leads(g, &type->fields[f]);
        }
    }
    return n;
}

/* plans->plans has one element per node, in the same order. */
static void fill(haul__plans *plans, const graph *g)
{
    haul__plan_field *next = plans->fields;
    for (unsigned i = 0; i < g->n; i++) {
        haul__plan *plan = &plans->plans[i];
        plan->type = g->nodes[i].type;
        plan->is_payload = is_payload(plan->type);
        plan->fields = next;
        for (unsigned f = 0; f < plan->type->n_fields && !plan->is_payload; f++) {
            const ProtobufCFieldDescriptor *field = &plan->type->fields[f];
            if (leads(g, field)) {
                size_t sub = (size_t)(find(g, message_type(field)) - g->nodes);
                *next++ = (haul__plan_field){.field = field, .sub = &plans->plans[sub]};
                plan->n_fields++;
            }
        }
    }
}

haul_status haul__plans_init(haul__plans *plans, const ProtobufCMessageDescriptor *type)
{
    graph g = {0};
    haul_status status = HAUL_NOMEM;
    *plans = (haul__plans){.type = type};
    if (!collect(&g, type)) {
        goto out;
    }
    settle(&g);
    plans->recursive = !g.nodes[0].ends;
    if (g.nodes[0].reaches) {
        plans->plans = calloc(g.n, sizeof(*plans->plans));
        plans->fields = calloc(count_leading(&g) + 1, sizeof(*plans->fields));
        if (!plans->plans || !plans->fields) {
            haul__plans_fini(plans);
            goto out;
        }
        fill(plans, &g);
        plans->root = &plans->plans[0];
    }
    status = HAUL_OK;
out:
    free(g.nodes);
    return status;
}

void haul__plans_fini(haul__plans *plans)
{
    free(plans->plans);
    free(plans->fields);
    *plans = (haul__plans){0};
}

haul__elements haul__field_elements(const ProtobufCMessage *message,
                                    const ProtobufCFieldDescriptor *field,
                                    ProtobufCMessage **single)
{
    const uint8_t *base = (const uint8_t *)message;
    haul__elements elements = {0};
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        memcpy(&elements.n, base + field->quantifier_offset, sizeof(elements.n));
        memcpy(&elements.items, base + field->offset, sizeof(elements.items));
        return elements;
    }
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t which;
        memcpy(&which, base + field->quantifier_offset, sizeof(which));
        if (which != field->id) {
            return elements;
        }
    }
    memcpy(single, base + field->offset, sizeof(void *));
    elements.items = single;
    elements.n = *single != NULL;
    return elements;
}

haul_status haul__plan_walk(const haul__plan *plan, const ProtobufCMessage *message,
                            haul__payload_fn fn, void *ctx)
{
    if (plan->is_payload) {
        return fn(ctx, (const haul_payload *)message);
    }
    for (unsigned f = 0; f < plan->n_fields; f++) {
        const haul__plan_field *step = &plan->fields[f];
        ProtobufCMessage *single = NULL;
        haul__elements elements = haul__field_elements(message, step->field, &single);
        for (size_t i = 0; i < elements.n; i++) {
            haul_status status = haul__plan_walk(step->sub, elements.items[i], fn, ctx);
            if (status != HAUL_OK) {
                return status;
            }
        }
    }
    return HAUL_OK;
}
