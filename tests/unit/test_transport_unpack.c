/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Unpacking: whatever way a message is cut and wherever its payloads come to lie, it says what
 * protobuf-c says it does, and what protobuf-c refuses is refused.
 */

#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>

#include "fuzz/dice.h"
#include "transport/arena.h"
#include "transport/pack.h"
#include "transport_test.h"

#define POOL_LEN  65536
#define MUTATIONS 20000

/* ---- A message with payloads everywhere ---- */

typedef struct everywhere {
    Haul__Test__ExchangeRequest request;
    haul_payload_out data, chosen, leaf, twig, row[3], blob;
    Haul__Test__Blob blobs[2];
    Haul__Test__Tree tree, branch;
    haul_payload *row_items[3];
    Haul__Test__Blob *blob_items[2];
    Haul__Test__Tree *branches[1];
} everywhere;

static uint8_t source[2 * POOL_LEN];

/* @large: bytes of the payload in the field `data`. */
static void fill_everywhere(everywhere *e, size_t large)
{
    test_fill(source, sizeof(source), 3);
    *e = (everywhere){.request = HAUL__TEST__EXCHANGE_REQUEST__INIT};
    haul_payload_set_inline(&e->data, source, large);
    haul_payload_set_inline(&e->chosen, source + 1, 100);
    haul_payload_set_inline(&e->leaf, source + 2, 8); /* as long as a token */
    haul_payload_set_inline(&e->twig, source + 3, 5000);
    haul_payload_set_inline(&e->row[0], source, 0);
    haul_payload_set_inline(&e->row[1], source + 4, 1);
    const haul_key key = {.pool_id = 7, .ticket = 8, .index = 9, .generation = 10};
    haul_payload_set_key(&e->row[2], &key, 11);
    shorthaul__v1__payload__init(&e->blob.payload);
    haul__test__tree__init(&e->tree);
    haul__test__tree__init(&e->branch);
    for (size_t i = 0; i < 2; i++) {
        haul__test__blob__init(&e->blobs[i]);
        e->blobs[i].name = (char *)"a name";
        e->blob_items[i] = &e->blobs[i];
    }
    for (size_t i = 0; i < 3; i++) {
        e->row_items[i] = &e->row[i].payload;
    }
    e->blobs[1].data = &e->blob.payload;
    e->branch.leaf = &e->twig.payload;
    e->branches[0] = &e->branch;
    e->tree.leaf = &e->leaf.payload;
    e->tree.branches = e->branches;
    e->tree.n_branches = 1;
    e->request.size = 12345;
    e->request.data = &e->data.payload;
    e->request.choice_case = HAUL__TEST__EXCHANGE_REQUEST__CHOICE_CHOSEN;
    e->request.chosen = &e->chosen.payload;
    e->request.tree = &e->tree;
    e->request.blobs = e->blob_items;
    e->request.n_blobs = 2;
    e->request.row = e->row_items;
    e->request.n_row = 3;
}

/* ---- Bytes as gRPC brings them ---- */

typedef struct wire {
    uint8_t *bytes;
    size_t len;
} wire;

static wire wire_of(const ProtobufCMessage *message)
{
    wire w = {.len = protobuf_c_message_get_packed_size(message)};
    w.bytes = malloc(w.len + 1);
    assert_non_null(w.bytes);
    assert_int_equal(protobuf_c_message_pack(message, w.bytes), w.len);
    return w;
}

/* In slices of @step bytes. */
static grpc_byte_buffer *in_slices(const wire *w, size_t step)
{
    size_t n = (w->len + step - 1) / step;
    grpc_slice *slices = calloc(n + 1, sizeof(*slices));
    assert_non_null(slices);
    for (size_t i = 0; i < n; i++) {
        size_t len = w->len - i * step < step ? w->len - i * step : step;
        slices[i] = grpc_slice_from_copied_buffer((const char *)w->bytes + i * step, len);
    }
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(slices, n);
    for (size_t i = 0; i < n; i++) {
        grpc_slice_unref(slices[i]);
    }
    free(slices);
    return buffer;
}

static void assert_says(const ProtobufCMessage *message, const wire *expected)
{
    wire again = wire_of(message);
    assert_int_equal(again.len, expected->len);
    assert_memory_equal(again.bytes, expected->bytes, expected->len);
    free(again.bytes);
}

static haul__plans plans;

static int set_up(void **state)
{
    (void)state;
    grpc_init();
    return haul__plans_init(&plans, &haul__test__exchange_request__descriptor) == HAUL_OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    haul__plans_fini(&plans);
    grpc_shutdown();
    return 0;
}

static const Haul__Test__ExchangeRequest *unpack(const wire *w, size_t step, haul__place *place,
                                                 ProtobufCMessage **out_message)
{
    grpc_byte_buffer *buffer = in_slices(w, step);
    assert_ok(haul__unpack_into(&plans, buffer, place, out_message));
    grpc_byte_buffer_destroy(buffer);
    return (const Haul__Test__ExchangeRequest *)*out_message;
}

/* ---- What it says ---- */

static void any_slicing_says_the_same(void **state)
{
    (void)state;
    static const size_t larges[] = {0, 1, 200, POOL_LEN - 1, POOL_LEN, 2 * POOL_LEN};
    static const size_t steps[] = {1, 2, 3, 7, 4096, 1000000};
    haul__place *place = haul__place_create(NULL);
    assert_non_null(place);
    for (size_t i = 0; i < sizeof(larges) / sizeof(larges[0]); i++) {
        everywhere e;
        fill_everywhere(&e, larges[i]);
        wire w = wire_of(&e.request.base);
        for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
            ProtobufCMessage *message;
            (void)unpack(&w, steps[s], s % 2 ? place : NULL, &message);
            assert_says(message, &w);
            haul__unpacked_free(message);
        }
        free(w.bytes);
    }
    haul__place_unref(place);
}

static void assert_aligned(const haul_payload *payload)
{
    assert_int_equal((uintptr_t)payload->inline_.data % HAUL__ALIGNMENT, 0);
}

static void payloads_are_aligned(void **state)
{
    (void)state;
    static const size_t larges[] = {1, 300, 20000, 2 * POOL_LEN};
    haul__place *place = haul__place_create(NULL);
    for (size_t i = 0; i < sizeof(larges) / sizeof(larges[0]); i++) {
        everywhere e;
        fill_everywhere(&e, larges[i]);
        e.branch.leaf = NULL; /* short enough not to be cut, where the rest is */
        wire w = wire_of(&e.request.base);
        ProtobufCMessage *message;
        const Haul__Test__ExchangeRequest *got = unpack(&w, 1000, place, &message);
        assert_aligned(got->data);
        assert_aligned(got->chosen);
        assert_aligned(got->tree->leaf);
        assert_aligned(got->row[1]);
        haul__unpacked_free(message);
        free(w.bytes);
    }
    haul__place_unref(place);
}

/* Change, cut or lengthen a message somewhere; it means to us what it means to protobuf-c. */
static void mutations_are_judged_alike(void **state)
{
    (void)state;
    everywhere e;
    fill_everywhere(&e, 9000);
    wire sound = wire_of(&e.request.base);
    wire w = {.bytes = malloc(2 * sound.len), .len = sound.len};
    assert_non_null(w.bytes);
    dice d = {.seed = 4};
    unsigned n_good = 0;
    for (unsigned i = 0; i < MUTATIONS; i++) {
        memcpy(w.bytes, sound.bytes, sound.len);
        w.len = sound.len;
        /* Most of the message is payload, the framing is around its ends. */
        for (uint64_t n = dice_roll(&d, 3) + 1; n > 0; n--) {
            size_t at = dice_roll(&d, 2) ? dice_roll(&d, 16) : sound.len - 1 - dice_roll(&d, 5400);
            w.bytes[at] = (uint8_t)dice_roll(&d, 256);
        }
        if (dice_roll(&d, 8) == 0) {
            w.len -= dice_roll(&d, 200);
        }
        ProtobufCMessage *expected = protobuf_c_message_unpack(plans.type, NULL, w.len, w.bytes);
        grpc_byte_buffer *buffer = in_slices(&w, 1 + dice_roll(&d, 5000));
        ProtobufCMessage *message;
        haul_status status = haul__unpack(&plans, buffer, &message);
        grpc_byte_buffer_destroy(buffer);
        assert_status(status, expected ? HAUL_OK : HAUL_PROTOCOL);
        if (expected) {
            wire meaning = wire_of(expected);
            assert_says(message, &meaning);
            haul__unpacked_free(message);
            protobuf_c_message_free_unpacked(expected, NULL);
            free(meaning.bytes);
            n_good++;
        }
    }
    assert_true(n_good > MUTATIONS / 20 && n_good < MUTATIONS);
    free(w.bytes);
    free(sound.bytes);
}

/* A field that comes twice is merged, and the payload that comes last wins. */
static void the_last_payload_wins(void **state)
{
    (void)state;
    everywhere first;
    everywhere last;
    fill_everywhere(&first, 10000);
    fill_everywhere(&last, 11000);
    wire a = wire_of(&first.request.base);
    wire b = wire_of(&last.request.base);
    wire both = {.bytes = malloc(a.len + b.len), .len = a.len + b.len};
    assert_non_null(both.bytes);
    memcpy(both.bytes, a.bytes, a.len);
    memcpy(both.bytes + a.len, b.bytes, b.len);
    ProtobufCMessage *expected = protobuf_c_message_unpack(plans.type, NULL, both.len, both.bytes);
    assert_non_null(expected);
    wire meaning = wire_of(expected);
    ProtobufCMessage *message;
    const Haul__Test__ExchangeRequest *got = unpack(&both, 777, NULL, &message);
    assert_int_equal(got->data->inline_.len, 11000);
    assert_says(message, &meaning);
    haul__unpacked_free(message);
    protobuf_c_message_free_unpacked(expected, NULL);
    free(meaning.bytes);
    free(both.bytes);
    free(a.bytes);
    free(b.bytes);
}

/* ---- Where it lies ---- */

static void large_payloads_lie_in_the_pool(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create("unpack");
    haul__place *place = haul__place_create(pool);
    everywhere e;
    fill_everywhere(&e, POOL_LEN);
    wire w = wire_of(&e.request.base);
    ProtobufCMessage *message;
    const Haul__Test__ExchangeRequest *got = unpack(&w, 5000, place, &message);
    assert_int_equal(test_class_info(pool, 1).n_free, 1);
    assert_says(message, &w);
    haul_view view;
    haul__unpacked_view(message, got->data, &view);
    assert_ptr_equal(view.pool, pool);
    assert_int_equal(view.len, POOL_LEN);
    haul__unpacked_free(message);
    assert_memory_equal(view.data, source, POOL_LEN); /* the view was taken, and keeps it */
    haul_detach(&view);
    assert_all_free(pool);

    (void)unpack(&w, 5000, place, &message);
    haul__unpacked_free(message); /* the view was not */
    assert_all_free(pool);
    assert_audit_clean(pool);
    free(w.bytes);
    haul__place_unref(place);
    test_pool_destroy(pool);
}

static void without_a_buffer_they_lie_in_memory(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create_one("unpack-one", POOL_LEN, 1);
    haul__place *place = haul__place_create(pool);
    haul_buf *only = test_alloc(pool, POOL_LEN);
    everywhere e;
    fill_everywhere(&e, POOL_LEN);
    wire w = wire_of(&e.request.base);
    ProtobufCMessage *message;
    const Haul__Test__ExchangeRequest *got = unpack(&w, 5000, place, &message);
    haul_view view;
    haul__unpacked_view(message, got->data, &view);
    assert_null(view.pool);
    assert_aligned(got->data);
    assert_says(message, &w);
    haul__unpacked_free(message);
    haul_buf_release(only);
    free(w.bytes);
    haul__place_unref(place);
    test_pool_destroy(pool);
}

/* A buffer many times the payload's size is left to others. */
static void buffers_are_not_wasted(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create_one("unpack-waste", 8 * POOL_LEN, 1);
    haul__place *place = haul__place_create(pool);
    everywhere e;
    fill_everywhere(&e, POOL_LEN);
    wire w = wire_of(&e.request.base);
    ProtobufCMessage *message;
    (void)unpack(&w, 5000, place, &message);
    assert_int_equal(test_free_count(pool, 0), 1);
    haul__unpacked_free(message);
    free(w.bytes);
    haul__place_unref(place);
    test_pool_destroy(pool);
}

static void memory_is_kept_for_the_next(void **state)
{
    (void)state;
    const size_t len = (size_t)4 << 20;
    haul__place *place = haul__place_create(NULL);
    haul__room first;
    haul__room second;
    assert_ok(haul__room_take(place, len, true, &first));
    assert_ok(haul__room_take(place, 2 * len, true, &second));
    memset(first.data, 1, len);
    memset(second.data, 2, 2 * len);
    uint8_t *at = first.data;
    haul__room_give_back(place, &first);
    haul__room_give_back(place, &second);
    assert_ok(haul__room_take(place, len, true, &first));
    assert_ptr_equal(first.data, at); /* the one that fits better */
    haul__room_give_back(place, &first);
    haul__place_unref(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_slicing_says_the_same),
        cmocka_unit_test(payloads_are_aligned),
        cmocka_unit_test(mutations_are_judged_alike),
        cmocka_unit_test(the_last_payload_wins),
        cmocka_unit_test(large_payloads_lie_in_the_pool),
        cmocka_unit_test(without_a_buffer_they_lie_in_memory),
        cmocka_unit_test(buffers_are_not_wasted),
        cmocka_unit_test(memory_is_kept_for_the_next),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
