/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The commands that change pools: create, reap, rm, withdraw. For a machine without a sidecar, and
 * for what is left after one.
 *
 * One thread. A process that dies while it creates or removes leaves a pool that the next one to
 * create or remove it cleans up; one that dies while it withdraws leaves a name that the next sweep
 * takes away.
 */

#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/report.h"
#include "cli/source.h"
#include "tools/units.h"

/* ---- pool reap ----------------------------------------------------------------------------- */

static error_t parse_name(int key, char *arg, struct argp_state *state)
{
    const char **name = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        command_take_name(state, name, arg);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "NAME is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What has been taken back from dead participants so far, and past a deadline. */
static haul_status count_reaped(haul_pool *pool, uint64_t *out_n, haul_error *err)
{
    haul_pool_info *info = NULL;
    uint64_t n = 0;
    haul_status status = haul_pool_get_info(pool, &info, err);
    if (status != HAUL_OK) {
        return status;
    }
    for (uint32_t i = 0; i < info->n_classes; i++) {
        n += info->classes[i].reaps + info->classes[i].expirations;
    }
    haul_pool_info_free(info);
    *out_n = n;
    return HAUL_OK;
}

/* Joining reaps too, the slot that it takes; so the pool's own count before and after is told. */
static haul_status reap(const char *name, uint64_t *out_n, haul_error *err)
{
    haul_pool *observed = NULL;
    haul_pool *joined = NULL;
    uint64_t before = 0;
    uint64_t after = 0;
    haul_status status = source_observe(name, &observed, err);
    if (status == HAUL_OK) {
        status = count_reaped(observed, &before, err);
    }
    if (status == HAUL_OK) {
        status = source_join(name, "shorthaul reap", &joined, err);
    }
    if (status == HAUL_OK) {
        status = haul_pool_reap(joined, NULL, err);
    }
    if (status == HAUL_OK) {
        status = count_reaped(observed, &after, err);
    }
    haul_pool_close(joined);
    haul_pool_close(observed);
    *out_n = after - before;
    return status;
}

enum cli_exit cmd_pool_reap(int argc, char **argv)
{
    const struct argp argp = {
        .parser = parse_name,
        .args_doc = "NAME",
        .doc = "Take back what dead processes owned and held in a pool, and what was given and is "
               "past its deadline."};
    const char *name = NULL;
    haul_error err = {0};
    uint64_t n = 0;
    if (argp_parse(&argp, argc, argv, 0, NULL, &name) != 0) {
        return CLI_FAILURE;
    }
    haul_status status = reap(name, &n, &err);
    if (status != HAUL_OK) {
        return report_status(name, status, &err);
    }
    (void)printf("%s: took back %" PRIu64 " buffers and holds\n", name, n);
    return report_written(CLI_OK);
}

/* ---- pool rm ------------------------------------------------------------------------------- */

struct removal {
    const char *name;
    bool force;
};

static error_t parse_removal(int key, char *arg, struct argp_state *state)
{
    struct removal *removal = state->input;
    switch (key) {
    case 'f':
        removal->force = true;
        return 0;
    case ARGP_KEY_ARG:
        command_take_name(state, &removal->name, arg);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "NAME is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

enum cli_exit cmd_pool_rm(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"force", 'f', NULL, 0,
         "Remove it although participants live, or its control segment "
         "cannot be understood",
         0},
        {0}};
    const struct argp argp = {
        .options = options,
        .parser = parse_removal,
        .args_doc = "NAME",
        .doc = "Remove a pool and all its buffers. Refused while participants live. Those that use "
               "a pool removed by force keep their mappings; its memory returns when the last of "
               "them leaves."};
    struct removal removal = {0};
    haul_error err = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &removal) != 0) {
        return CLI_FAILURE;
    }
    haul_status status = haul_pool_remove(removal.name, removal.force, &err);
    if (status == HAUL_BUSY) {
        return report(CLI_FAILURE, "%s: %s (--force removes it all the same)", removal.name,
                      err.text);
    }
    return status == HAUL_OK ? CLI_OK : report_status(removal.name, status, &err);
}

/* ---- pool withdraw ------------------------------------------------------------------------- */

struct withdrawal {
    const char *pool;
    const char *name;
};

static error_t parse_withdrawal(int key, char *arg, struct argp_state *state)
{
    struct withdrawal *withdrawal = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        command_take_name(state, withdrawal->pool ? &withdrawal->name : &withdrawal->pool, arg);
        return 0;
    case ARGP_KEY_END:
        if (!withdrawal->name) {
            argp_error(state, "%s is missing", withdrawal->pool ? "BUFFER" : "NAME");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

enum cli_exit cmd_pool_withdraw(int argc, char **argv)
{
    const struct argp argp = {
        .parser = parse_withdrawal,
        .args_doc = "NAME BUFFER",
        .doc = "Take the name BUFFER away from a published buffer of the pool NAME. A persistent "
               "buffer is free as soon as its readers let go."};
    struct withdrawal withdrawal = {0};
    haul_pool *pool = NULL;
    haul_error err = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &withdrawal) != 0) {
        return CLI_FAILURE;
    }
    haul_status status = source_join(withdrawal.pool, "shorthaul withdraw", &pool, &err);
    if (status != HAUL_OK) {
        return report_status(withdrawal.pool, status, &err);
    }
    status = haul_pool_withdraw(pool, withdrawal.name);
    haul_pool_close(pool);
    return status == HAUL_OK ? CLI_OK : report_name(withdrawal.pool, withdrawal.name, status);
}

/* ---- pool create --------------------------------------------------------------------------- */

enum {
    OPT_BUDGET = 256,
    OPT_QUOTA,
    OPT_MEASURED,
    OPT_PARTICIPANTS,
    OPT_NAMES,
    OPT_MODE,
    OPT_GROUP
};

struct creation {
    const char *name;
    haul_class_config classes[HAUL_CLASSES_MAX];
    haul_pool_config config;
};

static const struct argp_option create_options[] = {
    {"class", 'c', "SIZE:INITIAL:MAX", 0,
     "A size class: buffers of SIZE (as 64MiB), INITIAL of them at once, up to MAX. At least one; "
     "sizes ascend",
     0},
    {"budget", OPT_BUDGET, "SIZE", 0,
     "Bound on all buffers together. Default: what the classes may "
     "grow to",
     0},
    {"quota", OPT_QUOTA, "SIZE", 0,
     "Bound on what one participant may own by allocation. Default: none", 0},
    {"measured", OPT_MEASURED, "COUNT", 0,
     "Up to so many buffers made to measure beyond the "
     "largest class; needs --budget",
     0},
    {"participants", OPT_PARTICIPANTS, "COUNT", 0, "Processes that may join. Default: 256", 0},
    {"names", OPT_NAMES, "COUNT", 0, "Buffers that may be published at one time. Default: 64", 0},
    {"mode", OPT_MODE, "MODE", 0, "0600 (the default) or 0660", 0},
    {"group", OPT_GROUP, "GROUP", 0, "Group of the objects; with it the mode is 0660", 0},
    {0}};

/* Cut @text at each of two colons, in place. */
static void add_class(struct argp_state *state, struct creation *c, char *text)
{
    haul_class_config *cls = &c->classes[c->config.n_classes];
    char whole[64];
    const char *why;
    (void)snprintf(whole, sizeof(whole), "%s", text);
    char *initial = strchr(text, ':');
    char *max = initial ? strchr(initial + 1, ':') : NULL;
    if (!max) {
        argp_error(state, "--class: '%s' is not SIZE:INITIAL:MAX", whole);
        return;
    }
    if (c->config.n_classes == HAUL_CLASSES_MAX) {
        argp_error(state, "--class: more than %d classes", HAUL_CLASSES_MAX);
        return;
    }
    *initial++ = '\0';
    *max++ = '\0';
    if (units_parse_bytes(text, &cls->size_bytes, &why) != HAUL_OK) {
        argp_error(state, "--class %s: '%s' %s", whole, text, why);
    }
    if (units_parse_count(initial, HAUL_CLASS_BUFFERS_MAX, &cls->n_initial, &why) != HAUL_OK) {
        argp_error(state, "--class %s: '%s' %s", whole, initial, why);
    }
    if (units_parse_count(max, HAUL_CLASS_BUFFERS_MAX, &cls->n_max, &why) != HAUL_OK) {
        argp_error(state, "--class %s: '%s' %s", whole, max, why);
    }
    c->config.n_classes++;
}

static void set_group(struct argp_state *state, struct creation *c, const char *name)
{
    uint32_t gid;
    const char *why;
    const struct group *group = NULL;
    if (units_parse_count(name, UINT32_MAX - 1, &gid, &why) == HAUL_OK) {
        c->config.gid = gid;
    } else if ((group = getgrnam(name)) != NULL) {
        c->config.gid = group->gr_gid;
    } else {
        argp_error(state, "--group: '%s' is not a group of this machine", name);
    }
    if (c->config.mode == 0) {
        c->config.mode = 0660;
    }
}

static void check_number(struct argp_state *state, const char *option, const char *text,
                         haul_status status, const char **why)
{
    if (status != HAUL_OK) {
        argp_error(state, "--%s: '%s' %s", option, text, *why);
    }
}

/* 1 to @max: to the library 0 would mean its default. */
static void take_count(struct argp_state *state, const char *option, const char *text, uint32_t max,
                       uint32_t *out)
{
    const char *why = "";
    check_number(state, option, text, units_parse_count(text, max, out, &why), &why);
    if (*out == 0) {
        argp_error(state, "--%s: '%s' is not in 1..%" PRIu32, option, text, max);
    }
}

static error_t parse_creation(int key, char *arg, struct argp_state *state)
{
    struct creation *c = state->input;
    haul_pool_config *config = &c->config;
    const char *why = "";
    switch (key) {
    case 'c':
        add_class(state, c, arg);
        return 0;
    case OPT_BUDGET:
        check_number(state, "budget", arg, units_parse_bytes(arg, &config->budget_bytes, &why),
                     &why);
        return 0;
    case OPT_QUOTA:
        check_number(state, "quota", arg, units_parse_bytes(arg, &config->quota_bytes, &why), &why);
        return 0;
    case OPT_MEASURED:
        check_number(state, "measured", arg,
                     units_parse_count(arg, HAUL_CLASS_BUFFERS_MAX, &config->n_measured_max, &why),
                     &why);
        return 0;
    case OPT_PARTICIPANTS:
        take_count(state, "participants", arg, HAUL_PARTICIPANTS_MAX, &config->n_participants);
        return 0;
    case OPT_NAMES:
        take_count(state, "names", arg, HAUL_NAMES_MAX, &config->n_names);
        return 0;
    case OPT_MODE:
        check_number(state, "mode", arg, units_parse_mode(arg, &config->mode, &why), &why);
        return 0;
    case OPT_GROUP:
        set_group(state, c, arg);
        return 0;
    case ARGP_KEY_ARG:
        command_take_name(state, &c->name, arg);
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "NAME is missing");
        return 0;
    case ARGP_KEY_END:
        if (config->n_classes == 0) {
            argp_error(state, "a pool needs at least one --class");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

enum cli_exit cmd_pool_create(int argc, char **argv)
{
    const struct argp argp = {
        .options = create_options,
        .parser = parse_creation,
        .args_doc = "NAME",
        .doc = "Create a pool. It stays until it is removed; no sidecar is needed, and one may "
               "keep it later."};
    struct creation c = {.config = {.struct_size = sizeof(c.config), .gid = (gid_t)-1}};
    const haul_open_opts opts = {.struct_size = sizeof(opts),
                                 .participant_name = "shorthaul create"};
    haul_pool *pool = NULL;
    haul_error err = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &c) != 0) {
        return CLI_FAILURE;
    }
    c.config.classes = c.classes;
    haul_status status = haul_pool_create(c.name, &c.config, &opts, &pool, &err);
    haul_pool_close(pool);
    return status == HAUL_OK ? CLI_OK : report_status(c.name, status, &err);
}
