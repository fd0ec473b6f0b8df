/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Whole messages in buffers: serialised into a pool, unpacked from a view. What protobuf-c makes of
 * the same bytes is the measure; tests/fuzz/fuzz_message.c compares with it at random.
 */

#include <stdlib.h>
#include <string.h>

#include <shorthaul/message.h>

#include "message_example.h"

/* ---- Allocations that fail ---- */

static unsigned fail_at; /* which allocation from now on; 0 = none */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return fail_at > 0 && --fail_at == 0 ? NULL : __real_malloc(size);
}

static bool is_within(const haul_view *view, const void *data, size_t len)
{
    const uint8_t *at = data;
    return at >= view->data && at + len <= view->data + view->len;
}

/* Unpack as a message with every `bytes` field of @min bytes and more in place, and compare with
 * protobuf-c: refused if it refuses, else the same. */
static void assert_like_protobuf_c(const uint8_t *bytes, size_t len, uint64_t min)
{
    const haul_view view = {.data = bytes, .len = len};
    const haul_unpack_opts opts = {.struct_size = sizeof(opts), .in_place_min_bytes = min};
    const ProtobufCMessageDescriptor *type = &haul__test__shapes__descriptor;
    haul_message *message = NULL;
    ProtobufCMessage *wanted = protobuf_c_message_unpack(type, NULL, len, bytes);
    haul_status s = haul_message_unpack_view(type, &view, &opts, &message);
    assert_status(s, wanted ? HAUL_OK : HAUL_PROTOCOL);
    if (wanted) {
        assert_same_message(haul_message_get(message), wanted);
        protobuf_c_message_free_unpacked(wanted, NULL);
    }
    haul_message_free(message);
}

/* ---- Tests ---- */

static void a_message_goes_through_a_buffer(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create_one("message", 1 << 20, 2);
    example *e = example_create();
    haul_buf *buf;
    haul_key key;
    haul_view view;
    uint64_t len;
    haul_message *message;
    assert_ok(haul_message_pack(pool, &e->shapes.base, NULL, &buf, &len));
    assert_int_equal(len, haul__test__shapes__get_packed_size(&e->shapes));
    assert_ok(haul_buf_share(buf, len, &key));
    assert_ok(haul_attach(pool, &key, len, &view));
    assert_ok(haul_message_unpack_view(&haul__test__shapes__descriptor, &view, NULL, &message));
    const Haul__Test__Shapes *got = (const Haul__Test__Shapes *)haul_message_get(message);
    assert_same_message(&got->base, &e->shapes.base);

    assert_true(is_within(&view, got->plain.data, LARGE_LEN));
    assert_true(is_within(&view, got->row[0].data, 5000));
    assert_true(is_within(&view, got->leaves[1]->data.data, LARGE_LEN));
    assert_true(is_within(&view, got->chosen_leaf->data.data, LARGE_LEN));
    assert_true(is_within(&view, got->inner->chosen_bytes.data, 20000));
    assert_false(is_within(&view, got->row[2].data, 100));
    assert_false(is_within(&view, got->leaf->data.data, 3));
    assert_string_equal(got->leaf->name, "leaf");
    assert_memory_equal(got->preset.data, "some bytes", 10);

    haul_message_free(message);
    haul_detach(&view);
    haul_buf_release(buf);
    free(e);
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

/* A message behind a message on the wire is one message: later values count, messages merge, rows
 * grow, and of a oneof one is left. */
static void messages_merge_as_ever(void **state)
{
    (void)state;
    example *e = example_create();
    size_t n = haul__test__shapes__get_packed_size(&e->shapes);
    uint8_t *bytes = malloc(3 * n);
    assert_non_null(bytes);
    (void)haul__test__shapes__pack(&e->shapes, bytes);
    e->shapes.plain = (ProtobufCBinaryData){.len = 9000, .data = e->large + 5};
    e->shapes.choice_case = HAUL__TEST__SHAPES__CHOICE_CHOSEN_BYTES;
    e->shapes.chosen_bytes = (ProtobufCBinaryData){.len = 300, .data = e->large};
    e->inner.has_preset = 1;
    e->inner.preset = (ProtobufCBinaryData){.len = 6000, .data = e->large + 9};
    e->leaf.data.len = 0;
    size_t n_more = haul__test__shapes__pack(&e->shapes, bytes + n);
    static const uint64_t mins[] = {1, 2, 256, 4096, 10000, UINT64_MAX};
    for (unsigned i = 0; i < sizeof(mins) / sizeof(mins[0]); i++) {
        assert_like_protobuf_c(bytes, n, mins[i]);
        assert_like_protobuf_c(bytes, n + n_more, mins[i]);
        assert_like_protobuf_c(bytes + n, n_more, mins[i]);
    }
    free(bytes);
    free(e);
}

/* Of two values of one field within messages that merge; an empty one may count or not. */
static void merged_bytes(void **state)
{
    (void)state;
    static const uint8_t notes[] = {
        0x9a, 0x01, 0x0c, 0x0a, 0x03, 'o',  'n',  'e',  0x1a, 0x01, 'r',  0x22, 0x02,
        0x0a, 0x00, 0x9a, 0x01, 0x0b, 0x0a, 0x00, 0x12, 0x00, 0x22, 0x05, 0x0a, 3,
        't',  'w',  'o',  0x9a, 0x01, 0x06, 0x0a, 0x00, 0x22, 0x02, 0x12, 0x00,
    };
    static const size_t ends[] = {15, 29, 38};
    for (unsigned i = 0; i < 3; i++) {
        assert_like_protobuf_c(notes, ends[i], 1);
        assert_like_protobuf_c(notes, ends[i], 3);
        assert_like_protobuf_c(notes, ends[i], UINT64_MAX);
    }
}

static size_t put_numbers(uint8_t *at, const double *numbers, unsigned n)
{
    size_t len = n * sizeof(double);
    at[0] = 0x6a; /* Shapes.doubles, packed */
    at[1] = (uint8_t)((len & 0x7f) | 0x80);
    at[2] = (uint8_t)(len >> 7);
    memcpy(at + 3, numbers, len);
    return 3 + len;
}

/* Numbers come in any number of pieces, long ones, short ones and single ones, and are one row. */
static void numbers_in_pieces(void **state)
{
    (void)state;
    static const unsigned pieces[] = {1000, 3, 600, 600, 1};
    example *e = example_create();
    uint8_t *bytes = malloc(3 * N_DOUBLES * sizeof(double));
    assert_non_null(bytes);
    size_t n = 0;
    for (unsigned i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        n += put_numbers(bytes + n, e->doubles, pieces[i]);
        bytes[n++] = 0x69; /* and a single one */
        memcpy(bytes + n, &e->doubles[i], sizeof(double));
        n += sizeof(double);
        assert_like_protobuf_c(bytes, n, 1);
        assert_like_protobuf_c(bytes, n, 4096);
        assert_like_protobuf_c(bytes, n, UINT64_MAX);
    }
    assert_like_protobuf_c(bytes, n - 1, 4096);
    bytes[1]++; /* no longer a multiple of eight */
    assert_like_protobuf_c(bytes, n, 1);
    free(bytes);
    free(e);
}

static void what_is_cut_short_is_refused(void **state)
{
    (void)state;
    example *e = example_create();
    e->shapes.plain.len = 100;
    e->row[0].len = 60;
    e->leaf.data.len = 20;
    e->inner.chosen_bytes.len = 90;
    e->shapes.n_doubles = 3;
    haul_view whole;
    uint8_t *bytes = example_pack(e, &whole);
    for (size_t len = 0; len <= whole.len; len++) {
        uint8_t *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, bytes, len);
        assert_like_protobuf_c(exact, len, 50);
        free(exact);
    }
    free(bytes);
    free(e);
}

/* Bytes that are no message, or not one of this type. */
static void malformed_bytes(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint8_t bytes[16];
    } cases[] = {
        {2, {0x08, 0x01}},                                     /* `bytes` as a number */
        {5, {0x0d, 1, 2, 3, 4}},                               /* the same, fixed */
        {2, {0x32, 0x00}},                                     /* a leaf without its data */
        {4, {0x32, 0x02, 0x0a, 0x01}},                         /* a length beyond its message */
        {6, {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f}},             /* a length of 4 GiB */
        {8, {0x0a, 0x81, 0x80, 0x80, 0x80, 0x80, 0x00, 0x61}}, /* a length in too many bytes */
        {3, {0x0a, 0x81, 0x00}},                               /* a length that is cut off */
        {4, {0x0a, 0x81, 0x00, 0x61}},                         /* a long way to say 1: allowed */
        {2, {0x0b, 0x0c}},                                     /* a group */
        {1, {0x0a}},                                           /* a tag and nothing */
        {8, {0x8a, 0x80, 0x80, 0x80, 0x80, 0x00, 0x01, 0x61}}, /* a tag in too many bytes */
        {4, {0xfa, 0x01, 0x01, 0x61}},                         /* a field of no name: kept */
        {5, {0x92, 0x03, 0x82, 0x00, 0x61}},                   /* the same, cut off */
        {3, {0x02, 0x01, 0x61}},                               /* field 0 */
        {0, {0}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_like_protobuf_c(cases[i].bytes, cases[i].len, 1);
        assert_like_protobuf_c(cases[i].bytes, cases[i].len, UINT64_MAX);
    }
}

/* protobuf-c alone would go down as far as the bytes do. */
static void nesting_has_a_bound(void **state)
{
    (void)state;
    enum {
        DEEP = 20000
    };
    uint8_t *bytes = malloc((size_t)DEEP * 6);
    assert_non_null(bytes);
    size_t at = (size_t)DEEP * 6;
    for (unsigned i = 0, len = 0; i < DEEP; i++, len = (unsigned)((size_t)DEEP * 6 - at)) {
        for (int shift = 21; shift >= 0; shift -= 7) {
            bytes[--at] = (uint8_t)((len >> shift & 0x7f) | (shift == 21 ? 0 : 0x80));
        }
        bytes[--at] = 0x42; /* Shapes.inner */
    }
    haul_view view = {.data = bytes + at, .len = (size_t)DEEP * 6 - at};
    haul_message *message;
    const ProtobufCMessageDescriptor *type = &haul__test__shapes__descriptor;
    assert_status(haul_message_unpack_view(type, &view, NULL, &message), HAUL_PROTOCOL);
    view.data += 5 * (DEEP - 100);
    view.len -= 5 * (DEEP - 100);
    assert_ok(haul_message_unpack_view(type, &view, NULL, &message));
    haul_message_free(message);
    free(bytes);
}

/* Whoever scribbles on the buffer later changes what was left in place, and nothing else. */
static void what_is_copied_stays(void **state)
{
    (void)state;
    example *e = example_create();
    haul_view view;
    uint8_t *bytes = example_pack(e, &view);
    haul_message *message;
    assert_ok(haul_message_unpack_view(&haul__test__shapes__descriptor, &view, NULL, &message));
    memset(bytes, 0xff, view.len);
    const Haul__Test__Shapes *got = (const Haul__Test__Shapes *)haul_message_get(message);
    assert_int_equal(got->plain.len, LARGE_LEN);
    assert_int_equal(got->plain.data[17], 0xff);
    assert_int_equal(got->inner->chosen_bytes.len, 20000);
    assert_string_equal(got->text, "some text");
    assert_memory_equal(got->doubles, e->doubles, sizeof(e->doubles));
    assert_memory_equal(got->row[2].data, e->row[2].data, 100);
    haul_message_free(message);
    free(bytes);
    free(e);
}

static void without_memory(void **state)
{
    (void)state;
    example *e = example_create();
    haul_view view;
    uint8_t *bytes = example_pack(e, &view);
    bool failed = true;
    for (unsigned i = 1; failed; i++) {
        haul_message *message = NULL;
        fail_at = i;
        haul_status s =
            haul_message_unpack_view(&haul__test__shapes__descriptor, &view, NULL, &message);
        failed = fail_at == 0; /* some failures are made up for */
        fail_at = 0;
        assert_true(s == HAUL_OK || (failed && s == HAUL_NOMEM));
        if (s == HAUL_OK) {
            assert_same_message(haul_message_get(message), &e->shapes.base);
        }
        haul_message_free(message);
        assert_in_range(i, 1, 1000);
    }
    free(bytes);
    free(e);
}

static void what_cannot_be_packed(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create_one("message", 65536, 1);
    example *e = example_create();
    haul_buf *buf;
    haul_key key;
    uint64_t len;
    assert_status(haul_message_pack(pool, &e->shapes.base, NULL, &buf, &len), HAUL_TOO_BIG);
    buf = test_alloc(pool, 65536);
    assert_status(haul_message_pack_into(&e->shapes.base, buf, &len), HAUL_TOO_BIG);
    assert_ok(haul_message_pack_into(&e->leaf.base, buf, &len));
    assert_int_equal(len, haul__test__leaf__get_packed_size(&e->leaf));
    assert_status(haul_message_pack(pool, &e->leaf.base, NULL, NULL, NULL), HAUL_EXHAUSTED);
    e->leaf.data.len = (size_t)UINT32_MAX + 1; /* forged: nothing reads so far */
    assert_status(haul_message_pack_into(&e->leaf.base, buf, &len), HAUL_TOO_BIG);
    e->texts[1] = NULL;
    assert_status(haul_message_pack_into(&e->shapes.base, buf, &len), HAUL_INVALID);
    assert_ok(haul_buf_share(buf, len, &key));
    assert_status(haul_message_pack_into(&e->small_leaf.base, buf, &len), HAUL_INVALID);
    const haul_unpack_opts opts = {.struct_size = sizeof(opts) - 1};
    const haul_view view = {.data = e->large, .len = 1};
    assert_status(haul_message_unpack_view(e->leaf.base.descriptor, &view, &opts, NULL),
                  HAUL_INVALID);
    haul_buf_release(buf);
    free(e);
    assert_all_free(pool);
    test_pool_destroy(pool);
}

/* The way it is meant: the message as the payload of a call, by key, and back inline. */
static void a_message_travels_as_a_payload(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    example *e = example_create();
    e->shapes.n_leaves = 0;
    e->shapes.choice_case = HAUL__TEST__SHAPES__CHOICE__NOT_SET;
    e->shapes.plain.len = 20000;
    e->inner.chosen_bytes.len = 5000;
    haul_buf *buf;
    uint64_t len;
    haul_payload_out out;
    haul_view view;
    haul_message *message;
    assert_ok(haul_message_pack(pair.client_pool, &e->shapes.base, NULL, &buf, &len));
    assert_ok(haul_payload_set_buf(&out, buf, len));
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.mode = HAUL__TEST__MODE__MODE_ECHO;
    request.data = &out.payload;
    haul_reply *reply = test_exchange(&pair, &request, NULL);
    assert_int_equal(haul_reply_request_path(reply), HAUL_PATH_SHM);
    assert_ok(haul_reply_view(reply, test_response(reply)->data, &view));
    assert_ok(haul_message_unpack_view(&haul__test__shapes__descriptor, &view, NULL, &message));
    assert_same_message(haul_message_get(message), &e->shapes.base);
    haul_message_free(message);
    haul_reply_free(reply);
    haul_buf_release(buf);
    free(e);
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_goes_through_a_buffer),
        cmocka_unit_test(messages_merge_as_ever),
        cmocka_unit_test(merged_bytes),
        cmocka_unit_test(numbers_in_pieces),
        cmocka_unit_test(what_is_cut_short_is_refused),
        cmocka_unit_test(malformed_bytes),
        cmocka_unit_test(nesting_has_a_bound),
        cmocka_unit_test(what_is_copied_stays),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(what_cannot_be_packed),
        cmocka_unit_test(a_message_travels_as_a_payload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
