/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Starting and telling peers. Descriptors are close-on-exec, so that one peer does not keep
 * another's input open. */

#include "peer.h"

#include "pool_test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

peer peer_start_argv(char *const argv[])
{
    int to[2];
    int from[2];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
        fail_msg("no pipe");
    }
    (void)signal(SIGPIPE, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(to[0], STDIN_FILENO) >= 0 && dup2(from[1], STDOUT_FILENO) >= 0) {
            (void)execv(argv[0], argv);
        }
        _exit(127);
    }
    assert_true(pid > 0);
    (void)close(to[0]);
    (void)close(from[1]);
    return (peer){.pid = pid, .to = fdopen(to[1], "w"), .from = fdopen(from[0], "r")};
}

peer peer_start(const char *program)
{
    char *const argv[] = {(char *)program, NULL};
    return peer_start_argv(argv);
}

void peer_expect(peer *p, const char *word)
{
    char line[64] = "";
    if (!fgets(line, sizeof(line), p->from)) {
        fail_msg("the peer ended before it said %s", word);
    }
    line[strcspn(line, "\n")] = '\0';
    assert_string_equal(line, word);
}

void peer_tell(peer *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vfprintf(p->to, fmt, args);
    va_end(args);
    (void)fputc('\n', p->to);
    (void)fflush(p->to);
}

haul_status peer_call(peer *p, const char *fmt, ...)
{
    char line[320];
    char status[32] = "";
    int at = 0;
    va_list args;
    va_start(args, fmt);
    (void)vfprintf(p->to, fmt, args);
    va_end(args);
    (void)fputc('\n', p->to);
    (void)fflush(p->to);
    if (!fgets(line, sizeof(line), p->from)) {
        fail_msg("the peer died of '%s'", fmt);
    }
    line[strcspn(line, "\n")] = '\0';
    assert_true(sscanf(line, "%31s %n", status, &at) == 1);
    (void)snprintf(p->answer, sizeof(p->answer), "%s", line + at);
    for (int s = HAUL_DENIED; s <= HAUL_END; s++) {
        if (strcmp(haul_status_name((haul_status)s), status) == 0) {
            return (haul_status)s;
        }
    }
    fail_msg("the peer said '%s'", line);
    return HAUL_INVALID;
}

int peer_wait(peer *p)
{
    int wstatus = 0;
    (void)fclose(p->to); /* so that one which did not die as it should ends, and the test says so */
    assert_int_equal(waitpid(p->pid, &wstatus, 0), p->pid);
    (void)fclose(p->from);
    p->pid = 0;
    return wstatus;
}

int peer_kill(peer *p)
{
    assert_int_equal(kill(p->pid, SIGKILL), 0);
    return peer_wait(p);
}

void peer_stop(peer *p)
{
    int wstatus = peer_wait(p);
    assert_true(WIFEXITED(wstatus));
    assert_int_equal(WEXITSTATUS(wstatus), 0);
}
