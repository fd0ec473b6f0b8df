/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * shorthauld: the command line and the exit code. The rest is in sidecar.c.
 */

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "sidecar/config.h"
#include "sidecar/log.h"
#include "sidecar/sidecar.h"

enum {
    OPT_CHECK = 256,
    OPT_REMOVE_ON_EXIT
};

struct arguments {
    const char *config;
    const char *socket;
    bool check;
    bool remove_on_exit;
};

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "What to keep; see docs/sidecar.md. Default: one pool, \"default\"",
     0},
    {"socket", 's', "ADDRESS", 0,
     "Serve there instead of at the configured address. Default: " CONFIG_SOCKET_DEFAULT, 0},
    {"check", OPT_CHECK, NULL, 0, "Check the configuration and exit", 0},
    {"remove-on-exit", OPT_REMOVE_ON_EXIT, NULL, 0,
     "Remove the pools at the end, unless somebody uses them", 0},
    {0}};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct arguments *args = state->input;
    const char *fault;
    switch (key) {
    case 'c':
        args->config = arg;
        return 0;
    case 's':
        fault = socket_address_fault(arg);
        if (fault) {
            argp_error(state, "--socket: '%s' %s", arg, fault);
        }
        args->socket = arg;
        return 0;
    case OPT_CHECK:
        args->check = true;
        return 0;
    case OPT_REMOVE_ON_EXIT:
        args->remove_on_exit = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "'%s' is one argument too many", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char doc[] =
    "Keep shared-memory pools: create them, take back what dead processes held, and tell about "
    "them over gRPC on a Unix socket. Runs in the foreground, until SIGTERM or SIGINT; the pools "
    "stay."
    "\v"
    "Exit codes: 0 ended by a signal, or the configuration is right (--check); 1 something "
    "failed; 2 wrong usage; 3 the configuration cannot be used.";

/* All of the memory for shared objects, free or not: what is free changes from start to start. */
static uint64_t shm_bytes(void)
{
    struct statvfs fs;
    return statvfs("/dev/shm", &fs) == 0 ? (uint64_t)fs.f_blocks * fs.f_frsize : 0;
}

static void say_refused(const char *path, const config_error *why)
{
    if (!path) {
        log_event("%s", why->reason);
    } else if (why->line == 0) {
        (void)fprintf(stderr, "%s: %s\n", path, why->reason);
    } else {
        (void)fprintf(stderr, "%s:%u: %s\n", path, why->line, why->reason);
    }
}

static haul_status read_config(const struct arguments *args, sidecar_config *config)
{
    config_error why = {0};
    haul_status status = args->config ? config_load(args->config, config, &why)
                                      : config_default(shm_bytes(), config, &why);
    if (status == HAUL_OK && config->n_pools == 0) {
        status = config_add_default_pool(shm_bytes(), config, &why);
    }
    if (status == HAUL_OK && args->socket) {
        free(config->socket);
        config->socket = strdup(args->socket);
        status = config->socket ? HAUL_OK : HAUL_NOMEM;
    }
    if (status != HAUL_OK) {
        say_refused(args->config, &why);
        return status;
    }
    for (size_t i = 0; i < config->n_pools && args->remove_on_exit; i++) {
        config->pools[i].remove_on_exit = true;
    }
    return HAUL_OK;
}

static enum sidecar_exit say_checked(const struct arguments *args, const sidecar_config *config)
{
    int n = printf("%s: %zu pool%s on %s\n", args->config ? args->config : "no configuration",
                   config->n_pools, config->n_pools == 1 ? "" : "s", config->socket);
    return n > 0 && fflush(stdout) == 0 ? SIDECAR_EXIT_OK : SIDECAR_EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const struct argp argp = {.options = options, .parser = parse_option, .doc = doc};
    struct arguments args = {0};
    sidecar_config config = {0};
    argp_err_exit_status = SIDECAR_EXIT_USAGE;
    argp_program_version = "shorthauld " SHORTHAUL_VERSION;
    if (argp_parse(&argp, argc, argv, 0, NULL, &args) != 0) {
        return SIDECAR_EXIT_FAILURE;
    }
    enum sidecar_exit code = SIDECAR_EXIT_CONFIG;
    if (read_config(&args, &config) == HAUL_OK) {
        code = args.check ? say_checked(&args, &config) : sidecar_run(&config);
    }
    config_fini(&config);
    return (int)code;
}
