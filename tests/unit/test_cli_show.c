/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What is printed about pools, and a picture's way over the wire and back. The pictures are made by
 * hand: no pool is needed, and names can be as odd as another process may make them.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/show.h"
#include "tools/info_message.h"

static haul_class_info classes[] = {
    {.size_bytes = 65536,
     .n_initial = 2,
     .n_max = 8,
     .n_free = 1,
     .n_owned = 2,
     .n_shared = 3,
     .n_given = 4,
     .n_retired = 5,
     .n_absent = 6,
     .n_changing = 7,
     .n_huge = 8,
     .high_water = 9,
     .bytes = 983040,
     .allocations = 10,
     .releases = 11,
     .spills = 12,
     .grows = 13,
     .waits = 14,
     .waited_ns = UINT64_C(5000000000),
     .n_waiting = 18,
     .exhaustions = 15,
     .reaps = 16,
     .expirations = UINT64_MAX,
     .requested = {[0] = 1, [16] = 17}},
    {.size_bytes = 0, .n_max = 2, .n_absent = 2},
};

static haul_participant_info participants[] = {
    {.slot = 1, .pid = 42, .alive = true, .name = "plain", .n_owned = 1, .bytes_owned = 65536},
    {.slot = 7, .pid = 43, .name = "a\"b\\c\n\x1b[31m", .n_held = 2, .bytes_held = 131072},
    {.slot = 8, .pid = 44, .alive = true, .name = "\xff\xc3\xa9\xe6\xbc"},
};

static haul_name_info names[] = {
    {.name = "weights", .persistent = true, .index = 3, .len = UINT64_C(3) << 30},
    {.name = "a\"b\\c\xff", .owner = 7, .index = 4, .len = 1536},
};

static const haul_pool_info picture = {.name = "frames",
                                       .uuid = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                                0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10},
                                       .id = UINT64_C(0xefcdab8967452301),
                                       .mode = 0660,
                                       .n_slots = 16,
                                       .budget_bytes = UINT64_C(1) << 30,
                                       .quota_bytes = UINT64_C(1) << 28,
                                       .bytes = 983040,
                                       .control_bytes = 12288,
                                       .n_classes = 2,
                                       .n_participants = 3,
                                       .classes = classes,
                                       .participants = participants,
                                       .n_names = 2,
                                       .names = names};

static char *printed(haul_status (*print)(FILE *out, bool json), bool json)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    assert_int_equal(print(out, json), HAUL_OK);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Remove what JSON does not mind outside strings, so that layout is not part of a test. */
static void squeeze(char *json)
{
    char *to = json;
    bool in_string = false;
    for (const char *from = json; *from != '\0'; from++) {
        if (*from == '"' && (from == json || from[-1] != '\\')) {
            in_string = !in_string;
        }
        if (in_string || !strchr(" \n", *from)) {
            *to++ = *from;
        }
    }
    *to = '\0';
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("not found: %s\nin: %s", part, text);
    }
}

/* ---- pool info ----------------------------------------------------------------------------- */

static haul_status print_pool(FILE *out, bool json)
{
    const haul_pool_info *infos[] = {&picture};
    return show_pools(infos, 1, json, out);
}

static haul_status print_two_pools(FILE *out, bool json)
{
    const haul_pool_info *infos[] = {&picture, &picture};
    return show_pools(infos, 2, json, out);
}

static haul_status print_no_pool(FILE *out, bool json)
{
    return show_pools(NULL, 0, json, out);
}

static void test_info_as_json(void **state)
{
    (void)state;
    char *text = printed(print_pool, true);
    squeeze(text);
    assert_has(
        text,
        "{\"pools\":[{\"name\":\"frames\","
        "\"uuid\":\"01234567-89ab-cdef-fedc-ba9876543210\","
        "\"pool_id\":\"0xefcdab8967452301\",\"budget_bytes\":1073741824,"
        "\"total_bytes\":983040,\"control_bytes\":12288,\"slots\":16,"
        "\"mode\":\"0660\",\"quota_bytes\":268435456,\"totals\":{\"count\":15,\"max_count\":10,");
    assert_has(text,
               "\"classes\":[{\"size_bytes\":65536,\"high_water\":9,"
               "\"requested\":[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,17],\"count\":15,"
               "\"max_count\":8,\"initial_count\":2,\"free\":1,\"owned\":2,\"shared\":3,"
               "\"given\":4,\"retired\":5,\"absent\":6,\"changing\":7,\"huge\":8,\"waiting\":18,"
               "\"bytes\":983040,\"allocations\":10,\"releases\":11,\"spills\":12,"
               "\"grows\":13,\"waits\":14,\"waited_ns\":5000000000,\"exhaustions\":15,\"reaps\":16,"
               "\"expirations\":18446744073709551615},{\"size_bytes\":0,");
    assert_has(text, "\"requested\":[0],");
    assert_has(text, "\"participants\":[{\"slot\":1,\"pid\":42,\"name\":\"plain\",\"alive\":true,"
                     "\"owned\":1,\"held\":0,\"bytes_owned\":65536,\"bytes_held\":0},");
    free(text);
}

static void test_published_buffers_as_json(void **state)
{
    (void)state;
    char *text = printed(print_pool, true);
    squeeze(text);
    assert_has(text, "],\"names\":[{\"name\":\"weights\",\"persistent\":true,\"owner\":0,"
                     "\"index\":3,\"length\":3221225472},{\"name\":\"a\\\"b\\\\c?\","
                     "\"persistent\":false,\"owner\":7,\"index\":4,\"length\":1536}]}]}");
    free(text);
}

/* What a process calls itself is its own choice; the JSON must be JSON all the same. */
static void test_odd_names_as_json(void **state)
{
    (void)state;
    char *text = printed(print_pool, true);
    squeeze(text);
    assert_has(text, "\"name\":\"a\\\"b\\\\c\\n\\u001b[31m\",\"alive\":false");
    assert_has(text, "\"name\":\"?\xc3\xa9??\"");
    free(text);
}

static void test_odd_names_cannot_drive_a_terminal(void **state)
{
    (void)state;
    char *text = printed(print_pool, false);
    assert_null(strchr(text, '\x1b'));
    assert_null(strchr(text, '\xff'));
    assert_has(text, "a\"b\\c\\x0a\\x1b[31m");
    free(text);
}

static void test_info_for_people(void **state)
{
    (void)state;
    char *text = printed(print_pool, false);
    assert_has(text, "frames  01234567-89ab-cdef-fedc-ba9876543210  mode 0660\n");
    assert_has(text, "15 buffers of 960KiB in all, budget 1GiB, quota 256MiB; control "
                     "segment 12KiB; 3 of 16");
    assert_has(text, "PERSISTENT");
    assert_has(text, "3GiB");
    assert_has(text, "64KiB");
    assert_has(text, "to measure");
    assert_has(text, "total");
    free(text);
}

static haul_status print_bare_pool(FILE *out, bool json)
{
    haul_pool_info bare = picture;
    const haul_pool_info *infos[] = {&bare};
    bare.quota_bytes = 0;
    bare.n_names = 0;
    return show_pools(infos, 1, json, out);
}

/* A pool that has neither does not speak of quotas and names. */
static void test_a_bare_pool(void **state)
{
    (void)state;
    char *text = printed(print_bare_pool, false);
    assert_has(text, "budget 1GiB; control segment");
    assert_null(strstr(text, "PERSISTENT"));
    free(text);
    text = printed(print_bare_pool, true);
    squeeze(text);
    assert_has(text, "\"quota_bytes\":0,");
    assert_has(text, "\"names\":[]}]}");
    free(text);
}

static void test_several_pools_and_none(void **state)
{
    (void)state;
    char *text = printed(print_two_pools, true);
    squeeze(text);
    assert_has(text, "]},{\"name\":\"frames\"");
    free(text);
    text = printed(print_no_pool, true);
    assert_string_equal(text, "{\"pools\": []}\n");
    free(text);
}

/* ---- pool list, pool audit ----------------------------------------------------------------- */

static haul_status print_list(FILE *out, bool json)
{
    const listed_pool listed[] = {{.name = "broken", .status = HAUL_CORRUPT},
                                  {.name = "frames", .status = HAUL_OK, .info = &picture}};
    return show_list(listed, 2, json, out);
}

static haul_status print_empty_list(FILE *out, bool json)
{
    return show_list(NULL, 0, json, out);
}

static void test_a_pool_that_cannot_be_read_is_listed(void **state)
{
    (void)state;
    char *text = printed(print_list, true);
    squeeze(text);
    assert_has(text, "{\"pools\":[{\"name\":\"broken\",\"state\":\"corrupt\",\"uuid\":null,"
                     "\"pool_id\":null,\"buffers\":null,");
    assert_has(text, "{\"name\":\"frames\",\"state\":\"ok\",\"uuid\":\"01234567-");
    assert_has(text, "\"buffers\":15,\"total_bytes\":983040,\"budget_bytes\":1073741824,"
                     "\"participants\":3,\"mode\":\"0660\"}]}");
    free(text);
    text = printed(print_list, false);
    assert_has(text, "broken corrupt");
    free(text);
}

static void test_an_empty_list(void **state)
{
    (void)state;
    char *text = printed(print_empty_list, true);
    squeeze(text);
    assert_string_equal(text, "{\"pools\":[]}");
    free(text);
    text = printed(print_empty_list, false);
    assert_string_equal(text, "");
    free(text);
}

static haul_status print_findings(FILE *out, bool json)
{
    static char first[] = "buffer 3: \"odd\"";
    static char second[] = "buffer 4: worse";
    char *findings[] = {first, second};
    return show_findings("frames", findings, 2, json, out);
}

static haul_status print_no_findings(FILE *out, bool json)
{
    return show_findings("frames", NULL, 0, json, out);
}

static void test_findings(void **state)
{
    (void)state;
    char *text = printed(print_findings, true);
    squeeze(text);
    assert_string_equal(text, "{\"name\":\"frames\",\"findings\":[{\"finding\":\"buffer 3: "
                              "\\\"odd\\\"\"},{\"finding\":\"buffer 4: worse\"}]}");
    free(text);
    text = printed(print_no_findings, true);
    squeeze(text);
    assert_string_equal(text, "{\"name\":\"frames\",\"findings\":[]}");
    free(text);
    text = printed(print_findings, false);
    assert_string_equal(text, "frames: buffer 3: \"odd\"\nframes: buffer 4: worse\n");
    free(text);
    text = printed(print_no_findings, false);
    assert_string_equal(text, "frames: clean\n");
    free(text);
}

/* ---- Over the wire ------------------------------------------------------------------------- */

static Shorthaul__V1__PoolInfo *sent(const haul_pool_info *info)
{
    Shorthaul__V1__PoolInfo *message = NULL;
    assert_int_equal(info_to_message(info, &message), HAUL_OK);
    size_t len = shorthaul__v1__pool_info__get_packed_size(message);
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    assert_int_equal(shorthaul__v1__pool_info__pack(message, bytes), len);
    info_message_free(message);
    Shorthaul__V1__PoolInfo *received = shorthaul__v1__pool_info__unpack(NULL, len, bytes);
    free(bytes);
    assert_non_null(received);
    return received;
}

static void test_a_picture_survives_the_wire(void **state)
{
    (void)state;
    Shorthaul__V1__PoolInfo *message = sent(&picture);
    haul_pool_info *copy = NULL;
    assert_int_equal(message->classes[0]->count, 15);
    assert_int_equal(message->classes[0]->counters->n_requested, 17);
    assert_int_equal(message->classes[1]->counters->n_requested, 0);
    assert_int_equal(info_from_message(message, &copy), HAUL_OK);
    shorthaul__v1__pool_info__free_unpacked(message, NULL);

    assert_string_equal(copy->name, picture.name);
    assert_memory_equal(copy->uuid, picture.uuid, sizeof(picture.uuid));
    assert_int_equal(copy->id, picture.id);
    assert_int_equal(copy->mode, picture.mode);
    assert_int_equal(copy->n_slots, picture.n_slots);
    assert_int_equal(copy->budget_bytes, picture.budget_bytes);
    assert_int_equal(copy->bytes, picture.bytes);
    assert_int_equal(copy->control_bytes, picture.control_bytes);
    assert_int_equal(copy->n_classes, 2);
    assert_memory_equal(copy->classes, classes, sizeof(classes));
    assert_int_equal(copy->quota_bytes, picture.quota_bytes);
    assert_int_equal(copy->n_participants, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(copy->participants[i].name, participants[i].name);
        assert_int_equal(copy->participants[i].slot, participants[i].slot);
        assert_int_equal(copy->participants[i].alive, participants[i].alive);
        assert_int_equal(copy->participants[i].bytes_held, participants[i].bytes_held);
    }
    assert_int_equal(copy->n_names, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(copy->names[i].name, names[i].name);
        assert_int_equal(copy->names[i].persistent, names[i].persistent);
        assert_int_equal(copy->names[i].owner, names[i].owner);
        assert_int_equal(copy->names[i].index, names[i].index);
        assert_int_equal(copy->names[i].len, names[i].len);
    }
    info_copy_free(copy);
}

static void test_wrong_messages_are_refused(void **state)
{
    (void)state;
    haul_pool_info *copy = NULL;
    Shorthaul__V1__PoolInfo *message = sent(&picture);
    message->uuid.len = 15;
    assert_int_equal(info_from_message(message, &copy), HAUL_PROTOCOL);
    message->uuid.len = 16;
    Shorthaul__V1__ClassCounters *counters = message->classes[1]->counters;
    message->classes[1]->counters = NULL;
    assert_int_equal(info_from_message(message, &copy), HAUL_PROTOCOL);
    message->classes[1]->counters = counters;
    shorthaul__v1__pool_info__free_unpacked(message, NULL);
    assert_null(copy);
}

/* More than a pool can have is cut, wherever it comes from. */
static void test_long_messages_are_cut(void **state)
{
    (void)state;
    haul_pool_info *copy = NULL;
    char name[200];
    uint64_t requested[100] = {[99] = 1};
    Shorthaul__V1__PoolInfo *message = sent(&picture);
    char *kept_name = message->name;
    Shorthaul__V1__ClassCounters *counters = message->classes[0]->counters;
    uint64_t *kept_requested = counters->requested;
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    char *kept_buffer_name = message->names[0]->name;
    message->name = name;
    message->names[0]->name = name;
    counters->requested = requested;
    counters->n_requested = 100;
    assert_int_equal(info_from_message(message, &copy), HAUL_OK);
    assert_int_equal(strlen(copy->name), HAUL_POOL_NAME_MAX);
    assert_int_equal(strlen(copy->names[0].name), HAUL_BUF_NAME_MAX);
    assert_int_equal(copy->classes[0].requested[HAUL_HISTOGRAM_BUCKETS - 1], 0);
    info_copy_free(copy);
    message->name = kept_name;
    message->names[0]->name = kept_buffer_name;
    counters->requested = kept_requested;
    shorthaul__v1__pool_info__free_unpacked(message, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info_as_json),
        cmocka_unit_test(test_published_buffers_as_json),
        cmocka_unit_test(test_odd_names_as_json),
        cmocka_unit_test(test_odd_names_cannot_drive_a_terminal),
        cmocka_unit_test(test_info_for_people),
        cmocka_unit_test(test_a_bare_pool),
        cmocka_unit_test(test_several_pools_and_none),
        cmocka_unit_test(test_a_pool_that_cannot_be_read_is_listed),
        cmocka_unit_test(test_an_empty_list),
        cmocka_unit_test(test_findings),
        cmocka_unit_test(test_a_picture_survives_the_wire),
        cmocka_unit_test(test_wrong_messages_are_refused),
        cmocka_unit_test(test_long_messages_are_cut),
    };
    return cmocka_run_group_tests_name("show", tests, NULL, NULL);
}
