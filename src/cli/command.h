/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_CLI_COMMAND_H
#define SHORTHAUL_CLI_COMMAND_H

/* The subcommands of shorthaul, and how each of them ends. */

#include <argp.h>

/* docs/cli.md. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILURE = 1,   /* something failed, or was refused */
    CLI_USAGE = 2,     /* the command line is not right */
    CLI_NOT_FOUND = 3, /* no such pool or name, or the key's buffer has moved on */
    CLI_FINDINGS = 4   /* the audit found something */
};

typedef struct command {
    const char *group; /* NULL: the name stands alone */
    const char *name;
    const char *summary;
    /* argv[0] is "shorthaul pool info". May exit: argp does, on --help and on wrong usage. */
    enum cli_exit (*run)(int argc, char **argv);
} command;

enum cli_exit cmd_pool_list(int argc, char **argv);
enum cli_exit cmd_pool_info(int argc, char **argv);
enum cli_exit cmd_pool_audit(int argc, char **argv);
enum cli_exit cmd_pool_reap(int argc, char **argv);
enum cli_exit cmd_pool_rm(int argc, char **argv);
enum cli_exit cmd_pool_create(int argc, char **argv);
enum cli_exit cmd_pool_withdraw(int argc, char **argv);
enum cli_exit cmd_put(int argc, char **argv);
enum cli_exit cmd_get(int argc, char **argv);
enum cli_exit cmd_health(int argc, char **argv);

/* What an argp parser does with the one name a command takes: set *@name, or refuse a second. */
void command_take_name(struct argp_state *state, const char **name, char *arg);

#endif
