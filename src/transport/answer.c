/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Answers that come in letters, in parts if they are long. What a server says is bounded here as gRPC
 * would bound it: the message by the channel's max_message_bytes, the metadata likewise.
 *
 * Under the lock of the trunk, or in the thread of the call. If the process dies nothing is left of it.
 */

#include "transport/answer.h"

#include <grpc/byte_buffer.h>

/* How many times larger than a part the frame may be that is kept for it. */
#define FRAME_WASTE 8

void haul__incoming_answer_init(haul__incoming_answer *answer)
{
    *answer = (haul__incoming_answer){0};
    grpc_slice_buffer_init(&answer->parts);
}

void haul__incoming_answer_fini(haul__incoming_answer *answer)
{
    grpc_slice_buffer_destroy(&answer->parts);
}

/* A reference to the part, or, if most of the frame would be kept for nothing, a copy. So what a
 * server says takes at most so many times the room that was agreed on. */
static grpc_slice keep_part(grpc_slice part, grpc_slice frame)
{
    size_t n = GRPC_SLICE_LENGTH(part);
    return n >= GRPC_SLICE_LENGTH(frame) / FRAME_WASTE
               ? grpc_slice_ref(part)
               : grpc_slice_from_copied_buffer((const char *)GRPC_SLICE_START_PTR(part), n);
}

bool haul__incoming_answer_add(haul__incoming_answer *answer, const haul_channel *channel,
                               const haul__letter *letter, grpc_slice frame)
{
    size_t bound = channel->max_message_bytes;
    size_t n = GRPC_SLICE_LENGTH(letter->message);
    if (letter->has_message) {
        answer->has_message = true;
        answer->too_long |= bound > 0 && answer->parts.length + n > bound;
        if (answer->too_long) {
            grpc_slice_buffer_reset_and_unref(&answer->parts);
        } else {
            grpc_slice_buffer_add(&answer->parts, keep_part(letter->message, frame));
        }
    }
    return !letter->more || answer->too_long;
}

static void spoil(haul__attempt *attempt, grpc_status_code code, const char *text)
{
    attempt->code = code;
    attempt->details = grpc_slice_from_static_string(text);
}

void haul__incoming_answer_end(haul__incoming_answer *answer, const haul_channel *channel,
                               haul__letter *letter, grpc_slice frame, haul__attempt *attempt)
{
    const size_t bound = channel->max_metadata_bytes;
    const grpc_metadata_array *initial = &letter->initial.array;
    const grpc_metadata_array *trailing = &letter->trailing.array;
    if (answer->too_long) {
        spoil(attempt, GRPC_STATUS_RESOURCE_EXHAUSTED, "the answer is larger than may be received");
        return;
    }
    if (haul__metadata_bytes(initial->metadata, initial->count) > bound ||
        haul__metadata_bytes(trailing->metadata, trailing->count) > bound) {
        spoil(attempt, GRPC_STATUS_RESOURCE_EXHAUSTED, "the answer has more metadata than allowed");
        return;
    }
    attempt->code = letter->status <= GRPC_STATUS_UNAUTHENTICATED ? (grpc_status_code)letter->status
                                                                  : GRPC_STATUS_UNKNOWN;
    attempt->details = grpc_slice_ref(letter->text);
    attempt->frame = grpc_slice_ref(frame);
    haul__letter_metadata_move(&attempt->carried[HAUL_METADATA_INITIAL], &letter->initial);
    haul__letter_metadata_move(&attempt->carried[HAUL_METADATA_TRAILING], &letter->trailing);
    attempt->initial = attempt->carried[HAUL_METADATA_INITIAL].array;
    attempt->trailing = attempt->carried[HAUL_METADATA_TRAILING].array;
    if (answer->has_message) {
        attempt->answer = grpc_raw_byte_buffer_create(answer->parts.slices, answer->parts.count);
    }
}
