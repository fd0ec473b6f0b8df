/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What must hold where every participant is between two calls: if nobody has died an audit finds
 * nothing, and after a reap of those that died it finds nothing either. It is asked of every such
 * state, and the state is left as it was.
 */

#define LAST N_SLOTS /* a slot of its own, which no participant uses */

hidden short kept_state;
hidden byte kept_holders[2], kept_lock[N_SLOTS + 1];
hidden byte kept_n_deaths, kept_readers, kept_hidden_readers, kept_owners, kept_given;
#ifdef WITH_NAME
hidden short kept_entry;
hidden byte kept_entry_life;
#endif
#ifdef WITH_OBJECT
hidden byte kept_capacity, kept_hint, kept_fresh, kept_born, kept_object;
#endif

inline keep()
{
    kept_state = state;
    kept_holders[0] = holders[0];
    kept_holders[1] = holders[1];
    kept_n_deaths = n_deaths;
    kept_readers = readers;
    kept_hidden_readers = hidden_readers;
    kept_owners = owners;
    kept_given = given;
#ifdef WITH_NAME
    kept_entry = entry;
    kept_entry_life = entry_life;
#endif
#ifdef WITH_OBJECT
    kept_capacity = capacity;
    kept_hint = hint;
    kept_fresh = fresh;
    kept_born = born;
    kept_object = object;
#endif
    for (slot : 1 .. N_SLOTS) {
        kept_lock[slot] = lock[slot]
    }
    slot = 0;
    n_deaths = DEATHS; /* not of those who ask */
    lock[LAST] = LAST
}

inline restore()
{
    state = kept_state;
    holders[0] = kept_holders[0];
    holders[1] = kept_holders[1];
    n_deaths = kept_n_deaths;
    readers = kept_readers;
    hidden_readers = kept_hidden_readers;
    owners = kept_owners;
    given = kept_given;
#ifdef WITH_NAME
    entry = kept_entry;
    entry_life = kept_entry_life;
#endif
#ifdef WITH_OBJECT
    capacity = kept_capacity;
    hint = kept_hint;
    fresh = kept_fresh;
    born = kept_born;
    object = kept_object;
#endif
    for (slot : 1 .. N_SLOTS) {
        lock[slot] = kept_lock[slot]
    }
    slot = 0;
    named = 0
}

/* The slot table is left out: what the words name is reaped, whatever the table says. */
inline haul__reap_dead()
{
    named = holders[0] | holders[1] | (WHO(state) != NOBODY -> BIT(WHO(state)) : 0);
#ifdef WITH_NAME
    named = named | BIT(WHO(entry)); /* by the slot table: see docs/model.md */
#endif
    slot = 1;
    do
    :: slot == N_SLOTS -> break
    :: slot < N_SLOTS && (named & BIT(slot)) != 0 && lock[slot] == 0 ->
        lock[slot] = me;
        haul__reap_slot();
        lock[slot] = 0;
        slot++
    :: slot < N_SLOTS && !((named & BIT(slot)) != 0 && lock[slot] == 0) -> slot++
    od;
    mend(); /* reap_expired(): no deadline has passed */
#ifdef WITH_NAME
    haul__names_mend()
#endif
}

/* haul_pool_audit() of a quiet pool; and what the words say is what the living have. */
inline audit()
{
    assert(PHASE(state) != RETIRED || (holders[0] | holders[1]) != 0);
    assert((holders[0] | holders[1]) == (readers & ~hidden_readers));
    assert(PHASE(state) != CREATING && PHASE(state) != TRIMMING && PHASE(state) != RETIRING);
    assert(owners == (PHASE(state) == OWNED || PHASE(state) == SHARED -> BIT(WHO(state)) : 0));
    assert(PHASE(state) != GIVEN || lock[WHO(state)] == WHO(state));
#ifdef WITH_NAME
    assert(PHASE(entry) != NAME_WRITING);
    assert(PHASE(state) != KEPT || (PHASE(entry) == NAME_PUBLISHED && entry_life == GEN(state)));
#endif
#ifdef WITH_OBJECT
    assert(PHASE(state) != FREE || hint || fresh == 0)
#endif
}

proctype auditor(byte me)
{
    short word, own, seen;
    byte life, key, slot, map, named;
    bit forged, pinned;

end:
    do
    :: atomic { n_deaths == 0 && ALL_JOINED && ALL_IDLE -> audit() }
    :: atomic {
        !(n_deaths == 0 && ALL_JOINED) && ALL_IDLE -> keep();
        haul__reap_dead();
        audit();
        restore()
    }
    od;
dying:
    skip
}
