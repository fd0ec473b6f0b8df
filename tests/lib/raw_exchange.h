/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_RAW_EXCHANGE_H
#define SHORTHAUL_TESTS_RAW_EXCHANGE_H

/* Exchange of the test service, called with bytes that the test has made itself. */

#include "transport_raw.h"
#include "transport_test.h"

/* Pack @request into the @size bytes at @out, which must do; how many it took. */
size_t raw_pack(const Haul__Test__ExchangeRequest *request, uint8_t *out, size_t size);

/* Call the server of @pair with these bytes; NULL: no message at all. */
void raw_exchange(const test_pair *pair, const void *bytes, size_t len, raw_answer *answer);

/* The server still serves, and no more than so many handlers had run before this. */
void raw_assert_serves(test_pair *pair, unsigned n_entered_before);

#endif
