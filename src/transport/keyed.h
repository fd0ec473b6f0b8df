/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_KEYED_H
#define SHORTHAUL_TRANSPORT_KEYED_H

/* Short messages with payloads by key, coded by hand as far as the payloads go. */

#include "transport/arena.h"
#include "transport/plan.h"

/* Longer messages are left to protobuf-c. */
#define HAUL__KEYED_MAX 512

/* Serialise @message to @to; how many bytes it took. 0: it is not such a message. @plan: may be NULL. */
size_t haul__keyed_pack(const haul__plan *plan, const ProtobufCMessage *message,
                        uint8_t to[HAUL__KEYED_MAX]);

/* Parse one into @arena. NULL: it is not such a message, or not right, or there is no memory: have protobuf-c
 * parse it. */
ProtobufCMessage *haul__keyed_unpack(const haul__plans *plans, haul__arena *arena,
                                     const uint8_t *data, size_t len);

#endif
