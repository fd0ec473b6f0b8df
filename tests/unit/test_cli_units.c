/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Sizes, counts, durations and modes: what is right is read exactly, all else is refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/units.h"

static uint64_t bytes_of(const char *text)
{
    uint64_t bytes = 0;
    const char *why = NULL;
    assert_int_equal(units_parse_bytes(text, &bytes, &why), HAUL_OK);
    return bytes;
}

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(bytes_of("0"), 0);
    assert_int_equal(bytes_of("4096"), 4096);
    assert_int_equal(bytes_of("64KiB"), 65536);
    assert_int_equal(bytes_of("64MiB"), 67108864);
    assert_int_equal(bytes_of("2GiB"), UINT64_C(2147483648));
    assert_int_equal(bytes_of("1TiB"), UINT64_C(1099511627776));
    assert_int_equal(bytes_of("16777215TiB"), UINT64_C(16777215) << 40);
    assert_int_equal(bytes_of("18446744073709551615"), UINT64_MAX);
    assert_int_equal(bytes_of("007"), 7);
}

static void test_no_sizes(void **state)
{
    static const char *const wrong[] = {"",      " ",     "MiB", "-1",       "+1",     "1 MiB",
                                        "1MB",   "1mib",  "1M",  "1.5GiB",   "0x10",   "1MiB ",
                                        " 1MiB", "1MiBx", "1e6", "\xc2\xb2", "1KiBKiB"};
    static const char *const large[] = {"18446744073709551616", "16777216TiB",
                                        "99999999999999999999999999999999"};
    uint64_t bytes = 7;
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const char *why = NULL;
        assert_int_equal(units_parse_bytes(wrong[i], &bytes, &why), HAUL_INVALID);
        assert_non_null(strstr(why, "is not a size"));
    }
    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
        const char *why = NULL;
        assert_int_equal(units_parse_bytes(large[i], &bytes, &why), HAUL_INVALID);
        assert_string_equal(why, "is too large");
    }
    assert_int_equal(bytes, 7);
}

static void test_counts(void **state)
{
    uint32_t n = 7;
    const char *why = NULL;
    (void)state;
    assert_int_equal(units_parse_count("12", 12, &n, &why), HAUL_OK);
    assert_int_equal(n, 12);
    assert_int_equal(units_parse_count("13", 12, &n, &why), HAUL_INVALID);
    assert_string_equal(why, "is too large");
    assert_int_equal(units_parse_count("4294967295", UINT32_MAX, &n, &why), HAUL_OK);
    assert_int_equal(units_parse_count("4294967296", UINT32_MAX, &n, &why), HAUL_INVALID);
    assert_int_equal(units_parse_count("1KiB", UINT32_MAX, &n, &why), HAUL_INVALID);
    assert_string_equal(why, "is not a count");
    assert_int_equal(units_parse_count("", UINT32_MAX, &n, &why), HAUL_INVALID);
    assert_int_equal(n, UINT32_MAX);
}

static void test_durations(void **state)
{
    uint64_t ns = 0;
    const char *why = NULL;
    (void)state;
    assert_int_equal(units_parse_duration("250ms", &ns, &why), HAUL_OK);
    assert_int_equal(ns, 250000000);
    assert_int_equal(units_parse_duration("2s", &ns, &why), HAUL_OK);
    assert_int_equal(ns, 2000000000);
    assert_int_equal(units_parse_duration("1min", &ns, &why), HAUL_OK);
    assert_int_equal(ns, UINT64_C(60000000000));
    assert_int_equal(units_parse_duration("250", &ns, &why), HAUL_INVALID);
    assert_int_equal(units_parse_duration("999999999999min", &ns, &why), HAUL_INVALID);
    assert_string_equal(why, "is too large");
}

static void test_modes(void **state)
{
    uint32_t mode = 0;
    const char *why = NULL;
    (void)state;
    assert_int_equal(units_parse_mode("0660", &mode, &why), HAUL_OK);
    assert_int_equal(mode, 0660);
    assert_int_equal(units_parse_mode("600", &mode, &why), HAUL_OK);
    assert_int_equal(mode, 0600);
    assert_int_equal(units_parse_mode("0680", &mode, &why), HAUL_INVALID);
    assert_int_equal(units_parse_mode("77777", &mode, &why), HAUL_INVALID);
    assert_int_equal(units_parse_mode("rw-rw----", &mode, &why), HAUL_INVALID);
}

static void check_format(uint64_t bytes, const char *want)
{
    char text[UNITS_TEXT_BYTES];
    assert_string_equal(units_format_bytes(bytes, text), want);
}

static void test_sizes_for_people(void **state)
{
    (void)state;
    check_format(0, "0");
    check_format(1023, "1023");
    check_format(1024, "1KiB");
    check_format(1025, "1.0KiB");
    check_format(1536, "1.5KiB");
    check_format(1048575, "1023.9KiB");
    check_format(UINT64_C(168) << 20, "168MiB");
    check_format(UINT64_C(4) << 30, "4GiB");
    check_format(UINT64_MAX, "16777215.9TiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),  cmocka_unit_test(test_no_sizes),
        cmocka_unit_test(test_counts), cmocka_unit_test(test_durations),
        cmocka_unit_test(test_modes),  cmocka_unit_test(test_sizes_for_people),
    };
    return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
