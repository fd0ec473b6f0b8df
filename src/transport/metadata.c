/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Values of metadata, which may come from anybody. What is not exactly as docs/wire.md says counts as
 * not sent, so that no two implementations make different things of it. Stateless; any thread.
 */

#include "transport/metadata.h"

#include <stddef.h>

/* Exactly @n lower-case hexadecimal digits, at most 16. */
static bool parse_hex(const uint8_t *text, size_t n, uint64_t *out_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < n; i++) {
        bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (!is_digit && (text[i] < 'a' || text[i] > 'f')) {
            return false;
        }
        number = number << 4 | (uint64_t)(is_digit ? text[i] - '0' : text[i] - 'a' + 10);
    }
    *out_number = number;
    return true;
}

/* Exactly @n decimal digits, at most 10. */
static bool parse_decimal(const uint8_t *text, size_t n, uint64_t *out_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        number = 10 * number + (uint64_t)(text[i] - '0');
    }
    *out_number = number;
    return true;
}

bool haul__accept_parse(grpc_slice value, uint64_t *out_pool_id, uint32_t *out_slot)
{
    const uint8_t *text = GRPC_SLICE_START_PTR(value);
    size_t n = GRPC_SLICE_LENGTH(value);
    uint64_t pool_id;
    uint64_t slot;
    if (n < 18 || n > 27 || text[16] != '.' || !parse_hex(text, 16, &pool_id) ||
        !parse_decimal(text + 17, n - 17, &slot) || slot == 0 || slot > UINT32_MAX) {
        return false;
    }
    *out_pool_id = pool_id;
    *out_slot = (uint32_t)slot;
    return true;
}

bool haul__lane_parse(grpc_slice value, uint64_t *out_lane_id)
{
    return GRPC_SLICE_LENGTH(value) == 16 &&
           parse_hex(GRPC_SLICE_START_PTR(value), 16, out_lane_id);
}

bool haul__stream_parse(grpc_slice value, uint64_t *out_group)
{
    uint64_t group;
    if (!haul__lane_parse(value, &group) || group == 0) {
        return false;
    }
    *out_group = group;
    return true;
}
