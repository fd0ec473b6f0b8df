/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Making buffers.
 *
 * A maker first names itself in the word (ABSENT -> CREATING) and writes how many bytes it wants,
 * then sums up what all words of the pool claim. There is no counter of bytes in use that a dying
 * process could leave wrong. Of two makers at once, at least one sees the other's claim, for both
 * write before they sum; if the sum exceeds the budget the maker takes its claim back, and tries
 * again a little later if it was only others' unfinished claims that stood in the way.
 *
 * Memory is reserved before the buffer is announced. Maker dies at any point: the word names it,
 * and the reaper removes whatever object is there.
 *
 * The pool may be removed at the same time. The remover marks the header, then unlinks; the maker
 * makes the object, then looks at the mark: one of them sees the other, and nothing stays behind.
 */

#include "pool/grow.h"

#include <inttypes.h>

#include "base/checked.h"
#include "base/error.h"
#include "pool/life.h"
#include "pool/object.h"
#include "pool/take.h"
#include "pool/wait.h"

#define BUDGET_TRIES 64

/* A buffer that this process is making, and its word. */
typedef struct claim {
    haul_buf *buf;
    uint64_t word;
} claim;

uint32_t haul__class_count(const haul_pool *pool, uint32_t c)
{
    const haul__class_place *place = &pool->g.classes[c];
    uint32_t n = 0;
    for (uint32_t i = 0; i < place->n_max; i++) {
        uint64_t word = haul__load64_relaxed(&haul__record_of(pool, place->first + i)->state);
        n += haul__word_phase(word) != HAUL__ABSENT;
    }
    return n;
}

/* Bytes that all words claim, and how many of them are others' unfinished claims. */
static void sum_claims(const haul_pool *pool, uint64_t *out_bytes, uint64_t *out_unfinished)
{
    *out_bytes = 0;
    *out_unfinished = 0;
    for (uint32_t c = 0; c < pool->g.n_classes; c++) {
        const haul__class_place *place = &pool->g.classes[c];
        for (uint32_t i = place->first; i < place->first + place->n_max; i++) {
            uint64_t word = haul__load64_seq(&haul__record_of(pool, i)->state);
            uint32_t phase = haul__word_phase(word);
            if (phase == HAUL__ABSENT) {
                continue;
            }
            uint64_t bytes = haul__capacity_of(pool, c, i);
            if (!haul__add_u64(*out_bytes, bytes, out_bytes)) {
                *out_bytes = UINT64_MAX; /* scribbled on */
            }
            bool changing = phase == HAUL__CREATING || phase == HAUL__TRIMMING;
            if (changing && haul__word_who(word) != pool->slot) {
                *out_unfinished += bytes;
            }
        }
    }
}

/* Claim an absent buffer of class @c, from in-class index *@from on. */
static bool claim_absent(haul_pool *pool, uint32_t c, uint64_t bytes, uint32_t *from,
                         claim *out_claim)
{
    const haul__class_place *place = &pool->g.classes[c];
    for (uint32_t i = *from; i < place->n_max; i++) {
        haul_buf *buf = &pool->bufs[place->first + i];
        uint64_t word = haul__load64_acquire(&buf->record->state);
        if (haul__word_phase(word) != HAUL__ABSENT || haul__load32_relaxed(&buf->mine) != 0) {
            continue;
        }
        uint64_t mine = haul__word(haul__word_generation(word) + 1, pool->slot, HAUL__CREATING, 0);
        if (haul__cas64_seq(&buf->record->state, &word, mine)) {
            haul__store32_relaxed(&buf->mine, 1);
            /* seq: either another maker's sum sees it, or my sum sees his. */
            haul__store64_seq(&buf->record->capacity, bytes);
            HAUL__FAULT(GROW_CLAIMED);
            *out_claim = (claim){.buf = buf, .word = mine};
            *from = i + 1;
            return true;
        }
    }
    return false;
}

/* Take a claim back. */
static void unclaim(haul_pool *pool, const claim *cl)
{
    haul__store32_relaxed(&cl->buf->mine, 0);
    haul__unmake(pool, cl->buf->class_index, cl->buf->index, cl->word);
}

/* Make the object of a claimed buffer. It is mapped when it is used, like any other. */
static haul_status make_object(haul_pool *pool, const claim *cl, uint64_t bytes, bool *out_huge,
                               haul_error *err)
{
    char object[HAUL__OBJECT_NAME_BYTES];
    int fd;

    haul__buffer_name(pool->name, pool->id, cl->buf->index, object);
    haul_status s = haul__object_create(object, &fd, err);
    if (s == HAUL_EXISTS) { /* the claim is ours, so nobody living is behind that name */
        uint64_t old_bytes;
        s = haul__object_destroy(object)
                ? haul__object_create(object, &fd, err)
                : haul__object_open(object, pool->gid, true, &fd, &old_bytes, err);
    }
    if (s != HAUL_OK) {
        return s;
    }
    s = haul__object_furnish(fd, bytes, pool->g.mode, pool->gid, out_huge, err);
    haul__close(fd);
    HAUL__FAULT(GROW_OBJECT);
    if (s == HAUL_OK) {
        haul__store32_relaxed(&cl->buf->record->born, haul__word_generation(cl->word));
    }
    return s;
}

/* Announce a claimed buffer as @phase once its object is there; take the claim back if not. */
static haul_status make_buffer(haul_pool *pool, const claim *cl, uint64_t bytes,
                               enum haul__phase phase, haul_error *err)
{
    bool huge = false;
    haul_status s = make_object(pool, cl, bytes, &huge, err);
    if (s == HAUL_OK && haul_pool_is_removed(pool)) {
        s = haul__fail(err, HAUL_NOT_FOUND, "the pool has been removed");
    }
    if (s != HAUL_OK) {
        unclaim(pool, cl);
        return s;
    }
    uint32_t flags = (huge ? HAUL__FLAG_HUGE : 0) | (phase == HAUL__OWNED ? HAUL__FLAG_USED : 0);
    uint32_t who = phase == HAUL__OWNED ? pool->slot : HAUL__NOBODY;
    uint64_t word = cl->word;
    uint64_t made = haul__word(haul__word_generation(word), who, phase, flags);
    if (phase != HAUL__OWNED) {
        haul__store32_relaxed(&cl->buf->mine, 0);
    }
    if (!haul__cas64_seq(&cl->buf->record->state, &word, made)) {
        haul__store32_relaxed(&cl->buf->mine, 0);
        return haul__fail(err, HAUL_CORRUPT, "a buffer being made was changed by somebody else");
    }
    HAUL__FAULT(GROW_DONE);
    if (phase == HAUL__OWNED) {
        cl->buf->word = made;
    }
    return HAUL_OK;
}

/*
 * Claim up to @n absent buffers of class @c and stay within the budget.
 *
 * @claims: room for @n.   @out_n: how many, at least one.
 */
static haul_status claim_within_budget(haul_pool *pool, uint32_t c, uint64_t bytes, uint32_t n,
                                       claim *claims, uint32_t *out_n, haul_error *err)
{
    for (int tries = 0; tries < BUDGET_TRIES; tries++) {
        uint32_t from = 0;
        uint32_t n_claimed = 0;
        uint64_t sum;
        uint64_t unfinished;
        uint32_t prepared = haul__wait_prepare(pool);
        while (n_claimed < n && claim_absent(pool, c, bytes, &from, &claims[n_claimed])) {
            n_claimed++;
        }
        if (n_claimed == 0) {
            return haul__fail(err, HAUL_EXHAUSTED,
                              "the class has its maximum of %" PRIu32 " buffers",
                              pool->g.classes[c].n_max);
        }
        sum_claims(pool, &sum, &unfinished);
        if (sum <= pool->g.budget_bytes) {
            *out_n = n_claimed;
            return HAUL_OK;
        }
        for (uint32_t i = 0; i < n_claimed; i++) {
            unclaim(pool, &claims[i]);
        }
        if (sum - unfinished > pool->g.budget_bytes) {
            break;
        }
        /* Slots differ, so two makers do not step aside for each other for ever. */
        haul__wait(pool, prepared, UINT64_C(1000000) * (1 + pool->slot % 7));
    }
    return haul__fail(err, HAUL_EXHAUSTED, "%" PRIu64 " more bytes exceed the budget of %" PRIu64,
                      bytes, pool->g.budget_bytes);
}

haul_status haul__grow_owned(haul_pool *pool, uint32_t c, uint64_t bytes, haul_buf **out_buf,
                             haul_error *err)
{
    claim mine;
    uint32_t n;
    haul_status s = claim_within_budget(pool, c, bytes, 1, &mine, &n, err);
    if (s == HAUL_OK) {
        s = make_buffer(pool, &mine, bytes, HAUL__OWNED, err);
    }
    if (s == HAUL_OK) {
        haul__count_first_use(pool, c);
        (void)haul__add64_relaxed(&pool->my_counters[c].grows, 1);
        *out_buf = mine.buf;
    }
    return s;
}

haul_status haul__grow_to(haul_pool *pool, uint32_t c, uint32_t n, haul_error *err)
{
    uint64_t bytes = pool->g.classes[c].capacity_bytes;
    uint32_t have = haul__class_count(pool, c);
    while (have < n) {
        claim claims[256];
        uint32_t want = n - have < 256 ? n - have : 256;
        uint32_t n_claims = 0;
        haul_status s = claim_within_budget(pool, c, bytes, want, claims, &n_claims, err);
        for (uint32_t i = 0; i < n_claims; i++) {
            if (s == HAUL_OK) {
                s = make_buffer(pool, &claims[i], bytes, HAUL__FREE, err);
                if (s == HAUL_OK) {
                    haul__fresh_lower(pool, c, claims[i].buf->index);
                    haul__wake(pool);
                }
            } else {
                unclaim(pool, &claims[i]);
            }
        }
        if (s != HAUL_OK) {
            return s;
        }
        have += n_claims;
    }
    return HAUL_OK;
}
