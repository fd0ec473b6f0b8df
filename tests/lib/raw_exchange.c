/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Exchange with bytes of the test's making. One thread; each call has a connection of its own. */

#include "raw_exchange.h"

size_t raw_pack(const Haul__Test__ExchangeRequest *request, uint8_t *out, size_t size)
{
    assert_in_range(haul__test__exchange_request__get_packed_size(request), 0, size);
    return haul__test__exchange_request__pack(request, out);
}

void raw_exchange(const test_pair *pair, const void *bytes, size_t len, raw_answer *answer)
{
    const raw_request request = {
        .address = pair->address, .path = RAW_EXCHANGE, .bytes = bytes, .len = len};
    raw_call(&request, answer);
}

void raw_assert_serves(test_pair *pair, unsigned n_entered_before)
{
    assert_int_equal(test_service_entered(&pair->service), n_entered_before);
    raw_answer answer;
    raw_exchange(pair, "", 0, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_OK);
    assert_int_equal(test_service_entered(&pair->service), n_entered_before + 1);
}
