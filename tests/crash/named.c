/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Dying while a name is given to a buffer or taken from it.
 *
 * What is published persistently outlives its publisher; the others' names go with it. A name is
 * there or not, whatever the point: if it is there, it leads to the right bytes.
 */

#include "named.h"

#define NAME "the-name"

haul_status run_publish(stage *st)
{
    return haul_buf_publish(st->buf, NAME, false);
}

haul_status run_publish_persistent(stage *st)
{
    return haul_buf_publish(st->buf, NAME, true);
}

haul_status run_find(stage *st)
{
    haul_key key;
    uint64_t len;
    return haul_pool_find(st->pool, STAGE_LIVING_NAME, &key, &len);
}

haul_status run_withdraw(stage *st)
{
    return haul_pool_withdraw(st->pool, NAME);
}

/* The auditor's, which it keeps. */
void arrange_published(stage *st)
{
    haul_buf *buf = stage_share(st->auditor, STAGE_SMALL_BYTES, 7, &st->mail->key);
    must(haul_buf_publish(buf, NAME, false));
    st->taken[st->n_taken++] = buf;
}

/* The pool's. */
void arrange_persistent(stage *st)
{
    haul_buf *buf = stage_share(st->auditor, STAGE_SMALL_BYTES, 7, &st->mail->key);
    must(haul_buf_publish(buf, NAME, true));
}

void prepare_published(stage *st)
{
    st->buf = stage_share(st->pool, STAGE_SMALL_BYTES, 7, &st->mail->key);
    must(run_publish(st));
}

/* If the name is there it leads to what was published under it. */
static void use_up_name(stage *st)
{
    haul_key key;
    haul_view view = {0};
    uint64_t len = 0;
    haul_status s = haul_pool_find(st->auditor, NAME, &key, &len);
    if (s == HAUL_NOT_FOUND) {
        return;
    }
    if (s == HAUL_OK) {
        s = haul_attach(st->auditor, &key, len, &view);
    }
    if (s != HAUL_OK || len != STAGE_SMALL_BYTES || !stage_is_filled(view.data, view.len, 7)) {
        stage_fault(st, "a name leads to the wrong bytes: %s", haul_status_name(s));
    }
    haul_detach(&view);
    s = haul_pool_withdraw(st->auditor, NAME);
    if (s != HAUL_OK) {
        stage_fault(st, "a name cannot be withdrawn: %s", haul_status_name(s));
    }
}

/* The auditor has its buffer whether or not it has a name any more. */
void settle_published(stage *st)
{
    haul_view view = {0};
    use_up_name(st);
    haul_status s = haul_attach(st->auditor, &st->mail->key, STAGE_SMALL_BYTES, &view);
    if (s != HAUL_OK || !stage_is_filled(view.data, view.len, 7)) {
        st->false_reclaims++;
        stage_fault(st, "taken from the living: a buffer with its name: %s", haul_status_name(s));
    }
    haul_detach(&view);
}

void settle_persistent(stage *st)
{
    use_up_name(st);
}
