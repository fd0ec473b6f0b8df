/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Processes that share what there is: who waits is served in turn, quotas, deaths that wake, the bound
 * on mapped bytes, mappings made ahead of time. */

#include "peer.h"
#include "pool_test.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/impl.h"
#include "pool/queue.h"

static haul_pool *create(const char *tag, uint32_t n, uint64_t quota)
{
    const haul_class_config cls = {.size_bytes = 65536, .n_initial = n, .n_max = n};
    const haul_pool_config config = {.struct_size = sizeof(config),
                                     .classes = &cls,
                                     .n_classes = 1,
                                     .quota_bytes = quota,
                                     .n_participants = 16};
    haul_pool *pool;
    assert_ok(haul_pool_create(test_pool_name(tag), &config, NULL, &pool, NULL));
    return pool;
}

static peer join(haul_pool *pool)
{
    peer p = peer_start(POOL_PEER);
    assert_ok(peer_call(&p, "open %s", haul_pool_name(pool)));
    return p;
}

/* Until @n threads have lined up; they do so before they sleep. */
static void await_queue(haul_pool *pool, uint32_t n)
{
    while (haul__queue_length(pool, 0) != n) {
        (void)sched_yield();
    }
}

static void finish(haul_pool *pool)
{
    assert_ok(haul_pool_reap(pool, NULL, NULL));
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

/* ---- Waiting in turn ----------------------------------------------------------------------- */

#define N_WAITERS 4

/* Who of those that wait says that it has the buffer. */
static uint32_t next_served(const peer *peers, const bool *served, uint32_t n)
{
    struct pollfd fds[N_WAITERS];
    for (uint32_t i = 0; i < n; i++) {
        fds[i] = (struct pollfd){.fd = served[i] ? -1 : fileno(peers[i].from), .events = POLLIN};
    }
    assert_true(poll(fds, n, -1) > 0);
    uint32_t i = 0;
    while (fds[i].revents == 0) {
        i++;
    }
    return i;
}

/* Let each of those that wait have the buffer, which is free from now on. True: in their order. */
static bool serve_in_turn(peer *peers, uint32_t n)
{
    bool served[N_WAITERS] = {false};
    bool in_turn = true;
    for (uint32_t turn = 0; turn < n; turn++) {
        uint32_t i = next_served(peers, served, n);
        in_turn &= i == turn;
        served[i] = true;
        assert_ok(peer_call(&peers[i], "release 0"));
        peer_stop(&peers[i]);
    }
    return in_turn;
}

static bool four_wait(void)
{
    haul_pool *pool = create("turns", 1, 0);
    peer peers[N_WAITERS];
    haul_buf *buf = test_alloc(pool, 1);
    for (uint32_t i = 0; i < N_WAITERS; i++) {
        peers[i] = join(pool);
        peer_tell(&peers[i], "alloc 0 1 0 -1");
        await_queue(pool, i + 1);
    }
    haul_buf_release(buf);
    bool in_turn = serve_in_turn(peers, N_WAITERS);
    haul_class_info cls = test_class_info(pool, 0);
    assert_int_equal(cls.waits, N_WAITERS);
    assert_true(cls.waited_ns > 0);
    assert_int_equal(cls.n_waiting, 0);
    finish(pool);
    return in_turn;
}

/* Who does not run for 20 ms when it is his turn may be passed, and no test can see to it that he
 * does. By chance four are served in order once in 24 times. */
static void who_waits_longest_is_served_first(void **state)
{
    (void)state;
    unsigned n_in_turn = 0;
    for (unsigned i = 0; i < 5; i++) {
        n_in_turn += four_wait();
    }
    assert_in_range(n_in_turn, 3, 5);
}

static bool a_newcomer_waits(void)
{
    haul_pool *pool = create("newcomer", 1, 0);
    peer peers[] = {join(pool), join(pool)};
    haul_buf *buf = test_alloc(pool, 1);
    peer_tell(&peers[0], "alloc 0 1 0 -1");
    await_queue(pool, 1);
    assert_int_equal(kill(peers[0].pid, SIGSTOP), 0); /* it cannot step forward yet */
    peer_tell(&peers[1], "alloc 0 1 0 -1");
    await_queue(pool, 2);
    assert_int_equal(kill(peers[0].pid, SIGCONT), 0);
    haul_buf_release(buf);
    bool in_turn = serve_in_turn(peers, 2);
    finish(pool);
    return in_turn;
}

static void a_newcomer_that_can_wait_does_not_push_in(void **state)
{
    (void)state;
    unsigned n_in_turn = 0;
    for (unsigned i = 0; i < 10; i++) {
        n_in_turn += a_newcomer_waits();
    }
    assert_in_range(n_in_turn, 8, 10);
}

static void a_stopped_or_dead_waiter_holds_nobody_up(void **state)
{
    (void)state;
    haul_pool *pool = create("stopped", 1, 0);
    peer stopped = join(pool);
    peer dead = join(pool);
    peer last = join(pool);
    int wstatus;
    haul_buf *buf = test_alloc(pool, 1);
    peer_tell(&stopped, "alloc 0 1 0 -1");
    await_queue(pool, 1);
    assert_int_equal(kill(stopped.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(stopped.pid, &wstatus, WUNTRACED), stopped.pid);
    peer_tell(&dead, "alloc 0 1 0 -1");
    await_queue(pool, 2);
    (void)peer_kill(&dead);
    peer_tell(&last, "alloc 0 1 0 -1");
    haul_buf_release(buf);
    assert_ok(peer_call(&last, "release 0"));
    assert_int_equal(kill(stopped.pid, SIGCONT), 0);
    assert_ok(peer_call(&stopped, "release 0"));
    peer_stop(&last);
    peer_stop(&stopped);
    finish(pool);
}

/* Nobody calls reap: the waiter finds out by itself. */
static void a_waiter_gets_what_a_dead_owner_had(void **state)
{
    (void)state;
    haul_pool *pool = create("inherit", 1, 0);
    peer owner = join(pool);
    peer waiter = join(pool);
    assert_ok(peer_call(&owner, "alloc 0 1"));
    peer_tell(&waiter, "alloc 0 1 0 -1");
    await_queue(pool, 1);
    (void)peer_kill(&owner);
    assert_ok(peer_call(&waiter, "release 0"));
    peer_stop(&waiter);
    finish(pool);
}

/* ---- Quotas -------------------------------------------------------------------------------- */

static void a_participant_owns_no_more_than_its_quota(void **state)
{
    (void)state;
    haul_pool *pool = create("quota", 8, 3 * 65536);
    haul_buf *bufs[3];
    haul_buf *more;
    haul_key key;
    peer other = join(pool);
    for (int i = 0; i < 3; i++) {
        bufs[i] = test_alloc(pool, 65536);
    }
    assert_status(haul_buf_alloc(pool, 1, NULL, &more), HAUL_EXHAUSTED);
    assert_int_equal(test_free_count(pool, 0), 5);
    assert_ok(peer_call(&other, "alloc 0 65536")); /* others have their own */
    haul_buf_release(bufs[0]);
    bufs[0] = test_alloc(pool, 65536);
    /* What is given away does not count any more; what is shared does. */
    assert_ok(haul_buf_share(bufs[1], 1, &key));
    assert_status(haul_buf_alloc(pool, 1, NULL, &more), HAUL_EXHAUSTED);
    assert_ok(haul_buf_give(bufs[0], 1, 2, UINT64_MAX, &key));
    bufs[0] = test_alloc(pool, 65536);
    for (int i = 0; i < 3; i++) {
        haul_buf_release(bufs[i]);
    }
    (void)peer_kill(&other);
    finish(pool);
}

/* ---- Deaths that wake ---------------------------------------------------------------------- */

static void a_death_wakes_the_reaper(void **state)
{
    (void)state;
    haul_pool *pool = create("watch", 4, 0);
    size_t n = 0;
    peer p = join(pool);
    struct pollfd watch = {.events = POLLIN};
    assert_ok(peer_call(&p, "alloc 0 1"));
    assert_ok(peer_call(&p, "alloc 1 1"));
    assert_ok(haul_pool_watch_fd(pool, &watch.fd, NULL));
    assert_ok(haul_pool_reap(pool, &n, NULL)); /* what joining made of noise */
    assert_int_equal(n, 0);
    assert_status(haul_pool_reap_wait(pool, 0, &n, NULL), HAUL_TIMEOUT);
    (void)peer_kill(&p);
    assert_int_equal(poll(&watch, 1, -1), 1); /* would hang if the death were not told */
    assert_ok(haul_pool_reap_wait(pool, UINT64_MAX / 2, &n, NULL));
    assert_int_equal(n, 2);
    assert_all_free(pool);
    finish(pool);
}

/* ---- Mappings ------------------------------------------------------------------------------ */

/* Bytes of this process's mappings of @pool's buffers. */
static uint64_t mapped_bytes(const haul_pool *pool)
{
    char line[512];
    char mark[96];
    uint64_t sum = 0;
    (void)snprintf(mark, sizeof(mark), "haul.%s:", haul_pool_name(pool));
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps)) {
        unsigned long from;
        unsigned long to;
        if (strstr(line, mark) && sscanf(line, "%lx-%lx", &from, &to) == 2) {
            sum += to - from;
        }
    }
    (void)fclose(maps);
    return sum;
}

static void mapped_bytes_stay_below_their_bound(void **state)
{
    (void)state;
    haul_pool *pool = create("bound", 8, 0);
    const haul_open_opts opts = {.struct_size = sizeof(opts), .map_bytes_max = 4 * 65536};
    haul_pool *bounded;
    haul_key keys[8];
    haul_buf *bufs[8];
    haul_view held;
    haul_view view;
    assert_ok(haul_pool_open(haul_pool_name(pool), &opts, &bounded, NULL));
    haul_pool_close(pool); /* so that all mappings are the bounded one's */
    for (int i = 0; i < 8; i++) {
        bufs[i] = test_share(bounded, 65536, (uint8_t)(i + 1), &keys[i]);
        if (i == 0) {
            assert_ok(haul_attach(bounded, &keys[0], 65536, &held));
        }
    }
    for (int round = 0; round < 20; round++) {
        int i = (round * 5) % 8;
        assert_ok(haul_attach(bounded, &keys[i], 65536, &view));
        assert_int_equal(view.data[65535], i + 1);
        haul_detach(&view);
    }
    assert_int_equal(held.data[65535], 1); /* what is in use stays mapped */
    haul_detach(&held);
    for (int i = 0; i < 8; i++) {
        haul_buf_release(bufs[i]);
    }
    for (int i = 0; i < 16; i++) { /* what was owned can go now, and comes back when it is needed */
        haul_buf *buf = test_alloc(bounded, 1);
        memset(haul_buf_data(buf), 1, 65536);
        assert_ok(haul_buf_share(buf, 1, &keys[0]));
        assert_ok(haul_attach(bounded, &keys[0], 1, &view));
        haul_detach(&view);
        haul_buf_release(buf);
    }
    assert_true(mapped_bytes(bounded) <= 4 * 65536);
    finish(bounded);
}

static void mappings_can_be_made_ahead_of_time(void **state)
{
    (void)state;
    haul_pool *pool = create("ahead", 4, 0);
    const haul_open_opts opts = {.struct_size = sizeof(opts), .preattach = true, .populate = true};
    haul_pool *other;
    uint64_t before = mapped_bytes(pool);
    assert_ok(haul_pool_open(haul_pool_name(pool), &opts, &other, NULL));
    assert_int_equal(mapped_bytes(other), before + 4 * 65536);
    haul_pool_close(other);
    assert_int_equal(mapped_bytes(pool), before);
    finish(pool);
}

/* Asks the kernel, who says no where the process would be killed. */
static bool is_writable(const uint8_t *at)
{
    int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_true(zeros >= 0);
    ssize_t n = read(zeros, (void *)(uintptr_t)at, 1);
    (void)close(zeros);
    return n == 1;
}

/* A buffer that its owner has never looked at, in a pool that is then removed by force: what he has
 * written can still be read, of buffers with huge pages as well, and cannot be written there. */
static void an_owner_reads_what_was_removed(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {4096, 3u << 20};
    for (unsigned i = 0; i < 2; i++) {
        haul_pool *pool = test_pool_create_one("unseen", sizes[i], 1);
        haul_key key;
        haul_view view;
        haul_buf *buf = test_share(pool, sizes[i], 7, &key);
        uint64_t before = mapped_bytes(pool);
        assert_ok(haul_pool_remove(haul_pool_name(pool), true, NULL));
        assert_ok(haul_buf_view(buf, &view));
        haul_buf_release(buf);
        assert_int_equal(view.len, sizes[i]);
        assert_int_equal(view.data[0], 7);
        assert_int_equal(view.data[sizes[i] - 1], 7);
        assert_int_equal(mapped_bytes(pool), 2 * before);
        assert_false(is_writable(view.data));
        haul_detach(&view);
        haul_pool_close(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_longest_is_served_first),
        cmocka_unit_test(a_newcomer_that_can_wait_does_not_push_in),
        cmocka_unit_test(a_stopped_or_dead_waiter_holds_nobody_up),
        cmocka_unit_test(a_waiter_gets_what_a_dead_owner_had),
        cmocka_unit_test(a_participant_owns_no_more_than_its_quota),
        cmocka_unit_test(a_death_wakes_the_reaper),
        cmocka_unit_test(mapped_bytes_stay_below_their_bound),
        cmocka_unit_test(mappings_can_be_made_ahead_of_time),
        cmocka_unit_test(an_owner_reads_what_was_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
