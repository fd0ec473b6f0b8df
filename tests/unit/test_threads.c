/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Many threads on one participant, and the fast path's promise of no system call. */

#include "pool_test.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_THREADS 8
#define N_ROUNDS  3000

static int setup(void **state)
{
    *state = test_pool_create_one("threads", 4096, 16);
    return 0;
}

/* ---- Threads ------------------------------------------------------------------------------- */

/* What a thread found wrong, as its result. */
static void *problem(const char *what)
{
    return (void *)(uintptr_t)what;
}

static void *cycle(void *arg)
{
    haul_pool *pool = arg;
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        haul_buf *buf;
        haul_key key;
        haul_view view;
        const haul_alloc_opts wait = {.struct_size = sizeof(wait), .wait_ns = -1};
        if (haul_buf_alloc(pool, 64, &wait, &buf) != HAUL_OK) {
            return problem("alloc");
        }
        memset(haul_buf_data(buf), (int)i, 64);
        if (haul_buf_share(buf, 64, &key) != HAUL_OK ||
            haul_attach(pool, &key, 64, &view) != HAUL_OK) {
            return problem("share");
        }
        haul_buf_release(buf);
        if (view.data[0] != (uint8_t)i || view.data[63] != (uint8_t)i) {
            return problem("wrong bytes");
        }
        haul_detach(&view);
    }
    return NULL;
}

static void threads_cycle_buffers_of_their_own(void **state)
{
    pthread_t threads[N_THREADS];
    void *wrong = NULL;
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, cycle, *state), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(test_class_info(*state, 0).allocations, N_THREADS * N_ROUNDS);
}

typedef struct shared_key {
    haul_pool *pool;
    haul_key key;
} shared_key;

/* All threads pin and let go of one buffer, so that the process's one bit is fought over. */
static void *pin_one(void *arg)
{
    const shared_key *shared = arg;
    for (unsigned i = 0; i < N_ROUNDS; i++) {
        haul_view view;
        if (haul_attach(shared->pool, &shared->key, 64, &view) != HAUL_OK) {
            return problem("attach");
        }
        if (view.data[63] != 0x11) {
            return problem("wrong bytes");
        }
        haul_detach(&view);
    }
    return NULL;
}

static void threads_pin_one_buffer(void **state)
{
    shared_key shared = {.pool = *state};
    pthread_t threads[N_THREADS];
    void *wrong = NULL;
    haul_buf *buf = test_share(*state, 64, 0x11, &shared.key);
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, pin_one, &shared), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    haul_buf_release(buf);
}

/* Attachers race with the release: each either reads whole bytes or is told STALE, and the buffer
 * is free at the end. */
static void *pin_until_stale(void *arg)
{
    const shared_key *shared = arg;
    haul_view view;
    haul_status s;
    while ((s = haul_attach(shared->pool, &shared->key, 64, &view)) == HAUL_OK) {
        bool right = view.data[0] == 0x22 && view.data[63] == 0x22;
        haul_detach(&view);
        if (!right) {
            return problem("wrong bytes");
        }
    }
    return s == HAUL_STALE ? NULL : problem("attach");
}

static void release_races_with_attach(void **state)
{
    for (int round = 0; round < 200; round++) {
        shared_key shared = {.pool = *state};
        pthread_t threads[2];
        void *wrong = NULL;
        haul_buf *buf = test_share(*state, 64, 0x22, &shared.key);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, pin_until_stale, &shared), 0);
        }
        haul_buf_release(buf);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(pthread_join(threads[i], &wrong), 0);
            assert_null(wrong);
        }
        assert_int_equal(test_free_count(*state, 0), 16);
    }
}

/* Threads of the owner's process read what it lets go of at that moment, and another participant
 * takes at once whatever is free and writes to it. */
typedef struct letting_go {
    haul_pool *pool;
    haul_pool *other;
    pthread_mutex_t mutex; /* the key */
    haul_key key;
    uint8_t byte;
    atomic_bool over;
} letting_go;

static void *read_latest(void *arg)
{
    letting_go *l = arg;
    while (!atomic_load(&l->over)) {
        haul_view view;
        (void)pthread_mutex_lock(&l->mutex);
        haul_key key = l->key;
        uint8_t byte = l->byte;
        (void)pthread_mutex_unlock(&l->mutex);
        haul_status s = haul_attach(l->pool, &key, 64, &view);
        if (s == HAUL_STALE) {
            continue;
        }
        if (s != HAUL_OK) {
            return problem("attach");
        }
        bool right = true;
        for (int i = 0; i < 64 && right; i++) {
            right = view.data[i] == byte;
        }
        haul_detach(&view);
        if (!right) {
            return problem("wrong bytes");
        }
    }
    return NULL;
}

static void *write_to_what_is_free(void *arg)
{
    letting_go *l = arg;
    while (!atomic_load(&l->over)) {
        haul_buf *buf;
        if (haul_buf_alloc(l->other, 64, NULL, &buf) == HAUL_OK) {
            memset(haul_buf_data(buf), 0xee, 64);
            haul_buf_release(buf);
        }
    }
    return NULL;
}

static void what_threads_read_stays_when_its_owner_lets_go(void **state)
{
    (void)state;
    letting_go l = {.pool = test_pool_create_one("letting-go", 4096, 2)};
    pthread_t threads[3];
    void *wrong = NULL;
    assert_ok(haul_pool_open(haul_pool_name(l.pool), NULL, &l.other, NULL));
    assert_int_equal(pthread_mutex_init(&l.mutex, NULL), 0);
    haul_buf_release(test_share(l.pool, 64, 0, &l.key));
    for (int i = 0; i < 3; i++) {
        void *(*run)(void *) = i == 2 ? write_to_what_is_free : read_latest;
        assert_int_equal(pthread_create(&threads[i], NULL, run, &l), 0);
    }
    for (unsigned i = 0; i < 20 * N_ROUNDS; i++) {
        const haul_alloc_opts wait = {.struct_size = sizeof(wait), .wait_ns = -1};
        haul_buf *buf;
        haul_key key;
        assert_ok(haul_buf_alloc(l.pool, 64, &wait, &buf));
        memset(haul_buf_data(buf), (int)(i % 200), 64);
        assert_ok(haul_buf_share(buf, 64, &key));
        (void)pthread_mutex_lock(&l.mutex);
        l.key = key;
        l.byte = (uint8_t)(i % 200);
        (void)pthread_mutex_unlock(&l.mutex);
        haul_buf_release(buf);
    }
    atomic_store(&l.over, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(test_free_count(l.pool, 0), 2);
    assert_audit_clean(l.pool);
    haul_pool_close(l.other);
    (void)pthread_mutex_destroy(&l.mutex);
    test_pool_destroy(l.pool);
}

/* ---- No system call ------------------------------------------------------------------------ */

/* From here on this process may exit and nothing else: the kernel kills it at any other call
 * (seccomp(2)). */
static int forbid_system_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    const struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Exits 0 if a thousand cycles went through without a system call. */
static void cycle_under_seccomp(const char *name)
{
    haul_pool *pool;
    haul_buf *buf;
    haul_key key;
    haul_view view;
    haul_status s = haul_pool_open(name, NULL, &pool, NULL);
    for (int i = 0; i < 1001 && s == HAUL_OK; i++) {
        s = haul_buf_alloc(pool, 100, NULL, &buf);
        if (s == HAUL_OK) {
            s = haul_buf_share(buf, 100, &key);
        }
        if (s == HAUL_OK) {
            s = haul_attach(pool, &key, 100, &view);
            haul_detach(&view);
        }
        haul_buf_release(buf);
        if (i == 0 && forbid_system_calls() != 0) {
            s = HAUL_SYSTEM;
        }
    }
    (void)syscall(SYS_exit_group, s == HAUL_OK ? 0 : 1);
}

static void a_buffer_used_before_needs_no_system_call(void **state)
{
    haul_pool *pool = *state;
    int wstatus;
    pid_t pid = fork();
    if (pid == 0) {
        cycle_under_seccomp(haul_pool_name(pool));
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &wstatus, 0), pid);
    assert_true(WIFEXITED(wstatus));
    assert_int_equal(WEXITSTATUS(wstatus), 0);
    assert_ok(haul_pool_reap(pool, NULL, NULL));
}

int main(void)
{
#define IN_A_POOL(f) cmocka_unit_test_setup_teardown(f, setup, test_pool_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_POOL(threads_cycle_buffers_of_their_own),
        IN_A_POOL(threads_pin_one_buffer),
        IN_A_POOL(release_races_with_attach),
        cmocka_unit_test(what_threads_read_stays_when_its_owner_lets_go),
        IN_A_POOL(a_buffer_used_before_needs_no_system_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
