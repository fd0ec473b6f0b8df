/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The life of one buffer, for spin (docs/model.md).
 *
 * Participants run the functions of src/pool in any order, die before any step, and are joined
 * again in their slot. Who there is says the cast (cast.pml).
 *
 * Bounds: LIVES generations, DEATHS deaths in a run (leaving in good order is not counted).
 */

#include "cast.pml"
#include "words.pml"
#include "life.pml"
#include "reap.pml"

#define MAY(what) ((can & (what)) != 0)

#define AT(p)      (participant[p]@idle || participant[p]@gone)
#define JOINED(p)  (lock[p] == p)
#if N_SLOTS == 6
#define ALL_IDLE   (AT(1) && AT(2) && AT(3) && AT(4) && AT(5))
#define ALL_JOINED (JOINED(1) && JOINED(2) && JOINED(3) && JOINED(4) && JOINED(5))
#elif N_SLOTS == 5
#define ALL_IDLE   (AT(1) && AT(2) && AT(3) && AT(4))
#define ALL_JOINED (JOINED(1) && JOINED(2) && JOINED(3) && JOINED(4))
#else
#define ALL_IDLE   (AT(1) && AT(2) && AT(3))
#define ALL_JOINED (JOINED(1) && JOINED(2) && JOINED(3))
#endif

/* haul__lock_try() of a dead slot, the start of reap_if_dead(). */
#ifdef BUG_REAP_WITHOUT_LOCK
#define LOCK_TRY(s) ON(MAY(REAP) && s != me, slot = s) -> haul__reap_slot(); STEP(slot = 0)
#else
#define LOCK_TRY(s)                                                                                \
    ON(MAY(REAP) && s != me && lock[s] == 0, lock[s] = me; slot = s) -> reap_locked()
#endif

/* The start of haul_attach() with a key of life @g. */
#ifdef BUG_LOOK_THEN_PIN
#define ATTACH_WITH(g)                                                                             \
    ON(MAY(ATTACH) && !pinned && IS_READABLE(state, g), key = g) ->             \
        STEP(set_bit(); now_reads())
#define FORGE_WITH(g)
#else
#define ATTACH_WITH(g) ON(MAY(ATTACH) && !pinned, key = g; set_bit()) -> pin()
#define FORGE_WITH(g)  ON(MAY(FORGE) && !pinned, key = g; forged = 1; set_bit()) -> pin()
#endif

proctype participant(byte me; short can)
{
    short word, own, seen;
    byte key, slot, map, life;
    bit forged, pinned;

idle:
end:
    do
    /* haul_buf_alloc(): take.c */
    ON(MAY(TAKE) && own == 0 && PHASE(state) == FREE && GEN(state) <= LIVES, word = state) ->
        try_take_swap()
#ifdef WITH_OBJECT
    ON(MAY(TAKE) && own == 0 && hint, skip) -> take_hinted()
    ON(MAY(TAKE) && own == 0 && fresh == 0, skip) -> take_fresh()
    /* haul_pool_grow() and haul_pool_trim() */
    ON(MAY(MAKE) && own == 0 && PHASE(state) == ABSENT && GEN(state) < LIVES, word = state) ->
        make_buffer()
    ON(MAY(MAKE) && own == 0 && PHASE(state) == FREE, word = state) -> trim_one_swap()
#endif
    /* haul_buf_share() */
    ON(MAY(SHARE) && PHASE(own) == OWNED, write_payload_facts()) ->
        STEP(AS_LEFT);
        STEP(AS_LEFT; own_it(MOVED(own, SHARED, me)))
    /* haul_buf_give() */
    ON(MAY(GIVE) && PHASE(own) == OWNED, write_payload_facts()) ->
        STEP(AS_LEFT);
        STEP(disown_it(MOVED(own, GIVEN, (me == RECIPIENT -> LENDER : RECIPIENT))))
    ON(MAY(GIVE) && PHASE(state) == GIVEN, word = state) -> haul_pool_revoke()
    ON(MAY(CLAIM) && own == 0 && PHASE(state) == GIVEN && WHO(state) == me, word = state) ->
        haul_buf_claim()
    ON(MAY(FILL) && own == 0 && PHASE(state) == GIVEN && WHO(state) == me, word = state) ->
        haul_buf_claim_empty()
    /* haul_buf_take_back() */
    ON(MAY(RECALL) && own == 0 && PHASE(state) == GIVEN && GEN(state) <= LIVES, word = state) ->
        haul_buf_take_back()
    /* haul_buf_release() */
    ON(PHASE(own) == OWNED, AS_LEFT) -> release_unshared()
    ON(PHASE(own) == SHARED, AS_LEFT) -> release_shared()
    ATTACH_WITH(1)
#if LIVES > 1 || defined(CAST_LOAN)
    ATTACH_WITH(2)
    FORGE_WITH(2)
#endif
#if LIVES > 2
    ATTACH_WITH(3)
    FORGE_WITH(3)
#endif
    /* haul_buf_view() of what is its own: no bit */
    ON(MAY(VIEW) && !pinned && PHASE(own) == SHARED, AS_LEFT; key = GEN(own);
       hidden_readers = hidden_readers | BIT(me); now_reads())
    /* haul_detach() */
    ON(pinned && (hidden_readers & BIT(me)), hidden_readers = hidden_readers & ~BIT(me);
       readers = readers & ~BIT(me); pinned = 0; key = 0)
    ON(pinned && !(hidden_readers & BIT(me)), clear_bit()) -> unpin()
    LOCK_TRY(1)
    LOCK_TRY(2)
#if N_SLOTS > 4
    LOCK_TRY(4)
#endif
#if N_SLOTS > 5
    LOCK_TRY(5)
#endif
#ifdef WITH_NAME
    /* haul_buf_publish(), haul_pool_withdraw(), haul__names_mend() */
    ON(MAY(PUBLISH) && PHASE(own) == SHARED && PHASE(entry) == NAME_FREE, seen = entry) -> publish()
    ON(MAY(WITHDRAW) && PHASE(entry) == NAME_PUBLISHED, seen = entry) ->
        STEP(life = entry_life);
        if
        ON(entry != seen, seen = 0; life = 0)
        ON(entry == seen, skip) ->
            if
            ON(IS_READABLE(state, life), skip) -> withdraw()
            ON(!IS_READABLE(state, life), seen = 0; life = 0)
            DIES
            fi
        DIES
        fi
    ON(MAY(REAP), skip) -> haul__names_mend()
#endif
    /* reap_expired(): any gift may be past its deadline */
#ifdef BUG_EXPIRY_STORES
    ON(MAY(REAP) && PHASE(state) == GIVEN, word = state) ->
        STEP(move(MOVED(word, RETIRED, NOBODY)); word = 0);
        haul__finish()
#else
    ON(MAY(REAP) && PHASE(state) == GIVEN, word = state) -> retire_and_finish()
#endif
    ON(MAY(REAP) && PHASE(state) != GIVEN, skip) -> mend()
    /* haul_pool_close() */
    ON(MAY(LEAVE), forget(); slot = me) ->
        haul__reap_slot();
        if
        :: atomic { true -> perish(); goto gone }
        fi
    DIES
    od;

dying:
    atomic {
        n_deaths++;
        perish()
    }
gone:
end_gone:
    /* haul_pool_open() of somebody new, in the same slot */
    if
    ON(MAY(JOIN) && lock[me] == 0, lock[me] = me; slot = me) ->
#ifndef BUG_JOIN_WITHOUT_REAP
        haul__reap_slot();
#endif
        slot = 0;
        goto idle
    fi
}

#include "last.pml"

init
{
    atomic {
#ifdef WITH_OBJECT
        state = W(0, NOBODY, ABSENT, 0);
#else
        state = W(1, NOBODY, FREE, 0);
#endif
        byte s;
        for (s : 1 .. N_SLOTS - 1) {
            lock[s] = s;
            run participant(s, CAST(s))
        }
        run auditor(LAST)
    }
}
