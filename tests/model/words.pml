/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The words that processes share, how one step of a process looks, and what must hold at each.
 *
 * One step is one access to one shared word, with what the process does privately upon it. Before
 * each step the process may die instead. Memory is sequentially consistent; docs/model.md says which
 * accesses of the code that stands on.
 */

/* ---- The state word (word.h) ---- */

#define ABSENT   0
#define CREATING 1
#define FREE     2
#define OWNED    3
#define SHARED   4
#define GIVEN    5
#define RETIRED  6
#define TRIMMING 7
#define KEPT     8
#define RETIRING 9

#define NOBODY 0
#define USED   128

#define W(gen, who, phase, used) ((gen) * 256 + (used) + (phase) * 8 + (who))
#define GEN(w)                   ((w) / 256)
#define IS_USED(w)               ((w) & USED)
#define PHASE(w)                 (((w) / 8) % 16)
#define WHO(w)                   ((w) % 8)
#define MOVED(w, phase, who)     W(GEN(w), who, phase, IS_USED(w))
#define NEXT_LIFE(w, phase, who) W(GEN(w) + 1, who, phase, IS_USED(w))

#define IS_NAMED(phase)                                                                            \
    ((phase) == CREATING || (phase) == OWNED || (phase) == SHARED || (phase) == GIVEN ||           \
     (phase) == TRIMMING || (phase) == RETIRING)
#define IS_READABLE(w, gen) ((PHASE(w) == SHARED || PHASE(w) == KEPT) && GEN(w) == (gen))

/* ---- Shared memory (layout.h) ---- */

short state;     /* haul__record.state */
byte ticket;     /* haul__record.ticket; stands for the payload as well: both are written in OWNED */
byte holders[2]; /* haul__record.holders: two words, so that looking at them is two accesses */
#ifdef WITH_OBJECT
bit capacity;    /* haul__record.capacity: 0 or not */
byte born;       /* haul__record.born */
bit hint;        /* the buffer's bit in its class's hint word */
bit fresh;       /* haul__class.fresh, of a class of one buffer */
#endif
#ifdef WITH_NAME
short entry;     /* haul__name.state, of the one entry; its phases are the three below */
byte entry_life; /* haul__name.generation: the life of the buffer that the name means */
#define NAME_FREE      0
#define NAME_WRITING   1
#define NAME_PUBLISHED 2
#endif

/* ---- The kernel ---- */

byte lock[N_SLOTS + 1]; /* who has the lock on the slot's byte; 0: nobody */
#ifdef WITH_OBJECT
byte object;            /* the generation in which the object of that name was made; 0: none */
#endif

/* ---- Not in memory: what the properties speak of ---- */

byte n_deaths;
byte readers; /* bit s: s lives, has pinned the buffer and may read it */
byte hidden_readers; /* bit s: of those, s owns the buffer and has set no holder bit */
byte owners;  /* bit s: s lives and has a handle by which it may move the buffer on */
bit given;    /* a gift is open */

#define BIT(slot)  (1 << (slot))
#define HWORD(slot) ((slot) / 4)

/* ---- Steps ---- */

/* One branch of an access: the word is read and @cond is what it showed. */
#define ON(cond, ...) :: d_step { (cond) -> __VA_ARGS__ }

/* The process dies instead: the kernel drops its locks, its private memory is gone. */
#define DIES :: atomic { n_deaths < DEATHS -> goto dying }

/* An access that leads on in one way only. */
#define STEP(...)                                                                                  \
    if                                                                                             \
    ON(true, __VA_ARGS__)                                                                          \
    DIES                                                                                           \
    fi

inline drop_locks()
{
    for (slot : 1 .. N_SLOTS) {
        if
        :: lock[slot] == me -> lock[slot] = 0
        :: else
        fi
    }
}

inline forget()
{
    readers = readers & ~BIT(me);
    hidden_readers = hidden_readers & ~BIT(me);
    owners = owners & ~BIT(me);
    own = 0;
    pinned = 0;
    key = 0;
    forged = 0;
    map = 0
}

inline perish()
{
    d_step {
        forget();
        drop_locks();
        slot = 0;
        word = 0;
        seen = 0;
        life = 0
    }
}

/* ---- What must hold ---- */

/* Of the words alone, after each step that changes one of these. recover.pml starts from every
 * content for which this is true. */
#ifdef WITH_OBJECT
#define IS_SOUND                                                                                   \
    (IS_NAMED(PHASE(state)) == (WHO(state) != NOBODY) &&                                           \
     (PHASE(state) != ABSENT || (object == 0 && born == 0 && capacity == 0)) &&                    \
     (PHASE(state) == ABSENT || PHASE(state) == CREATING || PHASE(state) == TRIMMING ||            \
      (object != 0 && object == born && capacity == 1)))
#else
#define IS_SOUND (IS_NAMED(PHASE(state)) == (WHO(state) != NOBODY) && PHASE(state) != ABSENT)
#endif

/* Scratch of a single step. */
hidden short next;
hidden byte from, to;

#define LEGAL                                                                                      \
    ((from == ABSENT && to == CREATING) ||                                                         \
     (from == CREATING && (to == FREE || to == OWNED || to == ABSENT)) ||                          \
     (from == FREE && (to == OWNED || to == TRIMMING)) ||                                          \
     (from == OWNED && (to == SHARED || to == GIVEN || to == FREE || to == RETIRED)) ||            \
     (from == SHARED && (to == RETIRING || to == RETIRED || to == KEPT)) ||                        \
     (from == KEPT && to == RETIRED) || (from == RETIRING && (to == FREE || to == RETIRED)) ||     \
     (from == GIVEN && (to == SHARED || to == OWNED || to == RETIRED)) ||                                         \
     (from == RETIRED && (to == FREE || to == TRIMMING)) || (from == TRIMMING && to == ABSENT))

#define BEGINS_LIFE                                                                                \
    (to == CREATING || (to == FREE && from != CREATING) || (to == OWNED && from == GIVEN))

/* Every change of the state word comes by here, inside of its step. */
inline move(new)
{
    next = new;
    from = PHASE(state);
    to = PHASE(next);
    assert(LEGAL);
    /* The generation goes up by one with each life, and stays in between. */
    assert(GEN(next) == GEN(state) + (BEGINS_LIFE -> 1 : 0));
    /* Never FREE, or another's, with a holder that may read. */
    assert(readers == 0 || to == RETIRING || to == RETIRED || to == KEPT);
    /* Nor anybody's to move on with a holder that does not show. */
    assert(hidden_readers == 0);
    /* Never two owners. */
    assert((owners & ~BIT(me)) == 0);
    /* Nothing is taken from the living but a gift. */
    assert(WHO(state) == NOBODY || WHO(state) == me || lock[WHO(state)] == me || from == GIVEN);
    /* A gift is won once. */
    assert(given == (from == GIVEN));
    given = (to == GIVEN);
    state = next;
    assert(IS_SOUND)
}

inline own_it(new)
{
    move(new);
    own = new;
    owners = owners | BIT(me)
}

/* A store, for nobody else may move the word of a living owner. That is asserted here and in the
 * look before it, is_as_left(), which in the code ends in HAUL_CORRUPT. The handle is given up before
 * the store, so from the store on it is nobody's or another's. */
#define AS_LEFT assert(state == own)

inline disown_it(new)
{
    AS_LEFT;
    move(new);
    own = 0;
    owners = owners & ~BIT(me)
}
