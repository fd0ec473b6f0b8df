/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* The example of the tests of whole messages. Nothing is shared; each test makes its own. */

#include "message_example.h"

#include <stdlib.h>
#include <string.h>

example *example_create(void)
{
    example *e = calloc(1, sizeof(*e));
    assert_non_null(e);
    test_fill(e->large, LARGE_LEN, 3);
    haul__test__leaf__init(&e->leaf);
    e->leaf.data = (ProtobufCBinaryData){.len = LARGE_LEN, .data = e->large};
    haul__test__leaf__init(&e->small_leaf);
    e->small_leaf.data = (ProtobufCBinaryData){.len = 3, .data = e->large + 7};
    e->leaves[0] = &e->small_leaf;
    e->leaves[1] = &e->leaf;
    e->row[0] = (ProtobufCBinaryData){.len = 5000, .data = e->large};
    e->row[1] = (ProtobufCBinaryData){.len = 0};
    e->row[2] = (ProtobufCBinaryData){.len = 100, .data = e->large + 1};
    memcpy(e->words, (const char[3][16]){"one", "", "some text"}, sizeof(e->words));
    for (unsigned i = 0; i < 3; i++) {
        e->texts[i] = e->words[i];
    }
    for (unsigned i = 0; i < N_DOUBLES; i++) {
        e->doubles[i] = i / 3.0;
    }
    e->numbers[0] = -1;
    e->numbers[1] = 1 << 20;

    haul__test__shapes__init(&e->inner);
    e->inner.choice_case = HAUL__TEST__SHAPES__CHOICE_CHOSEN_BYTES;
    e->inner.chosen_bytes = (ProtobufCBinaryData){.len = 20000, .data = e->large + 2};
    haul__test__shapes__init(&e->shapes);
    e->shapes.has_plain = 1;
    e->shapes.plain = (ProtobufCBinaryData){.len = LARGE_LEN, .data = e->large};
    e->shapes.row = e->row;
    e->shapes.n_row = 3;
    e->shapes.text = e->words[2];
    e->shapes.texts = e->texts;
    e->shapes.n_texts = 2;
    e->shapes.leaf = &e->small_leaf;
    e->shapes.leaves = e->leaves;
    e->shapes.n_leaves = 2;
    e->shapes.inner = &e->inner;
    e->shapes.choice_case = HAUL__TEST__SHAPES__CHOICE_CHOSEN_LEAF;
    e->shapes.chosen_leaf = &e->leaf;
    e->shapes.doubles = e->doubles;
    e->shapes.n_doubles = N_DOUBLES;
    e->shapes.numbers = e->numbers;
    e->shapes.n_numbers = 3;
    return e;
}

uint8_t *example_pack(const example *e, haul_view *out_view)
{
    size_t n = haul__test__shapes__get_packed_size(&e->shapes);
    uint8_t *bytes = malloc(n);
    assert_non_null(bytes);
    assert_int_equal(haul__test__shapes__pack(&e->shapes, bytes), n);
    *out_view = (haul_view){.data = bytes, .len = n};
    return bytes;
}

void assert_same_message(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    size_t n = protobuf_c_message_get_packed_size(a);
    assert_int_equal(n, protobuf_c_message_get_packed_size(b));
    uint8_t *bytes = malloc(2 * n + 1);
    assert_non_null(bytes);
    (void)protobuf_c_message_pack(a, bytes);
    (void)protobuf_c_message_pack(b, bytes + n);
    assert_memory_equal(bytes, bytes + n, n);
    free(bytes);
}
