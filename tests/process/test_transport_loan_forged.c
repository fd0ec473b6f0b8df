/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Loans that are none, sent by a client that is not Shorthaul's: the server believes nothing of
 * them, answers as if there were none, and loses no buffer.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "transport_raw.h"
#include "transport_test.h"

#define LEN 50000

typedef struct forged {
    haul_pool *pool;
    char accept[64];
    uint8_t lend[200];
    size_t n_lend;
} forged;

static void forge(forged *f, const haul_key *key, uint64_t room)
{
    haul_payload_out out;
    haul_payload_set_key(&out, key, room);
    f->n_lend = shorthaul__v1__payload__pack(&out.payload, f->lend);
}

/* The server answers by a buffer of its own. */
static void assert_not_used(const test_pair *pair, const forged *f)
{
    uint8_t bytes[64];
    raw_answer answer;
    Haul__Test__ExchangeRequest message = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    message.mode = HAUL__TEST__MODE__MODE_PUT;
    message.size = LEN;
    const raw_request request = {.address = pair->address,
                                 .path = RAW_EXCHANGE,
                                 .bytes = bytes,
                                 .len = haul__test__exchange_request__pack(&message, bytes),
                                 .accept = f->accept,
                                 .lend = f->lend,
                                 .n_lend = f->n_lend};
    raw_call(&request, &answer);
    assert_int_equal(answer.code, GRPC_STATUS_OK);
    Haul__Test__ExchangeResponse *response =
        haul__test__exchange_response__unpack(NULL, answer.len, answer.bytes);
    assert_non_null(response);
    haul_key key;
    haul_buf *buf;
    assert_ok(haul_payload_get_key(response->data, &key));
    assert_ok(haul_buf_claim(pair->client_pool, &key, LEN, &buf));
    haul_buf_release(buf);
    haul__test__exchange_response__free_unpacked(response, NULL);
}

static void nothing_of_a_loan_is_believed(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    uint32_t me = haul_pool_participant(pair.client_pool);
    uint32_t server = haul_pool_participant(pair.server_pool);
    forged f = {0};
    haul_key key;
    haul_buf *buf;
    (void)snprintf(f.accept, sizeof(f.accept), "%016" PRIx64 ".%" PRIu32,
                   haul_pool_id(pair.client_pool), me);

    /* Much less room than it says: claimed, found too small, and let go. */
    assert_ok(haul_buf_give(test_alloc(pair.client_pool, 1), 0, server, UINT64_MAX, &key));
    forge(&f, &key, UINT64_MAX);
    assert_not_used(&pair, &f);
    assert_status(haul_pool_revoke(pair.client_pool, &key), HAUL_STALE);
    assert_not_used(&pair, &f); /* the same again: stale by now */

    /* Somebody else's, and a payload that is not to be overwritten. */
    assert_ok(haul_buf_give(test_alloc(pair.client_pool, LEN), 0, me, UINT64_MAX, &key));
    forge(&f, &key, LEN);
    assert_not_used(&pair, &f);
    (void)!haul_pool_revoke(pair.client_pool, &key);
    assert_ok(haul_buf_give(test_alloc(pair.client_pool, LEN), 10, me, UINT64_MAX, &key));
    forge(&f, &key, LEN);
    assert_not_used(&pair, &f);
    assert_ok(haul_buf_claim(pair.client_pool, &key, 10, &buf));
    haul_buf_release(buf);

    /* No such pool or buffer, an offset; nothing at all, and garbage. */
    haul_key bad = key;
    bad.pool_id++;
    forge(&f, &bad, LEN);
    assert_not_used(&pair, &f);
    bad = key;
    bad.index = UINT32_MAX;
    forge(&f, &bad, LEN);
    assert_not_used(&pair, &f);
    bad = key;
    bad.offset = UINT64_MAX;
    forge(&f, &bad, LEN);
    assert_not_used(&pair, &f);
    for (size_t n = 0; n < sizeof(f.lend); n = 3 * n + 1) {
        memset(f.lend, 0xff, sizeof(f.lend));
        f.n_lend = n;
        assert_not_used(&pair, &f);
    }
    test_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_of_a_loan_is_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
