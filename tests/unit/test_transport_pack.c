/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Packing: what lies in a pool becomes slices that point there and keep it, everything else is
 * copied and may be changed by its author at once.
 */

#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>

#include "transport/pack.h"
#include "transport_test.h"

#define LEN 50000

typedef struct pieces {
    size_t n;
    size_t n_zero_copy; /* slices inside the bytes that were to be pinned */
    size_t bytes;
} pieces;

static pieces look(grpc_byte_buffer *buffer, const haul_view *view)
{
    pieces p = {0};
    const grpc_slice_buffer *slices = &buffer->data.raw.slice_buffer;
    p.n = slices->count;
    for (size_t i = 0; i < slices->count; i++) {
        const uint8_t *start = GRPC_SLICE_START_PTR(slices->slices[i]);
        p.bytes += GRPC_SLICE_LENGTH(slices->slices[i]);
        p.n_zero_copy += start >= view->data && start < view->data + view->len;
    }
    return p;
}

static void pool_memory_is_not_copied(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create("parts");
    grpc_init();
    haul_payload_out out;
    haul_buf *buf = test_payload(pool, LEN, 1, &out);
    haul_view view;
    assert_ok(haul_buf_view(buf, &view));
    const haul_view seen_at = view;
    haul_payload_set_inline(&out, view.data, view.len);
    haul_payload_out own;
    uint8_t bytes[20000] = {1};
    haul_payload_set_inline(&own, bytes, sizeof(bytes));
    haul_payload *row[] = {&own.payload, &out.payload};
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    request.row = row;
    request.n_row = 2;

    haul__pins pins;
    haul__views views = {0};
    assert_ok(haul__pins_init(&pins));
    assert_ok(haul__views_add(&views, &out.payload, &view));
    const haul__pack_from from = {.views = {NULL, &views}, .pins = &pins};
    grpc_byte_buffer *packed;
    assert_ok(haul__pack(&request.base, &from, &packed));
    haul__views_fini(&views);
    haul_buf_release(buf);

    pieces p = look(packed, &seen_at);
    assert_int_equal(p.n_zero_copy, 2);
    assert_int_equal(p.bytes, haul__test__exchange_request__get_packed_size(&request));
    /* The table and the owner have let go; the slices hold the buffer. */
    assert_int_equal(test_class_info(pool, 1).n_retired, 1);

    haul__plans plans;
    ProtobufCMessage *message;
    assert_ok(haul__plans_init(&plans, request.base.descriptor));
    assert_ok(haul__unpack(&plans, packed, &message));
    const Haul__Test__ExchangeRequest *received = (const Haul__Test__ExchangeRequest *)message;
    assert_true(test_sum(received->data->inline_.data, received->data->inline_.len) ==
                test_payload_sum(LEN, 1));
    assert_memory_equal(received->row[0]->inline_.data, bytes, sizeof(bytes));
    haul__unpacked_free(message);
    haul__plans_fini(&plans);

    grpc_byte_buffer_destroy(packed);
    haul__pins_fini(&pins); /* would wait for a slice that is left */
    grpc_shutdown();
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

/* What the author may change as soon as his call is over must not be referred to. */
static void other_memory_is_copied(void **state)
{
    (void)state;
    grpc_init();
    uint8_t *bytes = malloc(LEN);
    assert_non_null(bytes);
    test_fill(bytes, LEN, 5);
    haul_payload_out out;
    haul_payload_set_inline(&out, bytes, LEN);
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    haul__pins pins;
    assert_ok(haul__pins_init(&pins));
    const haul__pack_from from = {.pins = &pins};
    grpc_byte_buffer *packed;
    assert_ok(haul__pack(&request.base, &from, &packed));
    const haul_view own = {.data = bytes, .len = LEN};
    assert_int_equal(look(packed, &own).n_zero_copy, 0);
    memset(bytes, 0, LEN);
    haul__plans plans;
    ProtobufCMessage *message;
    assert_ok(haul__plans_init(&plans, request.base.descriptor));
    assert_ok(haul__unpack(&plans, packed, &message));
    const haul_payload *data = ((const Haul__Test__ExchangeRequest *)message)->data;
    assert_true(test_sum(data->inline_.data, data->inline_.len) == test_payload_sum(LEN, 5));
    haul__unpacked_free(message);
    haul__plans_fini(&plans);
    grpc_byte_buffer_destroy(packed);
    haul__pins_fini(&pins);
    grpc_shutdown();
    free(bytes);
}

static void messages_beyond_grpc(void **state)
{
    (void)state;
    haul_payload_out out;
    uint8_t byte = 0;
    haul_payload_set_inline(&out, &byte, 1);
    out.payload.inline_.len = (size_t)UINT32_MAX + 1; /* forged: nothing reads so far */
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = &out.payload;
    const haul__pack_from from = {0};
    grpc_byte_buffer *packed;
    assert_status(haul__pack(&request.base, &from, &packed), HAUL_TOO_BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_memory_is_not_copied),
        cmocka_unit_test(other_memory_is_copied),
        cmocka_unit_test(messages_beyond_grpc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
