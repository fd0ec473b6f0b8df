/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Fuzz target: a message of a trunk, as either side reads it.
 *
 * Whatever it holds, every byte that a letter shows lies in the message, and a letter that is
 * written from what was read is read as the same.
 */

#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>

#include "fuzz_require.h"
#include "transport/letter.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* The letter that was written, and whether it has come back. */
typedef struct echo {
    const haul__letter *letter;
    bool came;
} echo;

static void require_within(grpc_slice frame, grpc_slice slice)
{
    if (slice.refcount) {
        FUZZ_REQUIRE(GRPC_SLICE_START_PTR(slice) >= GRPC_SLICE_START_PTR(frame));
        FUZZ_REQUIRE(GRPC_SLICE_END_PTR(slice) <= GRPC_SLICE_END_PTR(frame));
    } else {
        FUZZ_REQUIRE(GRPC_SLICE_LENGTH(slice) == 0); /* there was none */
    }
}

static void require_same(const grpc_metadata_array *a, const grpc_metadata_array *b)
{
    FUZZ_REQUIRE(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        FUZZ_REQUIRE(grpc_slice_eq(a->metadata[i].key, b->metadata[i].key));
        FUZZ_REQUIRE(grpc_slice_eq(a->metadata[i].value, b->metadata[i].value));
    }
}

static void compare(void *ctx, haul__letter *again)
{
    echo *e = ctx;
    const haul__letter *letter = e->letter;
    FUZZ_REQUIRE(!e->came);
    FUZZ_REQUIRE(again->id == letter->id && again->timeout_ns == letter->timeout_ns &&
                 again->status == (uint32_t)letter->status && again->more == letter->more &&
                 again->cancelled == letter->cancelled && again->unbegun == letter->unbegun);
    FUZZ_REQUIRE(grpc_slice_eq(again->text, letter->text));
    require_same(&again->initial.array, &letter->initial.array);
    require_same(&again->trailing.array, &letter->trailing.array);
    e->came = true;
}

static void write_again(const haul__letter *letter)
{
    const haul__letter_fields fields = {.id = letter->id,
                                        .timeout_ns = letter->timeout_ns,
                                        .text = &letter->text,
                                        .metadata = letter->initial.array.metadata,
                                        .n_metadata = letter->initial.array.count,
                                        .trailing = letter->trailing.array.metadata,
                                        .n_trailing = letter->trailing.array.count,
                                        .status = (uint32_t)letter->status,
                                        .more = letter->more,
                                        .cancelled = letter->cancelled,
                                        .unbegun = letter->unbegun};
    uint8_t head[HAUL__LETTER_HEAD_MAX];
    grpc_slice written = haul__letter_write(&fields);
    size_t n_head = haul__letter_head(GRPC_SLICE_LENGTH(written), 0, false, head);
    grpc_slice frame = grpc_slice_malloc_large(n_head + GRPC_SLICE_LENGTH(written));
    memcpy(GRPC_SLICE_START_PTR(frame), head, n_head);
    memcpy(GRPC_SLICE_START_PTR(frame) + n_head, GRPC_SLICE_START_PTR(written),
           GRPC_SLICE_LENGTH(written));
    echo e = {.letter = letter};
    FUZZ_REQUIRE(haul__letters_read(frame, compare, &e, NULL));
    FUZZ_REQUIRE(e.came);
    grpc_slice_unref(frame);
    grpc_slice_unref(written);
}

static void look(void *ctx, haul__letter *letter)
{
    const grpc_slice *frame = ctx;
    require_within(*frame, letter->method);
    require_within(*frame, letter->text);
    require_within(*frame, letter->message);
    FUZZ_REQUIRE(letter->has_message || GRPC_SLICE_LENGTH(letter->message) == 0);
    const grpc_metadata_array *lists[] = {&letter->initial.array, &letter->trailing.array};
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < lists[i]->count; j++) {
            require_within(*frame, lists[i]->metadata[j].key);
            require_within(*frame, lists[i]->metadata[j].value);
        }
    }
    write_again(letter);
}

/* The first byte says where gRPC cuts the message in two. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static bool begun;
    if (!begun) {
        grpc_init();
        FUZZ_REQUIRE(atexit(grpc_shutdown) == 0);
        begun = true;
    }
    if (n == 0) {
        return 0;
    }
    const char *text = (const char *)bytes + 1;
    size_t n_first = bytes[0] < n - 1 ? bytes[0] : n - 1;
    grpc_slice pieces[2] = {grpc_slice_from_copied_buffer(text, n_first),
                            grpc_slice_from_copied_buffer(text + n_first, n - 1 - n_first)};
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(pieces, 2);
    grpc_slice frame = haul__frame_of(buffer);
    uint64_t max_calls = 0;
    (void)haul__letters_read(frame, look, &frame, &max_calls);
    grpc_slice_unref(frame);
    grpc_byte_buffer_destroy(buffer);
    grpc_slice_unref(pieces[0]);
    grpc_slice_unref(pieces[1]);
    return 0;
}
