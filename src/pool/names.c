/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Buffers with names: hand-over without a message, and data that survives its producer.
 *
 * An entry of the name table says which buffer a name means. It is written by one process, announced by
 * one word, and believed by nobody: a finder gets a key, and attaching it checks everything again. So
 * an entry that leads nowhere does no harm, and whoever sweeps takes it away. layout.h has the table
 * of transitions, and what is left when somebody dies.
 *
 * Two processes may publish one name at the same moment. Each announces its entry and then looks for
 * another; whoever sees one takes his own away and is told EXISTS. At least one of them sees the other,
 * and it may be both.
 */

#include "pool/names.h"

#include <string.h>

#include "pool/hold.h"
#include "pool/life.h"

static bool is_name(const char *name)
{
    size_t n = name ? strnlen(name, HAUL_BUF_NAME_MAX + 1) : 0;
    for (size_t i = 0; i < n; i++) {
        if (name[i] <= ' ' || name[i] > '~') {
            return false;
        }
    }
    return n >= 1 && n <= HAUL_BUF_NAME_MAX;
}

static uint32_t phase_of(uint64_t word)
{
    return haul__word_phase(word);
}

/* PUBLISHED or WRITING -> FREE, if the entry still is at @word. */
static bool free_entry(haul__name *entry, uint64_t word)
{
    uint64_t freed = haul__word_next_life(word, (enum haul__phase)HAUL__NAME_FREE, HAUL__NOBODY);
    freed &= ~UINT64_C(0xff); /* without flags */
    return haul__cas64_acqrel(&entry->state, &word, freed);
}

bool haul__name_read(const haul_pool *pool, uint32_t i, haul__name_copy *out_copy)
{
    const haul__name *entry = haul__name_of(pool, i);
    uint64_t word = haul__load64_seq(&entry->state);
    if (phase_of(word) != HAUL__NAME_PUBLISHED) {
        return false;
    }
    uint64_t name[HAUL__NAME_WORDS];
    for (uint32_t w = 0; w < HAUL__NAME_WORDS; w++) {
        name[w] = haul__load64_acquire(&entry->name[w]);
    }
    *out_copy = (haul__name_copy){.word = word,
                                  .key = {.pool_id = pool->id,
                                          .ticket = haul__load64_acquire(&entry->ticket),
                                          .index = haul__load32_acquire(&entry->index),
                                          .generation = haul__load32_acquire(&entry->generation)},
                                  .len = haul__load64_acquire(&entry->length)};
    memcpy(out_copy->name, name, sizeof(out_copy->name));
    out_copy->name[HAUL_BUF_NAME_MAX] = '\0';
    return haul__load64_seq(&entry->state) == word && is_name(out_copy->name);
}

bool haul__name_leads_somewhere(const haul_pool *pool, const haul__name_copy *copy)
{
    return copy->key.index < pool->g.n_buffers &&
           haul__word_is_readable(haul__load64_seq(&haul__record_of(pool, copy->key.index)->state),
                                  copy->key.generation);
}

bool haul__names_have(const haul_pool *pool, uint32_t index, uint32_t generation)
{
    haul__name_copy copy;
    for (uint32_t i = 0; i < pool->g.n_names; i++) {
        if (haul__name_read(pool, i, &copy) && copy.key.index == index &&
            copy.key.generation == generation) {
            return true;
        }
    }
    return false;
}

/* The first entry that has @name and leads somewhere; n_names if there is none. */
static uint32_t find(const haul_pool *pool, const char *name, haul__name_copy *out_copy)
{
    for (uint32_t i = 0; i < pool->g.n_names; i++) {
        if (haul__name_read(pool, i, out_copy) && strcmp(out_copy->name, name) == 0 &&
            haul__name_leads_somewhere(pool, out_copy)) {
            return i;
        }
    }
    return pool->g.n_names;
}

/* ---- Publishing ---------------------------------------------------------------------------- */

/* Take a free entry for writing; n_names if there is none. */
static uint32_t take_entry(haul_pool *pool, uint64_t *out_word)
{
    for (uint32_t i = 0; i < pool->g.n_names; i++) {
        haul__a64 *state = &haul__name_of(pool, i)->state;
        uint64_t word = haul__load64_acquire(state);
        if (phase_of(word) != HAUL__NAME_FREE) {
            continue;
        }
        uint64_t mine = haul__word_moved(word, (enum haul__phase)HAUL__NAME_WRITING, pool->slot);
        if (haul__cas64_acqrel(state, &word, mine)) {
            *out_word = mine;
            return i;
        }
    }
    return pool->g.n_names;
}

static void write_entry(const haul_buf *buf, haul__name *entry, const char *name)
{
    const haul__record *record = haul__record_of(buf->pool, buf->index);
    uint64_t words[HAUL__NAME_WORDS] = {0};
    memcpy(words, name, strlen(name));
    for (uint32_t w = 0; w < HAUL__NAME_WORDS; w++) {
        haul__store64_relaxed(&entry->name[w], words[w]);
    }
    haul__store64_relaxed(&entry->ticket, haul__load64_relaxed(&record->ticket));
    haul__store64_relaxed(&entry->length, haul__load64_relaxed(&record->length));
    haul__store32_relaxed(&entry->index, buf->index);
    haul__store32_relaxed(&entry->generation, haul__word_generation(buf->word));
}

/* Whether an entry other than @mine has the name. */
static bool is_taken_by_another(const haul_pool *pool, const char *name, uint32_t mine)
{
    haul__name_copy copy;
    for (uint32_t i = 0; i < pool->g.n_names; i++) {
        if (i != mine && haul__name_read(pool, i, &copy) && strcmp(copy.name, name) == 0 &&
            haul__name_leads_somewhere(pool, &copy)) {
            return true;
        }
    }
    return false;
}

haul_status haul_buf_publish(haul_buf *buf, const char *name, bool persistent)
{
    if (!buf || !buf->pool->usable || haul__word_phase(buf->word) != HAUL__SHARED ||
        !is_name(name)) {
        return HAUL_INVALID;
    }
    haul_pool *pool = buf->pool;
    haul__name_copy other;
    uint64_t word;
    if (find(pool, name, &other) < pool->g.n_names) {
        return HAUL_EXISTS;
    }
    uint32_t i = take_entry(pool, &word);
    if (i == pool->g.n_names) {
        return HAUL_EXHAUSTED;
    }
    haul__name *entry = haul__name_of(pool, i);
    HAUL__FAULT(PUBLISH_WRITING);
    write_entry(buf, entry, name);
    uint64_t published =
        haul__word_moved(word, (enum haul__phase)HAUL__NAME_PUBLISHED, pool->slot) |
        (persistent ? HAUL__NAME_PERSISTENT : 0);
    haul__store64_seq(&entry->state, published);
    HAUL__FAULT(PUBLISH_ANNOUNCED);
    if (is_taken_by_another(pool, name, i)) {
        (void)free_entry(entry, published);
        return HAUL_EXISTS;
    }
    buf->published = true;
    if (persistent &&
        haul__load64_relaxed(&haul__record_of(pool, buf->index)->state) != buf->word) {
        (void)free_entry(entry, published); /* somebody has scribbled on a word that is ours */
        return HAUL_CORRUPT;
    }
    if (persistent) {
        uint64_t kept = haul__word_moved(buf->word, HAUL__KEPT, HAUL__NOBODY);
        haul__quota_return(buf);
        buf->word = 0;
        haul__store32_relaxed(&buf->mine, 0);
        uint32_t held = haul__hold_close(buf);
        haul__store64_release(&buf->record->state, kept);
        HAUL__FAULT(PUBLISH_KEPT);
        haul__hold_open(buf, held);
    }
    return HAUL_OK;
}

/* ---- Finding, withdrawing ------------------------------------------------------------------ */

haul_status haul_pool_find(haul_pool *pool, const char *name, haul_key *out_key, uint64_t *out_len)
{
    haul__name_copy copy;
    if (!pool || !pool->usable || !is_name(name)) {
        return HAUL_INVALID;
    }
    if (find(pool, name, &copy) == pool->g.n_names) {
        return HAUL_NOT_FOUND;
    }
    *out_key = copy.key;
    *out_len = copy.len;
    return HAUL_OK;
}

haul_status haul_pool_withdraw(haul_pool *pool, const char *name)
{
    haul__name_copy copy;
    if (!pool || !pool->usable || !is_name(name)) {
        return HAUL_INVALID;
    }
    uint32_t i = find(pool, name, &copy);
    if (i == pool->g.n_names) {
        return HAUL_NOT_FOUND;
    }
    uint32_t index = copy.key.index;
    uint64_t word = haul__load64_seq(&haul__record_of(pool, index)->state);
    bool retired = haul__word_is_life(word, copy.key.generation, HAUL__KEPT) &&
                   haul__retire(pool, index, word);
    if (retired) {
        HAUL__FAULT(WITHDRAW_RETIRED);
        haul__finish(&pool->bufs[index]);
    }
    /* Once the buffer is retired, a sweep may take its entry first. */
    bool freed = free_entry(haul__name_of(pool, i), copy.word);
    return retired || freed ? HAUL_OK : HAUL_NOT_FOUND;
}

/* ---- Taking away --------------------------------------------------------------------------- */

void haul__names_forget(haul_pool *pool, uint32_t index)
{
    haul__name_copy copy;
    for (uint32_t i = 0; i < pool->g.n_names; i++) {
        if (haul__name_read(pool, i, &copy) && copy.key.index == index &&
            haul__word_who(copy.word) == pool->slot) {
            (void)free_entry(haul__name_of(pool, i), copy.word);
        }
    }
}

void haul__names_reap_slot(haul_pool *pool, uint32_t slot)
{
    for (uint32_t i = 0; i < pool->g.n_names; i++) {
        haul__name *entry = haul__name_of(pool, i);
        uint64_t word = haul__load64_acquire(&entry->state);
        bool ends_with_owner = phase_of(word) == HAUL__NAME_WRITING ||
                               (phase_of(word) == HAUL__NAME_PUBLISHED &&
                                (haul__word_flags(word) & HAUL__NAME_PERSISTENT) == 0);
        if (haul__word_who(word) == slot && ends_with_owner) {
            (void)free_entry(entry, word);
        }
    }
}

void haul__names_mend(haul_pool *pool)
{
    haul__name_copy copy;
    for (uint32_t i = 0; i < pool->g.n_names; i++) {
        haul__name *entry = haul__name_of(pool, i);
        uint64_t word = haul__load64_acquire(&entry->state);
        bool is_nobodys = phase_of(word) == HAUL__NAME_WRITING &&
                          (haul__word_who(word) == 0 || haul__word_who(word) > pool->g.n_slots);
        bool is_garbage = phase_of(word) > HAUL__NAME_PUBLISHED || is_nobodys;
        bool leads_nowhere =
            phase_of(word) == HAUL__NAME_PUBLISHED &&
            (!haul__name_read(pool, i, &copy) || !haul__name_leads_somewhere(pool, &copy));
        if (is_garbage || leads_nowhere) {
            (void)free_entry(entry, word);
        }
    }
}
