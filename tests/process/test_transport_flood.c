/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What a hostile client can leave open below gRPC's own rules: streams that say nothing, answers that
 * are never read, calls that are reset as soon as they are made. The server serves others meanwhile
 * and afterwards, and has in the end what it had before: calls, descriptors, buffers, memory.
 */

#include <malloc.h>
#include <time.h>
#include <unistd.h>

#include "h2_scene.h"
#include "sanitized.h"

#define PATIENCE_S 60

/* Streams @first and on, so many, with headers and nothing else. */
static void add_idle(h2_bytes *bytes, uint32_t first, uint32_t n, const char *timeout)
{
    for (uint32_t i = 0; i < n; i++) {
        h2_add_call(bytes, first + 2 * i, EXCHANGE, timeout);
    }
}

/* A connection full of streams that never say anything more. */
static int open_idle(const test_pair *pair)
{
    h2_bytes bytes = {0};
    int fd = h2_open(pair->address, WINDOW);
    add_idle(&bytes, 1, STREAMS, NULL);
    assert_true(h2_write(fd, &bytes));
    h2_free(&bytes);
    return fd;
}

/* One stream beyond what the server allows a connection: it hangs up. */
static void open_one_more(int fd)
{
    h2_bytes bytes = {0};
    add_idle(&bytes, 2 * STREAMS + 1, 1, NULL);
    (void)h2_write(fd, &bytes);
    h2_read_to_end(fd);
    (void)close(fd);
    h2_free(&bytes);
}

static void streams_that_say_nothing(void **state)
{
    (void)state;
    h2_scene s;
    h2_begin(&s);
    unsigned n_entered = test_service_entered(&s.pair.service);
    int fd = open_idle(&s.pair);
    h2_assert_serves(&s.pair);
    assert_int_equal(test_service_entered(&s.pair.service), n_entered + 1);
    open_one_more(fd);
    h2_end(&s);
}

/* The server does not wait longer for a message than the caller would for the answer. */
static void a_deadline_on_silence(void **state)
{
    (void)state;
    h2_scene s;
    h2_bytes bytes = {0};
    h2_begin(&s);
    int fd = h2_open(s.pair.address, WINDOW);
    add_idle(&bytes, 1, 1, "50m");
    assert_true(h2_write(fd, &bytes));
    assert_int_equal(h2_read_status(fd, 1), GRPC_STATUS_DEADLINE_EXCEEDED);
    (void)close(fd);
    h2_free(&bytes);
    h2_end(&s);
}

static void wait_until_entered(test_pair *pair, unsigned n)
{
    (void)pthread_mutex_lock(&pair->service.mutex);
    while (pair->service.n_entered < n) {
        (void)pthread_cond_wait(&pair->service.changed, &pair->service.mutex);
    }
    (void)pthread_mutex_unlock(&pair->service.mutex);
}

/* Ask for so many answers and read none: the server may not send a byte of them. */
static int leave_unread(test_pair *pair, uint32_t n, Haul__Test__Mode mode, uint64_t size)
{
    h2_bytes bytes = {0};
    unsigned n_before = test_service_entered(&pair->service);
    int fd = h2_open(pair->address, 0);
    for (uint32_t i = 0; i < n; i++) {
        h2_add_exchange(&bytes, 1 + 2 * i, mode, size);
    }
    assert_true(h2_write(fd, &bytes));
    h2_free(&bytes);
    wait_until_entered(pair, n_before + n);
    return fd;
}

/* Answers pile up to as many as a connection may have calls. Others are served. */
static void answers_that_nobody_reads(void **state)
{
    (void)state;
    h2_scene s;
    h2_begin(&s);
    int fd = leave_unread(&s.pair, STREAMS, HAUL__TEST__MODE__MODE_ECHO, 0);
    h2_assert_serves(&s.pair);
    assert_in_range(h2_calls_of(&s.pair), STREAMS, STREAMS + 1);
    open_one_more(fd);
    h2_end(&s);
}

/* Answers in buffers of the pool, to somebody who has none: the last of the buffers is gone, and
 * those who ask for more are told so. All comes back with the end of the connection. */
static void buffers_that_nobody_reads(void **state)
{
    (void)state;
    h2_scene s;
    h2_begin(&s);
    int fd = leave_unread(&s.pair, 20, HAUL__TEST__MODE__MODE_PUT, 60000);
    assert_int_equal(test_free_count(s.pair.server_pool, 1), 0);
    h2_assert_serves(&s.pair);
    (void)close(fd);
    h2_end(&s);
}

/* A server that is to stop does not wait for them. */
static void stopping_while_nobody_reads(void **state)
{
    (void)state;
    test_pair pair;
    test_pair_open(&pair, NULL);
    int fd = open_idle(&pair); /* what tells it of so many ends fills the socket */
    h2_assert_serves(&pair);
    haul_server_stop(pair.server, 0);
    assert_int_equal(h2_calls_of(&pair), 0);
    h2_read_to_end(fd);
    (void)close(fd);
    test_pair_close(&pair);
}

/* Calls that are taken back as soon as they are made. */
static void calls_that_are_reset_at_once(void **state)
{
    (void)state;
    h2_scene s;
    h2_bytes bytes = {0};
    h2_begin(&s);
    int fd = h2_open(s.pair.address, WINDOW);
    for (uint32_t i = 0; i < 5 * STREAMS; i++) {
        h2_add_exchange(&bytes, 1 + 2 * i, HAUL__TEST__MODE__MODE_PUT, 3000);
        h2_add_frame(&bytes, H2_RST_STREAM, 0, 1 + 2 * i, "\0\0\0\x08", 4);
    }
    (void)h2_write(fd, &bytes);
    h2_assert_serves(&s.pair);
    (void)close(fd);
    h2_free(&bytes);
    h2_end(&s);
}

/* Wait until no more than @bound bytes of the heap are used. gRPC lets go of the calls of a connection
 * some time after the connection is closed, in threads of its own. */
static void wait_until_freed(test_pair *pair, size_t bound)
{
    struct timespec start;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    for (now = start; mallinfo2().uordblks > bound; (void)clock_gettime(CLOCK_MONOTONIC, &now)) {
        if (now.tv_sec > start.tv_sec + PATIENCE_S) {
            fail_msg("%zu bytes are used instead of %zu", mallinfo2().uordblks, bound);
        }
        h2_assert_serves(pair);
    }
}

/* Round after round of it leaves nothing behind, except that a thread more may have come to have
 * something of its own: less than anything that a stream could forget. */
static void memory_comes_back(void **state)
{
    (void)state;
    enum {
        WARM = 3,
        ROUNDS = 8,
        UNREAD = 200,
        ALLOWED = (STREAMS + UNREAD) * 50
    };
    h2_scene s;
    size_t least = SIZE_MAX;
    h2_begin(&s);
    for (int i = 0; i < ROUNDS; i++) {
        int idle = open_idle(&s.pair);
        int unread = leave_unread(&s.pair, UNREAD, HAUL__TEST__MODE__MODE_ECHO, 0);
        h2_assert_serves(&s.pair);
        (void)close(idle);
        (void)close(unread);
        h2_wait_until_gone(&s.pair, s.n_descriptors);
        size_t used = mallinfo2().uordblks;
        if (i >= WARM - 1 && i < ROUNDS - 1 && used < least) {
            least = used;
        }
    }
    if (!TEST_SANITIZED) {
        wait_until_freed(&s.pair, least + ALLOWED);
    }
    h2_end(&s);
}

int main(int argc, char **argv)
{
    (void)argc;
    limits_without_caches(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_that_say_nothing),
        cmocka_unit_test(a_deadline_on_silence),
        cmocka_unit_test(answers_that_nobody_reads),
        cmocka_unit_test(buffers_that_nobody_reads),
        cmocka_unit_test(stopping_while_nobody_reads),
        cmocka_unit_test(calls_that_are_reset_at_once),
        cmocka_unit_test(memory_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
