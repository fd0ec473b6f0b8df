/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Buffers lent empty: given with length 0, claimed for writing, given back filled. Who may open
 * what, whose quota counts, and what is left where either side dies, by real processes and SIGKILL.
 * Every test ends with a reap, a free pool and a clean audit.
 */

#include "peer.h"
#include "pool_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/impl.h"
#include "pool/wait.h"

#define FOREVER "9000000000000000000"

static peer join(haul_pool *pool)
{
    peer p = peer_start(POOL_PEER);
    assert_ok(peer_call(&p, "open %s", haul_pool_name(pool)));
    return p;
}

static uint32_t slot_of(peer *p)
{
    assert_ok(peer_call(p, "slot"));
    return (uint32_t)strtoul(p->answer, NULL, 10);
}

/* Lend a buffer of @len bytes to @to, as a key in words. */
static haul_key lend(haul_pool *pool, uint64_t len, uint32_t to, uint64_t deadline_ns,
                     char text[HAUL_KEY_TEXT_BYTES])
{
    haul_key key;
    assert_ok(haul_buf_give(test_alloc(pool, len), 0, to, deadline_ns, &key));
    haul_key_format(&key, 0, text);
    return key;
}

static void room_comes_back_filled(void **state)
{
    haul_pool *pool = *state;
    char text[HAUL_KEY_TEXT_BYTES];
    peer p = join(pool);
    haul_key lent = lend(pool, 60000, slot_of(&p), UINT64_MAX, text);
    assert_ok(peer_call(&p, "claim-empty 0 %s", text));
    assert_ok(peer_call(&p, "fill 0 5"));
    assert_ok(peer_call(&p, "give 0 60000 %u " FOREVER, haul_pool_participant(pool)));
    haul_key key;
    uint64_t len;
    haul_buf *buf;
    haul_view view;
    assert_ok(haul_key_parse(p.answer, &key, &len));
    assert_int_equal(key.index, lent.index); /* the lender's own buffer, and no other */
    assert_int_equal(test_class_info(pool, 1).n_given, 1);
    assert_ok(haul_buf_claim(pool, &key, len, &buf));
    assert_ok(haul_buf_view(buf, &view));
    for (uint64_t i = 0; i < len; i++) {
        assert_int_equal(view.data[i], 5);
    }
    haul_detach(&view);
    haul_buf_release(buf);
    peer_stop(&p);
}

/* From the claim on it is the recipient's: the lender's key opens nothing any more, neither what is
 * being written nor what becomes of it. */
static void the_key_of_a_loan_ends_with_its_claim(void **state)
{
    haul_pool *pool = *state;
    uint32_t me = haul_pool_participant(pool);
    char text[HAUL_KEY_TEXT_BYTES];
    haul_key lent = lend(pool, 100, me, UINT64_MAX, text);
    haul_key back;
    haul_view view;
    haul_buf *buf;
    haul_buf *claimed;
    assert_status(haul_attach(pool, &lent, 0, &view), HAUL_STALE); /* nothing to read */
    assert_ok(haul_buf_claim_empty(pool, &lent, &buf));
    assert_status(haul_buf_claim_empty(pool, &lent, &claimed), HAUL_STALE);
    assert_status(haul_pool_revoke(pool, &lent), HAUL_STALE);
    memset(haul_buf_data(buf), 3, haul_buf_capacity(buf));
    assert_ok(haul_buf_give(buf, 100, me, UINT64_MAX, &back));
    assert_status(haul_buf_claim(pool, &lent, 0, &claimed), HAUL_STALE);
    assert_status(haul_buf_claim_empty(pool, &lent, &claimed), HAUL_STALE);
    assert_status(haul_pool_revoke(pool, &lent), HAUL_STALE);
    assert_ok(haul_buf_claim(pool, &back, 100, &claimed));
    assert_status(haul_attach(pool, &lent, 0, &view), HAUL_STALE);
    haul_buf_release(claimed);
    /* And lent once more by the same participant, it has another key. */
    haul_key again = lend(pool, 100, me, UINT64_MAX, text);
    assert_ok(haul_buf_claim_empty(pool, &again, &buf));
    assert_ok(haul_buf_give(buf, 0, me, UINT64_MAX, &back));
    assert_true(back.ticket != again.ticket && back.generation != again.generation);
    assert_status(haul_buf_claim_empty(pool, &again, &claimed), HAUL_STALE);
    assert_ok(haul_pool_revoke(pool, &back));
}

/* Bytes that somebody gives to be read are not to be written by who receives them. */
static void a_payload_is_no_loan(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_buf *claimed;
    haul_buf *buf = test_alloc(pool, 100);
    assert_ok(haul_buf_give(buf, 100, haul_pool_participant(pool), UINT64_MAX, &key));
    assert_status(haul_buf_claim_empty(pool, &key, &claimed), HAUL_INVALID);
    haul_key beyond = key;
    beyond.index = UINT32_MAX;
    assert_status(haul_buf_claim_empty(pool, &beyond, &claimed), HAUL_INVALID);
    beyond = key;
    beyond.pool_id++;
    assert_status(haul_buf_claim_empty(pool, &beyond, &claimed), HAUL_INVALID);
    beyond = key;
    beyond.ticket++;
    assert_status(haul_buf_claim_empty(pool, &beyond, &claimed), HAUL_STALE);
    assert_ok(haul_buf_claim(pool, &key, 100, &claimed));
    haul_buf_release(claimed);
}

/* Claimed to be written, a payload is its recipient's as if it had filled the buffer itself. */
static void a_payload_whose_buffer_is_used_again(void **state)
{
    haul_pool *pool = *state;
    uint32_t me = haul_pool_participant(pool);
    haul_key key;
    haul_key again;
    haul_view view;
    haul_buf *buf = test_alloc(pool, 5000);
    haul_buf *claimed;
    memset(haul_buf_data(buf), 9, 5000);
    assert_ok(haul_buf_give(buf, 5000, me, UINT64_MAX, &key));
    assert_status(haul_buf_claim_writable(pool, &key, 5001, &claimed), HAUL_INVALID);
    haul_key beyond = key;
    beyond.offset = UINT64_MAX;
    assert_status(haul_buf_claim_writable(pool, &beyond, 5000, &claimed), HAUL_INVALID);
    beyond = key;
    beyond.ticket++;
    assert_status(haul_buf_claim_writable(pool, &beyond, 5000, &claimed), HAUL_STALE);
    assert_ok(haul_buf_claim_writable(pool, &key, 5000, &claimed));
    const uint8_t *bytes = haul_buf_data(claimed);
    assert_int_equal(bytes[0], 9);
    assert_int_equal(bytes[4999], 9);
    assert_status(haul_attach(pool, &key, 5000, &view), HAUL_STALE);
    assert_status(haul_buf_claim_writable(pool, &key, 5000, &buf), HAUL_STALE);
    memset(haul_buf_data(claimed), 8, 5000);
    assert_ok(haul_buf_give(claimed, 5000, me, UINT64_MAX, &again));
    assert_true(again.index == key.index && again.ticket != key.ticket);
    assert_ok(haul_buf_claim(pool, &again, 5000, &claimed));
    haul_buf_release(claimed);
}

/* The length in shared memory is a neighbour's word for it. */
static void a_payload_that_is_longer_than_its_buffer(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_buf *claimed;
    haul_buf *buf = test_alloc(pool, 100);
    uint64_t capacity = haul_buf_capacity(buf);
    assert_ok(haul_buf_give(buf, 100, haul_pool_participant(pool), UINT64_MAX, &key));
    haul__store64_relaxed(&haul__record_of(pool, key.index)->length, UINT64_MAX);
    assert_status(haul_buf_claim_writable(pool, &key, capacity + 1, &claimed), HAUL_CORRUPT);
}

static void what_is_taken_back_is_owned_again(void **state)
{
    haul_pool *pool = *state;
    char text[HAUL_KEY_TEXT_BYTES];
    peer p = join(pool);
    haul_buf *buf = test_alloc(pool, 100);
    haul_buf *back;
    haul_key key;
    haul_key again;
    assert_ok(haul_buf_give(buf, 0, slot_of(&p), UINT64_MAX, &key));
    haul_key_format(&key, 0, text);
    assert_ok(haul_buf_take_back(pool, &key, &back));
    assert_ptr_equal(back, buf);
    assert_non_null(haul_buf_data(back));
    assert_int_equal(test_class_info(pool, 0).n_owned, 1);
    assert_status(haul_buf_take_back(pool, &key, &buf), HAUL_STALE);
    assert_status(peer_call(&p, "claim-empty 0 %s", text), HAUL_STALE);
    assert_ok(haul_buf_give(back, 0, slot_of(&p), UINT64_MAX, &again));
    assert_status(haul_buf_take_back(pool, &key, &buf), HAUL_STALE); /* the first gift is over */
    haul_key_format(&again, 0, text);
    assert_ok(peer_call(&p, "claim-empty 0 %s", text));
    assert_status(haul_buf_take_back(pool, &again, &buf), HAUL_STALE);
    assert_ok(peer_call(&p, "release 0"));
    peer_stop(&p);
}

static void a_loan_is_for_one_recipient(void **state)
{
    haul_pool *pool = *state;
    char text[HAUL_KEY_TEXT_BYTES];
    peer p = join(pool);
    peer other = join(pool);
    haul_buf *claimed;
    haul_key key = lend(pool, 100, slot_of(&p), UINT64_MAX, text);
    assert_status(haul_buf_claim_empty(pool, &key, &claimed), HAUL_STALE);
    assert_status(peer_call(&other, "claim-empty 0 %s", text), HAUL_STALE);
    assert_ok(peer_call(&p, "claim-empty 0 %s", text));
    peer_stop(&p);
    peer_stop(&other);
}

/* Called off or run out, it is free; and the recipient comes too late. */
static void a_loan_is_taken_back(void **state)
{
    haul_pool *pool = *state;
    char text[HAUL_KEY_TEXT_BYTES];
    size_t n;
    peer p = join(pool);
    uint32_t slot = slot_of(&p);
    haul_key key = lend(pool, 100, slot, UINT64_MAX, text);
    assert_ok(haul_pool_revoke(pool, &key));
    assert_status(peer_call(&p, "claim-empty 0 %s", text), HAUL_STALE);
    (void)lend(pool, 100, slot, haul__now_ns() - 1, text);
    assert_ok(haul_pool_reap(pool, &n, NULL));
    assert_int_equal(n, 1);
    assert_status(peer_call(&p, "claim-empty 0 %s", text), HAUL_STALE);
    peer_stop(&p);
}

static void a_deadline_does_not_touch_what_is_claimed(void **state)
{
    haul_pool *pool = *state;
    char text[HAUL_KEY_TEXT_BYTES];
    size_t n;
    peer p = join(pool);
    (void)lend(pool, 100, slot_of(&p), haul__now_ns() - 1, text);
    assert_ok(peer_call(&p, "claim-empty 0 %s", text)); /* nobody has taken it back yet */
    assert_ok(haul_pool_reap(pool, &n, NULL));
    assert_int_equal(n, 0);
    assert_ok(peer_call(&p, "fill 0 1"));
    assert_ok(peer_call(&p, "release 0"));
    peer_stop(&p);
}

/* ---- Death --------------------------------------------------------------------------------- */

typedef struct lender {
    peer peer;
    uint32_t slot;
    char key[HAUL_KEY_TEXT_BYTES];
} lender;

/* Another process lends a buffer to @to. */
static void lend_by_peer(lender *l, haul_pool *pool, uint32_t to)
{
    l->peer = join(pool);
    l->slot = slot_of(&l->peer);
    assert_ok(peer_call(&l->peer, "alloc 0 100"));
    assert_ok(peer_call(&l->peer, "give 0 0 %u " FOREVER, to));
    (void)snprintf(l->key, sizeof(l->key), "%.127s", l->peer.answer);
}

static void the_lender_dies_after_lending(void **state)
{
    haul_pool *pool = *state;
    peer p = join(pool);
    lender l;
    lend_by_peer(&l, pool, slot_of(&p));
    (void)peer_kill(&l.peer);
    assert_ok(haul_pool_reap(pool, NULL, NULL));
    assert_ok(peer_call(&p, "claim-empty 0 %s", l.key)); /* its death takes nothing from others */
    assert_ok(peer_call(&p, "fill 0 1"));
    assert_status(peer_call(&p, "give 0 100 %u " FOREVER, l.slot), HAUL_PEER_GONE);
    assert_ok(peer_call(&p, "release 0"));
    peer_stop(&p);
}

/* Given back to one whose death nobody has noticed yet: reaped with it. */
static void the_lender_dies_before_it_gets_it_back(void **state)
{
    haul_pool *pool = *state;
    peer p = join(pool);
    lender l;
    lend_by_peer(&l, pool, slot_of(&p));
    assert_ok(peer_call(&p, "claim-empty 0 %s", l.key));
    (void)peer_kill(&l.peer);
    assert_ok(peer_call(&p, "give 0 100 %u " FOREVER, l.slot));
    assert_int_equal(test_class_info(pool, 0).n_given, 1);
    assert_ok(haul_pool_reap(pool, NULL, NULL));
    assert_all_free(pool);
    peer_stop(&p);
}

static void the_recipient_dies(void **state)
{
    haul_pool *pool = *state;
    for (int claimed = 0; claimed < 2; claimed++) {
        char text[HAUL_KEY_TEXT_BYTES];
        size_t n;
        peer p = join(pool);
        haul_key key = lend(pool, 100, slot_of(&p), UINT64_MAX, text);
        if (claimed) {
            assert_ok(peer_call(&p, "claim-empty 0 %s", text));
            assert_ok(peer_call(&p, "fill 0 1"));
        }
        (void)peer_kill(&p);
        assert_ok(haul_pool_reap(pool, &n, NULL));
        assert_int_equal(n, 1);
        assert_status(haul_pool_revoke(pool, &key), HAUL_STALE);
        assert_all_free(pool);
    }
}

/* ---- Quotas, objects ----------------------------------------------------------------------- */

static void a_loan_counts_for_who_owns_it(void **state)
{
    (void)state;
    const haul_class_config cls = {.size_bytes = 65536, .n_initial = 4, .n_max = 4};
    const haul_pool_config config = {.struct_size = sizeof(config),
                                     .classes = &cls,
                                     .n_classes = 1,
                                     .quota_bytes = 65536,
                                     .n_participants = 16};
    haul_pool *pool;
    haul_pool *borrower;
    haul_key key;
    haul_buf *lent;
    haul_buf *own;
    haul_buf *more;
    assert_ok(haul_pool_create(test_pool_name("loanquota"), &config, NULL, &pool, NULL));
    assert_ok(haul_pool_open(test_pool_name("loanquota"), NULL, &borrower, NULL));
    assert_ok(
        haul_buf_give(test_alloc(pool, 1), 0, haul_pool_participant(borrower), UINT64_MAX, &key));
    own = test_alloc(pool, 1); /* what is lent is not the lender's */
    haul_buf_release(own);
    assert_ok(haul_buf_take_back(pool, &key, &lent));
    assert_status(haul_buf_alloc(pool, 1, NULL, &more), HAUL_EXHAUSTED);
    assert_ok(haul_buf_give(lent, 0, haul_pool_participant(borrower), UINT64_MAX, &key));
    own = test_alloc(borrower, 1);
    assert_ok(haul_buf_claim_empty(borrower, &key, &lent)); /* beyond it, but never refused */
    haul_buf_release(own);
    assert_status(haul_buf_alloc(borrower, 1, NULL, &more), HAUL_EXHAUSTED);
    haul_buf_release(lent);
    haul_buf_release(test_alloc(borrower, 1));
    haul_pool_close(borrower);
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

static void room_made_to_measure_is_removed_after_use(void **state)
{
    haul_pool *pool = *state;
    uint32_t me = haul_pool_participant(pool);
    char text[HAUL_KEY_TEXT_BYTES];
    haul_key key;
    haul_buf *buf;
    key = lend(pool, 200000, me, UINT64_MAX, text);
    assert_ok(haul_buf_claim_empty(pool, &key, &buf));
    assert_true(haul_buf_capacity(buf) >= 200000);
    memset(haul_buf_data(buf), 1, 200000);
    haul_buf_release(buf);
    assert_int_equal(test_class_info(pool, 2).bytes, 0);
    key = lend(pool, 200000, me, UINT64_MAX, text);
    assert_ok(haul_pool_revoke(pool, &key));
    assert_int_equal(test_class_info(pool, 2).bytes, 0);
}

/* What cannot be mapped is given up at once: it is nobody's afterwards. */
static void a_loan_in_a_removed_pool(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create("loangone");
    haul_pool *borrower;
    haul_key key;
    haul_buf *buf;
    assert_ok(haul_pool_open(haul_pool_name(pool), NULL, &borrower, NULL));
    assert_ok(
        haul_buf_give(test_alloc(pool, 1), 0, haul_pool_participant(borrower), UINT64_MAX, &key));
    assert_ok(haul_pool_remove(haul_pool_name(pool), true, NULL));
    assert_status(haul_buf_claim_empty(borrower, &key, &buf), HAUL_NOT_FOUND);
    assert_all_free(pool);
    haul_pool_close(borrower);
    haul_pool_close(pool);
}

#define IN_A_POOL(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, test_pool_setup, test_pool_teardown_reaped)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_POOL(room_comes_back_filled),
        IN_A_POOL(the_key_of_a_loan_ends_with_its_claim),
        IN_A_POOL(a_payload_is_no_loan),
        IN_A_POOL(a_payload_whose_buffer_is_used_again),
        IN_A_POOL(a_payload_that_is_longer_than_its_buffer),
        IN_A_POOL(what_is_taken_back_is_owned_again),
        IN_A_POOL(a_loan_is_for_one_recipient),
        IN_A_POOL(a_loan_is_taken_back),
        IN_A_POOL(a_deadline_does_not_touch_what_is_claimed),
        IN_A_POOL(the_lender_dies_after_lending),
        IN_A_POOL(the_lender_dies_before_it_gets_it_back),
        IN_A_POOL(the_recipient_dies),
        cmocka_unit_test(a_loan_counts_for_who_owns_it),
        IN_A_POOL(room_made_to_measure_is_removed_after_use),
        cmocka_unit_test(a_loan_in_a_removed_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
