/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_REWRITE_H
#define SHORTHAUL_TRANSPORT_REWRITE_H

/* A message like another one but for its payloads. */

#include "transport/arena.h"
#include "transport/plan.h"

/* Memory of one rewritten message. Starts zeroed, or with an arena that has memory to begin with. */
typedef struct haul__rewrite {
    haul__arena arena;
} haul__rewrite;

/* @copy starts as a copy of @original and is what the new message will hold. */
typedef haul_status (*haul__rewrite_fn)(void *ctx, const haul_payload *original,
                                        haul_payload *copy);

/*
 * Copy @message as far as payloads hang on it, and let @fn change each of them. Everything else is
 * shared with the original, which is not touched.
 *
 * Ownership: @out_message lives in @rewrite, until haul__rewrite_fini().
 * Failures:  HAUL_NOMEM and what @fn returns
 */
HAUL_MUST_CHECK haul_status haul__rewrite_message(haul__rewrite *rewrite, const haul__plan *plan,
                                                  const ProtobufCMessage *message,
                                                  haul__rewrite_fn fn, void *ctx,
                                                  ProtobufCMessage **out_message);
void haul__rewrite_fini(haul__rewrite *rewrite);

#endif
