/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A call's place on a trunk of the client's: a block with references of its owner, of the trunk's
 * list, and of the outbox while its letter is being sent. Whoever lets go last gives the block back;
 * any thread.
 */

#include "transport/container.h"
#include "transport/deadline.h"
#include "transport/trunk_parts.h"

void haul__ride_unref(haul__ride *ride)
{
    if (atomic_fetch_sub(&ride->refs, 1) != 1) {
        return;
    }
    haul__trunk *trunk = ride->trunk;
    grpc_slice_buffer_destroy(&ride->request);
    haul__incoming_answer_fini(&ride->answer);
    (void)pthread_cond_destroy(&ride->changed);
    haul__block_give_back(trunk->channel->place, ride);
    haul__trunk_unref(trunk);
}

/* If it could not be sent the stream is about to end, and the ride with it. */
static void on_letter_over(haul__outgoing_letter *letter, bool ok)
{
    (void)ok;
    haul__ride_unref(HAUL__CONTAINER_OF(letter, haul__ride, letter));
}

haul__ride *haul__ride_create(haul__trunk *trunk)
{
    _Static_assert(sizeof(haul__ride) <= HAUL__BLOCK_BYTES, "a ride fits into a block");
    haul__ride *ride = haul__block_take(trunk->channel->place);
    if (!ride) {
        return NULL;
    }
    *ride = (haul__ride){.trunk = trunk, .letter.over = on_letter_over};
    if (!haul__cond_init(&ride->changed)) {
        haul__block_give_back(trunk->channel->place, ride);
        return NULL;
    }
    grpc_slice_buffer_init(&ride->request);
    haul__incoming_answer_init(&ride->answer);
    atomic_init(&ride->refs, 1);
    atomic_fetch_add(&trunk->refs, 1);
    return ride;
}
