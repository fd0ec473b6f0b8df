/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* The rest of life.pml: names, and taking back what the dead left. */

/* ---- names.c ---- */

#ifdef WITH_NAME

/* The entry as it was at @seen has gone, or goes. */
inline free_entry()
{
    if
    ON(entry == seen, entry = W(GEN(seen) + 1, NOBODY, NAME_FREE, 0); seen = 0)
    ON(entry != seen, seen = 0)
    DIES
    fi
}

/* haul_buf_publish(), persistent, after take_entry()'s look. */
inline publish()
{
    if
    ON(entry == seen, entry = MOVED(seen, NAME_WRITING, me)) ->
        STEP(assert(WHO(entry) == me); entry_life = GEN(own));
        STEP(assert(WHO(entry) == me); entry = MOVED(seen, NAME_PUBLISHED, me); seen = 0);
        /* is_taken_by_another(): there is no other entry */
        STEP(AS_LEFT);
        if
        :: hidden_readers & BIT(me) -> show_hold()
        :: else
        fi;
        STEP(disown_it(MOVED(own, KEPT, NOBODY)))
    ON(entry != seen, seen = 0)
    DIES
    fi
}

/* haul_pool_withdraw() after haul__name_read() and find(). */
inline withdraw()
{
    if
    ON(GEN(state) == life && PHASE(state) == KEPT, word = state) ->
        retire_and_finish();
        free_entry()
#ifdef BUG_WITHDRAWN_TOO_EARLY
    ON(!(GEN(state) == life && PHASE(state) == KEPT), skip) -> free_entry()
#else
    ON(!(GEN(state) == life && PHASE(state) == KEPT), seen = 0) /* it is being published */
#endif
    DIES
    fi;
    life = 0
}

inline haul__names_reap_slot()
{
    if
    ON(PHASE(entry) == NAME_WRITING && WHO(entry) == slot, seen = entry) -> free_entry()
    ON(!(PHASE(entry) == NAME_WRITING && WHO(entry) == slot), skip)
    DIES
    fi
}

inline haul__names_mend()
{
    if
    ON(PHASE(entry) != NAME_PUBLISHED, skip)
    ON(PHASE(entry) == NAME_PUBLISHED, seen = entry) ->
        STEP(life = entry_life);
        if
        ON(entry != seen, seen = 0; life = 0)
        ON(entry == seen, skip) ->
            if
            ON(IS_READABLE(state, life), seen = 0; life = 0)
            ON(!IS_READABLE(state, life), life = 0) -> free_entry()
            DIES
            fi
        DIES
        fi
    DIES
    fi
}

/* mend() of a buffer that is KEPT at @word. */
inline mend_kept()
{
    if
    ON(PHASE(entry) != NAME_PUBLISHED, skip) -> retire_and_finish()
    ON(PHASE(entry) == NAME_PUBLISHED, seen = entry) ->
        STEP(life = entry_life);
        if
        ON(entry == seen && life == GEN(word), seen = 0; life = 0; word = 0)
        ON(!(entry == seen && life == GEN(word)), seen = 0; life = 0) -> retire_and_finish()
        DIES
        fi
    DIES
    fi
}

#endif

/* ---- reap.c ---- */

inline take_back_owned()
{
    if
    ON(WHO(state) != slot, skip)
    ON(WHO(state) == slot && PHASE(state) != CREATING && PHASE(state) != TRIMMING, word = state) ->
        retire_and_finish()
#ifdef WITH_OBJECT
    ON(WHO(state) == slot && (PHASE(state) == CREATING || PHASE(state) == TRIMMING),
       word = state) -> haul__unmake()
#endif
    DIES
    fi
}

inline take_back_hold()
{
#ifndef BUG_HOLDS_ARE_KEPT
    if
    ON((holders[HWORD(slot)] & BIT(slot)) == 0, skip)
    ON((holders[HWORD(slot)] & BIT(slot)) != 0, skip) ->
        STEP(holders[HWORD(slot)] = holders[HWORD(slot)] & ~BIT(slot))
    DIES
    fi
#else
    skip
#endif
}

inline mend()
{
#ifndef BUG_NOTHING_IS_MENDED
    if
    ON(PHASE(state) == RETIRED, skip) -> haul__finish()
#ifdef WITH_OBJECT
    ON(PHASE(state) == FREE && IS_USED(state), skip) -> haul__hint_set()
    ON(PHASE(state) == FREE && !IS_USED(state), skip) -> haul__fresh_lower()
    ON(PHASE(state) != RETIRED && PHASE(state) != FREE, skip)
#elif defined(WITH_NAME)
    ON(PHASE(state) == KEPT, word = state) -> mend_kept()
    ON(PHASE(state) != RETIRED && PHASE(state) != KEPT, skip)
#else
    ON(PHASE(state) != RETIRED, skip)
#endif
    DIES
    fi
#else
    skip
#endif
}

/* Of @slot, whose lock this process has. */
inline haul__reap_slot()
{
    take_back_owned();
    take_back_hold();
    mend();
#ifdef WITH_NAME
    haul__names_reap_slot()
#endif
}

/* After reap_if_dead()'s haul__lock_try(). */
inline reap_locked()
{
    haul__reap_slot();
    STEP(lock[slot] = 0; slot = 0)
}
