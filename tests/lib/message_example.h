/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_MESSAGE_EXAMPLE_H
#define SHORTHAUL_TESTS_MESSAGE_EXAMPLE_H

/* A message with something of everything (shapes.proto), for tests of whole messages in buffers. */

#include <shapes.pb-c.h>

#include "transport_test.h"

#define LARGE_LEN 50000u
#define N_DOUBLES 1000u

typedef struct example {
    Haul__Test__Shapes shapes;
    Haul__Test__Shapes inner;
    Haul__Test__Leaf leaf;
    Haul__Test__Leaf small_leaf;
    Haul__Test__Leaf *leaves[2];
    ProtobufCBinaryData row[3];
    char *texts[3];
    char words[3][16];
    double doubles[N_DOUBLES];
    int32_t numbers[3];
    uint8_t large[LARGE_LEN];
} example;

/* The caller's, until free(). */
example *example_create(void);

/* What protobuf-c packs it into, as it is now. The bytes are the caller's, until free(). */
uint8_t *example_pack(const example *e, haul_view *out_view);

/* The same type and values: they are packed into the same bytes. */
void assert_same_message(const ProtobufCMessage *a, const ProtobufCMessage *b);

#endif
