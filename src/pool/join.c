/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Joining and leaving.
 *
 * The control object is opened twice. One description is looked at, mapped and closed; the other
 * carries the locks and is never mapped, so that it can be closed in a forked child for good.
 *
 * Joining is taking the lock of a slot. What its last user left is reaped before the slot is used,
 * because from then on its number in a state word means us. Dying with the lock but before the slot
 * says so leaves nothing, for nothing was owned. Leaving gives everything back while the lock is
 * still held: dying in the middle is dying like anywhere else.
 *
 * The pool may be removed while we join: the remover marks the header and then looks at the locks,
 * we lock and then look at the mark.
 */

#include "pool/join.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "pool/control.h"
#include "pool/fork.h"
#include "pool/lock.h"
#include "pool/maps.h"
#include "pool/object.h"
#include "pool/reap.h"
#include "pool/wait.h"

/* ---- Is it a pool that can be joined? ------------------------------------------------------ */

/* A remover died before its point of no return: undo its mark. */
static haul_status undo_removing(haul__control *control)
{
    haul_status s = haul__lock_try(control->fd, HAUL__LOCK_ADMIN);
    if (s != HAUL_OK) {
        return s;
    }
    control->state = haul__control_read_state(control);
    if (control->state == HAUL__POOL_REMOVING) {
        s = haul__control_write_state(control, HAUL__POOL_READY);
        control->state = HAUL__POOL_READY;
    }
    haul__unlock(control->fd, HAUL__LOCK_ADMIN);
    return s;
}

static haul_status check_joinable(haul__control *control, const char *name, bool observe,
                                  const uint8_t *uuid, haul_error *err)
{
    if (control->verdict == HAUL_NOT_FOUND) {
        return haul__lock_is_held(control->fd, HAUL__LOCK_ADMIN)
                   ? haul__fail(err, HAUL_AGAIN, "pool '%s' is being created", name)
                   : haul__fail(err, HAUL_NOT_FOUND, "there is no pool '%s'", name);
    }
    if (control->verdict != HAUL_OK) {
        if (err) {
            *err = control->error;
        }
        return control->verdict;
    }
    if (uuid && memcmp(uuid, control->header.uuid, sizeof(control->header.uuid)) != 0) {
        return haul__fail(err, HAUL_AGAIN, "pool '%s' was replaced meanwhile", name);
    }
    if (control->state == HAUL__POOL_REMOVING && !observe) {
        haul_status s = undo_removing(control);
        if (s != HAUL_OK) {
            return haul__fail(err, s, "pool '%s' is being removed", name);
        }
    }
    return control->state == HAUL__POOL_REMOVED
               ? haul__fail(err, HAUL_NOT_FOUND, "pool '%s' has been removed", name)
               : HAUL_OK;
}

/* ---- The handle ---------------------------------------------------------------------------- */

static haul_status open_lock_fd(haul_pool *pool, const haul__control *control, bool writable,
                                haul_error *err)
{
    char object[HAUL__OBJECT_NAME_BYTES];
    struct stat mapped;
    struct stat locked;
    uint64_t bytes;
    haul__control_name(pool->name, object);
    haul__fork_forbid();
    haul_status s = haul__object_open(object, (gid_t)-1, writable, &pool->lock_fd, &bytes, err);
    haul__fork_allow();
    if (s != HAUL_OK) {
        return s;
    }
    if (fstat(control->fd, &mapped) != 0 || fstat(pool->lock_fd, &locked) != 0) {
        return haul__fail_errno(err, errno, "cannot look at pool '%s'", pool->name);
    }
    return mapped.st_ino == locked.st_ino && mapped.st_dev == locked.st_dev
               ? HAUL_OK
               : haul__fail(err, HAUL_AGAIN, "pool '%s' was replaced meanwhile", pool->name);
}

static haul_status make_handle(const char *name, const haul__control *control,
                               const haul_open_opts *opts, haul_pool **out_pool, haul_error *err)
{
    haul_pool *pool = calloc(1, sizeof(*pool));
    haul_buf *bufs = calloc(control->geometry.n_buffers, sizeof(*bufs));
    if (!pool || !bufs) {
        free(pool);
        free(bufs);
        (void)haul__fail(err, HAUL_NOMEM, "no memory for %" PRIu32 " buffers",
                         control->geometry.n_buffers);
        return HAUL_NOMEM;
    }
    pool->g = control->geometry;
    pool->bufs = bufs;
    pool->lock_fd = -1;
    pool->populate = opts->populate;
    pool->map_bytes_max = opts->map_bytes_max;
    pool->watch_fd = -1;
    pool->gid = (gid_t)-1;
    memcpy(pool->uuid, control->header.uuid, sizeof(pool->uuid));
    pool->id = haul__pool_id_of_uuid(pool->uuid);
    (void)snprintf(pool->name, sizeof(pool->name), "%s", name);
    (void)pthread_mutex_init(&pool->map_mutex, NULL);
    (void)pthread_mutex_init(&pool->reap_mutex, NULL);
    for (uint32_t c = 0; c < pool->g.n_classes; c++) {
        const haul__class_place *place = &pool->g.classes[c];
        haul__store32_relaxed(&pool->classes[c].last, place->first);
        for (uint32_t i = place->first; i < place->first + place->n_max; i++) {
            bufs[i].pool = pool;
            bufs[i].index = i;
            bufs[i].class_index = c;
        }
    }
    *out_pool = pool;
    return HAUL_OK;
}

static haul_status map_control(haul_pool *pool, const haul__control *control, bool writable,
                               haul_error *err)
{
    struct stat st;
    void *base;
    haul_status s = haul__object_map(control->fd, pool->g.total_bytes, writable, false, &base);
    if (s != HAUL_OK) {
        return haul__fail(err, s, "cannot map the control segment of pool '%s'", pool->name);
    }
    pool->base = base;
    for (uint32_t i = 0; i < pool->g.n_buffers; i++) {
        pool->bufs[i].record = haul__record_of(pool, i);
    }
    if (pool->g.mode == 0660 && fstat(control->fd, &st) == 0) {
        pool->gid = st.st_gid; /* what this participant makes belongs to the pool's group */
    }
    return HAUL_OK;
}

/* ---- The slot ------------------------------------------------------------------------------ */

static haul_status lock_a_slot(haul_pool *pool, haul_error *err)
{
    for (uint32_t slot = 1; slot <= pool->g.n_slots; slot++) {
        haul_status s = haul__lock_try(pool->lock_fd, slot);
        if (s == HAUL_OK) {
            pool->slot = slot;
            return HAUL_OK;
        }
        if (s != HAUL_AGAIN) {
            return haul__fail_errno(err, errno, "cannot lock a slot of pool '%s'", pool->name);
        }
    }
    return haul__fail(err, HAUL_EXHAUSTED, "all %" PRIu32 " slots of pool '%s' are taken",
                      pool->g.n_slots, pool->name);
}

static void write_slot(haul_pool *pool, const char *participant_name)
{
    haul__slot *slot = haul__slot_of(pool, pool->slot);
    (void)haul__add32_relaxed(&slot->joins, 1);
    slot->joined_ns = haul__now_ns();
    memset(slot->name, 0, sizeof(slot->name));
    memcpy(slot->name, participant_name, strnlen(participant_name, HAUL_PARTICIPANT_NAME_MAX));
    haul__store32_release(&slot->pid, (uint32_t)getpid());
}

static haul_status take_slot(haul_pool *pool, const haul_open_opts *opts, haul_error *err)
{
    haul_status s = lock_a_slot(pool, err);
    if (s != HAUL_OK) {
        return s;
    }
    HAUL__FAULT(JOIN_LOCKED);
    if (haul__load32_seq(&haul__header_of(pool)->state) != HAUL__POOL_READY) {
        return haul__fail(err, HAUL_AGAIN, "pool '%s' is being removed", pool->name);
    }
    if (opts->keeper && haul__lock_try(pool->lock_fd, HAUL__LOCK_KEEPER) != HAUL_OK) {
        return haul__fail(err, HAUL_BUSY, "pool '%s' is kept by another process", pool->name);
    }
    if (getrandom(&pool->ticket_key, sizeof(pool->ticket_key), 0) != sizeof(pool->ticket_key)) {
        return haul__fail_errno(err, errno, "no random bytes");
    }
    pool->keeper = opts->keeper;
    pool->my_counters = haul__counters_of(pool, pool->slot);
    (void)haul__reap_slot(pool, pool->slot);
    HAUL__FAULT(JOIN_REAPED);
    write_slot(pool,
               opts->participant_name ? opts->participant_name : program_invocation_short_name);
    HAUL__FAULT(JOIN_WRITTEN);
    return HAUL_OK;
}

/* ---- Open, close --------------------------------------------------------------------------- */

static haul_status enter(haul_pool *pool, const haul__control *control, const haul_open_opts *opts,
                         haul_error *err)
{
    bool writable = !opts->observe;
    haul_status s = haul__fork_register(pool);
    if (s == HAUL_OK) {
        s = open_lock_fd(pool, control, writable, err);
    }
    if (s == HAUL_OK) {
        s = map_control(pool, control, writable, err);
    }
    if (s == HAUL_OK && !opts->observe) {
        s = take_slot(pool, opts, err);
        pool->usable = s == HAUL_OK;
    }
    if (s == HAUL_OK && opts->preattach && pool->usable) {
        s = haul__maps_preattach(pool);
        s = s == HAUL_OK ? s : haul__fail(err, s, "cannot map every buffer of '%s'", pool->name);
    }
    return s;
}

haul_status haul__pool_join(const char *name, const haul_open_opts *opts, const uint8_t *uuid,
                            haul_pool **out_pool, haul_error *err)
{
    static const haul_open_opts default_opts = {.struct_size = sizeof(haul_open_opts)};
    haul__control control;
    haul_pool *pool = NULL;
    if (!opts) {
        opts = &default_opts;
    }
    if (opts->struct_size != sizeof(*opts) || (opts->observe && opts->keeper)) {
        return haul__fail(err, HAUL_INVALID, "the options of haul_pool_open() make no sense");
    }
    haul_status s = haul__control_open(name, !opts->observe, &control, err);
    if (s != HAUL_OK) {
        return s;
    }
    s = check_joinable(&control, name, opts->observe, uuid, err);
    if (s == HAUL_OK) {
        s = make_handle(name, &control, opts, &pool, err);
    }
    if (s == HAUL_OK) {
        s = enter(pool, &control, opts, err);
    }
    haul__control_close(&control);
    if (s != HAUL_OK) {
        haul_pool_close(pool);
        return s;
    }
    *out_pool = pool;
    return HAUL_OK;
}

haul_status haul_pool_open(const char *name, const haul_open_opts *opts, haul_pool **out_pool,
                           haul_error *err)
{
    return haul__pool_join(name, opts, NULL, out_pool, err);
}

static void leave(haul_pool *pool)
{
    (void)haul__reap_slot(pool, pool->slot);
    HAUL__FAULT(LEAVE_GIVEN_BACK);
    haul__store32_release(&haul__slot_of(pool, pool->slot)->pid, 0);
    if (pool->keeper) {
        haul__unlock(pool->lock_fd, HAUL__LOCK_KEEPER);
    }
    haul__unlock(pool->lock_fd, pool->slot);
}

void haul_pool_close(haul_pool *pool)
{
    if (!pool) {
        return;
    }
    int saved = errno;
    if (pool->usable) {
        leave(pool);
    }
    haul__fork_unregister(pool);
    haul__close(pool->watch_fd);
    if (!pool->forked) { /* a child has none of the mappings; others may stand in their place */
        haul__maps_fini(pool);
        haul__object_unmap(pool->base, pool->g.total_bytes);
        haul__close(pool->lock_fd);
        (void)pthread_mutex_destroy(&pool->map_mutex);
        (void)pthread_mutex_destroy(&pool->reap_mutex);
    }
    free(pool->bufs);
    free(pool);
    errno = saved;
}

bool haul_pool_is_removed(const haul_pool *pool)
{
    return !pool->forked && haul__load32_seq(&haul__header_of(pool)->state) == HAUL__POOL_REMOVED;
}

const char *haul_pool_name(const haul_pool *pool)
{
    return pool->name;
}

uint64_t haul_pool_id(const haul_pool *pool)
{
    return pool->id;
}

uint32_t haul_pool_participant(const haul_pool *pool)
{
    return pool->slot;
}
