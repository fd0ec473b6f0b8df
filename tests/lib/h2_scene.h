/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_H2_SCENE_H
#define SHORTHAUL_TESTS_H2_SCENE_H

/* A server that is visited by clients below gRPC's rules (h2.h), and by an ordinary one. */

#include "../limits/limits.h"
#include "h2.h"
#include "transport_test.h"

#define EXCHANGE "/haul.test.TestService/Exchange"
#define WINDOW   65535u
#define STREAMS  1024 /* what the server allows a connection */

/* A server that has served, and what the process had then. */
typedef struct h2_scene {
    test_pair pair;
    size_t n_descriptors;
} h2_scene;

void h2_begin(h2_scene *s);

/* Wait until nothing is left of those who have gone, and close. */
void h2_end(h2_scene *s);

/* An ordinary client is served, on the connection that the pair has had from the beginning. */
void h2_assert_serves(test_pair *pair);

/* Calls that the server has at the moment. */
size_t h2_calls_of(test_pair *pair);

/* Wait until nothing is left of those who have gone. */
void h2_wait_until_gone(test_pair *pair, size_t n_descriptors);

/* A whole call, that sends some bytes inline and asks for an answer: the same or @size others. */
void h2_add_exchange(h2_bytes *bytes, uint32_t stream, Haul__Test__Mode mode, uint64_t size);

#endif
