/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Making a pool.
 *
 * O_EXCL decides who makes it. The maker takes the object's admin lock, writes the header, and
 * stores READY last; until then the object is nothing, and if the maker dies whoever wants the name
 * next takes the lock and the leftover away. A pool becomes READY without a single buffer: the
 * first buffers are made by its first participant as any participant makes buffers, so that dying
 * in the middle of it leaves nothing special behind.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/error.h"
#include "pool/control.h"
#include "pool/grow.h"
#include "pool/join.h"
#include "pool/lock.h"
#include "pool/object.h"
#include "pool/remove.h"

#define NAME_TRIES 8

static haul_status write_header(int fd, const haul__geometry *g, const uint8_t uuid[16],
                                haul_error *err)
{
    void *map;
    haul_status s = haul__object_map(fd, sizeof(haul__header), true, false, &map);
    if (s != HAUL_OK) {
        return haul__fail(err, s, "cannot map a new control segment");
    }
    haul__header *header = map;
    haul__geometry_to_header(g, header);
    memcpy(header->uuid, uuid, sizeof(header->uuid));
    HAUL__FAULT(CREATE_WRITTEN);
    haul__store32_seq(&header->state, HAUL__POOL_READY);
    haul__object_unmap(map, sizeof(haul__header));
    HAUL__FAULT(CREATE_READY);
    return HAUL_OK;
}

/* Conditions: HAUL_EXISTS (the name is taken), HAUL_AGAIN (lost it again to somebody). */
static haul_status make_control(const char *name, const haul__geometry *g, gid_t gid,
                                const uint8_t uuid[16], haul_error *err)
{
    char object[HAUL__OBJECT_NAME_BYTES];
    haul__control control = {.fd = -1};
    haul__control_name(name, object);
    haul_status s = haul__object_create(object, &control.fd, err);
    if (s != HAUL_OK) {
        return s;
    }
    HAUL__FAULT(CREATE_OBJECT);
    /* Between our open and our lock somebody may have taken it for a leftover. */
    if (haul__lock_try(control.fd, HAUL__LOCK_ADMIN) != HAUL_OK ||
        !haul__control_is_named(&control, name)) {
        haul__close(control.fd);
        return HAUL_AGAIN;
    }
    s = haul__object_furnish(control.fd, g->total_bytes, g->mode, gid, NULL, err);
    if (s == HAUL_OK) {
        s = write_header(control.fd, g, uuid, err);
    }
    if (s != HAUL_OK) {
        (void)shm_unlink(object); /* under the admin lock */
    }
    haul__close(control.fd);
    return s;
}

/* The pool id is the first half of the UUID (RFC 9562, version 4) and must not be 0. */
static haul_status draw_uuid(uint8_t uuid[16], haul_error *err)
{
    do {
        if (getrandom(uuid, 16, 0) != 16) {
            return haul__fail_errno(err, errno, "no random bytes");
        }
        uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
        uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    } while (haul__pool_id_of_uuid(uuid) == 0);
    return HAUL_OK;
}

static haul_status make_named(const char *name, const haul__geometry *g, gid_t gid,
                              uint8_t uuid[16], haul_error *err)
{
    haul_status s = draw_uuid(uuid, err);
    for (int tries = 0; s == HAUL_OK && tries < NAME_TRIES; tries++) {
        s = make_control(name, g, gid, uuid, err);
        if (s == HAUL_EXISTS) {
            s = haul__clear_leftover(name, err);
        } else if (s != HAUL_AGAIN) {
            return s;
        }
        if (s == HAUL_AGAIN) {
            s = HAUL_OK;
        }
    }
    return s != HAUL_OK ? s
                        : haul__fail(err, HAUL_AGAIN,
                                     "pool '%s' is being created or removed right now", name);
}

static haul_status make_initial_buffers(haul_pool *pool, haul_error *err)
{
    haul_status s = HAUL_OK;
    for (uint32_t c = 0; c < pool->g.n_classes && s == HAUL_OK; c++) {
        s = haul__grow_to(pool, c, pool->g.classes[c].n_initial, err);
    }
    return s;
}

haul_status haul_pool_create(const char *name, const haul_pool_config *config,
                             const haul_open_opts *opts, haul_pool **out_pool, haul_error *err)
{
    haul__geometry g;
    uint8_t uuid[16];
    haul_pool *pool;
    if (!haul__pool_name_is_valid(name)) {
        return haul__fail(err, HAUL_INVALID,
                          "a pool's name is 1 to %d of [A-Za-z0-9._-], without a leading dot",
                          HAUL_POOL_NAME_MAX);
    }
    if (!config || (opts && opts->observe)) {
        return haul__fail(err, HAUL_INVALID, "a pool needs a configuration and a participant");
    }
    haul_status s = haul__geometry_of_config(config, &g, err);
    if (s == HAUL_OK) {
        s = make_named(name, &g, g.mode == 0660 ? config->gid : (gid_t)-1, uuid, err);
    }
    if (s == HAUL_OK) {
        s = haul__pool_join(name, opts, uuid, &pool, err);
    }
    if (s != HAUL_OK) {
        return s;
    }
    s = make_initial_buffers(pool, err);
    if (s != HAUL_OK) {
        haul_pool_close(pool);
        (void)!haul_pool_remove(name, false, NULL);
        return s;
    }
    *out_pool = pool;
    return HAUL_OK;
}
