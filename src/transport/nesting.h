/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_NESTING_H
#define SHORTHAUL_TRANSPORT_NESTING_H

/* How deep a message on the wire is nested. */

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "transport/wire.h"

/*
 * Whether the bytes of a message of @type nest no deeper than HAUL__NESTING_MAX. False as well for
 * bytes that cannot be taken apart into fields.
 */
bool haul__nesting_ok(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len);

#endif
