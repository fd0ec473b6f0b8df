/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Dying as a reader: between the holder bit and the look at the state, on the first map and later,
 * with a key that is wrong, and as the last reader of a buffer that its owner has let go of.
 */

#include "reading.h"

haul_status run_attach(stage *st)
{
    return haul_attach(st->pool, &st->shared_key, STAGE_SMALL_BYTES, &st->view);
}

void prepare_mapped(stage *st)
{
    must(run_attach(st));
    haul_detach(&st->view);
}

haul_status run_attach_stale(stage *st)
{
    haul_key key = st->shared_key;
    key.ticket++;
    return haul_attach(st->pool, &key, STAGE_SMALL_BYTES, &st->view);
}

haul_status run_detach(stage *st)
{
    haul_detach(&st->view);
    return HAUL_OK;
}

static void arrange_shared(stage *st, uint64_t len)
{
    st->taken[st->n_taken++] = stage_share(st->auditor, len, 8, &st->mail->key);
}

void arrange_shared_small(stage *st)
{
    arrange_shared(st, STAGE_SMALL_BYTES);
}

void arrange_shared_measured(stage *st)
{
    arrange_shared(st, STAGE_MEASURED_BYTES);
}

void prepare_attached(stage *st)
{
    must(haul_attach(st->pool, &st->mail->key, STAGE_SMALL_BYTES, &st->view));
}

/* The child is the last reader now, and ends the buffer's life. */
void meet_owner_releases(stage *st)
{
    stage_give_back_one(st);
}

haul_status run_view(stage *st)
{
    return haul_buf_view(st->buf, &st->view);
}
