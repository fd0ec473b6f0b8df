/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Where the parts of a control segment are: refused configurations, hostile headers. */

#include "pool_test.h"

#include <stdio.h>
#include <string.h>

#include "pool/geometry.h"

#define GIB (UINT64_C(1) << 30)

static haul_pool_config config_of(const haul_class_config *classes, uint32_t n)
{
    return (haul_pool_config){
        .struct_size = sizeof(haul_pool_config), .classes = classes, .n_classes = n};
}

static void parts_follow_each_other(void **state)
{
    (void)state;
    const haul_class_config classes[] = {{4096, 0, 65536}, {64u << 20, 0, 3}};
    haul_pool_config config = config_of(classes, 2);
    config.n_participants = 300;
    config.n_measured_max = 5;
    config.budget_bytes = GIB;
    haul__geometry g;
    assert_ok(haul__geometry_of_config(&config, &g, NULL));
    assert_int_equal(g.n_buffers, 65536 + 3 + 5);
    assert_int_equal(g.n_classes, 3);
    assert_int_equal(g.classes[2].first, 65536 + 3);
    assert_true(g.slots_offset >= sizeof(haul__header));
    assert_true(g.classes_offset >= g.slots_offset + 301 * sizeof(haul__slot));
    assert_true(g.classes[0].hints_offset >= g.classes_offset + 3 * sizeof(haul__class));
    assert_true(g.classes[1].hints_offset >= g.classes[0].hints_offset + 65536 / 8);
    assert_true(g.counters_offset > g.classes[2].hints_offset);
    assert_true(g.records_offset >= g.counters_offset + 301 * 3 * sizeof(haul__counters));
    assert_true(g.total_bytes >= g.records_offset + g.n_buffers * g.record_bytes);
    assert_int_equal(g.record_bytes % HAUL__LINE, 0);
    /* Slot 300 is bit 300: five words, rounded up to a line. */
    assert_int_equal(g.n_holder_words, 5);
    assert_int_equal(haul__geometry_class_of(&g, 0), 0);
    assert_int_equal(haul__geometry_class_of(&g, 65536), 1);
    assert_int_equal(haul__geometry_class_of(&g, g.n_buffers - 1), 2);
}

static void header_round_trips(void **state)
{
    (void)state;
    const haul_class_config classes[] = {{100, 1, 2}, {5000, 0, 9}};
    haul_pool_config config = config_of(classes, 2);
    config.mode = 0660;
    haul__geometry g;
    haul__geometry back;
    haul__header header = {0};
    assert_ok(haul__geometry_of_config(&config, &g, NULL));
    haul__geometry_to_header(&g, &header);
    assert_ok(haul__geometry_of_header(&header, &back, NULL));
    assert_memory_equal(&g, &back, sizeof(g));
}

typedef struct bad_config {
    const char *word; /* that the reason must hold */
    haul_class_config classes[3];
    uint32_t n_classes;
    uint32_t n_measured_max;
    uint64_t budget_bytes;
    uint32_t n_participants;
    uint32_t mode;
} bad_config;

static void impossible_configurations_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const bad_config bad[] = {
        {.word = "classes", .n_classes = 0},
        {.word = "size is 0", .classes = {{0, 1, 1}}, .n_classes = 1},
        {.word = "maximum", .classes = {{1, 0, 0}}, .n_classes = 1},
        {.word = "maximum", .classes = {{1, 0, 65537}}, .n_classes = 1},
        {.word = "exceeds its maximum", .classes = {{1, 3, 2}}, .n_classes = 1},
        {.word = "ascend", .classes = {{2, 1, 1}, {2, 1, 1}}, .n_classes = 2},
        {.word = "ascend", .classes = {{2, 1, 1}, {1, 1, 1}}, .n_classes = 2},
        {.word = "budget", .classes = {{1, 1, 1}}, .n_classes = 1, .n_measured_max = 1},
        {.word = "budget", .classes = {{GIB, 0, 1}}, .n_classes = 1, .budget_bytes = GIB - 1},
        {.word = "initial buffers need",
         .classes = {{GIB, 3, 3}},
         .n_classes = 1,
         .budget_bytes = 2 * GIB},
        {.word = "2^64", .classes = {{UINT64_MAX, 1, 65536}}, .n_classes = 1},
        {.word = "exceeds", .classes = {{UINT64_C(1) << 51, 0, 1}}, .n_classes = 1},
        {.word = "2^64",
         .classes = {{UINT64_C(1) << 50, 65536, 65536}},
         .n_classes = 1,
         .budget_bytes = UINT64_MAX},
        {.word = "participants", .classes = {{1, 1, 1}}, .n_classes = 1, .n_participants = 4097},
        {.word = "mode", .classes = {{1, 1, 1}}, .n_classes = 1, .mode = 0666},
        {.word = "mode", .classes = {{1, 1, 1}}, .n_classes = 1, .mode = 0700},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        haul_pool_config config = config_of(bad[i].classes, bad[i].n_classes);
        config.n_measured_max = bad[i].n_measured_max;
        config.budget_bytes = bad[i].budget_bytes;
        config.n_participants = bad[i].n_participants;
        config.mode = bad[i].mode;
        haul__geometry g;
        haul_error err = {0};
        assert_status(haul__geometry_of_config(&config, &g, &err), HAUL_INVALID);
        if (!strstr(err.text, bad[i].word)) {
            fail_msg("case %zu says '%s', not '%s'", i, err.text, bad[i].word);
        }
    }
}

static haul__header good_header(void)
{
    static const haul_class_config cls = {4096, 1, 4};
    haul_pool_config config = config_of(&cls, 1);
    haul__geometry g;
    haul__header header = {0};
    assert_ok(haul__geometry_of_config(&config, &g, NULL));
    haul__geometry_to_header(&g, &header);
    return header;
}

static void hostile_headers_are_refused(void **state)
{
    (void)state;
    haul__geometry g;
    haul__header h = good_header();
    assert_ok(haul__geometry_of_header(&h, &g, NULL));

    h.magic ^= 1;
    assert_status(haul__geometry_of_header(&h, &g, NULL), HAUL_CORRUPT);
    h = good_header();
    h.layout_version++;
    assert_status(haul__geometry_of_header(&h, &g, NULL), HAUL_VERSION);
    h = good_header();
    h.fingerprint++;
    assert_status(haul__geometry_of_header(&h, &g, NULL), HAUL_VERSION);
    h = good_header();
    h.n_classes = HAUL_CLASSES_MAX + 1;
    assert_status(haul__geometry_of_header(&h, &g, NULL), HAUL_CORRUPT);
    h = good_header();
    h.n_slots = UINT32_MAX;
    assert_status(haul__geometry_of_header(&h, &g, NULL), HAUL_CORRUPT);
    h = good_header();
    h.classes[0].n_max = UINT32_MAX;
    assert_status(haul__geometry_of_header(&h, &g, NULL), HAUL_CORRUPT);
    h = good_header();
    h.classes[0].size_bytes = UINT64_MAX;
    assert_status(haul__geometry_of_header(&h, &g, NULL), HAUL_CORRUPT);
    h = good_header();
    h.total_bytes++;
    assert_status(haul__geometry_of_header(&h, &g, NULL), HAUL_CORRUPT);
    h = good_header();
    h.mode = 0666;
    assert_status(haul__geometry_of_header(&h, &g, NULL), HAUL_CORRUPT);
}

/* Any single byte of a good header may be anything: it is refused, or gives a geometry that lies
 * within its own bounds. */
static void every_byte_of_a_header_may_lie(void **state)
{
    (void)state;
    haul__header good = good_header();
    for (size_t at = 0; at < sizeof(good); at++) {
        for (unsigned value = 0; value < 256; value += 5) {
            haul__header h = good;
            haul__geometry g;
            memcpy((uint8_t *)&h + at, &(uint8_t){(uint8_t)value}, 1);
            if (haul__geometry_of_header(&h, &g, NULL) == HAUL_OK) {
                assert_true(g.records_offset + g.n_buffers * g.record_bytes <= g.total_bytes);
                assert_true(g.total_bytes == h.total_bytes);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_follow_each_other),
        cmocka_unit_test(header_round_trips),
        cmocka_unit_test(impossible_configurations_are_refused_with_a_reason),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(every_byte_of_a_header_may_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
