/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * From a death to the moment at which what the dead one owned can be taken again.
 *
 * The victim is a process of its own, started for each sample, that owns one buffer; the time is
 * taken from before the signal is sent, so it holds the kernel's share of the death, too. The reaper
 * is this process, as a sidecar would be: it is woken, nobody tells it whom to look at.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool_arms.h"

#define PATIENCE_NS UINT64_C(10000000000)

bool open_cold(fixture *f)
{
    return haul_pool_open(f->pool_name, NULL, &f->cold, NULL) == HAUL_OK;
}

void close_cold(fixture *f)
{
    haul_pool_close(f->cold);
    f->cold = NULL;
}

bool start_victim(fixture *f)
{
    char self[4096];
    const char *const argv[] = {self, "--victim", f->pool_name, NULL};
    int watched;
    return bench_beside_self("bench_pool", self, sizeof(self)) &&
           haul_pool_watch_fd(f->pool, &watched, NULL) == HAUL_OK &&
           bench_peer_start(&f->victim, argv);
}

void bury_victim(fixture *f)
{
    bench_peer_stop(&f->victim);
}

bool run_death(fixture *f, size_t n_ops)
{
    size_t n_reaped;
    (void)n_ops;
    return kill(f->victim.pid, SIGKILL) == 0 &&
           haul_pool_reap_wait(f->pool, PATIENCE_NS, &n_reaped, NULL) == HAUL_OK && n_reaped == 1;
}

int be_victim(const char *pool_name)
{
    haul_pool *pool;
    haul_buf *buf;
    if (haul_pool_open(pool_name, NULL, &pool, NULL) != HAUL_OK ||
        haul_buf_alloc(pool, SMALL_BYTES, NULL, &buf) != HAUL_OK || !bench_peer_say_ready()) {
        return EXIT_FAILURE;
    }
    bench_peer_wait_for_end();
    haul_pool_close(pool);
    return EXIT_SUCCESS;
}
