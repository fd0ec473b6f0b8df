/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A seat's data: a persistent buffer that its processes pass on to each other by dying.
 *
 * The board says "kept" only between the return of publish and the call of withdraw, so that where it
 * says so the name must lead to the data; a process killed in between leaves a name that may be
 * there or not, and that a reaper may take away at any moment. Only one process at a time sits in a seat, and nobody else touches its name.
 */

#include "storm.h"

#include <inttypes.h>
#include <stdio.h>

#define KEPT_BYTES 3000u

static void name_of(uint32_t seat, char out_name[16])
{
    (void)snprintf(out_name, 16, "seat-%" PRIu32, seat);
}

static void look_at(storm_board *board, haul_pool *pool, uint32_t seat, bool kept,
                    const haul_key *key, uint64_t len)
{
    haul_view view = {0};
    haul_status s = haul_attach(pool, key, len, &view);
    if (s == HAUL_STALE && !kept) {
        return;
    }
    if (s != HAUL_OK || len != KEPT_BYTES) {
        storm_note(board, &board->false_reclaims, 1, "a persistent buffer cannot be attached: %s",
                   haul_status_name(s));
    } else {
        uint64_t wrong = storm_count_wrong(view.data, len, seat);
        if (wrong > 0) {
            storm_note(board, &board->wrong_bytes, wrong,
                       "%u bytes of a persistent buffer are wrong", (unsigned)wrong);
        }
        (void)atomic_fetch_add(&board->n_kept, 1);
    }
    haul_detach(&view);
}

void storm_unkeep(storm_board *board, haul_pool *pool, uint32_t seat)
{
    char name[16];
    haul_key key;
    uint64_t len;
    name_of(seat, name);
    bool kept = atomic_load(&board->seats[seat].kept) != 0;
    haul_status s = haul_pool_find(pool, name, &key, &len);
    if (s == HAUL_NOT_FOUND && !kept) {
        return;
    }
    if (s != HAUL_OK) {
        storm_note(board, &board->false_reclaims, 1, "a persistent buffer is gone: %s",
                   haul_status_name(s));
        atomic_store(&board->seats[seat].kept, 0);
        return;
    }
    look_at(board, pool, seat, kept, &key, len);
    atomic_store(&board->seats[seat].kept, 0);
    s = haul_pool_withdraw(pool, name);
    if (s != HAUL_OK && (s != HAUL_NOT_FOUND || kept)) {
        storm_note(board, &board->n_errors, 1, "withdraw: %s", haul_status_name(s));
    }
}

void storm_keep(storm_board *board, haul_pool *pool, uint32_t seat)
{
    char name[16];
    haul_buf *buf;
    haul_key key;
    name_of(seat, name);
    if (haul_buf_alloc(pool, KEPT_BYTES, NULL, &buf) != HAUL_OK) {
        return; /* there is none to be had */
    }
    storm_fill(haul_buf_data(buf), KEPT_BYTES, seat);
    haul_status s = haul_buf_share(buf, KEPT_BYTES, &key);
    if (s == HAUL_OK) {
        s = haul_buf_publish(buf, name, true);
    }
    if (s == HAUL_OK) {
        atomic_store(&board->seats[seat].kept, 1);
    } else {
        storm_note(board, &board->n_errors, 1, "publish: %s", haul_status_name(s));
        haul_buf_release(buf);
    }
}
