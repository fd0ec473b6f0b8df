/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Messages with payloads by key that are coded by hand mean what protobuf-c says they mean: whatever the
 * numbers are, and whatever has become of the bytes.
 */

#include <stdlib.h>
#include <string.h>

#include "transport/keyed.h"
#include "transport_test.h"

enum {
    ROUNDS = 20000
};

static uint64_t seed = 1;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Numbers of all lengths, and often 0. */
static uint64_t number(void)
{
    return draw() % 4 == 0 ? 0 : draw() >> draw() % 64;
}

typedef struct sample {
    Haul__Test__Blob blob;
    haul_payload_out out;
} sample;

static void make(sample *s)
{
    static char names[][24] = {"", "a", "a name of some length"};
    const haul_key key = {.pool_id = number(),
                          .ticket = number(),
                          .offset = number(),
                          .index = (uint32_t)number(),
                          .generation = (uint32_t)number()};
    haul__test__blob__init(&s->blob);
    haul_payload_set_key(&s->out, &key, number());
    s->blob.data = &s->out.payload;
    s->blob.name = names[draw() % (sizeof(names) / sizeof(names[0]))];
}

static bool is_same(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    uint8_t packed[2][HAUL__KEYED_MAX];
    size_t n = protobuf_c_message_get_packed_size(a);
    assert_in_range(n, 0, HAUL__KEYED_MAX);
    return protobuf_c_message_get_packed_size(b) == n &&
           protobuf_c_message_pack(a, packed[0]) == n &&
           protobuf_c_message_pack(b, packed[1]) == n && memcmp(packed[0], packed[1], n) == 0;
}

static void what_is_written_is_read_by_protobuf(void **state)
{
    const haul__plans *plans = *state;
    for (int i = 0; i < ROUNDS; i++) {
        sample s;
        uint8_t bytes[HAUL__KEYED_MAX];
        make(&s);
        size_t n = haul__keyed_pack(plans->root, &s.blob.base, bytes);
        assert_int_equal(n, protobuf_c_message_get_packed_size(&s.blob.base));
        ProtobufCMessage *read = protobuf_c_message_unpack(plans->type, NULL, n, bytes);
        assert_non_null(read);
        assert_true(is_same(read, &s.blob.base));
        protobuf_c_message_free_unpacked(read, NULL);
    }
}

/* @mutations of the bytes: where the reader by hand takes them at all, it says what protobuf-c says. */
static void read_both_ways(const haul__plans *plans, unsigned mutations, unsigned *n_taken)
{
    sample s;
    uint8_t bytes[HAUL__KEYED_MAX];
    make(&s);
    size_t n = protobuf_c_message_pack(&s.blob.base, bytes);
    for (unsigned i = 0; i < mutations && n > 0; i++) {
        size_t at = draw() % n;
        if (draw() % 8 == 0) {
            n = at;
        } else {
            bytes[at] = (uint8_t)(draw() % 2 ? draw() : bytes[draw() % n]);
        }
    }
    haul__arena arena;
    haul__arena_init(&arena, _Alignof(max_align_t), NULL, 0);
    const ProtobufCMessage *ours = haul__keyed_unpack(plans, &arena, bytes, n);
    ProtobufCMessage *theirs = protobuf_c_message_unpack(plans->type, NULL, n, bytes);
    if (ours) {
        assert_non_null(theirs);
        assert_true(is_same(ours, theirs));
        *n_taken += 1;
    }
    if (theirs) {
        protobuf_c_message_free_unpacked(theirs, NULL);
    }
    haul__arena_fini(&arena);
}

static void what_protobuf_writes_is_read(void **state)
{
    unsigned n_taken = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        read_both_ways(*state, 0, &n_taken);
    }
    assert_int_equal(n_taken, ROUNDS);
}

static void what_is_damaged_is_read_the_same_way_or_left(void **state)
{
    unsigned n_taken = 0;
    for (unsigned i = 0; i < 20 * ROUNDS; i++) {
        read_both_ways(*state, 1 + i % 4, &n_taken);
    }
    assert_in_range(n_taken, ROUNDS, 19 * ROUNDS); /* some of either */
}

/* What is not exactly a length and a key is protobuf-c's. */
static void other_payloads_are_left(void **state)
{
    const haul__plans *plans = *state;
    uint8_t bytes[HAUL__KEYED_MAX];
    sample s;
    haul__arena arena;
    haul__arena_init(&arena, _Alignof(max_align_t), NULL, 0);
    make(&s);
    haul_payload_set_inline(&s.out, "hello", 5);
    assert_int_equal(haul__keyed_pack(plans->root, &s.blob.base, bytes), 0);
    size_t n = protobuf_c_message_pack(&s.blob.base, bytes);
    assert_null(haul__keyed_unpack(plans, &arena, bytes, n));
    s.blob.data = NULL;
    assert_int_equal(haul__keyed_pack(plans->root, &s.blob.base, bytes), 0);
    n = protobuf_c_message_pack(&s.blob.base, bytes);
    assert_null(haul__keyed_unpack(plans, &arena, bytes, n));

    /* Twice the same field, which protobuf merges. */
    make(&s);
    n = protobuf_c_message_pack(&s.blob.base, bytes);
    n += protobuf_c_message_pack(&s.blob.base, bytes + n);
    assert_null(haul__keyed_unpack(plans, &arena, bytes, n));
    haul__arena_fini(&arena);
}

/* Payloads in fields of fields, and in repeated ones. */
static void other_messages_are_left(void **state)
{
    (void)state;
    haul__plans plans;
    haul_payload_out out;
    uint8_t bytes[HAUL__KEYED_MAX];
    const haul_key key = {.pool_id = 1, .ticket = 2, .generation = 3};
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_payload_set_key(&out, &key, 10);
    request.data = &out.payload;
    assert_ok(haul__plans_init(&plans, &haul__test__exchange_request__descriptor));
    assert_int_equal(haul__keyed_pack(plans.root, &request.base, bytes), 0);
    assert_int_equal(haul__keyed_pack(NULL, &request.base, bytes), 0);
    haul__plans_fini(&plans);
}

int main(void)
{
    haul__plans plans;
    if (haul__plans_init(&plans, &haul__test__blob__descriptor) != HAUL_OK) {
        return EXIT_FAILURE;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(what_is_written_is_read_by_protobuf, &plans),
        cmocka_unit_test_prestate(what_protobuf_writes_is_read, &plans),
        cmocka_unit_test_prestate(what_is_damaged_is_read_the_same_way_or_left, &plans),
        cmocka_unit_test_prestate(other_payloads_are_left, &plans),
        cmocka_unit_test_prestate(other_messages_are_left, &plans),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    haul__plans_fini(&plans);
    return failed;
}
