/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* The state word, tickets' function and the text form of keys: pure code, no pool. */

#include "pool_test.h"

#include <string.h>

#include "base/siphash.h"
#include "pool/word.h"

static void word_keeps_its_fields_apart(void **state)
{
    (void)state;
    const uint32_t generations[] = {0, 1, 0x80000000, UINT32_MAX};
    const uint32_t slots[] = {0, 1, 255, 4096, 0xffff};
    for (size_t g = 0; g < 4; g++) {
        for (size_t s = 0; s < 5; s++) {
            for (uint32_t phase = 0; phase < HAUL__N_PHASES; phase++) {
                uint64_t w =
                    haul__word(generations[g], slots[s], (enum haul__phase)phase, HAUL__FLAG_HUGE);
                assert_int_equal(haul__word_generation(w), generations[g]);
                assert_int_equal(haul__word_who(w), slots[s]);
                assert_int_equal(haul__word_phase(w), phase);
                assert_int_equal(haul__word_flags(w), HAUL__FLAG_HUGE);
            }
        }
    }
}

static void next_life_wraps_and_keeps_flags(void **state)
{
    (void)state;
    uint64_t w = haul__word(UINT32_MAX, 7, HAUL__RETIRED, HAUL__FLAG_USED);
    uint64_t next = haul__word_next_life(w, HAUL__FREE, HAUL__NOBODY);
    assert_int_equal(haul__word_generation(next), 0);
    assert_int_equal(haul__word_phase(next), HAUL__FREE);
    assert_int_equal(haul__word_who(next), HAUL__NOBODY);
    assert_int_equal(haul__word_flags(next), HAUL__FLAG_USED);
}

static void validity_knows_who_may_be_named(void **state)
{
    (void)state;
    assert_true(haul__word_is_valid(0, 16)); /* a new segment */
    for (uint32_t phase = 0; phase < HAUL__N_PHASES; phase++) {
        bool named = haul__phase_is_named(phase);
        enum haul__phase p = (enum haul__phase)phase;
        assert_int_equal(haul__word_is_valid(haul__word(1, 0, p, 0), 16), !named);
        assert_int_equal(haul__word_is_valid(haul__word(1, 16, p, 0), 16), named);
        assert_false(haul__word_is_valid(haul__word(1, 17, p, 0), 16));
    }
    assert_false(haul__word_is_valid((uint64_t)HAUL__N_PHASES << 8, 16));
    assert_false(haul__word_is_valid((uint64_t)HAUL__FREE << 8 | 4, 16)); /* unknown flag */
}

/* Key 00..0f; the values are those of OpenSSL's SIPHASH with c-rounds 1 and d-rounds 3. */
static void siphash_matches_its_reference(void **state)
{
    (void)state;
    haul__siphash_key key = {.k0 = UINT64_C(0x0706050403020100),
                             .k1 = UINT64_C(0x0f0e0d0c0b0a0908)};
    assert_true(haul__siphash_u64(key, UINT64_C(0x0706050403020100)) ==
                UINT64_C(0x369095118d299a8e));
    assert_true(haul__siphash_u64(key, 0) == UINT64_C(0x5cb96f6ba2a4fcfc));
    assert_true(haul__siphash_u64(key, UINT64_MAX) == UINT64_C(0x823f307311453347));
    assert_true(haul__siphash_u64(key, UINT64_C(0x100000002)) == UINT64_C(0x332dfe7a28845e2e));
}

/* ---- Keys as text -------------------------------------------------------------------------- */

static void key_text_round_trips(void **state)
{
    (void)state;
    const haul_key keys[] = {
        {0},
        {.pool_id = 1, .ticket = 2, .offset = 3, .index = 4, .generation = 5},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char text[HAUL_KEY_TEXT_BYTES];
        haul_key back;
        uint64_t len = 0;
        haul_key_format(&keys[i], UINT64_MAX - i, text);
        assert_ok(haul_key_parse(text, &back, &len));
        assert_memory_equal(&back, &keys[i], sizeof(back));
        assert_true(len == UINT64_MAX - i);
    }
}

static void key_text_refuses_everything_else(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               "hk1",
                               "hk1-",
                               "hk2-1-1-1-1-1-1",
                               "hk1-1-1-1-1-1",
                               "hk1-1-1-1-1-1-1-1",
                               "hk1-1-1-1-1-1-1-",
                               "hk1-1-1-1-1-1-1 ",
                               "hk1-1-1-1-1-1-1\n",
                               " hk1-1-1-1-1-1-1",
                               "hk1-1-1-1-1-1-G",
                               "hk1-1-1-1-1-1-A",
                               "hk1-1-1-1-1--1",
                               "hk1-1-100000000-1-1-1-1",
                               "hk1-1-1-100000000-1-1-1",
                               "hk1-10000000000000000-1-1-1-1-1",
                               "hk1-0x1-1-1-1-1-1"};
    haul_key key;
    uint64_t len;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_status(haul_key_parse(bad[i], &key, &len), HAUL_INVALID);
    }
    assert_status(haul_key_parse(NULL, &key, &len), HAUL_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(word_keeps_its_fields_apart),
        cmocka_unit_test(next_life_wraps_and_keeps_flags),
        cmocka_unit_test(validity_knows_who_may_be_named),
        cmocka_unit_test(siphash_matches_its_reference),
        cmocka_unit_test(key_text_round_trips),
        cmocka_unit_test(key_text_refuses_everything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
