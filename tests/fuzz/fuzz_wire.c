/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Pools and messages for the targets of the transport. A pool is made once, because making it costs
 * more than all the rest of a run. One thread.
 */

#include "fuzz_wire.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)1 << 20)

static wire_pools pools;

static void remove_pools(void)
{
    haul_pool_close(pools.client);
    haul_pool_close(pools.server);
    (void)!haul_pool_remove(fuzz_pool_name(), false, NULL);
}

const wire_pools *wire_pools_get(void)
{
    static const haul_class_config classes[] = {
        {.size_bytes = 8192, .n_initial = 4, .n_max = 8},
        {.size_bytes = 256 << 10, .n_initial = 2, .n_max = 3}};
    static const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = classes, .n_classes = 2, .n_participants = 4};
    if (!pools.server) {
        FUZZ_REQUIRE(haul_pool_create(fuzz_pool_name(), &config, NULL, &pools.server, NULL) ==
                     HAUL_OK);
        FUZZ_REQUIRE(haul_pool_open(fuzz_pool_name(), NULL, &pools.client, NULL) == HAUL_OK);
        FUZZ_REQUIRE(atexit(remove_pools) == 0);
    }
    return &pools;
}

void wire_pools_require_quiet(void)
{
    haul_pool_info *info = NULL;
    size_t n_findings = 0;
    FUZZ_REQUIRE(haul_pool_get_info(pools.server, &info, NULL) == HAUL_OK);
    for (uint32_t c = 0; c < info->n_classes; c++) {
        const haul_class_info *cls = &info->classes[c];
        FUZZ_REQUIRE(cls->n_free + cls->n_absent == cls->n_max);
    }
    haul_pool_info_free(info);
    FUZZ_REQUIRE(haul_pool_audit(pools.server, NULL, NULL, &n_findings, NULL) == HAUL_OK);
    FUZZ_REQUIRE(n_findings == 0);
}

static void add(wire_text *text, const void *bytes, size_t n)
{
    if (n <= TEXT_MAX - text->len) {
        memcpy(text->data + text->len, bytes, n);
        text->len += n;
    }
}

static void add_varint(wire_text *text, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    add(text, bytes, n);
}

static void add_fill(wire_text *text, size_t n)
{
    if (n <= TEXT_MAX - text->len) {
        memset(text->data + text->len, 0x5a, n);
        text->len += n;
    }
}

/* One escape; how many bytes of the input it took behind its letter. */
static size_t add_escape(wire_text *text, uint8_t letter, const uint8_t *at, size_t left,
                         const haul_key *key)
{
    bool has_number = left >= 3;
    uint32_t number = has_number ? at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 : 0;
    switch (letter) {
    case 'P':
        add(text, &key->pool_id, sizeof(key->pool_id));
        return 0;
    case 'T':
        add(text, &key->ticket, sizeof(key->ticket));
        return 0;
    case 'G':
        add(text, &key->generation, sizeof(key->generation));
        return 0;
    case 'I':
        add_varint(text, key->index);
        return 0;
    case 'N':
        add_varint(text, WIRE_BYTES);
        return 0;
    case 'L':
        add_varint(text, number);
        return has_number ? 3 : 0;
    case 'F':
        add_fill(text, number);
        return has_number ? 3 : 0;
    default:
        add(text, &letter, 1);
        return 0;
    }
}

wire_text wire_spell(const uint8_t *bytes, size_t n, const haul_key *key)
{
    static uint8_t room[TEXT_MAX]; /* gRPC's slices, copies of it, are what is watched */
    wire_text text = {.data = room};
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == 0xf5 && i + 1 < n) {
            i++;
            i += add_escape(&text, bytes[i], bytes + i + 1, n - i - 1, key);
        } else {
            add(&text, &bytes[i], 1);
        }
    }
    return text;
}

grpc_byte_buffer *wire_buffer(const wire_text *text, size_t piece)
{
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(NULL, 0);
    grpc_slice_buffer *slices = &buffer->data.raw.slice_buffer;
    piece = piece == 0 ? TEXT_MAX : piece;
    for (size_t at = 0; at < text->len; at += piece) {
        size_t n = text->len - at < piece ? text->len - at : piece;
        (void)grpc_slice_buffer_add_indexed(
            slices, grpc_slice_from_copied_buffer((const char *)text->data + at, n));
    }
    return buffer;
}

grpc_slice wire_slice(const void *bytes, size_t len, size_t at, uint8_t flip)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(bytes, len);
    if (at < len) {
        GRPC_SLICE_START_PTR(slice)[at] ^= flip;
    }
    return slice;
}

uint64_t wire_sum(const haul_view *view)
{
    uint64_t sum = view->len;
    for (uint64_t i = 0; i < view->len; i++) {
        sum = 31 * sum + view->data[i];
    }
    return sum;
}
