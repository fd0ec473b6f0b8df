/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Starting, stopping and killing transport_peer. Its pipes are close-on-exec, so that one peer does
 * not keep another's input open. One thread. */

#include "transport_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void transport_peer_start(transport_peer *p, const char *role, const char *pool,
                          const char *address, const char *mode)
{
    int in[2];
    int out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    (void)posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    char *argv[] = {(char *)TRANSPORT_PEER, (char *)role, (char *)pool,
                    (char *)address,        (char *)mode, NULL};
    assert_int_equal(posix_spawn(&p->pid, TRANSPORT_PEER, &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(in[0]);
    (void)close(out[1]);
    p->to = in[1];
    p->from = fdopen(out[0], "r");
    assert_non_null(p->from);
}

void transport_peer_serve(transport_peer *p, const haul_pool *pool, const char *tag,
                          char out_address[128])
{
    char path[100];
    test_socket_path(path, sizeof(path), tag);
    (void)snprintf(out_address, 128, "unix:%s", path);
    transport_peer_start(p, "serve", haul_pool_name(pool), out_address, NULL);
    transport_peer_expect(p, "ready");
}

void transport_peer_remove_socket(const char *address)
{
    assert_int_equal(unlink(address + strlen("unix:")), 0);
}

void transport_peer_call(transport_peer *p, const char *role, const test_pair *pair,
                         Haul__Test__Mode mode)
{
    char text[8];
    (void)snprintf(text, sizeof(text), "%d", (int)mode);
    transport_peer_start(p, role, haul_pool_name(pair->server_pool), pair->address, text);
}

void transport_peer_expect(transport_peer *p, const char *word)
{
    char line[32] = "";
    if (!fgets(line, sizeof(line), p->from)) {
        fail_msg("the peer ended before it said %s", word);
    }
    line[strcspn(line, "\n")] = '\0';
    assert_string_equal(line, word);
}

void transport_peer_kill(transport_peer *p)
{
    int status;
    assert_int_equal(kill(p->pid, SIGKILL), 0);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    assert_true(WIFSIGNALED(status));
    (void)close(p->to);
    (void)fclose(p->from);
}

void transport_peer_freeze(const transport_peer *p)
{
    int status;
    assert_int_equal(kill(p->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(p->pid, &status, WUNTRACED), p->pid);
    assert_true(WIFSTOPPED(status));
}

void transport_peer_thaw(const transport_peer *p)
{
    assert_int_equal(kill(p->pid, SIGCONT), 0);
}
