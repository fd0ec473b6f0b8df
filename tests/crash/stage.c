/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Setting up a pool with living participants in it.
 *
 * Auditor and bystander are two participants in the harness, each with a handle, a slot and a lock
 * of its own. For the pool they are as alive as two processes, and setting them up costs no fork.
 * The pool is small, for each point of the sweep has a new one.
 *
 * One thread. If the harness dies the objects stay; the scripts run it in a /dev/shm of its own.
 */

#include "stage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/impl.h"

static const haul_class_config classes[] = {
    {.size_bytes = STAGE_SMALL_BYTES, .n_initial = STAGE_N_INITIAL, .n_max = STAGE_N_MAX},
    {.size_bytes = STAGE_LARGE_BYTES, .n_initial = 1, .n_max = 2}};

static const haul_pool_config config = {.struct_size = sizeof(config),
                                        .classes = classes,
                                        .n_classes = 2,
                                        .n_measured_max = 2,
                                        .budget_bytes = 1u << 20,
                                        .n_participants = 6,
                                        .n_names = 3};

/* ---- Faults -------------------------------------------------------------------------------- */

void stage_die(const char *what, haul_status s)
{
    (void)fprintf(stderr, "crash_sweep: %s: %s\n", what, haul_status_name(s));
    exit(2);
}

void stage_fault(stage *st, const char *fmt, ...)
{
    va_list args;
    if (st->n_faults++ == 0) {
        va_start(args, fmt);
        (void)vsnprintf(st->fault, sizeof(st->fault), fmt, args);
        va_end(args);
    }
}

/* ---- Content ------------------------------------------------------------------------------- */

static uint8_t pattern(uint64_t i, uint8_t seed)
{
    return (uint8_t)(seed * 29u + i + (i >> 8));
}

void stage_fill(void *data, uint64_t len, uint8_t seed)
{
    uint8_t *bytes = data;
    for (uint64_t i = 0; i < len; i++) {
        bytes[i] = pattern(i, seed);
    }
}

bool stage_is_filled(const void *data, uint64_t len, uint8_t seed)
{
    const uint8_t *bytes = data;
    uint8_t differs = bytes ? 0 : 1;
    for (uint64_t i = 0; i < len && bytes; i++) {
        differs |= bytes[i] ^ pattern(i, seed);
    }
    return differs == 0;
}

haul_buf *stage_share(haul_pool *pool, uint64_t len, uint8_t seed, haul_key *out_key)
{
    haul_buf *buf = NULL;
    must(haul_buf_alloc(pool, len, NULL, &buf));
    stage_fill(haul_buf_data(buf), len, seed);
    must(haul_buf_share(buf, len, out_key));
    return buf;
}

/* ---- The living ---------------------------------------------------------------------------- */

static void give(haul_pool *from, uint32_t to_slot, uint8_t seed, haul_key *out_key)
{
    haul_buf *buf = NULL;
    must(haul_buf_alloc(from, STAGE_SMALL_BYTES, NULL, &buf));
    stage_fill(haul_buf_data(buf), STAGE_SMALL_BYTES, seed);
    must(haul_buf_give(buf, STAGE_SMALL_BYTES, to_slot, UINT64_MAX, out_key));
}

static void furnish_bystander(stage *st)
{
    haul_key held_key;
    must(haul_buf_alloc(st->bystander, STAGE_SMALL_BYTES, NULL, &st->owned));
    stage_fill(haul_buf_data(st->owned), STAGE_SMALL_BYTES, 1);
    st->shared = stage_share(st->bystander, STAGE_SMALL_BYTES, 2, &st->shared_key);
    must(haul_buf_publish(st->shared, STAGE_LIVING_NAME, false));
    give(st->auditor, haul_pool_participant(st->bystander), 3, &st->gift_key);
    haul_buf *held = stage_share(st->auditor, STAGE_SMALL_BYTES, 4, &held_key);
    must(haul_attach(st->bystander, &held_key, STAGE_SMALL_BYTES, &st->held));
    haul_buf_release(held);
}

void stage_open(stage *st, const char *name, stage_mail *mail)
{
    stage_open_empty(st, name, mail, false);
    must(haul_pool_create(name, &config, NULL, &st->auditor, NULL));
    must(haul_pool_open(name, NULL, &st->bystander, NULL));
    furnish_bystander(st);
}

void stage_open_empty(stage *st, const char *name, stage_mail *mail, bool made)
{
    *st = (stage){.mail = mail};
    memset(mail, 0, sizeof(*mail));
    (void)snprintf(st->name, sizeof(st->name), "%s", name);
    if (made) {
        must(haul_pool_create(name, &config, NULL, &st->auditor, NULL));
        haul_pool_close(st->auditor);
        st->auditor = NULL;
    }
}

haul_status stage_create(const stage *st, haul_pool **out_pool)
{
    return haul_pool_create(st->name, &config, NULL, out_pool, NULL);
}

/* ---- What operations need ------------------------------------------------------------------ */

void stage_take_all_but(stage *st, uint32_t n_left)
{
    static const haul_alloc_opts smallest = {.struct_size = sizeof(smallest)};
    haul_status s;
    do {
        s = haul_buf_alloc(st->auditor, 1, &smallest, &st->taken[st->n_taken]);
        st->n_taken += s == HAUL_OK;
    } while (s == HAUL_OK && st->n_taken < STAGE_MAX_TAKEN);
    if (s != HAUL_EXHAUSTED || st->n_taken < n_left) {
        stage_die("stage_take_all_but", s);
    }
    while (n_left-- > 0) {
        stage_give_back_one(st);
    }
}

void stage_give_back_one(stage *st)
{
    if (st->n_taken > 0) {
        haul_buf_release(st->taken[--st->n_taken]);
    }
}

void stage_join(stage *st)
{
    must(haul_pool_open(st->name, NULL, &st->pool, NULL));
    st->mail->slot = haul_pool_participant(st->pool);
}

static void live_and_die(stage *st)
{
    haul_pool *pool = NULL;
    haul_buf *buf = NULL;
    haul_key key;
    haul_view view;
    must(haul_pool_open(st->name, NULL, &pool, NULL));
    must(haul_buf_alloc(pool, STAGE_SMALL_BYTES, NULL, &buf));
    buf = stage_share(pool, STAGE_SMALL_BYTES, 5, &key);
    must(haul_buf_publish(buf, "dead", false));
    must(haul_attach(pool, &key, STAGE_SMALL_BYTES, &view));
    must(haul_attach(pool, &st->shared_key, STAGE_SMALL_BYTES, &view));
    give(pool, haul_pool_participant(pool), 6, &key);
    _exit((int)haul_pool_participant(pool));
}

static uint32_t let_live_and_die(stage *st)
{
    int wstatus = 0;
    pid_t pid = fork();
    if (pid == 0) {
        live_and_die(st);
    }
    if (pid < 0 || waitpid(pid, &wstatus, 0) != pid || !WIFEXITED(wstatus) ||
        WEXITSTATUS(wstatus) <= 2) {
        stage_die("stage_leave_dead", HAUL_SYSTEM);
    }
    return (uint32_t)WEXITSTATUS(wstatus);
}

void stage_leave_dead(stage *st)
{
    (void)let_live_and_die(st);
}

void stage_leave_dead_maker(stage *st)
{
    uint32_t slot = let_live_and_die(st);
    uint32_t index = STAGE_N_MAX - 1;
    haul__record *record = haul__record_of(st->auditor, index);
    uint64_t word = haul__load64_seq(&record->state);
    uint64_t creating = haul__word(haul__word_generation(word) + 1, slot, HAUL__CREATING, 0);
    if (haul__word_phase(word) != HAUL__ABSENT ||
        !haul__cas64_seq(&record->state, &word, creating)) {
        stage_die("stage_leave_dead_maker", HAUL_CORRUPT);
    }
    haul__store64_seq(&record->capacity, STAGE_SMALL_BYTES);
}
