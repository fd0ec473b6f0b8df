/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The pools that bench_pool works on: an ordinary one, one of 65,536 buffers, one that 200
 * participants have joined, and a Boost.Interprocess segment. All are this process's own, and removed at
 * the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool_arms.h"

static haul_pool *create(const char *name, const char *suffix, const haul_class_config *classes,
                         uint32_t n_classes, uint32_t n_participants)
{
    char full_name[HAUL_POOL_NAME_MAX + 1];
    haul_pool_config config = {.struct_size = sizeof(config),
                               .classes = classes,
                               .n_classes = n_classes,
                               .n_participants = n_participants};
    haul_error err = {0};
    haul_pool *pool = NULL;
    (void)snprintf(full_name, sizeof(full_name), "%s%s", name, suffix);
    if (haul_pool_create(full_name, &config, NULL, &pool, &err) != HAUL_OK) {
        (void)fprintf(stderr, "bench_pool: %s\n", err.text);
        return NULL;
    }
    return pool;
}

/* A filled and shared buffer. */
static bool share_filled(fixture *f, uint64_t len, haul_buf **out_buf, haul_key *out_key)
{
    if (haul_buf_alloc(f->pool, len, NULL, out_buf) != HAUL_OK) {
        return false;
    }
    memcpy(haul_buf_data(*out_buf), f->source, len);
    return haul_buf_share(*out_buf, len, out_key) == HAUL_OK;
}

/* What the readers see is what was filled in. */
static bool check_bytes(fixture *f)
{
    haul_view view;
    if (haul_attach(f->reader, &f->large_key, LARGE_BYTES, &view) != HAUL_OK) {
        return false;
    }
    bool ok = memcmp(view.data, f->source, LARGE_BYTES) == 0;
    haul_detach(&view);
    return ok;
}

static bool make_pools(fixture *f)
{
    static const haul_class_config ordinary[] = {
        {.size_bytes = SMALL_BYTES, .n_initial = 16, .n_max = 16},
        {.size_bytes = LARGE_BYTES, .n_initial = 2, .n_max = 2},
    };
    const haul_class_config wide = {
        .size_bytes = TINY_BYTES, .n_initial = f->n_wide, .n_max = f->n_wide};
    static const haul_class_config crowded = {
        .size_bytes = TINY_BYTES, .n_initial = 64, .n_max = 64};
    char boost_name[HAUL_POOL_NAME_MAX + 8];
    (void)snprintf(boost_name, sizeof(boost_name), "%s-boost", f->pool_name);
    f->pool = create(f->pool_name, "", ordinary, 2, 16);
    f->wide = create(f->pool_name, "-wide", &wide, 1, 16);
    f->crowded = create(f->pool_name, "-crowded", &crowded, 1, N_CROWD + 1);
    f->boost = boost_arm_open(boost_name);
    if (!f->pool || !f->wide || !f->crowded || !f->boost) {
        return false;
    }
    for (size_t i = 0; i < N_CROWD - 1; i++) {
        if (haul_pool_open(haul_pool_name(f->crowded), NULL, &f->crowd[i], NULL) != HAUL_OK) {
            return false;
        }
    }
    return true;
}

bool fixture_init(fixture *f)
{
    f->source = malloc(LARGE_BYTES);
    f->target = malloc(LARGE_BYTES);
    if (f->source == NULL || f->target == NULL || !make_pools(f)) {
        return false;
    }
    bench_fill(f->source, LARGE_BYTES);
    return haul_pool_open(f->pool_name, NULL, &f->reader, NULL) == HAUL_OK &&
           share_filled(f, SMALL_BYTES, &f->small, &f->small_key) &&
           share_filled(f, LARGE_BYTES, &f->large, &f->large_key) && check_bytes(f);
}

static bool destroy(haul_pool *pool)
{
    char name[HAUL_POOL_NAME_MAX + 1];
    size_t n_findings = 0;
    if (!pool) {
        return true;
    }
    bool sound = haul_pool_audit(pool, NULL, NULL, &n_findings, NULL) == HAUL_OK && n_findings == 0;
    (void)snprintf(name, sizeof(name), "%s", haul_pool_name(pool));
    haul_pool_close(pool);
    return haul_pool_remove(name, true, NULL) == HAUL_OK && sound;
}

bool fixture_fini(fixture *f)
{
    haul_buf_release(f->small);
    haul_buf_release(f->large);
    haul_pool_close(f->reader);
    for (size_t i = 0; i < N_CROWD; i++) {
        haul_pool_close(f->crowd[i]);
    }
    boost_arm_close(f->boost);
    free(f->source);
    free(f->target);
    bool ok = destroy(f->pool);
    ok = destroy(f->wide) && ok;
    return destroy(f->crowded) && ok;
}
