/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Rewriting a message: the way of a request that goes inline though its author put keys into it.
 *
 * The author's message is his, may be read by other threads meanwhile and must be the same
 * afterwards. So the structs on the way from the root to each Payload are copied, one level deep
 * each, and only the copies point at changed payloads. One call owns a rewrite and one thread uses
 * it.
 */

#include "transport/rewrite.h"

#include <stddef.h>
#include <string.h>

typedef struct job {
    haul__rewrite *rewrite;
    haul__rewrite_fn fn;
    void *ctx;
} job;

static void *copy_of(haul__rewrite *rewrite, const void *bytes, size_t size)
{
    void *copy = haul__arena_take(&rewrite->arena, size, _Alignof(max_align_t));
    return copy ? memcpy(copy, bytes, size) : NULL;
}

static haul_status rewrite(const job *j, const haul__plan *plan, const ProtobufCMessage *message,
                           ProtobufCMessage **out_message);

/* Make @field of @copy, which holds the original's elements, hold rewritten ones. */
static haul_status rewrite_field(const job *j, const haul__plan_field *step, ProtobufCMessage *copy)
{
    ProtobufCMessage *single = NULL;
    haul__elements elements = haul__field_elements(copy, step->field, &single);
    if (elements.n == 0) {
        return HAUL_OK;
    }
    bool repeated = step->field->label == PROTOBUF_C_LABEL_REPEATED;
    ProtobufCMessage **items = &single;
    if (repeated) {
        items = copy_of(j->rewrite, elements.items, elements.n * sizeof(void *));
        if (!items) {
            return HAUL_NOMEM;
        }
    }
    for (size_t i = 0; i < elements.n; i++) {
        haul_status status = rewrite(j, step->sub, items[i], &items[i]);
        if (status != HAUL_OK) {
            return status;
        }
    }
    uint8_t *base = (uint8_t *)copy;
    if (repeated) {
        memcpy(base + step->field->offset, &items, sizeof(void *));
    } else {
        memcpy(base + step->field->offset, &single, sizeof(void *));
    }
    return HAUL_OK;
}

static haul_status rewrite(const job *j, const haul__plan *plan, const ProtobufCMessage *message,
                           ProtobufCMessage **out_message)
{
    ProtobufCMessage *copy = copy_of(j->rewrite, message, plan->type->sizeof_message);
    if (!copy) {
        return HAUL_NOMEM;
    }
    haul_status status = HAUL_OK;
    if (plan->is_payload) {
        status = j->fn(j->ctx, (const haul_payload *)message, (haul_payload *)copy);
    }
    for (unsigned f = 0; f < plan->n_fields && status == HAUL_OK; f++) {
        status = rewrite_field(j, &plan->fields[f], copy);
    }
    if (status == HAUL_OK) {
        *out_message = copy;
    }
    return status;
}

haul_status haul__rewrite_message(haul__rewrite *rw, const haul__plan *plan,
                                  const ProtobufCMessage *message, haul__rewrite_fn fn, void *ctx,
                                  ProtobufCMessage **out_message)
{
    const job j = {.rewrite = rw, .fn = fn, .ctx = ctx};
    return rewrite(&j, plan, message, out_message);
}

void haul__rewrite_fini(haul__rewrite *rewrite)
{
    haul__arena_fini(&rewrite->arena);
}
