/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * shorthaul: finds the subcommand and runs it.
 *
 * One thread, but for those that gRPC starts under commands that ask a sidecar. What a command
 * still owned or held in a pool when it dies is reaped like any process's. SIGPIPE is ignored, so
 * that a reader that goes away is an error to report and not a death in the middle of a pool.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

static const command commands[] = {
    {"pool", "list", "the pools of this machine", cmd_pool_list},
    {"pool", "info", "classes, participants and totals of a pool", cmd_pool_info},
    {"pool", "audit", "check a quiet pool for faults", cmd_pool_audit},
    {"pool", "reap", "take back what dead processes owned and held", cmd_pool_reap},
    {"pool", "rm", "remove a pool", cmd_pool_rm},
    {"pool", "create", "create a pool without a sidecar", cmd_pool_create},
    {"pool", "withdraw", "take a published buffer's name away", cmd_pool_withdraw},
    {NULL, "put", "share a file's bytes and print their key", cmd_put},
    {NULL, "get", "write the bytes behind a key or a name", cmd_get},
    {NULL, "health", "ask a sidecar whether it serves", cmd_health},
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

void command_take_name(struct argp_state *state, const char **name, char *arg)
{
    if (*name) {
        argp_error(state, "'%s' is one argument too many", arg);
    }
    *name = arg;
}

static void print_help(FILE *out)
{
    (void)fputs("Usage: shorthaul COMMAND [OPTION...]\n"
                "Look at shared-memory pools, keep them, and pass bytes through them.\n\n",
                out);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const command *c = &commands[i];
        (void)fprintf(out, "  %s%s%-*s %s\n", c->group ? c->group : "", c->group ? " " : "",
                      c->group ? 8 : 13, c->name, c->summary);
    }
    (void)fputs("\nshorthaul COMMAND --help tells more. Exit codes: 0 done; 1 failed or refused; "
                "2 wrong\nusage; 3 no such pool, key or name; 4 the audit found something.\n",
                out);
}

static const command *find(const char *group, const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const command *c = &commands[i];
        if ((c->group == NULL) == (group == NULL) && (!group || strcmp(c->group, group) == 0) &&
            strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

/* Run @c with the arguments behind its @n_words words. */
static enum cli_exit run(const command *c, int n_words, int argc, char **argv)
{
    char title[64];
    (void)snprintf(title, sizeof(title), "shorthaul %s%s%s", c->group ? c->group : "",
                   c->group ? " " : "", c->name);
    argv[n_words] = title;
    program_invocation_name = title; /* what argp puts in front of errors */
    program_invocation_short_name = title;
    return c->run(argc - n_words, argv + n_words);
}

static enum cli_exit refuse(const char *what, const char *word)
{
    (void)fprintf(stderr, "shorthaul: %s%s%s; shorthaul --help lists the commands\n", what,
                  word ? " " : "", word ? word : "");
    return CLI_USAGE;
}

int main(int argc, char **argv)
{
    argp_err_exit_status = CLI_USAGE;
    argp_program_version = "shorthaul " SHORTHAUL_VERSION;
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return CLI_FAILURE;
    }
    if (argc < 2) {
        return (int)refuse("no command", NULL);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0) {
        print_help(stdout);
        return fflush(stdout) == 0 ? CLI_OK : CLI_FAILURE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        return printf("%s\n", argp_program_version) > 0 && fflush(stdout) == 0 ? CLI_OK
                                                                               : CLI_FAILURE;
    }
    const command *c = find(NULL, argv[1]);
    if (c) {
        return (int)run(c, 1, argc, argv);
    }
    if (strcmp(argv[1], "pool") != 0) {
        return (int)refuse("no such command:", argv[1]);
    }
    if (argc > 2 && strcmp(argv[2], "--help") == 0) {
        print_help(stdout);
        return fflush(stdout) == 0 ? CLI_OK : CLI_FAILURE;
    }
    c = argc > 2 ? find("pool", argv[2]) : NULL;
    if (!c) {
        return (int)refuse(argc > 2 ? "no such command: pool" : "pool needs a command",
                           argc > 2 ? argv[2] : NULL);
    }
    return (int)run(c, 2, argc, argv);
}
