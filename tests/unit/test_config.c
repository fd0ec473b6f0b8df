/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What a configuration file may say: all of it arrives, and each mistake is refused with the line
 * that it is on. One thread, no pool is created.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sidecar/config.h"

#define MIB UINT64_C(1048576)

/* ---- Right files --------------------------------------------------------------------------- */

static const char whole[] = "# everything that can be said\n"
                            "socket: unix:/tmp/elsewhere.sock\n"
                            "reap_interval: 2s\n"
                            "pools:\n"
                            "  - name: frames\n"
                            "    classes:\n"
                            "      - {size: 64KiB, initial: 4, max: 16}\n"
                            "      - size: 16MiB\n"
                            "        max: 3\n"
                            "    budget: 1GiB\n"
                            "    measured_max: 2\n"
                            "    participants: 12\n"
                            "    quota: 48MiB\n"
                            "    names: 300\n"
                            "    mode: 0660\n"
                            "    group: root\n"
                            "    remove_on_exit: true\n"
                            "  - name: small.things_2\n"
                            "    classes:\n"
                            "      - {size: 4096, max: 1}\n";

static void test_all_of_a_file_arrives(void **state)
{
    (void)state;
    sidecar_config config = {0};
    config_error err;
    assert_int_equal(config_parse(whole, strlen(whole), &config, &err), HAUL_OK);
    assert_string_equal(config.socket, "unix:/tmp/elsewhere.sock");
    assert_int_equal(config.reap_interval_ns, 2000000000);
    assert_int_equal(config.n_pools, 2);

    const pool_spec *frames = &config.pools[0];
    assert_string_equal(frames->name, "frames");
    assert_int_equal(frames->config.n_classes, 2);
    assert_int_equal(frames->classes[0].size_bytes, 65536);
    assert_int_equal(frames->classes[0].n_initial, 4);
    assert_int_equal(frames->classes[0].n_max, 16);
    assert_int_equal(frames->classes[1].size_bytes, 16 * MIB);
    assert_int_equal(frames->classes[1].n_initial, 0);
    assert_int_equal(frames->classes[1].n_max, 3);
    assert_int_equal(frames->config.budget_bytes, 1024 * MIB);
    assert_int_equal(frames->config.n_measured_max, 2);
    assert_int_equal(frames->config.n_participants, 12);
    assert_int_equal(frames->config.quota_bytes, 48 * MIB);
    assert_int_equal(frames->config.n_names, 300);
    assert_int_equal(frames->config.mode, 0660);
    assert_int_equal(frames->config.gid, 0);
    assert_true(frames->remove_on_exit);
    assert_false(frames->as_found);
    config_fini(&config);
}

static void test_what_is_not_said_has_defaults(void **state)
{
    (void)state;
    sidecar_config config = {0};
    config_error err;
    static const char text[] = "pools:\n"
                               "  - name: a\n"
                               "    classes: [{size: 1MiB, max: 5}, {size: 2MiB, max: 10}]\n";
    assert_int_equal(config_parse(text, strlen(text), &config, &err), HAUL_OK);
    assert_string_equal(config.socket, CONFIG_SOCKET_DEFAULT);
    assert_int_equal(config.reap_interval_ns, CONFIG_REAP_NS);
    const haul_pool_config pool = pool_spec_config(&config.pools[0]);
    assert_ptr_equal(pool.classes, config.pools[0].classes);
    assert_int_equal(pool.struct_size, sizeof(pool));
    assert_int_equal(pool.budget_bytes, 25 * MIB);
    assert_int_equal(pool.n_measured_max, 0);
    assert_int_equal(pool.n_participants, HAUL_PARTICIPANTS_DEFAULT);
    assert_int_equal(pool.quota_bytes, 0);
    assert_int_equal(pool.n_names, HAUL_NAMES_DEFAULT);
    assert_int_equal(pool.mode, 0600);
    assert_int_equal(pool.gid, (gid_t)-1);
    assert_false(config.pools[0].remove_on_exit);
    config_fini(&config);
}

static void test_a_file_may_leave_the_pools_out(void **state)
{
    (void)state;
    sidecar_config config = {0};
    config_error err;
    static const char text[] = "socket: unix-abstract:me\n";
    assert_int_equal(config_parse(text, strlen(text), &config, &err), HAUL_OK);
    assert_int_equal(config.n_pools, 0);
    assert_int_equal(config_add_default_pool(1024 * MIB, &config, &err), HAUL_OK);
    assert_int_equal(config.n_pools, 1);
    assert_string_equal(config.socket, "unix-abstract:me");
    config_fini(&config);
}

/* ---- Wrong files --------------------------------------------------------------------------- */

typedef struct bad_file {
    const char *text;
    unsigned line;
    const char *reason; /* a part of it */
} bad_file;

#define POOL     "pools:\n  - name: a\n    classes:\n      - size: 1MiB\n        max: 4\n"
#define CLASS(c) "pools:\n  - name: a\n    classes:\n      - " c "\n"

static const bad_file bad_files[] = {
    /* Not YAML, or not a configuration. */
    {"", 1, "no configuration"},
    {"# nothing\n", 1, "no configuration"},
    {"pools:\n\t- name: a\n", 2, "cannot start any token"},
    {"socket: [unix:/x\n", 2, "flow sequence"},
    {"socket: \"\xff\xfe\"\n", 1, "UTF-8"},
    {"socket: \"unix:/a\\0b\"\n", 1, "NUL"},
    {"just words\n", 1, "Expecting MAPPING"},
    {POOL "---\nsocket: unix:/x\n", 7, "second document"},
    {"socket: &a unix:/x\npools: *a\n", 2, "aliases"},
    {"pools: 7\n", 1, "Expecting SEQUENCE"},
    {"pools: []\n", 1, "Insufficient entries"},
    {"pools:\n  - a\n", 2, "Expecting MAPPING"},

    /* Keys. */
    {POOL "colour: red\n", 6, "unknown key 'colour'"},
    {POOL "    colour: red\n", 6, "unknown key 'colour'"},
    {CLASS("{size: 1MiB,\n         max: 2,\n         min: 1}"), 6, "unknown key 'min'"},
    {POOL "    name: b\n", 6, "key 'name' is there twice (first on line 2)"},
    {POOL "pools: []\n", 6, "key 'pools' is there twice"},
    {CLASS("initial: 1\n        max: 4"), 4, "key 'size' is missing"},
    {CLASS("size: 1MiB"), 4, "key 'max' is missing"},
    {"pools:\n  - name: a\n", 2, "key 'classes' is missing"},
    {"\npools:\n  - classes: [{size: 1, max: 1}]\n", 3, "key 'name' is missing"},

    /* Sizes. */
    {CLASS("{size: 64MB, max: 4}"), 4, "size: '64MB' is not a size"},
    {CLASS("{size: 1.5MiB, max: 4}"), 4, "is not a size"},
    {CLASS("{size: -1, max: 4}"), 4, "is not a size"},
    {CLASS("{size: 64 MiB, max: 4}"), 4, "is not a size"},
    {CLASS("{size: '', max: 4}"), 4, "is not a size"},
    {CLASS("{size: 0, max: 4}"), 4, "is not a size above 0"},
    {CLASS("{size: 16777216TiB, max: 4}"), 4, "is too large"},
    {CLASS("{size: 99999999999999999999, max: 4}"), 4, "is too large"},
    {CLASS("{size: 18446744073709551615, max: 4}"), 4, "is too large"},
    {CLASS("{size: [1], max: 4}"), 4, "Expecting STRING"},

    /* Counts. */
    {CLASS("{size: 1MiB, max: 4x}"), 4, "max: '4x' is not a count"},
    {CLASS("{size: 1MiB, max: 0}"), 4, "max: 0 is not in 1..65536"},
    {CLASS("{size: 1MiB, max: 65537}"), 4, "max: 65537 is not in 1..65536"},
    {CLASS("{size: 1MiB, max: 99999999999}"), 4, "is too large"},
    {CLASS("size: 1MiB\n        max: 4\n        initial: 5"), 6,
     "initial: 5 buffers exceed the class's max of 4"},
    {POOL "    participants: 0\n", 6, "participants: 0 is not in 1..4096"},
    {POOL "    participants: 4097\n", 6, "participants: 4097 is not in"},
    {POOL "    names: 0\n", 6, "names: 0 is not in 1..4096"},
    {POOL "    names: 4097\n", 6, "names: 4097 is not in 1..4096"},
    {POOL "    names: [a, b]\n", 6, "Expecting STRING"},
    {POOL "    budget: 1GiB\n    measured_max: none\n", 7, "measured_max: 'none' is not a count"},

    /* Sums. */
    {CLASS("{size: 2MiB, max: 4}\n      - {size: 1MiB, max: 4}"), 5, "classes ascend"},
    {CLASS("{size: 2MiB, max: 4}\n      - {size: 2MiB, max: 4}"), 5, "classes ascend"},
    {CLASS("{size: 5000, max: 4}\n      - {size: 6000, max: 4}"), 5, "in whole pages"},
    {POOL "    budget: 512KiB\n", 4, "one buffer of 1MiB exceeds the pool's budget of 512KiB"},
    {CLASS("{size: 1MiB, initial: 4, max: 4}\n    budget: 3MiB"), 5,
     "budget: 3MiB cannot hold the initial buffers, which take 4MiB"},
    {CLASS("{size: 8388608TiB, max: 4}"), 4, "exceeds 64 bits"},
    {CLASS("{size: 4194304TiB, initial: 2, max: 4}\n    budget: 5000000TiB"), 5,
     "cannot hold the initial buffers"},
    {POOL "    measured_max: 2\n", 6, "need a budget"},
    {POOL "    budget: 0\n", 6, "is not a size above 0"},
    {POOL "    quota: 0\n", 6, "quota: '0' is not a size above 0"},
    {POOL "    quota: lots\n", 6, "quota: 'lots' is not a size"},
    {POOL "    quota: 512KiB\n", 6,
     "quota: 512KiB is less than one buffer of the smallest class, 1MiB"},

    /* Names, access, the rest. */
    {"pools:\n  - classes: [{size: 1, max: 1}]\n    name: a/b\n", 3, "name: 'a/b' holds more than"},
    {"pools:\n  - classes: [{size: 1, max: 1}]\n    name: ../x\n", 3, "holds more than"},
    {"pools:\n  - classes: [{size: 1, max: 1}]\n    name: .x\n", 3, "begins with a dot"},
    {"pools:\n  - classes: [{size: 1, max: 1}]\n    name: ''\n", 3, "1 to 64 characters"},
    {POOL "  - classes: [{size: 1, max: 1}]\n    name: a\n", 7,
     "name: 'a' is there twice (first on line 2)"},
    {POOL "    mode: 0666\n", 6, "mode: '0666' is neither 0600 nor 0660"},
    {POOL "    mode: rw\n", 6, "mode: 'rw' is not a mode"},
    {POOL "    group: no-such-group-here\n", 6, "is not a group of this machine"},
    {POOL "    mode: 0600\n    group: root\n", 7, "write mode: 0660"},
    {POOL "    remove_on_exit: maybe\n", 6, "Invalid ENUM value: maybe"},
    {"socket: tcp:1\n", 1, "is not the address of a Unix socket"},
    {"socket: 'unix:'\n", 1, "names no socket"},
    {"reap_interval: 250\n", 1, "is not a duration"},
    {"reap_interval: 1ms\n", 1, "is not in 10ms..60min"},
    {"reap_interval: 2000min\n", 1, "is not in 10ms..60min"},
};

static void test_each_mistake_is_refused_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
        const bad_file *bad = &bad_files[i];
        sidecar_config config = {0};
        config_error err = {0};
        haul_status status = config_parse(bad->text, strlen(bad->text), &config, &err);
        if (status != HAUL_INVALID || err.line != bad->line || !strstr(err.reason, bad->reason)) {
            fail_msg("file %zu:\n%s\nwanted line %u: ...%s...\ngot %s, line %u: %s", i, bad->text,
                     bad->line, bad->reason, haul_status_name(status), err.line, err.reason);
        }
        assert_null(config.socket);
        assert_null(config.pools);
    }
}

static void test_names_and_paths_may_be_so_long(void **state)
{
    (void)state;
    char text[512];
    char name[101];
    sidecar_config config = {0};
    config_error err = {0};
    memset(name, 'x', sizeof(name));
    (void)snprintf(text, sizeof(text),
                   "pools:\n  - name: %.64s\n    classes: [{size: 1, max: 1}]\n", name);
    assert_int_equal(config_parse(text, strlen(text), &config, &err), HAUL_OK);
    config_fini(&config);
    (void)snprintf(text, sizeof(text),
                   "pools:\n  - name: %.65s\n    classes: [{size: 1, max: 1}]\n", name);
    assert_int_equal(config_parse(text, strlen(text), &config, &err), HAUL_INVALID);
    assert_int_equal(err.line, 2);
    (void)snprintf(text, sizeof(text), "socket: unix:/%.100s/0123456789\n", name);
    assert_int_equal(config_parse(text, strlen(text), &config, &err), HAUL_INVALID);
    assert_non_null(strstr(err.reason, "107 bytes"));
}

static void append_classes(char *text, size_t room, unsigned n)
{
    size_t used = strlen(text);
    for (unsigned i = 1; i <= n; i++) {
        used += (size_t)snprintf(text + used, room - used, "      - {size: %uMiB, max: 1}\n", i);
    }
}

static void test_measured_buffers_count_as_a_class(void **state)
{
    (void)state;
    sidecar_config config = {0};
    config_error err = {0};
    char text[4096] = "pools:\n  - name: a\n    classes:\n";
    append_classes(text, sizeof(text), HAUL_CLASSES_MAX);
    assert_int_equal(config_parse(text, strlen(text), &config, &err), HAUL_OK);
    config_fini(&config);
    size_t used = strlen(text);
    (void)snprintf(text + used, sizeof(text) - used, "    budget: 1GiB\n    measured_max: 1\n");
    assert_int_equal(config_parse(text, strlen(text), &config, &err), HAUL_INVALID);
    assert_int_equal(err.line, 4); /* where the list begins */
    assert_non_null(strstr(err.reason, "32 are more than 31"));
}

static void test_files_that_cannot_be_read(void **state)
{
    (void)state;
    sidecar_config config = {0};
    config_error err = {0};
    assert_int_equal(config_load("/nonexistent/file.yaml", &config, &err), HAUL_SYSTEM);
    assert_int_equal(err.line, 0);
    assert_non_null(strstr(err.reason, "No such file"));
    assert_int_equal(config_load("/", &config, &err), HAUL_SYSTEM);
    assert_non_null(strstr(err.reason, "directory"));
    assert_int_equal(config_load("/dev/zero", &config, &err), HAUL_INVALID);
    assert_non_null(strstr(err.reason, "1MiB"));
}

/* Lists nested deep and mappings without end must not cost the stack. */
static void test_absurd_yaml_is_refused(void **state)
{
    (void)state;
    const size_t len = 100000;
    char *text = malloc(len);
    sidecar_config config = {0};
    config_error err = {0};
    assert_non_null(text);
    memset(text, '[', len); /* libyaml's time for these is quadratic: not all of them */
    assert_int_equal(config_parse(text, len / 20, &config, &err), HAUL_INVALID);
    size_t used = 0;
    for (unsigned i = 0; used + 16 < len; i++) {
        used += (size_t)snprintf(text + used, len - used, "k%u: 1\n", i);
    }
    assert_int_equal(config_parse(text, used, &config, &err), HAUL_INVALID);
    assert_non_null(strstr(err.reason, "1000 keys"));
    free(text);
}

/* ---- No file ------------------------------------------------------------------------------- */

static void test_default_on_a_large_machine(void **state)
{
    (void)state;
    sidecar_config config = {0};
    config_error err = {0};
    assert_int_equal(config_default(65536 * MIB, &config, &err), HAUL_OK);
    assert_string_equal(config.socket, CONFIG_SOCKET_DEFAULT);
    assert_int_equal(config.n_pools, 1);
    const pool_spec *spec = &config.pools[0];
    assert_string_equal(spec->name, "default");
    assert_true(spec->as_found);
    assert_int_equal(spec->config.budget_bytes, 4096 * MIB);
    assert_int_equal(spec->config.n_measured_max, 4);
    assert_int_equal(spec->config.n_names, HAUL_NAMES_DEFAULT);
    assert_int_equal(spec->config.quota_bytes, 0);
    assert_int_equal(spec->config.n_classes, 4);
    assert_int_equal(spec->classes[0].n_initial, 8);
    assert_int_equal(spec->classes[0].n_max, 64);
    assert_int_equal(spec->classes[3].size_bytes, 256 * MIB);
    assert_int_equal(spec->classes[3].n_initial, 0);
    config_fini(&config);
}

/* Whatever the machine has, the default pool can be created on it. */
static void test_default_fits_any_machine(void **state)
{
    (void)state;
    for (uint64_t shm = 2 * MIB; shm < 16384 * MIB; shm += shm / 3 + 4096) {
        sidecar_config config = {0};
        config_error err = {0};
        assert_int_equal(config_default(shm, &config, &err), HAUL_OK);
        const pool_spec *spec = &config.pools[0];
        uint64_t initial = 0;
        assert_true(spec->config.n_classes > 0);
        assert_true(spec->config.budget_bytes <= shm / 2);
        for (uint32_t i = 0; i < spec->config.n_classes; i++) {
            const haul_class_config *cls = &spec->classes[i];
            assert_true(cls->n_max > 0 && cls->n_initial <= cls->n_max);
            assert_true(cls->size_bytes <= spec->config.budget_bytes);
            initial += cls->size_bytes * cls->n_initial;
        }
        assert_true(initial <= spec->config.budget_bytes / 2);
        config_fini(&config);
    }
}

static void test_default_needs_some_memory(void **state)
{
    (void)state;
    sidecar_config config = {0};
    config_error err = {0};
    assert_int_equal(config_default(MIB, &config, &err), HAUL_INVALID);
    assert_non_null(strstr(err.reason, "/dev/shm is too small"));
    assert_null(config.socket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_a_file_arrives),
        cmocka_unit_test(test_what_is_not_said_has_defaults),
        cmocka_unit_test(test_a_file_may_leave_the_pools_out),
        cmocka_unit_test(test_each_mistake_is_refused_with_its_line),
        cmocka_unit_test(test_names_and_paths_may_be_so_long),
        cmocka_unit_test(test_measured_buffers_count_as_a_class),
        cmocka_unit_test(test_files_that_cannot_be_read),
        cmocka_unit_test(test_absurd_yaml_is_refused),
        cmocka_unit_test(test_default_on_a_large_machine),
        cmocka_unit_test(test_default_fits_any_machine),
        cmocka_unit_test(test_default_needs_some_memory),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
