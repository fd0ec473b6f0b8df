/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Waiting in turn.
 *
 * A release wakes everybody who waits; the queue says who goes first. Each waiting thread has a cell
 * with its ticket, its participant and its class, and steps forward only if no smaller ticket of the
 * class is there. The cells hold no buffer and no lock: somebody who dies in the queue is passed when it
 * is reaped, somebody who is stopped is passed after a nap (alloc.c), and garbage costs a turn.
 *
 * There are cells for 128 threads of all processes together; who finds none waits without a place,
 * behind everybody.
 */

#include "pool/queue.h"

#define TICKET_SHIFT 24

static uint64_t cell_of(uint64_t ticket, uint32_t slot, uint32_t c)
{
    return ticket << TICKET_SHIFT | (uint64_t)slot << 8 | c;
}

static uint32_t class_of(uint64_t cell)
{
    return (uint32_t)cell & 0xff;
}

static uint32_t slot_of(uint64_t cell)
{
    return (uint32_t)(cell >> 8) & 0xffff;
}

haul__place haul__queue_join(haul_pool *pool, uint32_t c)
{
    haul__header *header = haul__header_of(pool);
    /* From 1, so that no cell is 0. Forty bits last for a thousand years of a wait every 30 ms. */
    uint64_t ticket = haul__add64_relaxed(&header->next_ticket, 1) + 1;
    haul__place place = {.cell = HAUL__WAITERS, .word = cell_of(ticket, pool->slot, c)};
    for (uint32_t i = 0; i < HAUL__WAITERS; i++) {
        uint64_t empty = 0;
        if (haul__cas64_acqrel(&header->waiters[i], &empty, place.word)) {
            place.cell = i;
            break;
        }
    }
    return place;
}

void haul__queue_leave(haul_pool *pool, const haul__place *place)
{
    if (place->cell < HAUL__WAITERS) {
        uint64_t mine = place->word;
        (void)haul__cas64_acqrel(&haul__header_of(pool)->waiters[place->cell], &mine, 0);
    }
}

bool haul__queue_is_first(const haul_pool *pool, const haul__place *place)
{
    const haul__header *header = haul__header_of(pool);
    for (uint32_t i = 0; i < HAUL__WAITERS; i++) {
        uint64_t cell = haul__load64_acquire(&header->waiters[i]);
        if (cell != 0 && class_of(cell) == class_of(place->word) &&
            cell >> TICKET_SHIFT < place->word >> TICKET_SHIFT) {
            return false;
        }
    }
    return true;
}

uint32_t haul__queue_length(const haul_pool *pool, uint32_t c)
{
    const haul__header *header = haul__header_of(pool);
    uint32_t n = 0;
    for (uint32_t i = 0; i < HAUL__WAITERS; i++) {
        uint64_t cell = haul__load64_acquire(&header->waiters[i]);
        n += cell != 0 && class_of(cell) == c;
    }
    return n;
}

void haul__queue_reap_slot(haul_pool *pool, uint32_t slot)
{
    haul__header *header = haul__header_of(pool);
    for (uint32_t i = 0; i < HAUL__WAITERS; i++) {
        uint64_t cell = haul__load64_acquire(&header->waiters[i]);
        if (cell != 0 && slot_of(cell) == slot) {
            (void)haul__cas64_acqrel(&header->waiters[i], &cell, 0);
        }
    }
}
