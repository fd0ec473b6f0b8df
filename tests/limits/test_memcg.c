/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A memory cgroup limit.
 *
 * A child in a group of its own, limited to 32 MiB, makes buffers in a pool of this process until it
 * can have no more. Either the kernel refuses the memory, and the child is told EXHAUSTED and lives;
 * or the kernel's way of refusing is to kill a process of the group, which is then a death like any
 * other. In both cases what the child has not got is not there, and nothing of the pool is lost.
 *
 * The group is made below the one this process is in, with cgroup v2 or v1, and taken away again.
 * Where that is not allowed the test is skipped.
 */

#include "limits.h"
#include "pool_test.h"
#include "sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT   "33554432"
#define BYTES   (1u << 20)
#define N_MAX   64
#define EXPECTS 10 /* exit status of a child that was told EXHAUSTED */

static char group[512];
static const char *limit_file;

/* ---- The group ----------------------------------------------------------------------------- */

static int write_file(const char *file, const char *text)
{
    char path[640];
    (void)snprintf(path, sizeof(path), "%s/%s", group, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t n = write(fd, text, strlen(text));
    (void)close(fd);
    return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* Where the memory controller has this process: "N:memory:/path" (v1), "0::/path" (v2). */
static int find_own_group(const char *controller, char *out, size_t n)
{
    char line[400];
    int found = -1;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && found != 0 && fgets(line, sizeof(line), file)) {
        const char *at = strstr(line, controller);
        line[strcspn(line, "\n")] = '\0';
        if (at) {
            (void)snprintf(out, n, "%s", at + strlen(controller));
            found = 0;
        }
    }
    if (file) {
        (void)fclose(file);
    }
    return found;
}

static int make_group_at(const char *mount, const char *controller, const char *file)
{
    char own[400];
    if (find_own_group(controller, own, sizeof(own)) != 0) {
        return -1;
    }
    (void)snprintf(group, sizeof(group), "%s%s/shorthaul-test-%ld", mount, own, (long)getpid());
    if (mkdir(group, 0755) != 0) {
        return -1;
    }
    limit_file = file;
    if (write_file(file, LIMIT) != 0) {
        (void)rmdir(group);
        return -1;
    }
    (void)write_file("memory.swap.max", "0");
    return 0;
}

static int make_group(void)
{
    return make_group_at("/sys/fs/cgroup", "0::", "memory.max") == 0 ||
                   make_group_at("/sys/fs/cgroup/memory", ":memory:", "memory.limit_in_bytes") == 0
               ? 0
               : -1;
}

/* ---- In the group -------------------------------------------------------------------------- */

/* Exits EXPECTS if every buffer it got could be written whole and the rest was refused. */
static void use_it_up(const char *name)
{
    char pid[16];
    haul_pool *pool;
    haul_buf *buf;
    haul_status s = HAUL_SYSTEM;
    (void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    if (write_file("cgroup.procs", pid) == 0 &&
        haul_pool_open(name, NULL, &pool, NULL) == HAUL_OK) {
        s = HAUL_OK;
    }
    for (int n = 0; n < N_MAX && s == HAUL_OK; n++) {
        s = haul_buf_alloc(pool, BYTES, NULL, &buf);
        if (s == HAUL_OK) {
            memset(haul_buf_data(buf), n, BYTES);
        }
    }
    _exit(s == HAUL_EXHAUSTED ? EXPECTS : 1);
}

static haul_pool *create(void)
{
    const haul_class_config cls = {.size_bytes = BYTES, .n_max = N_MAX};
    const haul_pool_config config = {
        .struct_size = sizeof(config), .classes = &cls, .n_classes = 1, .n_participants = 4};
    haul_pool *pool = NULL;
    (void)!haul_pool_remove(test_pool_name("memcg"), true, NULL);
    assert_ok(haul_pool_create(test_pool_name("memcg"), &config, NULL, &pool, NULL));
    return pool;
}

static int run_in_group(haul_pool *pool)
{
    int wstatus = 0;
    pid_t pid = fork();
    if (pid == 0) {
        use_it_up(haul_pool_name(pool));
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &wstatus, 0), pid);
    return wstatus;
}

static void nothing_is_lost(haul_pool *pool)
{
    assert_ok(haul_pool_reap(pool, NULL, NULL));
    assert_all_free(pool);
    assert_audit_clean(pool);
    haul_class_info cls = test_class_info(pool, 0);
    assert_true(cls.n_free > 4 && cls.n_free < N_MAX);
    assert_ok(haul_pool_trim(pool, NULL, NULL));
    assert_int_equal(limits_objects(haul_pool_name(pool)), 1);
    test_pool_destroy(pool);
}

/* ---- Tests --------------------------------------------------------------------------------- */

static void a_limit_is_a_status_or_a_death_that_is_reaped(void **state)
{
    (void)state;
    haul_pool *pool = create();
    int wstatus = run_in_group(pool);
    if (WIFSIGNALED(wstatus)) {
        assert_int_equal(WTERMSIG(wstatus), SIGKILL);
    } else {
        assert_int_equal(WEXITSTATUS(wstatus), EXPECTS);
    }
    nothing_is_lost(pool);
}

/* Where the kernel can be told not to kill (v1), what is left is a refusal. */
static void a_limit_without_killing_is_a_status(void **state)
{
    (void)state;
    if (write_file("memory.oom_control", "1") != 0) {
        skip();
    }
    haul_pool *pool = create();
    int wstatus = run_in_group(pool);
    assert_true(WIFEXITED(wstatus));
    assert_int_equal(WEXITSTATUS(wstatus), EXPECTS);
    nothing_is_lost(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_is_a_status_or_a_death_that_is_reaped),
        cmocka_unit_test(a_limit_without_killing_is_a_status),
    };
    if (TEST_SANITIZED || make_group() != 0) {
        (void)printf("skipped: no memory cgroup to be had here\n");
        return LIMITS_SKIPPED;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)write_file("memory.force_empty", "0"); /* v1: pages that were charged here and are gone */
    (void)rmdir(group);
    return failed;
}
