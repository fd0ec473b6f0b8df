/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_PAYLOAD_H
#define SHORTHAUL_TRANSPORT_PAYLOAD_H

/* What one Payload message says. */

#include <shorthaul/transport.h>

typedef enum haul__payload_kind {
    HAUL__PAYLOAD_EMPTY,
    HAUL__PAYLOAD_INLINE,
    HAUL__PAYLOAD_KEY,
} haul__payload_kind;

/*
 * Look at a payload that may come from anybody.
 * Failures: HAUL_PROTOCOL  its length and its source disagree
 */
HAUL_MUST_CHECK haul_status haul__payload_inspect(const haul_payload *payload,
                                                  haul__payload_kind *out_kind);

/* The numbers of a key message, whatever they are. */
haul_key haul__key_of(const Shorthaul__V1__Key *key);

/* Make @payload inline in place: no other field of it is touched but length and source. */
void haul__payload_become_inline(haul_payload *payload, const uint8_t *data, size_t len);

#endif
