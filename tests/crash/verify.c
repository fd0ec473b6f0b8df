/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Looking at a pool on which somebody has died.
 *
 * What is counted: a buffer that is neither free, nor absent, nor the living's is lost. Something
 * that the living had and have no more is a false reclaim. Everything else that is not as it should
 * be (a finding of the audit, a status, a byte, an object that stays) is a fault without a number.
 *
 * Nothing here is allowed to wait for the dead: what is wrong is noted, and the sweep goes on.
 */

#include "stage.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define N_PASSED 100u

/* ---- The bystander ------------------------------------------------------------------------- */

static void taken_from_the_living(stage *st, const char *what)
{
    st->false_reclaims++;
    stage_fault(st, "taken from the living: %s", what);
}

static void check_bystander(stage *st)
{
    haul_view view;
    if (!st->bystander) {
        return;
    }
    if (!stage_is_filled(haul_buf_data(st->owned), STAGE_SMALL_BYTES, 1)) {
        taken_from_the_living(st, "bytes of a buffer being filled");
    }
    if (!stage_is_filled(st->held.data, st->held.len, 4)) {
        taken_from_the_living(st, "bytes that are being read");
    }
    haul_key key = {0};
    uint64_t len = 0;
    if (haul_pool_find(st->auditor, STAGE_LIVING_NAME, &key, &len) != HAUL_OK ||
        key.index != st->shared_key.index || len != STAGE_SMALL_BYTES) {
        taken_from_the_living(st, "a name");
    }
    haul_status s = haul_attach(st->auditor, &st->shared_key, STAGE_SMALL_BYTES, &view);
    if (s != HAUL_OK) {
        taken_from_the_living(st, "a shared buffer");
        return;
    }
    if (!stage_is_filled(view.data, view.len, 2)) {
        taken_from_the_living(st, "bytes of a shared buffer");
    }
    haul_detach(&view);
}

/* What the bystander has must still do what it is for. Leaves the bystander with nothing. */
static void use_up_bystander(stage *st)
{
    haul_key key;
    haul_view view;
    haul_buf *gift;
    check_bystander(st);
    if (haul_buf_share(st->owned, STAGE_SMALL_BYTES, &key) != HAUL_OK ||
        haul_attach(st->auditor, &key, STAGE_SMALL_BYTES, &view) != HAUL_OK) {
        taken_from_the_living(st, "a buffer being filled");
    } else {
        haul_detach(&view);
    }
    if (haul_buf_claim(st->bystander, &st->gift_key, STAGE_SMALL_BYTES, &gift) != HAUL_OK) {
        taken_from_the_living(st, "a gift");
    } else {
        if (haul_buf_view(gift, &view) != HAUL_OK || !stage_is_filled(view.data, view.len, 3)) {
            taken_from_the_living(st, "bytes of a gift");
        }
        haul_detach(&view);
        haul_buf_release(gift);
    }
    haul_buf_release(st->owned);
    haul_buf_release(st->shared);
    haul_detach(&st->held);
}

/* ---- Counts -------------------------------------------------------------------------------- */

static void compare(stage *st, uint32_t c, const char *what, uint32_t n, uint32_t n_living)
{
    if (n > n_living) {
        st->lost += n - n_living;
        stage_fault(st, "class %u: %u buffers %s, the living have %u", c, n, what, n_living);
    } else if (n < n_living) {
        st->false_reclaims += n_living - n;
        stage_fault(st, "class %u: %u buffers %s, the living had %u", c, n, what, n_living);
    }
}

/* @n_living: buffers of each kind that the living have, 0 or 1, all of the small class. */
static void check_counts(stage *st, uint32_t n_living)
{
    haul_pool_info *info = NULL;
    haul_status s = haul_pool_get_info(st->auditor, &info, NULL);
    if (s != HAUL_OK) {
        stage_fault(st, "haul_pool_get_info(): %s", haul_status_name(s));
        return;
    }
    for (uint32_t c = 0; c < info->n_classes; c++) {
        const haul_class_info *cls = &info->classes[c];
        uint32_t n = c == 0 ? n_living : 0;
        compare(st, c, "owned", cls->n_owned, n);
        compare(st, c, "shared", cls->n_shared, n);
        compare(st, c, "given", cls->n_given, n);
        compare(st, c, "retired", cls->n_retired, n);
        compare(st, c, "being made or removed", cls->n_changing, 0);
    }
    if (info->n_names != n_living) {
        stage_fault(st, "%u names, the living have %u", info->n_names, n_living);
    }
    haul_pool_info_free(info);
}

static void note_finding(void *ctx, const char *finding)
{
    stage_fault(ctx, "audit: %s", finding);
}

static void check_audit(stage *st)
{
    size_t n = 0;
    haul_status s = haul_pool_audit(st->auditor, note_finding, st, &n, NULL);
    if (s != HAUL_OK) {
        stage_fault(st, "haul_pool_audit(): %s", haul_status_name(s));
    }
}

/* ---- Use ----------------------------------------------------------------------------------- */

/* One buffer from the auditor to another participant, and back. */
static bool pass_one(stage *st, haul_pool *reader, uint64_t len, uint8_t seed)
{
    haul_buf *buf;
    haul_key key;
    haul_view view = {0};
    haul_status s = haul_buf_alloc(st->auditor, len, NULL, &buf);
    if (s != HAUL_OK) {
        stage_fault(st, "no buffer of %u bytes: %s", (unsigned)len, haul_status_name(s));
        return false;
    }
    stage_fill(haul_buf_data(buf), len, seed);
    s = haul_buf_share(buf, len, &key);
    if (s == HAUL_OK) {
        s = haul_attach(reader, &key, len, &view);
    }
    bool same = s == HAUL_OK && stage_is_filled(view.data, len, seed);
    if (!same) {
        stage_fault(st, "a buffer did not pass: %s", haul_status_name(s));
    }
    haul_detach(&view);
    haul_buf_release(buf);
    return same;
}

/* Every small buffer there may be can be had at once: those that were lost could not. */
static void take_all(stage *st, uint32_t n_expected)
{
    static const haul_alloc_opts grow = {.struct_size = sizeof(grow), .policy = HAUL_ALLOC_GROW};
    haul_buf *bufs[STAGE_N_MAX + 1];
    uint32_t n = 0;
    while (n <= STAGE_N_MAX &&
           haul_buf_alloc(st->auditor, STAGE_SMALL_BYTES, &grow, &bufs[n]) == HAUL_OK) {
        n++;
    }
    if (n != n_expected) {
        stage_fault(st, "%u buffers can be had, not %u", n, n_expected);
    }
    while (n > 0) {
        haul_buf_release(bufs[--n]);
    }
}

static void pass_a_hundred(stage *st)
{
    haul_pool *reader = st->bystander ? st->bystander : st->auditor;
    take_all(st, st->bystander ? STAGE_N_MAX - STAGE_N_BYSTANDER : STAGE_N_MAX);
    for (uint32_t i = 0; i < N_PASSED; i++) {
        uint64_t len = i % 50 == 0 ? 2u * STAGE_LARGE_BYTES : i % 5 == 0 ? STAGE_LARGE_BYTES : 512u;
        if (!pass_one(st, reader, len, (uint8_t)i)) {
            return;
        }
    }
}

/* ---- The whole ----------------------------------------------------------------------------- */

/* A pool that was being made or removed: whoever comes next makes it, or finds it. */
static bool come_next(stage *st)
{
    haul_status s = stage_create(st, &st->auditor);
    if (s == HAUL_EXISTS) {
        s = haul_pool_open(st->name, NULL, &st->auditor, NULL);
    }
    if (s != HAUL_OK) {
        stage_fault(st, "the pool can be neither made nor joined: %s", haul_status_name(s));
    }
    return s == HAUL_OK;
}

void stage_verify(stage *st, void (*settle)(stage *st))
{
    if (!st->auditor && !come_next(st)) {
        return;
    }
    haul_status s = haul_pool_reap(st->auditor, NULL, NULL);
    if (s != HAUL_OK) {
        stage_fault(st, "haul_pool_reap(): %s", haul_status_name(s));
    }
    check_bystander(st);
    if (settle) {
        settle(st);
    }
    while (st->n_taken > 0) {
        stage_give_back_one(st);
    }
    check_audit(st);
    check_counts(st, st->bystander ? 1 : 0);
    pass_a_hundred(st);
    check_bystander(st);
    check_audit(st);
    check_counts(st, st->bystander ? 1 : 0);
}

static uint32_t count_objects(const char *pool_name)
{
    char start[HAUL_POOL_NAME_MAX + 8];
    uint32_t n = 0;
    int len = snprintf(start, sizeof(start), "haul.%s", pool_name);
    DIR *dir = opendir("/dev/shm");
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        n += strncmp(entry->d_name, start, (size_t)len) == 0 &&
             (entry->d_name[len] == '\0' || entry->d_name[len] == ':');
    }
    if (dir) {
        (void)closedir(dir);
    }
    return n;
}

void stage_close(stage *st)
{
    if (st->bystander) {
        use_up_bystander(st);
        check_counts(st, 0);
        check_audit(st);
        haul_pool_close(st->bystander);
    }
    haul_pool_close(st->auditor);
    haul_status s = haul_pool_remove(st->name, false, NULL);
    uint32_t n_left = count_objects(st->name);
    if (s != HAUL_OK || n_left > 0) {
        stage_fault(st, "removed with %s, and %u objects stay", haul_status_name(s), n_left);
        (void)!haul_pool_remove(st->name, true, NULL);
    }
}
