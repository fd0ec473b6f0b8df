/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_POOL_FAULT_H
#define SHORTHAUL_POOL_FAULT_H

/*
 * Named points at which tests kill a process.
 *
 * The list is the contract with tests/fault: each point is between two steps that another process
 * can tell apart. In the library that users link, HAUL__FAULT() is nothing at all; the tests
 * compile the pool once more with HAUL__FAULT_POINTS and provide haul__fault_hit().
 */

#define HAUL__FAULT_LIST(X)                                                                        \
    X(ALLOC_OWNED)        /* FREE -> OWNED done, nobody was told */                                \
    X(ALLOC_COUNTED)      /* first use counted */                                                  \
    X(SHARE_WRITTEN)      /* ticket and length written, still OWNED */                             \
    X(SHARE_DONE)         /* SHARED, the key has not left the process */                           \
    X(GIVE_WRITTEN)       /* deadline written, still OWNED */                                      \
    X(GIVE_DONE)          /* GIVEN, the recipient was not told */                                  \
    X(PUBLISH_WRITING)    /* entry taken, nothing in it */                                         \
    X(PUBLISH_ANNOUNCED)  /* entry announced, buffer still its owner's */                          \
    X(PUBLISH_KEPT)       /* SHARED -> KEPT done */                                                \
    X(WITHDRAW_RETIRED)   /* KEPT -> RETIRED done, entry still there */                            \
    X(REVOKE_RETIRED)     /* GIVEN -> RETIRED done */                                              \
    X(CLAIM_DONE)         /* GIVEN -> SHARED done, not mapped */                                   \
    X(CLAIM_OWNED)        /* GIVEN -> OWNED done, not mapped */                                    \
    X(ATTACH_BIT_SET)     /* bit set, state not looked at */                                       \
    X(ATTACH_PINNED)      /* bit set, state matched */                                             \
    X(DETACH_BIT_CLEARED) /* bit cleared, RETIRED not finished */                                  \
    X(HOLD_SHOWN)         /* an owner's own hold shown, buffer still its own */                    \
    X(RELEASE_RETIRING)   /* SHARED -> RETIRING done, holders not looked at */                     \
    X(RELEASE_RETIRED)    /* -> RETIRED done, holders not looked at */                             \
    X(RELEASE_FREED)      /* -> FREE done, no hint set, nobody woken */                            \
    X(MEASURED_TRIMMING)  /* RETIRED -> TRIMMING done, object still there */                       \
    X(GROW_CLAIMED)       /* ABSENT -> CREATING done, no object */                                 \
    X(GROW_OBJECT)        /* object made, still CREATING */                                        \
    X(GROW_DONE)          /* announced, no hint set */                                             \
    X(TRIM_CLAIMED)       /* FREE -> TRIMMING done, object still there */                          \
    X(TRIM_OBJECT)        /* object gone, still TRIMMING */                                        \
    X(REAP_LOCKED)        /* the dead slot's lock taken, nothing touched */                        \
    X(REAP_RETIRED)       /* one buffer of the dead retired, not finished */                       \
    X(REAP_BIT_CLEARED)   /* one bit of the dead cleared, not finished */                          \
    X(REAP_CLEARED)       /* all taken back, slot still says that it is taken */                   \
    X(JOIN_LOCKED)        /* slot locked, nothing written */                                       \
    X(JOIN_REAPED)        /* what the slot's last user left is taken back */                       \
    X(JOIN_WRITTEN)       /* slot says who we are */                                               \
    X(LEAVE_GIVEN_BACK)   /* everything given back, slot not cleared */                            \
    X(CREATE_OBJECT)      /* control object made, empty */                                         \
    X(CREATE_WRITTEN)     /* header written, not READY */                                          \
    X(CREATE_READY)       /* READY, no buffers */                                                  \
    X(REMOVE_MARKED)      /* REMOVED, everything still there */                                    \
    X(REMOVE_BUFFERS)     /* buffers unlinked, control object still there */

enum haul__fault {
#define HAUL__FAULT_ENUM(name) HAUL__FAULT_##name,
    HAUL__FAULT_LIST(HAUL__FAULT_ENUM)
#undef HAUL__FAULT_ENUM
    HAUL__N_FAULTS
};

#ifdef HAUL__FAULT_POINTS
void haul__fault_hit(enum haul__fault point);
#define HAUL__FAULT(name) haul__fault_hit(HAUL__FAULT_##name)
#else
#define HAUL__FAULT(name) ((void)0)
#endif

#endif
