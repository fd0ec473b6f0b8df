/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The owner's half: share, give, claim, release.
 *
 * A gift is either a payload, which its recipient reads, or empty: room lent to somebody who fills it
 * and gives it back, or keeps it. A recipient may also become the owner of a payload as if it had
 * written it, to use the buffer again, and so may the giver of what nobody has claimed.
 *
 * The handle belongs to one thread at a time and remembers the word as this owner left it. Each
 * function writes what others will need (ticket, length, deadline) while the buffer is still OWNED
 * and nobody looks, then moves the word on with one store. Dying before it leaves an OWNED buffer,
 * dying after it leaves one whose state says everything.
 *
 * errno is kept by those who make system calls (object.c, wait.c), for the common way makes none.
 *
 * A word that is not as we left it was written by somebody who may not: CORRUPT.
 */

#include "pool/hold.h"
#include "pool/life.h"
#include "pool/maps.h"
#include "pool/names.h"

static bool is_phase(const haul_buf *buf, enum haul__phase phase)
{
    return buf && buf->pool->usable && haul__word_phase(buf->word) == phase;
}

/* Whether the state word still is @word, as this owner left it. Only a scribbler can have changed it:
 * while we live nobody else may move it on, which is why a store is enough to do so. */
static bool is_as_left(const haul_buf *buf, uint64_t word)
{
    return haul__load64_relaxed(&buf->record->state) == word;
}

void *haul_buf_data(haul_buf *buf)
{
    return is_phase(buf, HAUL__OWNED) ? buf->rw.start : NULL;
}

haul_pool *haul_buf_pool(const haul_buf *buf)
{
    return buf->pool;
}

uint64_t haul_buf_capacity(const haul_buf *buf)
{
    if (is_phase(buf, HAUL__OWNED)) {
        return buf->rw.bytes;
    }
    return is_phase(buf, HAUL__SHARED) ? haul__capacity_of(buf->pool, buf->class_index, buf->index)
                                       : 0;
}

/*
 * 64 bits that nobody outside this process can foretell, different for each life of each buffer: a
 * pseudo-random function, under a key drawn from the kernel at join, of what never repeats (see
 * docs/adr/0001-tickets.md).
 */
static uint64_t draw_ticket(const haul_buf *buf)
{
    return haul__siphash_u64(buf->pool->ticket_key,
                             (uint64_t)haul__word_generation(buf->word) << 32 | buf->index);
}

static void write_payload_facts(const haul_buf *buf, uint64_t len, haul_key *out_key)
{
    haul__record *record = buf->record;
    uint64_t ticket = draw_ticket(buf);
    haul__store64_relaxed(&record->ticket, ticket);
    haul__store64_relaxed(&record->length, len);
    *out_key = (haul_key){.pool_id = buf->pool->id,
                          .ticket = ticket,
                          .index = buf->index,
                          .generation = haul__word_generation(buf->word)};
}

haul_status haul_buf_share(haul_buf *buf, uint64_t len, haul_key *out_key)
{
    if (!is_phase(buf, HAUL__OWNED) || len > buf->rw.bytes) {
        return HAUL_INVALID;
    }
    if (!is_as_left(buf, buf->word)) {
        return HAUL_CORRUPT;
    }
    write_payload_facts(buf, len, out_key);
    HAUL__FAULT(SHARE_WRITTEN);
    uint64_t shared = haul__word_moved(buf->word, HAUL__SHARED, buf->pool->slot);
    haul__let_go_of_map(buf);
    haul__store64_release(&buf->record->state, shared);
    HAUL__FAULT(SHARE_DONE);
    buf->word = shared;
    return HAUL_OK;
}

/* ---- Giving -------------------------------------------------------------------------------- */

haul_status haul_buf_give(haul_buf *buf, uint64_t len, uint32_t recipient, uint64_t deadline_ns,
                          haul_key *out_key)
{
    return haul_buf_give_grouped(buf, len, recipient, deadline_ns, 0, out_key);
}

haul_status haul_buf_give_grouped(haul_buf *buf, uint64_t len, uint32_t recipient,
                                  uint64_t deadline_ns, uint64_t group, haul_key *out_key)
{
    if (!is_phase(buf, HAUL__OWNED) || len > buf->rw.bytes || recipient == 0 ||
        recipient > buf->pool->g.n_slots) {
        return HAUL_INVALID;
    }
    haul_pool *pool = buf->pool;
    haul__record *record = buf->record;
    /* A recipient that dies after this look is reaped, with what is on its way to it. */
    if (haul__load32_acquire(&haul__slot_of(pool, recipient)->pid) == 0) {
        return HAUL_PEER_GONE;
    }
    haul_key key;
    write_payload_facts(buf, len, &key);
    haul__store64_relaxed(&record->deadline_ns, deadline_ns);
    if (group != 0) {
        haul__store64_relaxed(&record->group, group ^ key.ticket);
    }
    HAUL__FAULT(GIVE_WRITTEN);
    uint64_t word = buf->word;
    uint64_t given = haul__word_moved(word, HAUL__GIVEN, recipient);
    if (!is_as_left(buf, word)) {
        return HAUL_CORRUPT;
    }
    haul__let_go_of_map(buf);
    haul__quota_return(buf);
    buf->word = 0; /* before the store: the recipient may be another thread of this process */
    haul__store32_relaxed(&buf->mine, 0);
    haul__store64_release(&record->state, given);
    HAUL__FAULT(GIVE_DONE);
    *out_key = key;
    return HAUL_OK;
}

/* The word of a given buffer that @key fits. */
haul_status haul__look_up_gift(const haul_pool *pool, const haul_key *key, uint64_t *out_word)
{
    if (!pool || !pool->usable || key->pool_id != pool->id || key->index >= pool->g.n_buffers) {
        return HAUL_INVALID;
    }
    const haul__record *record = haul__record_of(pool, key->index);
    uint64_t word = haul__load64_seq(&record->state);
    if (!haul__word_is_valid(word, pool->g.n_slots)) {
        return HAUL_CORRUPT;
    }
    if (haul__word_phase(word) != HAUL__GIVEN || haul__word_generation(word) != key->generation ||
        haul__load64_relaxed(&record->ticket) != key->ticket) {
        return HAUL_STALE;
    }
    *out_word = word;
    return HAUL_OK;
}

haul_status haul_pool_revoke(haul_pool *pool, const haul_key *key)
{
    uint64_t word;
    haul_status s = haul__look_up_gift(pool, key, &word);
    if (s != HAUL_OK) {
        return s;
    }
    if (!haul__retire(pool, key->index, word)) {
        return HAUL_STALE;
    }
    HAUL__FAULT(REVOKE_RETIRED);
    haul__finish(&pool->bufs[key->index]);
    return HAUL_OK;
}

/* The word of a gift to this process that @key fits. */
static haul_status look_up_mine(const haul_pool *pool, const haul_key *key, uint64_t *out_word)
{
    uint64_t word;
    haul_status s = haul__look_up_gift(pool, key, &word);
    if (s != HAUL_OK) {
        return s;
    }
    if (haul__word_who(word) != pool->slot) {
        return HAUL_STALE;
    }
    if (haul__load32_relaxed(&pool->bufs[key->index].mine) != 0) { /* nobody gives what is ours */
        return HAUL_CORRUPT;
    }
    *out_word = word;
    return HAUL_OK;
}

/* Move a gift that is still at @word to @mine. False: somebody else has. */
static bool take_gift(haul_buf *buf, uint64_t word, uint64_t mine)
{
    haul_pool *pool = buf->pool;
    if (!haul__cas64_seq(&buf->record->state, &word, mine)) {
        return false;
    }
    haul__store32_relaxed(&buf->mine, 1);
    buf->word = mine;
    buf->published = false;
    if (pool->g.quota_bytes != 0) { /* a gift is never refused, but it counts */
        buf->quota_bytes = haul__capacity_of(pool, buf->class_index, buf->index);
        (void)haul__add64_relaxed(&pool->owned_bytes, buf->quota_bytes);
    }
    haul__wake(pool); /* the giver may wait for this */
    return true;
}

/* Whether @len bytes from the key's offset on are within what was given. */
static bool is_within(const haul_buf *buf, const haul_key *key, uint64_t len)
{
    uint64_t end;
    return !__builtin_add_overflow(key->offset, len, &end) &&
           end <= haul__load64_relaxed(&buf->record->length);
}

haul_status haul_buf_claim(haul_pool *pool, const haul_key *key, uint64_t len, haul_buf **out_buf)
{
    uint64_t word;
    haul_status s = look_up_mine(pool, key, &word);
    if (s != HAUL_OK) {
        return s;
    }
    haul_buf *buf = &pool->bufs[key->index];
    if (!is_within(buf, key, len)) {
        return HAUL_INVALID;
    }
    if (!take_gift(buf, word, haul__word_moved(word, HAUL__SHARED, pool->slot))) {
        return HAUL_STALE;
    }
    HAUL__FAULT(CLAIM_DONE);
    *out_buf = buf;
    return HAUL_OK;
}

/* Move a gift that is still at @word to OWNED. The buffer begins another life, for what its new owner
 * gives or shares must not be opened with the key that it came with, and a swap of somebody who saw
 * the first gift must not fit the next one. */
static haul_status take_to_write(haul_buf *buf, uint64_t word, haul_buf **out_buf)
{
    if (!take_gift(buf, word, haul__word_next_life(word, HAUL__OWNED, buf->pool->slot))) {
        return HAUL_STALE;
    }
    HAUL__FAULT(CLAIM_OWNED);
    haul_status s = haul__map_rw(buf);
    if (s != HAUL_OK) {
        haul_buf_release(buf);
        return s;
    }
    *out_buf = buf;
    return HAUL_OK;
}

haul_status haul_buf_claim_empty(haul_pool *pool, const haul_key *key, haul_buf **out_buf)
{
    uint64_t word;
    haul_status s = look_up_mine(pool, key, &word);
    if (s != HAUL_OK) {
        return s;
    }
    haul_buf *buf = &pool->bufs[key->index];
    if (key->offset != 0 || haul__load64_relaxed(&buf->record->length) != 0) {
        return HAUL_INVALID;
    }
    return take_to_write(buf, word, out_buf);
}

haul_status haul_buf_claim_writable(haul_pool *pool, const haul_key *key, uint64_t len,
                                    haul_buf **out_buf)
{
    uint64_t word;
    haul_status s = look_up_mine(pool, key, &word);
    if (s != HAUL_OK) {
        return s;
    }
    haul_buf *buf = &pool->bufs[key->index];
    if (!is_within(buf, key, len)) {
        return HAUL_INVALID;
    }
    s = take_to_write(buf, word, &buf);
    if (s == HAUL_OK && (key->offset > buf->rw.bytes || len > buf->rw.bytes - key->offset)) {
        haul_buf_release(buf); /* shared memory told another length than the object has */
        s = HAUL_CORRUPT;
    }
    if (s == HAUL_OK) {
        *out_buf = buf;
    }
    return s;
}

haul_status haul_buf_take_back(haul_pool *pool, const haul_key *key, haul_buf **out_buf)
{
    uint64_t word;
    haul_status s = haul__look_up_gift(pool, key, &word);
    if (s != HAUL_OK) {
        return s;
    }
    haul_buf *buf = &pool->bufs[key->index];
    if (haul__load32_relaxed(&buf->mine) != 0) { /* what was given is not ours */
        return HAUL_CORRUPT;
    }
    return take_to_write(buf, word, out_buf);
}

/* ---- Looking and letting go ---------------------------------------------------------------- */

haul_status haul_buf_view(haul_buf *buf, haul_view *out_view)
{
    if (!is_phase(buf, HAUL__SHARED)) {
        return HAUL_INVALID;
    }
    const haul__record *record = buf->record;
    haul_key key = {.pool_id = buf->pool->id,
                    .ticket = haul__load64_relaxed(&record->ticket),
                    .index = buf->index,
                    .generation = haul__word_generation(buf->word)};
    return haul_attach(buf->pool, &key, haul__load64_relaxed(&record->length), out_view);
}

/* A buffer made to measure goes by RETIRED, which ends in its removal; any other is FREE at once, for
 * nobody can have attached it. */
static void release_unshared(haul_pool *pool, haul_buf *buf, uint64_t word)
{
    haul__a64 *state = &buf->record->state;
    if (haul__class_is_measured(pool, buf->class_index)) {
        haul__store64_seq(state, haul__word_moved(word, HAUL__RETIRED, HAUL__NOBODY));
        haul__finish(buf);
        return;
    }
    haul__store64_seq(state, haul__word_next_life(word, HAUL__FREE, HAUL__NOBODY));
    HAUL__FAULT(RELEASE_FREED);
    haul__announce_free(buf);
}

/*
 * Free a shared buffer that nobody reads, which is how most lives end. RETIRING keeps new readers out
 * like RETIRED, but names us, so that nobody else moves it on while we live, and a plain store does.
 *
 * What announces the buffer is looked at before that store, not after it: a process that clears a
 * hint or is about to wait, and looks at the state after that, sees RETIRING if we did not see what
 * it did. It then knows that the buffer is about to be free.
 *
 * False: somebody reads, or it is made to measure. The word is SHARED or RETIRING, and still ours.
 */
static inline bool release_unread(haul_pool *pool, haul_buf *buf, uint64_t word)
{
    haul__a64 *state = &buf->record->state;
    if (haul__load32_relaxed(&buf->hold) != 0 || haul__class_is_measured(pool, buf->class_index)) {
        return false;
    }
    haul__store64_seq(state, haul__word_moved(word, HAUL__RETIRING, pool->slot));
    HAUL__FAULT(RELEASE_RETIRING);
    if (haul__load32_seq(&buf->hold) != 0 || haul__is_held(buf)) {
        return false;
    }
    haul__store32_relaxed(&pool->classes[buf->class_index].last, buf->index);
    haul__hint_set(pool, buf->class_index, buf->index);
    bool is_awaited = haul__is_awaited(pool);
    haul__store64_release(state, haul__word_next_life(word, HAUL__FREE, HAUL__NOBODY));
    HAUL__FAULT(RELEASE_FREED);
    if (is_awaited) {
        haul__wake_waiters(pool);
    }
    return true;
}

void haul_buf_release(haul_buf *buf)
{
    if (!buf || !buf->pool->usable || buf->word == 0) {
        return;
    }
    haul_pool *pool = buf->pool;
    uint64_t word = buf->word;
    bool as_left = is_as_left(buf, word);
    haul__quota_return(buf);
    if (buf->published) {
        haul__names_forget(pool, buf->index);
    }
    buf->word = 0; /* before the store: from then on it may be another thread's handle */
    haul__store32_relaxed(&buf->mine, 0);
    if (!as_left) {
        return;
    }
    if (haul__word_phase(word) == HAUL__OWNED) {
        haul__let_go_of_map(buf);
        release_unshared(pool, buf, word);
        return;
    }
    if (!release_unread(pool, buf, word)) {
        uint32_t held = haul__hold_close(buf);
        haul__store64_seq(&buf->record->state, haul__word_moved(word, HAUL__RETIRED, HAUL__NOBODY));
        HAUL__FAULT(RELEASE_RETIRED);
        haul__hold_open(buf, held);
        haul__finish(buf);
    }
}
