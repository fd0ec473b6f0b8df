/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Many pools, many opens, many forks: what a process has afterwards is what it had before, and what
 * its children inherit is nothing.
 *
 * The program is its own child for exec: with --descriptors it prints where its descriptors lead.
 */

#include "limits.h"
#include "pool_test.h"
#include "sanitized.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomics.h"
#include "pool/impl.h"
#include "pool/lock.h"

#define N_POOLS   64
#define N_OPENS   10000
#define N_FORKS   50
#define N_THREADS 4

extern char **environ;

/* ---- Many pools ---------------------------------------------------------------------------- */

static void many_pools_in_one_process(void **state)
{
    (void)state;
    haul_pool *pools[N_POOLS];
    haul_view views[N_POOLS];
    haul_key keys[N_POOLS];
    char tag[16];
    size_t n_descriptors = limits_descriptors();
    size_t n_mappings = limits_mappings();
    for (int i = 0; i < N_POOLS; i++) {
        (void)snprintf(tag, sizeof(tag), "many%d", i);
        pools[i] = test_pool_create_one(tag, 4096, 2);
        haul_buf *buf = test_share(pools[i], 4096, (uint8_t)i, &keys[i]);
        assert_ok(haul_attach(pools[i], &keys[i], 4096, &views[i]));
        haul_buf_release(buf);
    }
    for (int i = 0; i < N_POOLS; i++) {
        haul_view view;
        assert_int_equal(views[i].data[4095], i);
        assert_status(haul_attach(pools[i], &keys[(i + 1) % N_POOLS], 1, &view), HAUL_INVALID);
    }
    for (int i = 0; i < N_POOLS; i++) {
        haul_detach(&views[i]);
        assert_audit_clean(pools[i]);
        test_pool_destroy(pools[i]);
    }
    assert_int_equal(limits_descriptors(), n_descriptors);
    if (!TEST_SANITIZED) {
        assert_true(limits_mappings() <= n_mappings + 2); /* the heap may have grown */
    }
}

/* ---- Many opens ---------------------------------------------------------------------------- */

static size_t heap_bytes(void)
{
    return mallinfo2().uordblks;
}

/* The kernel takes ten milliseconds to close a descriptor of inotify, so that is not done often. */
static void open_and_close(const char *name, bool watch)
{
    const haul_open_opts opts = {.struct_size = sizeof(opts), .preattach = true};
    haul_pool *pool;
    int fd;
    assert_ok(haul_pool_open(name, &opts, &pool, NULL));
    if (watch) {
        assert_ok(haul_pool_watch_fd(pool, &fd, NULL));
    }
    haul_buf *buf = test_alloc(pool, 100); /* left to haul_pool_close() */
    assert_non_null(haul_buf_data(buf));
    haul_pool_close(pool);
}

static void opening_and_closing_leaks_nothing(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create_one("leaks", 4096, 2);
    const char *name = haul_pool_name(pool);
    open_and_close(name, true); /* what is made once is made now */
    size_t n_descriptors = limits_descriptors();
    size_t n_mappings = limits_mappings();
    size_t n_bytes = heap_bytes();
    for (int i = 0; i < N_OPENS; i++) {
        open_and_close(name, i % 100 == 0);
    }
    assert_int_equal(limits_descriptors(), n_descriptors);
    if (!TEST_SANITIZED) { /* they keep freed memory, and LeakSanitizer counts better */
        assert_int_equal(limits_mappings(), n_mappings);
        assert_true(heap_bytes() <= n_bytes + 4096);
    }
    assert_int_equal(test_class_info(pool, 0).allocations, N_OPENS + 1);
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

/* What does not work leaks nothing either. */
static void opening_in_vain_leaks_nothing(void **state)
{
    (void)state;
    const haul_open_opts keeper = {.struct_size = sizeof(keeper), .keeper = true};
    haul_pool *pool = test_pool_create_one("vain", 4096, 1);
    haul_pool *kept;
    haul_pool *none = NULL;
    assert_ok(haul_pool_open(haul_pool_name(pool), &keeper, &kept, NULL));
    size_t n_descriptors = limits_descriptors();
    size_t n_mappings = limits_mappings();
    for (int i = 0; i < N_OPENS / 10; i++) {
        assert_status(haul_pool_open(haul_pool_name(pool), &keeper, &none, NULL), HAUL_BUSY);
        assert_status(haul_pool_open("test-no-such-pool", NULL, &none, NULL), HAUL_NOT_FOUND);
        assert_status(haul_pool_remove(haul_pool_name(pool), false, NULL), HAUL_BUSY);
    }
    assert_null(none);
    assert_int_equal(limits_descriptors(), n_descriptors);
    if (!TEST_SANITIZED) {
        assert_int_equal(limits_mappings(), n_mappings);
    }
    haul_pool_close(kept);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

/* ---- fork ---------------------------------------------------------------------------------- */

static struct {
    haul_pool *pool;
    haul__a32 stop;
    haul__a32 n_cycles;
} busy;

static void *use_the_pool(void *arg)
{
    const haul_alloc_opts wait = {.struct_size = sizeof(wait), .wait_ns = -1};
    void *wrong = NULL;
    (void)arg;
    while (haul__load32_relaxed(&busy.stop) == 0 && !wrong) {
        haul_buf *buf;
        haul_key key;
        haul_view view;
        if (haul_buf_alloc(busy.pool, 64, &wait, &buf) != HAUL_OK) {
            return &busy;
        }
        memset(haul_buf_data(buf), 0x33, 64);
        if (haul_buf_share(buf, 64, &key) != HAUL_OK ||
            haul_attach(busy.pool, &key, 64, &view) != HAUL_OK) {
            return &busy;
        }
        wrong = view.data[63] == 0x33 ? NULL : &busy;
        haul_detach(&view);
        haul_buf_release(buf);
        (void)haul__add32_relaxed(&busy.n_cycles, 1);
    }
    return wrong;
}

/* The child is refused, lets go of its handle, and ends. */
static void be_the_child(haul_pool *pool)
{
    haul_buf *buf;
    bool refused = haul_buf_alloc(pool, 1, NULL, &buf) == HAUL_INVALID &&
                   haul_pool_reap(pool, NULL, NULL) == HAUL_INVALID;
    haul_pool_close(pool);
    _exit(refused ? 0 : 1);
}

static void forks_of_a_busy_process_harm_nobody(void **state)
{
    (void)state;
    pthread_t threads[N_THREADS];
    haul_pool *pool = test_pool_create_one("forks", 4096, 8);
    busy.pool = pool;
    haul__store32_relaxed(&busy.stop, 0);
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use_the_pool, NULL), 0);
    }
    for (int i = 0; i < N_FORKS; i++) {
        int wstatus = 0;
        pid_t pid = fork();
        if (pid == 0) {
            be_the_child(pool);
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &wstatus, 0), pid);
        assert_true(WIFEXITED(wstatus));
        assert_int_equal(WEXITSTATUS(wstatus), 0);
    }
    haul__store32_relaxed(&busy.stop, 1);
    for (int i = 0; i < N_THREADS; i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(test_class_info(pool, 0).reaps, 0);
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

static void *open_and_close_pools(void *name)
{
    void *wrong = NULL;
    while (haul__load32_relaxed(&busy.stop) == 0 && !wrong) {
        haul_pool *pool;
        wrong = haul_pool_open(name, NULL, &pool, NULL) == HAUL_OK ? NULL : &busy;
        if (!wrong) {
            haul_pool_close(pool);
        }
    }
    return wrong;
}

/* A child that was born while another thread opened or closed a pool, and lives on, stands in for
 * nobody: no lock is held but the living's. */
static void a_child_born_at_an_open_or_a_close_holds_no_lock(void **state)
{
    (void)state;
    pthread_t thread;
    int until[2];
    pid_t children[N_FORKS];
    void *wrong = NULL;
    haul_pool *pool = test_pool_create_one("born", 4096, 2);
    haul__store32_relaxed(&busy.stop, 0);
    assert_int_equal(pipe2(until, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&thread, NULL, open_and_close_pools,
                                    (void *)(uintptr_t)haul_pool_name(pool)),
                     0);
    for (int i = 0; i < N_FORKS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            char end;
            (void)close(until[1]);
            _exit(read(until[0], &end, 1) == 0 ? 0 : 1);
        }
        assert_true(children[i] > 0);
    }
    haul__store32_relaxed(&busy.stop, 1);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_null(wrong);
    for (uint32_t slot = 1; slot <= pool->g.n_slots; slot++) {
        assert_false(slot != pool->slot && haul__lock_is_held(pool->lock_fd, slot));
    }
    (void)close(until[1]);
    for (int i = 0; i < N_FORKS; i++) {
        assert_int_equal(waitpid(children[i], NULL, 0), children[i]);
    }
    (void)close(until[0]);
    test_pool_destroy(pool);
}

/* A child may join again, as somebody new. */
static void a_child_joins_on_its_own(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create_one("again", 4096, 2);
    haul_buf *mine = test_alloc(pool, 1);
    int wstatus = 0;
    pid_t pid = fork();
    if (pid == 0) {
        haul_pool *own = NULL;
        haul_buf *buf = NULL;
        haul_status s = haul_pool_open(haul_pool_name(pool), NULL, &own, NULL);
        uint32_t slot = s == HAUL_OK ? haul_pool_participant(own) : 0;
        s = s == HAUL_OK ? haul_buf_alloc(own, 1, NULL, &buf) : s;
        haul_buf_release(buf);
        haul_pool_close(own);
        haul_pool_close(pool);
        _exit(s == HAUL_OK && slot == 2 ? 0 : 1);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &wstatus, 0), pid);
    assert_int_equal(wstatus, 0);
    memset(haul_buf_data(mine), 1, 4096);
    haul_buf_release(mine);
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

/* ---- exec ---------------------------------------------------------------------------------- */

static int print_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        char path[300];
        char target[512] = "";
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
        if (readlink(path, target, sizeof(target) - 1) > 0) {
            (void)printf("%s\n", target);
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
    return dir ? 0 : 1;
}

static void an_execed_child_inherits_nothing(void **state)
{
    (void)state;
    int fds[2];
    int fd;
    pid_t pid;
    int wstatus = 0;
    char text[4096] = "";
    char program[] = "/proc/self/exe";
    char option[] = "--descriptors";
    char *argv[] = {program, option, NULL};
    posix_spawn_file_actions_t actions;
    haul_pool *pool = test_pool_create_one("exec", 4096, 2);
    haul_buf *buf = test_alloc(pool, 1);
    assert_ok(haul_pool_watch_fd(pool, &fd, NULL));
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO), 0);
    assert_int_equal(posix_spawn(&pid, program, &actions, NULL, argv, environ), 0);
    (void)close(fds[1]);
    size_t n = 0;
    for (ssize_t got = 1; got > 0 && n < sizeof(text) - 1; n += (size_t)got) {
        got = read(fds[0], text + n, sizeof(text) - 1 - n);
        assert_true(got >= 0);
    }
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &wstatus, 0), pid);
    assert_int_equal(wstatus, 0);
    assert_int_equal(posix_spawn_file_actions_destroy(&actions), 0);
    assert_non_null(strstr(text, "pipe:")); /* it did print */
    assert_null(strstr(text, "haul."));
    assert_null(strstr(text, "inotify"));
    /* The parent was suspended while they shared its memory, and goes on. */
    memset(haul_buf_data(buf), 1, 4096);
    haul_buf_release(buf);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--descriptors") == 0) {
        return print_descriptors();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_pools_in_one_process),
        cmocka_unit_test(opening_and_closing_leaks_nothing),
        cmocka_unit_test(opening_in_vain_leaks_nothing),
        cmocka_unit_test(forks_of_a_busy_process_harm_nobody),
        cmocka_unit_test(a_child_born_at_an_open_or_a_close_holds_no_lock),
        cmocka_unit_test(a_child_joins_on_its_own),
        cmocka_unit_test(an_execed_child_inherits_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
