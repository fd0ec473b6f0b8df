/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_LETTER_FIELDS_H
#define SHORTHAUL_TRANSPORT_LETTER_FIELDS_H

/* The numbers of trunk.proto's fields, and protobuf's wire types. */

enum {
    HAUL__IN_LETTERS = 1, /* of CarryRequest and CarryResponse */
    HAUL__IN_MAX_CALLS = 2,

    HAUL__IN_KEY = 1, /* of Metadata */
    HAUL__IN_VALUE = 2,

    HAUL__IN_ID = 1, /* of Call and Answer */
    HAUL__IN_METHOD = 2,
    HAUL__IN_TIMEOUT = 3,
    HAUL__IN_METADATA = 4,
    HAUL__IN_TRAILING = 5,
    HAUL__IN_STATUS = 6,
    HAUL__IN_TEXT = 7,
    HAUL__IN_MORE = 8,
    HAUL__IN_MESSAGE = 9,
    HAUL__IN_CANCELLED = 10,
    HAUL__IN_UNBEGUN = 11,
};

enum {
    HAUL__WIRE_VARINT = 0,
    HAUL__WIRE_FIXED64 = 1,
    HAUL__WIRE_BYTES = 2,
    HAUL__WIRE_FIXED32 = 5
};

#endif
