/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A neighbour that scribbles on the control segment while others work.
 *
 * Three workers of two threads each use a pool by the rules (neighbour.c), one scribbler writes into
 * every kind of word as fast as the machine lets it. Workers may get any status; they must end by
 * themselves, in good order, having touched nothing but their buffers. That a call hangs shows in
 * the test's timeout.
 */

#include "pool_test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board.h"
#include "fuzz_pool.h"
#include "pool/layout.h"

#define N_WORKERS 3

typedef struct neighbours {
    int board_fd;
    pid_t workers[N_WORKERS];
    pid_t scribbler;
    int scribbler_input; /* closing it ends the scribbler */
} neighbours;

static pid_t start(const char *role, const char *pool, unsigned seed, int board_fd, int input,
                   int output)
{
    char seed_text[16];
    char fd_text[16];
    (void)snprintf(seed_text, sizeof(seed_text), "%u", seed);
    (void)snprintf(fd_text, sizeof(fd_text), "%d", board_fd);
    pid_t pid = fork();
    if (pid == 0) {
        if ((input < 0 || dup2(input, STDIN_FILENO) >= 0) &&
            (output < 0 || dup2(output, STDOUT_FILENO) >= 0)) {
            (void)execl(NEIGHBOUR, NEIGHBOUR, role, pool, seed_text,
                        strcmp(role, "work") == 0 ? fd_text : NULL, (char *)NULL);
        }
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

/* Returns when it has mapped the segment. */
static void start_scribbler(neighbours *n, const char *pool, unsigned seed)
{
    int to[2];
    int from[2];
    char line[16] = "";
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    n->scribbler = start("scribble", pool, seed, -1, to[0], from[1]);
    n->scribbler_input = to[1];
    (void)close(to[0]);
    (void)close(from[1]);
    assert_int_equal(read(from[0], line, 6), 6);
    assert_string_equal(line, "ready\n");
    (void)close(from[0]);
}

static void end_in_good_order(pid_t pid, const char *who)
{
    int wstatus = 0;
    assert_int_equal(waitpid(pid, &wstatus, 0), pid);
    if (WIFSIGNALED(wstatus)) {
        fail_msg("%s died of signal %d", who, WTERMSIG(wstatus));
    }
    assert_int_equal(WEXITSTATUS(wstatus), 0);
}

static void run(const char *pool, unsigned seed)
{
    neighbours n = {.board_fd = memfd_create("board", 0)}; /* inherited over exec */
    assert_true(n.board_fd >= 0);
    assert_int_equal(ftruncate(n.board_fd, BOARD_BYTES), 0);
    start_scribbler(&n, pool, seed);
    for (unsigned i = 0; i < N_WORKERS; i++) {
        n.workers[i] = start("work", pool, seed * N_WORKERS + i, n.board_fd, -1, -1);
    }
    for (int i = 0; i < N_WORKERS; i++) {
        end_in_good_order(n.workers[i], "a worker");
    }
    (void)close(n.scribbler_input);
    end_in_good_order(n.scribbler, "the scribbler");
    (void)close(n.board_fd);
}

static void workers_survive_a_scribbler(void **state)
{
    (void)state;
    const char *name = fuzz_pool_name();
    haul_pool *pool;
    haul__geometry g;
    haul__header header;
    (void)fuzz_sweep(name); /* of an earlier process with the same id */
    for (unsigned seed = 1; seed <= 3; seed++) {
        assert_ok(haul_pool_create(name, &fuzz_pool_config, NULL, &pool, NULL));
        haul_pool_close(pool);
        uint8_t *base = fuzz_map_control(name, &g);
        memcpy(&header, base, sizeof(header));
        run(name, seed);
        /* With its header back, the pool can be forced away whatever the rest of it says. */
        memcpy(base, &header, sizeof(header));
        fuzz_unmap_control(base, &g);
        assert_ok(haul_pool_remove(name, true, NULL));
        (void)fuzz_sweep(name); /* what was made while the header named another pool */
    }
}

static int clear_away(void **state)
{
    (void)state;
    (void)fuzz_sweep(fuzz_pool_name());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(workers_survive_a_scribbler, clear_away)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
