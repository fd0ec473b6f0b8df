/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Names, and control objects that are not what they should be. */

#include "pool_test.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/control.h"
#include "pool/lock.h"
#include "pool/object.h"

static const haul_class_config one_class = {.size_bytes = 4096, .n_initial = 1, .n_max = 2};
static const haul_pool_config config = {
    .struct_size = sizeof(config), .classes = &one_class, .n_classes = 1, .n_participants = 4};

static const char *control_object(const char *pool_name)
{
    static char object[HAUL__OBJECT_NAME_BYTES];
    haul__control_name(pool_name, object);
    return object;
}

/* Put @bytes where a pool's control object would be. */
static void plant(const char *name, const void *bytes, size_t n, mode_t mode)
{
    int fd = shm_open(control_object(name), O_CREAT | O_EXCL | O_RDWR, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(close(fd), 0);
}

static void unplant(const char *name)
{
    assert_int_equal(shm_unlink(control_object(name)), 0);
}

static haul_status try_open(const char *name, haul_error *err)
{
    haul_pool *pool;
    return haul_pool_open(name, NULL, &pool, err);
}

static haul_status try_create(const char *name, haul_error *err)
{
    haul_pool *pool;
    return haul_pool_create(name, &config, NULL, &pool, err);
}

/* ---- Names --------------------------------------------------------------------------------- */

static void names_that_are_none_are_refused(void **state)
{
    (void)state;
    char long_name[301];
    memset(long_name, 'x', 300);
    long_name[300] = '\0';
    const char *const bad[] = {"",        "/",   "a/b", "../a", "/dev/shm/a", ".",       "..",
                               ".hidden", "a b", "a:1", "a\n",  "\xc3\xa9",   long_name, NULL};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        haul_error err = {0};
        assert_status(try_create(bad[i], &err), HAUL_INVALID);
        assert_non_null(strstr(err.text, "name"));
        assert_status(try_open(bad[i], &err), HAUL_INVALID);
        assert_status(haul_pool_remove(bad[i], true, &err), HAUL_INVALID);
    }
    long_name[HAUL_POOL_NAME_MAX] = '\0';
    assert_status(try_open(long_name, NULL), HAUL_NOT_FOUND);
}

static void one_pool_to_a_name(void **state)
{
    (void)state;
    haul_error err;
    haul_pool *pool = test_pool_create("twice");
    const char *name = haul_pool_name(pool);
    assert_status(try_create(name, &err), HAUL_EXISTS);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
    assert_status(try_open(test_pool_name("twice"), &err), HAUL_NOT_FOUND);
    assert_status(haul_pool_remove(test_pool_name("twice"), false, &err), HAUL_NOT_FOUND);
}

static void pools_are_listed_and_buffers_are_not(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create("listed");
    char **names = NULL;
    size_t n = 0;
    int found = 0;
    assert_ok(haul_pool_list(&names, &n, NULL));
    for (size_t i = 0; i < n; i++) {
        assert_null(strchr(names[i], ':'));
        assert_true(i == 0 || strcmp(names[i - 1], names[i]) < 0);
        found += strcmp(names[i], haul_pool_name(pool)) == 0;
    }
    for (size_t i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
    assert_int_equal(found, 1);
    test_pool_destroy(pool);
}

/* ---- Objects that are not pools ------------------------------------------------------------ */

static void refused_until_forced(const char *name, haul_status expected)
{
    haul_error err = {0};
    assert_status(try_open(name, &err), expected);
    assert_true(strlen(err.text) > 0);
    assert_null(strstr(err.text, "haul.")); /* no object's name in a text */
    assert_status(try_create(name, &err), expected);
    assert_status(haul_pool_remove(name, false, &err), expected);
    assert_ok(haul_pool_remove(name, true, &err));
    assert_status(try_open(name, &err), HAUL_NOT_FOUND);
}

static void short_and_random_objects_are_corrupt(void **state)
{
    (void)state;
    const char *name = test_pool_name("garbage");
    uint8_t noise[200000];
    uint32_t x = 12345;
    for (size_t i = 0; i < sizeof(noise); i++) {
        x = x * 1664525 + 1013904223;
        noise[i] = (uint8_t)(x >> 24);
    }
    const size_t sizes[] = {1,    10,           64, sizeof(haul__header) - 1, sizeof(haul__header),
                            4096, sizeof(noise)};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        plant(name, noise, sizes[i], 0600);
        refused_until_forced(name, HAUL_CORRUPT);
    }
}

/* Change a good pool's header in the file and put it back afterwards. */
static void with_header(const char *name, void (*change)(haul__header *), haul_status expected)
{
    haul__header good;
    haul_error err;
    int fd = shm_open(control_object(name), O_RDWR, 0);
    assert_int_equal(pread(fd, &good, sizeof(good), 0), sizeof(good));
    haul__header bad = good;
    change(&bad);
    assert_int_equal(pwrite(fd, &bad, sizeof(bad), 0), sizeof(bad));
    assert_status(try_open(name, &err), expected);
    assert_int_equal(pwrite(fd, &good, sizeof(good), 0), sizeof(good));
    assert_int_equal(close(fd), 0);
}

static void another_version(haul__header *h)
{
    h->layout_version++;
}

static void another_layout(haul__header *h)
{
    h->fingerprint ^= 1;
}

static void more_buffers_than_there_are(haul__header *h)
{
    h->classes[0].n_max = 60000;
}

static void no_such_state(haul__header *h)
{
    haul__store32_relaxed(&h->state, 77);
}

static void no_id(haul__header *h)
{
    memset(h->uuid, 0, sizeof(h->uuid));
}

static void other_versions_and_lying_headers_are_refused(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create_one("header", 4096, 1);
    const char *name = haul_pool_name(pool);
    with_header(name, another_version, HAUL_VERSION);
    with_header(name, another_layout, HAUL_VERSION);
    with_header(name, more_buffers_than_there_are, HAUL_CORRUPT);
    with_header(name, no_such_state, HAUL_CORRUPT);
    with_header(name, no_id, HAUL_CORRUPT);
    assert_audit_clean(pool);

    int fd = shm_open(control_object(name), O_RDWR, 0);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(ftruncate(fd, sizeof(haul__header)), 0);
    assert_status(try_open(name, NULL), HAUL_CORRUPT);
    assert_int_equal(ftruncate(fd, st.st_size), 0);
    assert_int_equal(close(fd), 0);
    test_pool_destroy(pool);
}

/* The buffers of a pool whose control object was scribbled on go with it, and others' stay. */
static void force_removes_the_buffers_of_an_unreadable_pool(void **state)
{
    (void)state;
    char object[HAUL__OBJECT_NAME_BYTES];
    uint64_t bytes;
    haul_pool *pool = test_pool_create_one("scribbled", 4096, 2);
    haul_pool *other = test_pool_create_one("scribbled-on", 4096, 1);
    char name[HAUL_POOL_NAME_MAX + 1];
    (void)snprintf(name, sizeof(name), "%s", haul_pool_name(pool));
    haul__buffer_name(name, haul_pool_id(pool), 1, object);
    haul_pool_close(pool);
    int fd = shm_open(control_object(name), O_RDWR, 0);
    assert_int_equal(pwrite(fd, "garbage", 7, 0), 7);
    assert_int_equal(close(fd), 0);
    assert_status(haul_pool_remove(name, false, NULL), HAUL_CORRUPT);
    assert_true(haul__object_exists(object, (gid_t)-1, &bytes));
    assert_ok(haul_pool_remove(name, true, NULL));
    assert_false(haul__object_exists(object, (gid_t)-1, &bytes));
    assert_audit_clean(other);
    test_pool_destroy(other);
}

/* A member of the pool's group may use the pool, not remove it; nothing is marked or lost. */
static void only_its_owner_removes_a_pool(void **state)
{
    (void)state;
    haul_pool_config c = config;
    haul_pool *pool;
    if (geteuid() != 0) {
        skip(); /* only root can be somebody else */
    }
    c.mode = 0660;
    c.gid = 54321;
    const char *name = test_pool_name("group");
    assert_ok(haul_pool_create(name, &c, NULL, &pool, NULL));
    haul_pool_close(pool);
    pid_t pid = fork();
    if (pid == 0) {
        haul_error err;
        bool denied = setgroups(0, NULL) == 0 && setgid(54321) == 0 && setuid(54321) == 0 &&
                      haul_pool_remove(name, true, &err) == HAUL_DENIED &&
                      haul_pool_open(name, NULL, &pool, NULL) == HAUL_OK &&
                      haul_pool_grow(pool, 0, 2, NULL) == HAUL_OK;
        haul_pool_close(denied ? pool : NULL);
        _exit(denied ? 0 : 1);
    }
    int wstatus;
    assert_int_equal(waitpid(pid, &wstatus, 0), pid);
    assert_int_equal(wstatus, 0);
    assert_ok(haul_pool_open(name, NULL, &pool, NULL));
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

static void an_empty_object_is_a_pool_not_made_yet(void **state)
{
    (void)state;
    const char *name = test_pool_name("empty");
    haul_pool *pool;
    plant(name, "", 0, 0600);
    assert_status(try_open(name, NULL), HAUL_NOT_FOUND);
    assert_ok(haul_pool_create(name, &config, NULL, &pool, NULL));
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

static void a_creator_at_work_is_left_alone(void **state)
{
    (void)state;
    const char *name = test_pool_name("busy");
    plant(name, "", 0, 0600);
    int fd = shm_open(control_object(name), O_RDWR, 0);
    assert_ok(haul__lock_try(fd, HAUL__LOCK_ADMIN));
    assert_status(try_open(name, NULL), HAUL_AGAIN);
    assert_status(try_create(name, NULL), HAUL_AGAIN);
    assert_status(haul_pool_remove(name, true, NULL), HAUL_AGAIN);
    assert_int_equal(close(fd), 0);
    unplant(name);
}

static void a_remover_that_died_before_it_decided_is_undone(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create_one("undone", 4096, 1);
    haul_pool *other;
    haul__store32_seq(&haul__header_of(pool)->state, HAUL__POOL_REMOVING);
    assert_ok(haul_pool_open(haul_pool_name(pool), NULL, &other, NULL));
    assert_audit_clean(other);
    haul_pool_close(other);
    test_pool_destroy(pool);
}

/* ---- Permissions --------------------------------------------------------------------------- */

static void objects_open_to_everybody_are_refused(void **state)
{
    (void)state;
    haul_error err;
    haul_pool *pool = test_pool_create_one("world", 4096, 1);
    const char *name = haul_pool_name(pool);
    int fd = shm_open(control_object(name), O_RDWR, 0);
    const mode_t bad[] = {0666, 0602, 0604};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fchmod(fd, bad[i]), 0);
        assert_status(try_open(name, &err), HAUL_DENIED);
    }
    assert_int_equal(fchmod(fd, 0600), 0);
    if (geteuid() == 0) { /* another user's object: only root can make one */
        assert_int_equal(fchown(fd, 12345, 12345), 0);
        assert_status(try_open(name, &err), HAUL_DENIED);
        assert_int_equal(fchown(fd, 0, 0), 0);
    }
    assert_int_equal(close(fd), 0);
    test_pool_destroy(pool);
}

static void a_symbolic_link_is_not_followed(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create_one("target", 4096, 1);
    char target[HAUL__OBJECT_NAME_BYTES + 16];
    char link_path[HAUL__OBJECT_NAME_BYTES + 16];
    (void)snprintf(target, sizeof(target), "/dev/shm%s", control_object(haul_pool_name(pool)));
    const char *name = test_pool_name("link");
    (void)snprintf(link_path, sizeof(link_path), "/dev/shm%s", control_object(name));
    assert_int_equal(symlink(target, link_path), 0);
    assert_status(try_open(name, NULL), HAUL_DENIED);
    assert_int_equal(unlink(link_path), 0);
    test_pool_destroy(pool);
}

static void modes_are_exact_whatever_the_umask(void **state)
{
    (void)state;
    char object[HAUL__OBJECT_NAME_BYTES];
    const mode_t modes[] = {0600, 0660};
    for (int i = 0; i < 2; i++) {
        haul_pool *pool;
        struct stat st;
        haul_pool_config c = config;
        c.mode = modes[i];
        c.gid = getegid();
        mode_t old = umask(i == 0 ? 0 : 077);
        assert_ok(haul_pool_create(test_pool_name("mode"), &c, NULL, &pool, NULL));
        (void)umask(old);
        haul__buffer_name(haul_pool_name(pool), haul_pool_id(pool), 0, object);
        const char *names[] = {control_object(haul_pool_name(pool)), object};
        for (int n = 0; n < 2; n++) {
            int fd = shm_open(names[n], O_RDONLY, 0);
            assert_int_equal(fstat(fd, &st), 0);
            assert_int_equal(st.st_mode & 07777, modes[i]);
            assert_int_equal(close(fd), 0);
        }
        test_pool_destroy(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_none_are_refused),
        cmocka_unit_test(one_pool_to_a_name),
        cmocka_unit_test(pools_are_listed_and_buffers_are_not),
        cmocka_unit_test(short_and_random_objects_are_corrupt),
        cmocka_unit_test(other_versions_and_lying_headers_are_refused),
        cmocka_unit_test(force_removes_the_buffers_of_an_unreadable_pool),
        cmocka_unit_test(only_its_owner_removes_a_pool),
        cmocka_unit_test(an_empty_object_is_a_pool_not_made_yet),
        cmocka_unit_test(a_creator_at_work_is_left_alone),
        cmocka_unit_test(a_remover_that_died_before_it_decided_is_undone),
        cmocka_unit_test(objects_open_to_everybody_are_refused),
        cmocka_unit_test(a_symbolic_link_is_not_followed),
        cmocka_unit_test(modes_are_exact_whatever_the_umask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
