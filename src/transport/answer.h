/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_ANSWER_H
#define SHORTHAUL_TRANSPORT_ANSWER_H

/* The answer to a call that has gone as a letter, as it comes in. */

#include <grpc/slice_buffer.h>

#include "transport/channel.h"

typedef struct haul__incoming_answer {
    grpc_slice_buffer parts;
    bool has_message;
    bool too_long;
} haul__incoming_answer;

void haul__incoming_answer_init(haul__incoming_answer *answer);
void haul__incoming_answer_fini(haul__incoming_answer *answer);

/* Take a part, which lies in @frame; parts beyond what the channel takes are dropped. True: it was the
 * last one, or no more are wanted. */
bool haul__incoming_answer_add(haul__incoming_answer *answer, const haul_channel *channel,
                               const haul__letter *letter, grpc_slice frame);

/* After the last one: what has come becomes the attempt's. */
void haul__incoming_answer_end(haul__incoming_answer *answer, const haul_channel *channel,
                               haul__letter *letter, grpc_slice frame, haul__attempt *attempt);

#endif
