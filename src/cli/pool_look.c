/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The commands that look at pools: list, info, audit. They join nothing and change nothing.
 *
 * One thread, besides gRPC's own with --socket. Nothing is left when the process dies.
 */

#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/report.h"
#include "cli/show.h"
#include "cli/source.h"

#define SOCKET_HELP "Ask the sidecar there, instead of reading the control segments"

struct look {
    const char *name;
    const char *socket;
    bool json;
};

static error_t parse_look(int key, char *arg, struct argp_state *state)
{
    struct look *look = state->input;
    switch (key) {
    case 's':
        look->socket = arg;
        return 0;
    case 'j':
        look->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_named(int key, char *arg, struct argp_state *state)
{
    struct look *look = state->input;
    if (key == ARGP_KEY_ARG) {
        command_take_name(state, &look->name, arg);
        return 0;
    }
    return parse_look(key, arg, state);
}

/* ---- Pictures of several pools ------------------------------------------------------------- */

struct pictures {
    char **names;
    picture *pictures;
    haul_status *statuses;
    size_t n;
};

static void pictures_free(struct pictures *p)
{
    for (size_t i = 0; p->pictures && i < p->n; i++) {
        picture_free(&p->pictures[i]);
    }
    source_free_names(p->names, p->n);
    free(p->pictures);
    free(p->statuses);
}

/* A pool that cannot be looked at has a status of its own and is no failure here. */
static haul_status take_pictures(source *s, struct pictures *out, haul_error *err)
{
    struct pictures p = {0};
    haul_status status = source_list(s, &p.names, &p.n, err);
    if (status != HAUL_OK) {
        return status;
    }
    p.pictures = calloc(p.n + 1, sizeof(*p.pictures));
    p.statuses = calloc(p.n + 1, sizeof(*p.statuses));
    if (!p.pictures || !p.statuses) {
        pictures_free(&p);
        return HAUL_NOMEM;
    }
    for (size_t i = 0; i < p.n; i++) {
        p.statuses[i] = source_info(s, p.names[i], &p.pictures[i], err);
    }
    *out = p;
    return HAUL_OK;
}

/* ---- pool list ----------------------------------------------------------------------------- */

static haul_status print_list(const struct pictures *p, bool json)
{
    listed_pool *listed = calloc(p->n + 1, sizeof(*listed));
    if (!listed) {
        return HAUL_NOMEM;
    }
    for (size_t i = 0; i < p->n; i++) {
        listed[i] = (listed_pool){
            .name = p->names[i], .status = p->statuses[i], .info = p->pictures[i].info};
    }
    haul_status status = show_list(listed, p->n, json, stdout);
    free(listed);
    return status;
}

enum cli_exit cmd_pool_list(int argc, char **argv)
{
    static const struct argp_option options[] = {{"json", 'j', NULL, 0, "Print one JSON object", 0},
                                                 {"socket", 's', "ADDRESS", 0, SOCKET_HELP, 0},
                                                 {0}};
    const struct argp argp = {
        .options = options, .parser = parse_look, .doc = "List the pools of this machine."};
    struct look look = {0};
    source s;
    struct pictures p = {0};
    haul_error err = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &look) != 0) {
        return CLI_FAILURE;
    }
    haul_status status = source_open(look.socket, &s, &err);
    if (status == HAUL_OK) {
        status = take_pictures(&s, &p, &err);
    }
    if (status == HAUL_OK) {
        status = print_list(&p, look.json);
    }
    pictures_free(&p);
    source_close(&s);
    return status == HAUL_OK ? report_written(CLI_OK) : report_status("pool list", status, &err);
}

/* ---- pool info ----------------------------------------------------------------------------- */

static haul_status info_of_one(source *s, const struct look *look, haul_error *err)
{
    picture p = {0};
    haul_status status = source_info(s, look->name, &p, err);
    if (status == HAUL_OK) {
        const haul_pool_info *info = p.info;
        status = show_pools(&info, 1, look->json, stdout);
    }
    picture_free(&p);
    return status;
}

/* Prints those that it can look at, and then fails with the first that it cannot. */
static haul_status info_of_all(source *s, const struct look *look, haul_error *err)
{
    struct pictures p = {0};
    haul_status status = take_pictures(s, &p, err);
    if (status != HAUL_OK) {
        return status;
    }
    const haul_pool_info **infos = calloc(p.n + 1, sizeof(const haul_pool_info *));
    size_t n = 0;
    haul_status failed = HAUL_OK;
    for (size_t i = 0; infos && i < p.n; i++) {
        if (p.statuses[i] == HAUL_OK) {
            infos[n++] = p.pictures[i].info;
        } else if (p.statuses[i] != HAUL_NOT_FOUND && failed == HAUL_OK) { /* removed meanwhile */
            failed = p.statuses[i];
        }
    }
    status = infos ? show_pools(infos, n, look->json, stdout) : HAUL_NOMEM;
    free(infos);
    pictures_free(&p);
    return status == HAUL_OK ? failed : status;
}

enum cli_exit cmd_pool_info(int argc, char **argv)
{
    static const struct argp_option options[] = {{"json", 'j', NULL, 0, "Print one JSON object", 0},
                                                 {"socket", 's', "ADDRESS", 0, SOCKET_HELP, 0},
                                                 {0}};
    const struct argp argp = {.options = options,
                              .parser = parse_named,
                              .args_doc = "[NAME]",
                              .doc =
                                  "Print classes, participants and totals of a pool, or of all."};
    struct look look = {0};
    source s;
    haul_error err = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &look) != 0) {
        return CLI_FAILURE;
    }
    haul_status status = source_open(look.socket, &s, &err);
    if (status == HAUL_OK) {
        status = look.name ? info_of_one(&s, &look, &err) : info_of_all(&s, &look, &err);
    }
    source_close(&s);
    (void)fflush(stdout);
    return status == HAUL_OK ? report_written(CLI_OK)
                             : report_status(look.name ? look.name : "pool info", status, &err);
}

/* ---- pool audit ---------------------------------------------------------------------------- */

struct findings {
    char **texts;
    size_t n;
    bool lost; /* no memory for one of them */
};

static void keep_finding(void *ctx, const char *finding)
{
    struct findings *f = ctx;
    char **grown = reallocarray(f->texts, f->n + 1, sizeof(*grown));
    char *text = strdup(finding);
    if (grown) {
        f->texts = grown;
    }
    if (!grown || !text) {
        free(text);
        f->lost = true;
        return;
    }
    f->texts[f->n++] = text;
}

static haul_status audit(const struct look *look, size_t *out_n, haul_error *err)
{
    haul_pool *pool = NULL;
    struct findings f = {0};
    haul_status status = source_observe(look->name, &pool, err);
    if (status == HAUL_OK) {
        status = haul_pool_audit(pool, keep_finding, &f, out_n, err);
    }
    if (status == HAUL_OK) {
        status = f.lost ? HAUL_NOMEM
                        : show_findings(haul_pool_name(pool), f.texts, f.n, look->json, stdout);
    }
    haul_pool_close(pool);
    source_free_names(f.texts, f.n);
    return status;
}

static error_t parse_audit(int key, char *arg, struct argp_state *state)
{
    if (key == ARGP_KEY_NO_ARGS) {
        argp_error(state, "NAME is missing");
    }
    return parse_named(key, arg, state);
}

enum cli_exit cmd_pool_audit(int argc, char **argv)
{
    static const struct argp_option options[] = {{"json", 'j', NULL, 0, "Print one JSON object", 0},
                                                 {0}};
    const struct argp argp = {
        .options = options,
        .parser = parse_audit,
        .args_doc = "NAME",
        .doc = "Check every invariant of a pool. On a pool that others use meanwhile a finding may "
               "be something in passing; on a quiet pool each is a fault."
               "\vExit code 4 if there is a finding."};
    struct look look = {0};
    haul_error err = {0};
    size_t n = 0;
    if (argp_parse(&argp, argc, argv, 0, NULL, &look) != 0) {
        return CLI_FAILURE;
    }
    haul_status status = audit(&look, &n, &err);
    if (status == HAUL_CORRUPT) {
        return report(CLI_FINDINGS, "%s: %s", look.name, err.text);
    }
    if (status != HAUL_OK) {
        return report_status(look.name, status, &err);
    }
    return report_written(n == 0 ? CLI_OK : CLI_FINDINGS);
}
