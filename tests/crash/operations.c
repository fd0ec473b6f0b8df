/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What a process may be doing in a pool when it dies. See operations.h for who runs what.
 *
 * A new function of the pool gets its line in the table at the end. @run has to be one call: what
 * is around it is swept as well, and proves nothing.
 */

#include "operations.h"

#include <stddef.h>

#include "named.h"
#include "reading.h"

#define GROUP UINT64_C(0x1234567812345678) /* of gifts that are refused together */

/* ---- Joining, leaving ---------------------------------------------------------------------- */

static haul_status run_join(stage *st)
{
    return haul_pool_open(st->name, NULL, &st->pool, NULL);
}

/* It owns a buffer, shares one, and reads one of the bystander's. */
static void prepare_possessions(stage *st)
{
    haul_buf *buf;
    must(haul_buf_alloc(st->pool, 1, NULL, &buf));
    (void)stage_share(st->pool, STAGE_SMALL_BYTES, 7, &st->mail->key);
    must(haul_attach(st->pool, &st->shared_key, STAGE_SMALL_BYTES, &st->view));
}

/* The bystander reads what the child shares. */
static void meet_watch(stage *st)
{
    must(haul_attach(st->bystander, &st->mail->key, STAGE_SMALL_BYTES, &st->watched));
}

static void settle_watch(stage *st)
{
    if (!stage_is_filled(st->watched.data, st->watched.len, 7)) {
        st->false_reclaims++;
        stage_fault(st, "taken from the living: bytes of the dead that are being read");
    }
    haul_detach(&st->watched);
}

static haul_status run_leave(stage *st)
{
    haul_pool_close(st->pool);
    return HAUL_OK;
}

static haul_status run_create(stage *st)
{
    return stage_create(st, &st->pool);
}

static haul_status run_remove(stage *st)
{
    return haul_pool_remove(st->name, false, NULL);
}

/* ---- Allocation ---------------------------------------------------------------------------- */

static haul_status alloc(stage *st, uint64_t len, uint32_t policy, int64_t wait_ns)
{
    const haul_alloc_opts opts = {
        .struct_size = sizeof(opts), .policy = policy, .wait_ns = wait_ns};
    return haul_buf_alloc(st->pool, len, &opts, &st->buf);
}

static haul_status run_alloc_smallest(stage *st)
{
    return alloc(st, 100, 0, 0);
}

static haul_status run_alloc_larger(stage *st)
{
    return alloc(st, 100, HAUL_ALLOC_LARGER, 0);
}

static haul_status run_alloc_grow(stage *st)
{
    return alloc(st, 100, HAUL_ALLOC_GROW, 0);
}

static haul_status run_alloc_measured(stage *st)
{
    return alloc(st, STAGE_MEASURED_BYTES, HAUL_ALLOC_MEASURED, 0);
}

static haul_status run_alloc_wait(stage *st)
{
    return alloc(st, 100, 0, -1);
}

static haul_status run_alloc_timeout(stage *st)
{
    return alloc(st, 100, 0, 1);
}

/* The child's latest buffer is free again: what it looks at first. */
static void prepare_warm(stage *st)
{
    must(run_alloc_smallest(st));
    haul_buf_release(st->buf);
}

/* Used buffers, one free with a hint, the others taken with hints that are wrong. */
static void arrange_hints(stage *st)
{
    stage_take_all_but(st, 3);
    for (int i = 0; i < 2; i++) {
        static const haul_alloc_opts smallest = {.struct_size = sizeof(smallest)};
        must(haul_buf_alloc(st->auditor, 1, &smallest, &st->taken[st->n_taken++]));
    }
}

static void arrange_nothing_free(stage *st)
{
    stage_take_all_but(st, 0);
}

/* One is free, and a process takes it and dies. */
static void meet_dead_owner(stage *st)
{
    while (st->n_taken > STAGE_N_INITIAL - STAGE_N_BYSTANDER - 3) {
        stage_give_back_one(st);
    }
    stage_leave_dead(st);
}

/* ---- Sharing, giving ----------------------------------------------------------------------- */

static void prepare_filled(stage *st)
{
    must(run_alloc_smallest(st));
    stage_fill(haul_buf_data(st->buf), STAGE_SMALL_BYTES, 7);
}

static haul_status run_share(stage *st)
{
    haul_key key;
    return haul_buf_share(st->buf, STAGE_SMALL_BYTES, &key);
}

/* The deadline is past from the start, so that what nobody claims is reaped. */
static haul_status run_give(stage *st)
{
    uint32_t to = haul_pool_participant(st->bystander);
    haul_status s = haul_buf_give(st->buf, STAGE_SMALL_BYTES, to, 1, &st->mail->key);
    atomic_store(&st->mail->told, true);
    return s;
}

static haul_status run_give_grouped(stage *st)
{
    uint32_t to = haul_pool_participant(st->bystander);
    haul_status s = haul_buf_give_grouped(st->buf, STAGE_SMALL_BYTES, to, 1, GROUP, &st->mail->key);
    atomic_store(&st->mail->told, true);
    return s;
}

static void claim_as_bystander(stage *st, bool may_be_gone)
{
    haul_buf *buf = NULL;
    haul_view view = {0};
    haul_status s = haul_buf_claim(st->bystander, &st->mail->key, STAGE_SMALL_BYTES, &buf);
    if (s == HAUL_STALE && may_be_gone) {
        return;
    }
    if (s == HAUL_OK) {
        s = haul_buf_view(buf, &view);
    }
    if (s != HAUL_OK || !stage_is_filled(view.data, view.len, 7)) {
        st->false_reclaims++;
        stage_fault(st, "taken from the living: a gift of the dead: %s", haul_status_name(s));
    }
    haul_detach(&view);
    haul_buf_release(buf);
}

/* The recipient was told: the giver's death changes nothing. */
static void deal_claim(stage *st)
{
    if (atomic_load(&st->mail->told)) {
        claim_as_bystander(st, false);
    }
}

static void prepare_given(stage *st)
{
    uint32_t to = haul_pool_participant(st->bystander);
    prepare_filled(st);
    must(haul_buf_give(st->buf, STAGE_SMALL_BYTES, to, UINT64_MAX, &st->mail->key));
}

static haul_status run_revoke(stage *st)
{
    return haul_pool_revoke(st->pool, &st->mail->key);
}

static haul_status run_take_back(stage *st)
{
    return haul_buf_take_back(st->pool, &st->mail->key, &st->buf);
}

/* Called off or not: then it is claimed. */
static void deal_claim_unless_gone(stage *st)
{
    claim_as_bystander(st, true);
}

static void meet_gift(stage *st)
{
    haul_buf *buf = NULL;
    must(haul_buf_alloc(st->bystander, STAGE_SMALL_BYTES, NULL, &buf));
    stage_fill(haul_buf_data(buf), STAGE_SMALL_BYTES, 7);
    must(haul_buf_give(buf, STAGE_SMALL_BYTES, st->mail->slot, UINT64_MAX, &st->mail->key));
}

static haul_status run_claim_writable(stage *st)
{
    return haul_buf_claim_writable(st->pool, &st->mail->key, STAGE_SMALL_BYTES, &st->buf);
}

/* Two of one group, given to the child. */
static void meet_group(stage *st)
{
    for (int i = 0; i < 2; i++) {
        haul_buf *buf = NULL;
        must(haul_buf_alloc(st->bystander, 1, NULL, &buf));
        must(haul_buf_give_grouped(buf, 1, st->mail->slot, UINT64_MAX, GROUP, &st->mail->key));
    }
}

static haul_status run_refuse(stage *st)
{
    return haul_pool_refuse(st->pool, GROUP, NULL);
}

static haul_status run_claim(stage *st)
{
    return haul_buf_claim(st->pool, &st->mail->key, STAGE_SMALL_BYTES, &st->buf);
}

/* Room for the child to fill. */
static void meet_loan(stage *st)
{
    haul_buf *buf = NULL;
    must(haul_buf_alloc(st->bystander, STAGE_SMALL_BYTES, NULL, &buf));
    must(haul_buf_give(buf, 0, st->mail->slot, UINT64_MAX, &st->mail->key));
}

static haul_status run_claim_empty(stage *st)
{
    return haul_buf_claim_empty(st->pool, &st->mail->key, &st->buf);
}

/* Room that came from the child itself, so that it is claimed before the operation. */
static void prepare_borrowed(stage *st)
{
    must(run_alloc_smallest(st));
    must(haul_buf_give(st->buf, 0, haul_pool_participant(st->pool), UINT64_MAX, &st->mail->key));
    must(run_claim_empty(st));
    stage_fill(haul_buf_data(st->buf), STAGE_SMALL_BYTES, 7);
}

/* ---- Releasing ----------------------------------------------------------------------------- */

static haul_status run_release(stage *st)
{
    haul_buf_release(st->buf);
    return HAUL_OK;
}

static void prepare_shared(stage *st)
{
    st->buf = stage_share(st->pool, STAGE_SMALL_BYTES, 7, &st->mail->key);
}

/* The child looks at what it has shared itself. */
static void prepare_viewed(stage *st)
{
    prepare_shared(st);
    must(run_view(st));
}

/* And has let go of it: it is the last reader. */
static void prepare_let_go(stage *st)
{
    prepare_viewed(st);
    haul_buf_release(st->buf);
}

static void prepare_measured(stage *st)
{
    must(run_alloc_measured(st));
}

static void prepare_shared_measured(stage *st)
{
    st->buf = stage_share(st->pool, STAGE_MEASURED_BYTES, 7, &st->mail->key);
}

/* ---- Housekeeping -------------------------------------------------------------------------- */

static haul_status run_grow(stage *st)
{
    return haul_pool_grow(st->pool, 0, STAGE_N_MAX, NULL);
}

static void arrange_grown(stage *st)
{
    must(haul_pool_grow(st->auditor, 0, STAGE_N_MAX, NULL));
}

static haul_status run_trim(stage *st)
{
    return haul_pool_trim(st->pool, NULL, NULL);
}

static haul_status run_reap(stage *st)
{
    return haul_pool_reap(st->pool, NULL, NULL);
}

static haul_status run_reap_wait(stage *st)
{
    return haul_pool_reap_wait(st->pool, 1000000000, NULL, NULL);
}

/* A gift past its deadline, to somebody who lives. */
static void arrange_expired(stage *st)
{
    haul_buf *buf = NULL;
    haul_key key;
    must(haul_buf_alloc(st->auditor, 1, NULL, &buf));
    must(haul_buf_give(buf, 1, haul_pool_participant(st->bystander), 1, &key));
}

/* ---- The table ----------------------------------------------------------------------------- */

const operation operations[] = {
    {.name = "join", .kind = OPERATION_JOINS, .arrange = stage_leave_dead, .run = run_join},
    {.name = "alloc_smallest", .run = run_alloc_smallest},
    {.name = "alloc_warm", .prepare = prepare_warm, .run = run_alloc_smallest},
    {.name = "alloc_hinted", .arrange = arrange_hints, .run = run_alloc_smallest},
    {.name = "alloc_larger", .arrange = arrange_nothing_free, .run = run_alloc_larger},
    {.name = "alloc_grow", .arrange = arrange_nothing_free, .run = run_alloc_grow},
    {.name = "alloc_measured", .run = run_alloc_measured},
    {.name = "alloc_wait",
     .arrange = arrange_nothing_free,
     .run = run_alloc_wait,
     .relieve = stage_give_back_one},
    {.name = "alloc_timeout",
     .returns = HAUL_TIMEOUT,
     .arrange = arrange_nothing_free,
     .run = run_alloc_timeout},
    {.name = "alloc_reaps",
     .arrange = arrange_nothing_free,
     .meet = meet_dead_owner,
     .run = run_alloc_smallest},
    {.name = "share", .prepare = prepare_filled, .run = run_share},
    {.name = "give", .prepare = prepare_filled, .run = run_give, .deal = deal_claim},
    {.name = "revoke", .prepare = prepare_given, .run = run_revoke, .deal = deal_claim_unless_gone},
    {.name = "give_grouped",
     .prepare = prepare_filled,
     .run = run_give_grouped,
     .deal = deal_claim},
    {.name = "take_back",
     .prepare = prepare_given,
     .run = run_take_back,
     .deal = deal_claim_unless_gone},
    {.name = "claim", .meet = meet_gift, .run = run_claim},
    {.name = "claim_writable", .meet = meet_gift, .run = run_claim_writable},
    {.name = "refuse", .meet = meet_group, .run = run_refuse},
    {.name = "claim_empty", .meet = meet_loan, .run = run_claim_empty},
    {.name = "give_back", .prepare = prepare_borrowed, .run = run_give, .deal = deal_claim},
    {.name = "attach", .run = run_attach},
    {.name = "attach_warm", .prepare = prepare_mapped, .run = run_attach},
    {.name = "attach_stale", .returns = HAUL_STALE, .run = run_attach_stale},
    {.name = "view", .prepare = prepare_shared, .run = run_view},
    {.name = "detach",
     .prepare = prepare_attached,
     .arrange = arrange_shared_small,
     .run = run_detach},
    {.name = "detach_last",
     .arrange = arrange_shared_small,
     .prepare = prepare_attached,
     .meet = meet_owner_releases,
     .run = run_detach},
    {.name = "detach_measured",
     .arrange = arrange_shared_measured,
     .prepare = prepare_attached,
     .meet = meet_owner_releases,
     .run = run_detach},
    {.name = "detach_own", .prepare = prepare_viewed, .run = run_detach},
    {.name = "detach_let_go", .prepare = prepare_let_go, .run = run_detach},
    {.name = "release", .prepare = prepare_filled, .run = run_release},
    {.name = "release_shared", .prepare = prepare_shared, .run = run_release},
    {.name = "release_held",
     .prepare = prepare_shared,
     .meet = meet_watch,
     .run = run_release,
     .settle = settle_watch},
    {.name = "release_viewed", .prepare = prepare_viewed, .run = run_release},
    {.name = "release_measured", .prepare = prepare_measured, .run = run_release},
    {.name = "release_shared_measured", .prepare = prepare_shared_measured, .run = run_release},
    {.name = "release_published", .prepare = prepare_published, .run = run_release},
    {.name = "publish", .prepare = prepare_shared, .run = run_publish},
    {.name = "publish_persistent",
     .prepare = prepare_shared,
     .run = run_publish_persistent,
     .settle = settle_persistent},
    {.name = "publish_persistent_viewed",
     .prepare = prepare_viewed,
     .run = run_publish_persistent,
     .settle = settle_persistent},
    {.name = "find", .run = run_find},
    {.name = "withdraw",
     .arrange = arrange_published,
     .run = run_withdraw,
     .settle = settle_published},
    {.name = "withdraw_persistent",
     .arrange = arrange_persistent,
     .run = run_withdraw,
     .settle = settle_persistent},
    {.name = "grow", .run = run_grow},
    {.name = "trim", .arrange = arrange_grown, .run = run_trim},
    {.name = "reap", .meet = stage_leave_dead, .run = run_reap},
    {.name = "reap_wait", .meet = stage_leave_dead, .run = run_reap_wait},
    {.name = "reap_maker", .meet = stage_leave_dead_maker, .run = run_reap},
    {.name = "reap_expired", .arrange = arrange_expired, .run = run_reap},
    {.name = "leave",
     .prepare = prepare_possessions,
     .meet = meet_watch,
     .run = run_leave,
     .settle = settle_watch},
    {.name = "create", .kind = OPERATION_MAKES, .run = run_create},
    {.name = "remove", .kind = OPERATION_ENDS, .run = run_remove},
};

const unsigned n_operations = sizeof(operations) / sizeof(operations[0]);
