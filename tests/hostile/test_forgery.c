/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Forged words that once made a process unmap what it was using. What a caller was given stays where
 * it is until the caller gives it back, whatever is written into the control segment: bytes may be
 * wrong then, addresses may not.
 *
 * The forger is this process itself. The tests read and write through the pointers they hold; a
 * pointer that leads nowhere ends the program.
 */

#include "pool_test.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/impl.h"

static int setup(void **state)
{
    *state = test_pool_create("forgery");
    return 0;
}

static int teardown(void **state)
{
    test_pool_destroy(*state);
    return 0;
}

static haul__record *record_of(haul_pool *pool, uint32_t index)
{
    return haul__record_of(pool, index);
}

static void forge_born(haul_pool *pool, uint32_t index)
{
    (void)haul__add32_relaxed(&record_of(pool, index)->born, 1);
}

static void forge(haul_pool *pool, uint32_t index, enum haul__phase phase, uint32_t who)
{
    haul__a64 *state = &record_of(pool, index)->state;
    haul__store64_seq(state, haul__word_moved(haul__load64_seq(state), phase, who));
}

static void put_back(haul_pool *pool, uint32_t index, uint64_t word, uint32_t born)
{
    haul__store32_relaxed(&record_of(pool, index)->born, born);
    haul__store64_seq(&record_of(pool, index)->state, word);
}

/* ---- Readers ------------------------------------------------------------------------------- */

static void a_view_stays_where_it_is_when_the_birth_is_forged(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    haul_view view;
    haul_view second = {0};
    haul_buf *buf = test_share(pool, 4096, 0x21, &key);
    assert_ok(haul_attach(pool, &key, 4096, &view));
    uint32_t born = haul__load32_relaxed(&record_of(pool, key.index)->born);
    forge_born(pool, key.index);
    assert_status(haul_attach(pool, &key, 4096, &second), HAUL_CORRUPT);
    assert_int_equal(view.data[0], 0x21);
    assert_int_equal(view.data[4095], 0x21);
    haul__store32_relaxed(&record_of(pool, key.index)->born, born);
    assert_ok(haul_attach(pool, &key, 4096, &second)); /* and with the right one it goes on */
    assert_ptr_equal(second.data, view.data);
    haul_detach(&second);
    haul_detach(&view);
    haul_buf_release(buf);
    assert_all_free(pool);
    assert_audit_clean(pool);
}

/* The reader's bit is taken from it, and the buffer is made anew under its eyes. */
static void a_view_stays_where_it_is_when_its_buffer_is_made_anew(void **state)
{
    haul_pool *pool = *state;
    haul_pool *other;
    haul_key key;
    haul_key forged;
    haul_view view;
    haul_view second = {0};
    assert_ok(haul_pool_open(haul_pool_name(pool), NULL, &other, NULL));
    haul_buf *buf = test_alloc(pool, 200000); /* made to measure: released is removed */
    memset(haul_buf_data(buf), 0x21, 200000);
    assert_ok(haul_buf_share(buf, 200000, &key));
    assert_ok(haul_attach(other, &key, 200000, &view));
    haul__store64_seq(&record_of(pool, key.index)->holders[0], 0);
    haul_buf_release(buf);
    buf = test_share(pool, 300000, 0x22, &forged);
    assert_int_equal(forged.index, key.index);
    haul_status s = haul_attach(other, &forged, 300000, &second);
    assert_true(s == HAUL_OK || s == HAUL_CORRUPT);
    uint8_t sum = 0;
    for (size_t i = 0; i < 200000; i++) {
        sum |= view.data[i]; /* zeros, if its pages were given back; there at any rate */
    }
    assert_true(sum == 0 || sum == 0x21);
    haul_detach(&second);
    haul_detach(&view);
    haul_buf_release(buf);
    haul_pool_close(other);
    assert_ok(haul_pool_reap(pool, NULL, NULL));
    assert_all_free(pool);
}

/* ---- Owners -------------------------------------------------------------------------------- */

/* A word that is forged to be anybody's makes no second owner in the process that has the buffer. */
static void write_while_forged(haul_pool *pool, enum haul__phase phase)
{
    haul_buf *others[16];
    int n = 0;
    haul_buf *buf = test_alloc(pool, 4096);
    uint8_t *data = haul_buf_data(buf);
    uint32_t index = buf->index;
    uint64_t word = haul__load64_seq(&record_of(pool, index)->state);
    uint32_t born = haul__load32_relaxed(&record_of(pool, index)->born);
    forge(pool, index, phase, HAUL__NOBODY);
    forge_born(pool, index);
    while (n < 16 && haul_buf_alloc(pool, 4096, NULL, &others[n]) == HAUL_OK) {
        assert_ptr_not_equal(others[n], buf);
        n++;
    }
    memset(data, 0x44, 4096);
    put_back(pool, index, word, born);
    memset(data, 0x45, 4096);
    for (int i = 0; i < n; i++) {
        haul_buf_release(others[i]);
    }
    haul_buf_release(buf);
}

static void an_owner_writes_on_when_its_buffer_is_forged_free(void **state)
{
    write_while_forged(*state, HAUL__FREE);
    assert_all_free(*state);
}

static void an_owner_writes_on_when_its_buffer_is_forged_absent(void **state)
{
    write_while_forged(*state, HAUL__ABSENT);
    assert_all_free(*state);
}

static void an_owner_writes_on_when_its_buffer_is_forged_to_be_a_gift(void **state)
{
    haul_pool *pool = *state;
    haul_buf *claimed;
    haul_buf *buf = test_alloc(pool, 4096);
    uint8_t *data = haul_buf_data(buf);
    haul__record *record = record_of(pool, buf->index);
    uint64_t word = haul__load64_seq(&record->state);
    const haul_key key = {.pool_id = haul_pool_id(pool),
                          .index = buf->index,
                          .ticket = haul__load64_relaxed(&record->ticket),
                          .generation = haul__word_generation(word)};
    forge(pool, buf->index, HAUL__GIVEN, haul_pool_participant(pool));
    assert_status(haul_buf_claim(pool, &key, 0, &claimed), HAUL_CORRUPT);
    haul__store64_seq(&record->state, word);
    memset(data, 0x46, 4096);
    haul_buf_release(buf);
    assert_all_free(pool);
    assert_audit_clean(pool);
}

/* What a participant may own is counted in private: shared memory cannot use up its quota. */
static void a_forged_capacity_does_not_use_up_the_quota(void **state)
{
    static const haul_class_config cls = {.size_bytes = 4096, .n_initial = 1, .n_max = 1};
    const haul_pool_config config = {.struct_size = sizeof(config),
                                     .classes = &cls,
                                     .n_classes = 1,
                                     .n_measured_max = 1,
                                     .budget_bytes = 1u << 20,
                                     .quota_bytes = 1u << 20,
                                     .n_participants = 2};
    haul_pool *pool;
    (void)state;
    (void)!haul_pool_remove(test_pool_name("quota"), true, NULL);
    assert_ok(haul_pool_create(test_pool_name("quota"), &config, NULL, &pool, NULL));
    haul_buf *buf = test_alloc(pool, 100000);
    haul__store64_relaxed(&record_of(pool, buf->index)->capacity, UINT64_MAX / 2);
    haul_buf_release(buf);
    for (int i = 0; i < 2; i++) {
        haul_buf_release(test_alloc(pool, 4096));
        haul_buf_release(test_alloc(pool, 100000));
    }
    test_pool_destroy(pool);
}

/* ---- Waiting ------------------------------------------------------------------------------- */

static atomic_bool waker_stops;

/* Wake everybody, all the time. */
static void *wake_for_nothing(void *pool)
{
    haul__a32 *wake = &haul__header_of(pool)->wake;
    while (!atomic_load(&waker_stops)) {
        (void)haul__add32_relaxed(wake, 2);
        (void)syscall(SYS_futex, wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
    return NULL;
}

/* One that was there first and never goes, and wake-ups that mean nothing: whoever waits behind gets
 * what is free all the same. */
static void a_forged_waiter_does_not_stop_the_queue(void **state)
{
    haul_pool *pool = *state;
    const uint64_t before_all = (uint64_t)haul__header_of(pool)->next_ticket.v << 24 |
                                (uint64_t)pool->slot << 8; /* of class 0 */
    const haul_alloc_opts patient = {
        .struct_size = sizeof(patient), .policy = 0, .wait_ns = INT64_C(30000000000)};
    pthread_t waker;
    haul_buf *buf;
    haul__store64_seq(&haul__header_of(pool)->waiters[0], before_all);
    (void)haul__or32_seq(&haul__header_of(pool)->wake, 1);
    atomic_store(&waker_stops, false);
    assert_int_equal(pthread_create(&waker, NULL, wake_for_nothing, pool), 0);
    haul_status s = haul_buf_alloc(pool, 1, &patient, &buf);
    atomic_store(&waker_stops, true);
    assert_int_equal(pthread_join(waker, NULL), 0);
    assert_ok(s);
    haul_buf_release(buf);
    haul__store64_seq(&haul__header_of(pool)->waiters[0], 0);
}

int main(void)
{
#define IN_A_POOL(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        IN_A_POOL(a_view_stays_where_it_is_when_the_birth_is_forged),
        IN_A_POOL(a_view_stays_where_it_is_when_its_buffer_is_made_anew),
        IN_A_POOL(an_owner_writes_on_when_its_buffer_is_forged_free),
        IN_A_POOL(an_owner_writes_on_when_its_buffer_is_forged_absent),
        IN_A_POOL(an_owner_writes_on_when_its_buffer_is_forged_to_be_a_gift),
        IN_A_POOL(a_forged_waiter_does_not_stop_the_queue),
        cmocka_unit_test(a_forged_capacity_does_not_use_up_the_quota),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
