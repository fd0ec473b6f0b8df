/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Nothing is lost for good, for spin (docs/model.md).
 *
 * buffer.pml asserts IS_SOUND of the shared words at each step that could break it. Here every
 * content of the words for which that is true is a beginning, whether or not it can be reached:
 * everybody has died, and one newcomer joins, in any slot, and calls haul_pool_reap(). It may die
 * before any step, and then another one comes, in any slot, and begins from the top. Once one of
 * them has come to the end the buffer is free, or absent, and can be found.
 */

#include "cast.pml"
#include "words.pml"
#include "life.pml"
#include "reap.pml"

#define TOP_SLOT (N_SLOTS - 1)

#ifdef WITH_OBJECT
#define IS_WELL                                                                                    \
    ((PHASE(state) == FREE && (hint || fresh == 0) && object != 0) ||                              \
     (PHASE(state) == ABSENT && object == 0))
#define FIRST_PHASE ABSENT
#define LAST_PHASE  RETIRING
#elif defined(WITH_NAME)
#define IS_WELL                                                                                    \
    ((PHASE(state) == FREE && PHASE(entry) == NAME_FREE) ||                                        \
     (PHASE(state) == KEPT && PHASE(entry) == NAME_PUBLISHED && entry_life == GEN(state)))
#define FIRST_PHASE FREE
#define LAST_PHASE  RETIRING
#else
#define IS_WELL     (PHASE(state) == FREE)
#define FIRST_PHASE FREE
#define LAST_PHASE  RETIRING
#endif

proctype newcomer()
{
    short word, own, seen;
    byte life, key, slot, map, me, named;
    bit forged, pinned;

gone:
    /* haul_pool_open() */
    atomic {
        me = 1;
        do
        :: me < TOP_SLOT -> me++
        :: break
        od;
        lock[me] = me;
        slot = me
    }
    haul__reap_slot();

    /* haul_pool_reap(): haul__reap_dead() */
    STEP(named = (WHO(state) != NOBODY -> BIT(WHO(state)) : 0));
    STEP(named = named | holders[0]);
    STEP(named = named | holders[1]);
#ifdef WITH_NAME
    STEP(named = named | BIT(WHO(entry))); /* by the slot table: see docs/model.md */
#endif
    slot = 1;
    do
    :: slot == N_SLOTS -> break
    :: slot < N_SLOTS && slot != me && (named & BIT(slot)) != 0 ->
        STEP(assert(lock[slot] == 0); lock[slot] = me);
        haul__reap_slot();
        STEP(lock[slot] = 0);
        slot++
    :: slot < N_SLOTS && (slot == me || (named & BIT(slot)) == 0) -> slot++
    od;
    mend(); /* reap_expired(): no deadline has passed */
#ifdef WITH_NAME
    haul__names_mend();
#endif
    assert(IS_WELL && holders[0] == 0 && holders[1] == 0);
    goto end;

dying:
    atomic {
        perish();
        named = 0;
        me = 0;
        goto gone
    }
end:
    skip
}

/* Any content for which IS_SOUND. */
init
{
    byte who, phase, bits;
    bit used;
    atomic {
        select(phase : FIRST_PHASE .. LAST_PHASE);
#ifndef WITH_OBJECT
        phase = (phase == TRIMMING -> RETIRED : phase);
#endif
#ifndef WITH_NAME
        phase = (phase == KEPT -> RETIRED : phase);
#endif
        if
        :: IS_NAMED(phase) -> select(who : 1 .. TOP_SLOT)
        :: else
        fi;
        select(bits : 0 .. 31);
        holders[0] = (bits * 2) & 14;
        holders[1] = (bits * 2) & (BIT(N_SLOTS) - 16);
        given = (phase == GIVEN);
#ifdef WITH_OBJECT
        if
        :: used = 0
        :: phase != ABSENT && phase != CREATING -> used = 1
        fi;
        if
        :: phase == ABSENT
        :: phase == CREATING || phase == TRIMMING ->
            if :: object = 1 :: skip fi;
            if :: born = 1 :: skip fi;
            if :: capacity = 1 :: skip fi
        :: phase != ABSENT && phase != CREATING && phase != TRIMMING ->
            object = 1;
            born = 1;
            capacity = 1
        fi;
        if :: hint = 1 :: skip fi;
        if :: fresh = 1 :: skip fi;
#endif
#ifdef WITH_NAME
        if
        :: skip
        :: entry = W(1, 1, NAME_WRITING, 0)
        :: entry = W(1, 1, NAME_PUBLISHED, 0)
        fi;
        if :: entry_life = 1 :: skip fi;
#endif
        state = W(1, who, phase, (used -> USED : 0));
        assert(IS_SOUND);
        who = 0;
        phase = 0;
        bits = 0;
        used = 0;
        run newcomer()
    }
}
