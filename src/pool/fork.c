/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * fork().
 *
 * A child shares its parent's open file descriptions, and with them the lock that says the parent
 * lives: as long as the child had a copy of the descriptor, nobody could tell that the parent died.
 * So the child closes its copy at once, in a pthread_atfork() handler. The mappings are not
 * inherited at all (MADV_DONTFORK, object.c), and the child's handles refuse every use.
 *
 * That needs a list of the pools of the process, the library's only global state, guarded by a
 * mutex that is taken over the fork so that the child finds the list whole, and while a lock's
 * descriptor is opened, so that no child has one that is not in the list yet. A lock that is given
 * up is unlocked, not only closed, for a child may have a copy for a moment. exec() closes the
 * descriptors by O_CLOEXEC. A child made by a bare clone(2) runs no handlers; it must exec.
 *
 * The parent dying here leaves nothing; the child dying here closes its copies as well.
 */

#include "pool/fork.h"

#include <unistd.h>

#include "pool/object.h"

static pthread_mutex_t pools_mutex = PTHREAD_MUTEX_INITIALIZER;
static haul_pool *pools;
static pthread_once_t handlers_once = PTHREAD_ONCE_INIT;
static int handlers_rc;

void haul__fork_forbid(void)
{
    (void)pthread_mutex_lock(&pools_mutex);
}

void haul__fork_allow(void)
{
    (void)pthread_mutex_unlock(&pools_mutex);
}

static void in_child(void)
{
    for (haul_pool *pool = pools; pool; pool = pool->next) {
        haul__close(pool->lock_fd);
        pool->lock_fd = -1;
        pool->usable = false;
        pool->forked = true;
    }
    (void)pthread_mutex_unlock(&pools_mutex);
}

static void install_handlers(void)
{
    handlers_rc = pthread_atfork(haul__fork_forbid, haul__fork_allow, in_child);
}

haul_status haul__fork_register(haul_pool *pool)
{
    (void)pthread_once(&handlers_once, install_handlers);
    if (handlers_rc != 0) {
        return HAUL_NOMEM;
    }
    (void)pthread_mutex_lock(&pools_mutex);
    pool->next = pools;
    pool->link = &pools;
    if (pools) {
        pools->link = &pool->next;
    }
    pools = pool;
    (void)pthread_mutex_unlock(&pools_mutex);
    return HAUL_OK;
}

void haul__fork_unregister(haul_pool *pool)
{
    if (!pool->link) {
        return;
    }
    (void)pthread_mutex_lock(&pools_mutex);
    *pool->link = pool->next;
    if (pool->next) {
        pool->next->link = pool->link;
    }
    (void)pthread_mutex_unlock(&pools_mutex);
    pool->link = NULL;
}
