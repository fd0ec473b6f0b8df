/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The pools that this sidecar keeps: created or found at the start, reaped on each sweep, looked at
 * by the admin service, left at the end.
 *
 * The main thread opens, reaps and closes; the server's threads take pictures. A pool's handle is
 * for one thread at a time, hence the lock of each pool. If the sidecar dies, the kernel drops its
 * keeper's lock and its slot's lock; the pools stay as they are and the next sidecar opens them.
 */

#include "sidecar/pools.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sidecar/geometry.h"
#include "sidecar/log.h"
#include "tools/units.h"

/* While somebody else creates or removes a pool of ours at this moment. */
#define AGAIN_WAIT_NS 20000000L
#define AGAIN_TRIES   250

/* After the first one. loop.c says how far apart. On a busy machine the dying may wait for its turn
 * between the telling and the proof. */
#define N_LOOKS 8

/* ---- Opening ------------------------------------------------------------------------------- */

static haul_status create_or_open(kept_pool *kept, haul_error *err)
{
    const haul_open_opts opts = {
        .struct_size = sizeof(opts), .participant_name = "shorthauld", .keeper = true};
    haul_pool_config config = pool_spec_config(kept->spec);
    haul_status status = haul_pool_open(kept->spec->name, &opts, &kept->pool, err);
    if (status == HAUL_NOT_FOUND) {
        status = haul_pool_create(kept->spec->name, &config, &opts, &kept->pool, err);
        kept->created = status == HAUL_OK;
    }
    return status;
}

static haul_status create_or_open_patiently(kept_pool *kept, haul_error *err)
{
    const struct timespec pause = {.tv_nsec = AGAIN_WAIT_NS};
    haul_status status = create_or_open(kept, err);
    /* EXISTS: somebody created it between our two looks; it can be opened now, or soon. */
    for (int i = 0; (status == HAUL_AGAIN || status == HAUL_EXISTS) && i < AGAIN_TRIES; i++) {
        (void)nanosleep(&pause, NULL);
        status = create_or_open(kept, err);
    }
    return status;
}

static void say_opened(const kept_pool *kept, const haul_pool_info *info)
{
    char bytes[UNITS_TEXT_BYTES];
    uint64_t n = 0;
    for (uint32_t i = 0; i < info->n_classes; i++) {
        n += info->classes[i].n_max - info->classes[i].n_absent;
    }
    log_event("pool %s: %s, %" PRIu64 " buffers of %s in all", info->name,
              kept->created ? "created" : "found", n, units_format_bytes(info->bytes, bytes));
}

/* Without a watch, on a machine that has no more of them to give, the sweep has to do. */
static void watch(kept_pool *kept)
{
    haul_error err = {0};
    if (haul_pool_watch_fd(kept->pool, &kept->watch_fd, &err) != HAUL_OK) {
        kept->watch_fd = -1;
        log_event("pool %s: deaths are found on the sweep only: %s", kept->spec->name, err.text);
    }
}

static haul_status open_one(kept_pool *kept, haul_error *err)
{
    haul_pool_info *info = NULL;
    haul_status status = create_or_open_patiently(kept, err);
    if (status != HAUL_OK) {
        return status;
    }
    status = haul_pool_get_info(kept->pool, &info, err);
    if (status == HAUL_OK && !kept->created && !kept->spec->as_found) {
        status = geometry_compare(kept->spec, info, err);
    }
    if (status == HAUL_OK) {
        say_opened(kept, info);
        watch(kept);
    }
    haul_pool_info_free(info);
    return status;
}

/* What this start has created is of no use to anybody if the start fails. */
static void undo(kept_pools *kept)
{
    for (size_t i = 0; i < kept->n; i++) {
        kept_pool *pool = &kept->pools[i];
        haul_pool_close(pool->pool);
        if (pool->created) {
            (void)!haul_pool_remove(pool->spec->name, false, NULL);
        }
        (void)pthread_mutex_destroy(&pool->lock);
    }
    free(kept->pools);
    *kept = (kept_pools){0};
}

haul_status pools_open(const sidecar_config *config, kept_pools *kept, haul_error *err)
{
    haul_status status = HAUL_OK;
    *kept = (kept_pools){.pools = calloc(config->n_pools, sizeof(*kept->pools))};
    if (!kept->pools) {
        *err = (haul_error){.status = HAUL_NOMEM, .text = "out of memory"};
        return HAUL_NOMEM;
    }
    for (size_t i = 0; i < config->n_pools && status == HAUL_OK; i++) {
        kept_pool *pool = &kept->pools[kept->n++];
        pool->spec = &config->pools[i];
        pool->watch_fd = -1;
        (void)pthread_mutex_init(&pool->lock, NULL); /* never fails for a plain mutex */
        status = open_one(pool, err);
        if (status != HAUL_OK) {
            log_event("pool %s: %s", pool->spec->name, err->text);
        }
    }
    if (status != HAUL_OK) {
        undo(kept);
        return status;
    }
    pools_reap(kept); /* after the watches: who dies from here on is told of */
    return HAUL_OK;
}

/* ---- Keeping ------------------------------------------------------------------------------- */

static void reap_one(kept_pool *pool)
{
    size_t n = 0;
    haul_error err = {0};
    if (!pools_keeps(pool) && !pool->lost) {
        log_event("pool %s: somebody has removed it", pool->spec->name);
        pool->lost = true;
    }
    (void)pthread_mutex_lock(&pool->lock);
    haul_status status = haul_pool_reap(pool->pool, &n, &err);
    (void)pthread_mutex_unlock(&pool->lock);
    if (status == HAUL_OK && n > 0) {
        log_event("pool %s: took back %zu buffers and holds", pool->spec->name, n);
    }
    if (status != HAUL_OK && status != pool->reaped) {
        log_event("pool %s: cannot reap: %s: %s", pool->spec->name, haul_status_name(status),
                  err.text);
    }
    pool->reaped = status;
}

void pools_reap(kept_pools *kept)
{
    for (size_t i = 0; i < kept->n; i++) {
        reap_one(&kept->pools[i]);
    }
}

void pools_look(kept_pool *pool)
{
    if (pool->n_looks == 0) {
        reap_one(pool);
    }
    pool->n_looks = N_LOOKS;
}

bool pools_look_again(kept_pools *kept)
{
    bool more = false;
    for (size_t i = 0; i < kept->n; i++) {
        kept_pool *pool = &kept->pools[i];
        if (pool->n_looks > 0) {
            pool->n_looks--;
            reap_one(pool);
        }
        more = more || pool->n_looks > 0;
    }
    return more;
}

bool pools_keeps(const kept_pool *pool)
{
    return !haul_pool_is_removed(pool->pool);
}

kept_pool *pools_find(kept_pools *kept, const char *name)
{
    for (size_t i = 0; i < kept->n; i++) {
        if (strcmp(kept->pools[i].spec->name, name) == 0) {
            return pools_keeps(&kept->pools[i]) ? &kept->pools[i] : NULL;
        }
    }
    return NULL;
}

haul_status pools_get_info(kept_pool *pool, haul_pool_info **out_info, haul_error *err)
{
    (void)pthread_mutex_lock(&pool->lock);
    haul_status status = haul_pool_get_info(pool->pool, out_info, err);
    (void)pthread_mutex_unlock(&pool->lock);
    return status;
}

/* ---- Leaving ------------------------------------------------------------------------------- */

static void remove_one(const kept_pool *pool)
{
    haul_error err = {0};
    haul_status status = haul_pool_remove(pool->spec->name, false, &err);
    if (status == HAUL_OK) {
        log_event("pool %s: removed", pool->spec->name);
    } else {
        log_event("pool %s: stays: %s", pool->spec->name, err.text);
    }
}

void pools_close(kept_pools *kept)
{
    for (size_t i = 0; i < kept->n; i++) {
        kept_pool *pool = &kept->pools[i];
        haul_pool_close(pool->pool);
        if (pool->spec->remove_on_exit && !pool->lost) {
            remove_one(pool);
        }
        (void)pthread_mutex_destroy(&pool->lock);
    }
    free(kept->pools);
    *kept = (kept_pools){0};
}
