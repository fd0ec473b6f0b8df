/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The functions of src/pool, access by access, under their names.
 *
 * A look that changes nothing and ends the function is left out where nothing is undone after it:
 * it would lead back to where it began. Private to a process are
 *
 *   word      the state word as this function has seen it
 *   own       haul_buf.word: the state as this owner left it, 0 if it is not the owner
 *   key, forged, pinned, map      of an attacher: the key's generation, whether its ticket is
 *             another life's, whether it may read, and the object it has mapped
 *   slot      the slot that is reaped
 *   seen, life      of the name table: an entry's word, and the life it means
 */

/* ---- life.c, life.h ---- */

#ifdef WITH_OBJECT

inline haul__hint_set()
{
    if
    ON(hint, skip)
    ON(!hint, skip) -> STEP(hint = 1)
    DIES
    fi
}

inline haul__fresh_lower()
{
    if
    ON(fresh == 0, skip)
    ON(fresh > 0, skip) -> STEP(fresh = 0) /* a swap that fails found 0 */
    DIES
    fi
}

inline haul__announce_free()
{
    haul__hint_set()
}

/* Of @word, which is CREATING or TRIMMING. */
inline haul__unmake()
{
#ifdef BUG_ABSENT_TOO_EARLY
    STEP(capacity = 0);
    STEP(born = 0);
    STEP(move(MOVED(word, ABSENT, NOBODY) & ~USED); owners = owners & ~BIT(me); word = 0);
    STEP(object = 0)
#else
    STEP(assert(state == word && readers == 0); object = 0);
    STEP(assert(state == word); capacity = 0);
    STEP(assert(state == word); born = 0);
    STEP(assert(state == word); move(MOVED(word, ABSENT, NOBODY) & ~USED);
         owners = owners & ~BIT(me); word = 0)
#endif
}

#else
#define haul__announce_free() skip
#endif

/* The last step of haul__finish(): nobody holds it. */
inline finish_retired()
{
#ifdef MEASURED
    if
    ON(state == word, move(MOVED(word, TRIMMING, me)); word = state; owners = owners | BIT(me)) ->
        haul__unmake()
    ON(state != word, word = 0)
    DIES
    fi
#else
    if
#ifdef BUG_FINISH_STORES
    ON(true, move(NEXT_LIFE(word, FREE, NOBODY)); word = 0)
#else
    ON(state == word, move(NEXT_LIFE(word, FREE, NOBODY)); word = 0) -> haul__announce_free()
    ON(state != word, word = 0)
#endif
    DIES
    fi
#endif
}

inline haul__finish()
{
    if
    ON(PHASE(state) != RETIRED, word = 0)
    ON(PHASE(state) == RETIRED, word = state) ->
#ifdef BUG_FINISH_BLIND
        finish_retired()
#else
        if
        ON(holders[0] != 0, word = 0)
        ON(holders[0] == 0, skip) ->
#ifdef BUG_HALF_A_LOOK
            finish_retired()
#else
            if
            ON(holders[1] != 0, word = 0)
            ON(holders[1] == 0, skip) -> finish_retired()
            DIES
            fi
#endif
        DIES
        fi
#endif
    DIES
    fi
}

/* haul__retire() of @word, and haul__finish(). */
inline retire_and_finish()
{
    if
    ON(state == word, move(MOVED(word, RETIRED, NOBODY)); word = 0) -> haul__finish()
    ON(state != word, word = 0)
    DIES
    fi
}

/* ---- take.c ---- */

inline try_take_swap()
{
    if
    ON(state == word, own_it(W(GEN(word), me, OWNED, USED)); word = 0)
    ON(state != word, word = 0)
    DIES
    fi
}

#ifdef WITH_OBJECT

inline try_take()
{
    if
    ON(PHASE(state) == FREE && GEN(state) <= LIVES, word = state) -> try_take_swap()
    ON(PHASE(state) != FREE || GEN(state) > LIVES, skip)
    DIES
    fi
}

inline drop_hint()
{
    STEP(hint = 0);
#ifndef BUG_HINT_DROPPED_BLIND
#ifdef BUG_HINT_RETIRING
#define MAY_BE_FOUND (PHASE(state) == FREE)
#else
#define MAY_BE_FOUND (PHASE(state) == FREE || PHASE(state) == RETIRING)
#endif
    if
    ON(MAY_BE_FOUND, skip) -> haul__hint_set()
    ON(!MAY_BE_FOUND, skip)
    DIES
    fi
#endif
}

inline take_hinted()
{
    try_take();
    if
    :: own == 0 -> drop_hint()
    :: else
    fi
}

inline take_fresh()
{
    try_take();
    if
    ON(fresh == 0, fresh = 1) ->
#ifndef BUG_FRESH_RAISED_BLIND
        if
        ON(own == 0 && PHASE(state) == FREE && !IS_USED(state), skip) -> haul__fresh_lower()
        ON(!(own == 0 && PHASE(state) == FREE && !IS_USED(state)), skip)
        DIES
        fi
#else
        skip
#endif
    ON(fresh != 0, skip)
    DIES
    fi
}

/* ---- grow.c, trim.c ---- */

inline give_up_making()
{
    word = own;
    own = 0;
    haul__unmake()
}

/* After claim_absent()'s look: the swap, the budget, the object, the announcement. */
inline make_buffer()
{
    if
    ON(state == word, own_it(W(GEN(word) + 1, me, CREATING, 0)); word = 0) ->
        STEP(assert(state == own); capacity = 1);
        if
        :: give_up_making() /* over the budget, or no memory */
        :: STEP(assert(state == own && object == 0); object = GEN(own));
           if
           :: give_up_making() /* the pool was removed */
           :: STEP(assert(state == own); born = GEN(own));
#ifndef MEASURED
              if
              :: STEP(disown_it(MOVED(own, FREE, NOBODY))); /* haul__grow_to() */
                 haul__fresh_lower()
              :: STEP(own_it(MOVED(own, OWNED, me) | USED)) /* haul__grow_owned() */
              fi
#else
              STEP(own_it(MOVED(own, OWNED, me) | USED))
#endif
           fi
        fi
    ON(state != word, word = 0)
    DIES
    fi
}

inline trim_one_swap()
{
    if
    ON(state == word, move(MOVED(word, TRIMMING, me)); word = state; owners = owners | BIT(me)) ->
        haul__unmake()
    ON(state != word, word = 0)
    DIES
    fi
}

#endif

/* ---- attach.c ---- */

inline set_bit()
{
    holders[HWORD(me)] = holders[HWORD(me)] | BIT(me)
}

inline clear_bit()
{
    readers = readers & ~BIT(me);
    pinned = 0;
    key = 0;
    forged = 0;
    holders[HWORD(me)] = holders[HWORD(me)] & ~BIT(me)
}

/* After clear_bit(). */
inline unpin()
{
#ifndef BUG_UNPIN_WALKS_AWAY
    if
    ON(PHASE(state) != RETIRED, skip)
    ON(PHASE(state) == RETIRED, skip) -> haul__finish()
    DIES
    fi
#else
    skip
#endif
}

inline now_reads()
{
    pinned = 1;
    readers = readers | BIT(me);
    /* A stale or forged key never reads. */
    assert(!forged && (IS_READABLE(state, key) ||
                       (GEN(state) == key && (PHASE(state) == RETIRED || PHASE(state) == RETIRING))))
}

#ifdef BUG_STALE_KEY_FITS
#define FITS IS_READABLE(state, GEN(state))
#define TICKET_FITS true
#else
#define FITS IS_READABLE(state, key)
#define TICKET_FITS (ticket == key - forged)
#endif

/* haul__map_ro(): a mapping of another life's object is replaced. */
#ifdef WITH_OBJECT
inline haul__map_ro()
{
    if
#ifdef BUG_OLD_MAPPING
    ON(map != 0, assert(map == object))
    ON(map == 0, skip) -> STEP(assert(object == born); map = object)
#else
    ON(map == born, assert(map == object))
    ON(map != born, skip) -> STEP(assert(object == born); map = object)
#endif
    DIES
    fi
}
#else
#define haul__map_ro() skip
#endif

/* From compare() on; the bit is set. */
inline pin()
{
    if
    ON(FITS, skip) ->
        if
        ON(TICKET_FITS, now_reads()) -> haul__map_ro()
        /* Pinned: the ticket is this life's. */
        ON(!(TICKET_FITS), assert(forged)) -> STEP(clear_bit()); unpin()
        DIES
        fi
    ON(!(FITS), skip) -> STEP(clear_bit()); unpin()
    DIES
    fi
}

/* ---- buf.c ---- */

/* The recipient, or the giver, after its look at a gift: look_up_gift(). */
inline haul_buf_claim()
{
    if
    ON(ticket == GEN(word), skip) ->
        if
#ifdef BUG_CLAIM_STORES
        ON(true, own_it(MOVED(word, SHARED, me)); word = 0)
#else
        ON(state == word, own_it(MOVED(word, SHARED, me)); word = 0)
        ON(state != word, word = 0)
#endif
        DIES
        fi
    ON(ticket != GEN(word), word = 0)
    DIES
    fi
}

/* The room's next life: of its key nothing is opened any more. */
inline haul_buf_claim_empty()
{
    if
    ON(ticket == GEN(word), skip) ->
        if
#ifdef BUG_CLAIM_EMPTY_STORES
        ON(true, own_it(NEXT_LIFE(word, OWNED, me)); word = 0)
#elif defined(BUG_CLAIM_EMPTY_SAME_LIFE)
        ON(state == word, own_it(MOVED(word, OWNED, me)); word = 0)
        ON(state != word, word = 0)
#else
        ON(state == word, own_it(NEXT_LIFE(word, OWNED, me)); word = 0)
        ON(state != word, word = 0)
#endif
        DIES
        fi
    ON(ticket != GEN(word), word = 0)
    DIES
    fi
}

/* The giver, after the same look. */
inline haul_buf_take_back()
{
    if
    ON(ticket == GEN(word), skip) ->
        if
#ifdef BUG_TAKE_BACK_STORES
        ON(true, own_it(NEXT_LIFE(word, OWNED, me)); word = 0)
#else
        ON(state == word, own_it(NEXT_LIFE(word, OWNED, me)); word = 0)
        ON(state != word, word = 0)
#endif
        DIES
        fi
    ON(ticket != GEN(word), word = 0)
    DIES
    fi
}

inline haul_pool_revoke()
{
    if
    ON(ticket == GEN(word), skip) -> retire_and_finish()
    ON(ticket != GEN(word), word = 0)
    DIES
    fi
}

/* The payload and what is known of it; nobody may be reading. */
inline write_payload_facts()
{
    assert(readers == 0 && state == own);
    ticket = GEN(own)
}

/* haul__hold_close(): what this process reads of its own shows from now on. */
inline show_hold()
{
#ifndef BUG_HOLD_NEVER_SHOWN
    STEP(set_bit(); hidden_readers = hidden_readers & ~BIT(me))
#else
    skip
#endif
}

inline retire_own()
{
    STEP(disown_it(MOVED(own, RETIRED, NOBODY)));
    haul__finish()
}

/* The last steps of release_unread(): nobody holds it. */
inline free_own()
{
    haul__announce_free();
    STEP(disown_it(NEXT_LIFE(own, FREE, NOBODY)))
}

#ifdef MEASURED
#define release_unread() retire_own()
#else
inline release_unread()
{
    STEP(own_it(MOVED(own, RETIRING, me)));
#ifdef BUG_RETIRING_BLIND
    free_own()
#else
    if
    ON(holders[0] != 0, skip) -> retire_own()
    ON(holders[0] == 0, skip) ->
        if
        ON(holders[1] != 0, skip) -> retire_own()
        ON(holders[1] == 0, skip) -> free_own()
        DIES
        fi
    DIES
    fi
#endif
}
#endif

/* haul_buf_release() of a shared buffer, after is_as_left(). */
inline release_shared()
{
#ifdef BUG_LOOK_THEN_RETIRE
    if
    ON(holders[0] != 0, skip) -> STEP(disown_it(MOVED(own, RETIRED, NOBODY)))
    ON(holders[0] == 0, skip) ->
        if
        ON(holders[1] != 0, skip) -> STEP(disown_it(MOVED(own, RETIRED, NOBODY)))
        ON(holders[1] == 0, skip) ->
            STEP(disown_it(MOVED(own, RETIRED, NOBODY)); word = state);
            finish_retired()
        DIES
        fi
    DIES
    fi
#else
    if
    :: hidden_readers & BIT(me) -> show_hold(); retire_own()
    :: else -> release_unread()
    fi
#endif
}

inline release_unshared()
{
#if defined(MEASURED)
    STEP(disown_it(MOVED(own, RETIRED, NOBODY)));
    haul__finish()
#elif defined(BUG_SAME_LIFE)
    STEP(disown_it(MOVED(own, FREE, NOBODY)));
    haul__announce_free()
#else
    STEP(disown_it(NEXT_LIFE(own, FREE, NOBODY)));
    haul__announce_free()
#endif
}
