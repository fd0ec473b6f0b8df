/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Leader and followers: of a server's threads one polls, and the others wait for its place.
 *
 * Were they all to poll, gRPC would wake another thread for every request, before the handler of
 * that request runs. That is dear where the handler takes a microsecond: measured on two cores, an
 * empty call took 122 us instead of 104. So a leader whose handler is known to be short keeps the
 * lead while it runs it, and passes it on only before a handler that may be long.
 *
 * What is known may be wrong: a handler can wait for something, even for another call to the same
 * server. Therefore one follower patrols: while handlers are being run it looks every
 * millisecond, and if it finds the leader in the same handler twice it takes the lead from him.
 * When nothing happens it sleeps, until the next handler is begun. Whoever comes back from a
 * handler and finds no patrol becomes it; if nobody does, all threads are in handlers, and nobody
 * could take the lead.
 *
 *   run      who      transition     access         pairs with   because
 *            leader   0 -> run       store seq      patrol       it may be taken over from now on
 *            leader   run -> 0       cas seq        patrol       exactly one of the two leads
 *            patrol   run -> 0       cas seq        leader       after that
 *   asleep   patrol   -> true        store seq      leader       either it sees the run or he sees
 *            leader   (reads)        load seq       patrol       that it sleeps, and wakes it
 *
 * The threads are the server's own and die with it.
 */

#include "transport/lead.h"

#include "transport/deadline.h"

#define PATROL_NS 1000000u

bool haul__lead_init(haul__lead *lead)
{
    *lead = (haul__lead){.asleep = true};
    if (pthread_mutex_init(&lead->mutex, NULL) != 0) {
        return false;
    }
    if (!haul__cond_init(&lead->vacant)) {
        (void)pthread_mutex_destroy(&lead->mutex);
        return false;
    }
    if (!haul__cond_init(&lead->patrol)) {
        (void)pthread_cond_destroy(&lead->vacant);
        (void)pthread_mutex_destroy(&lead->mutex);
        return false;
    }
    return true;
}

void haul__lead_fini(haul__lead *lead)
{
    (void)pthread_cond_destroy(&lead->patrol);
    (void)pthread_cond_destroy(&lead->vacant);
    (void)pthread_mutex_destroy(&lead->mutex);
}

/* One round of the patrol, with the lock held: wait, and see whether the leader is stuck in what he
 * was in at the end of the last round. True if the lead has been taken from him. */
static bool look(haul__lead *lead, uint64_t *seen_run, uint64_t *seen_n)
{
    uint64_t n = atomic_load(&lead->n_runs);
    uint64_t run = atomic_load(&lead->run);
    if (run != 0 && run == *seen_run) {
        return atomic_compare_exchange_strong(&lead->run, &run, 0);
    }
    bool quiet = run == 0 && n == *seen_n;
    *seen_run = run;
    *seen_n = n;
    if (!quiet) {
        (void)haul__cond_wait_until(&lead->patrol, &lead->mutex, haul__after_ns(PATROL_NS));
        return false;
    }
    atomic_store(&lead->asleep, true);
    if (atomic_load(&lead->n_runs) == n && lead->led && !lead->ended) {
        (void)pthread_cond_wait(&lead->patrol, &lead->mutex);
    }
    atomic_store(&lead->asleep, false);
    return false;
}

/* With the lock held: look after the leader until there is none, or no longer a good one. */
static void patrol(haul__lead *lead)
{
    uint64_t seen_run = 0;
    uint64_t seen_n = 0;
    bool taken = false;
    lead->patrolled = true;
    while (lead->led && !lead->ended && !taken) {
        taken = look(lead, &seen_run, &seen_n);
    }
    atomic_store(&lead->asleep, true);
    lead->patrolled = false;
    if (taken) {
        lead->led = false; /* and it is ours in a moment */
    }
}

bool haul__lead_take(haul__lead *lead)
{
    (void)pthread_mutex_lock(&lead->mutex);
    while (lead->led && !lead->ended) {
        if (lead->patrolled) {
            (void)pthread_cond_wait(&lead->vacant, &lead->mutex);
        } else {
            patrol(lead);
        }
    }
    bool leads = !lead->ended;
    lead->led = leads;
    (void)pthread_mutex_unlock(&lead->mutex);
    return leads;
}

/* Whom to wake, with the lock held: the patrol is a follower like the others, and awake soonest.
 * The waking itself is a system call, for after the lock: whoever has moved meanwhile has looked. */
static pthread_cond_t *soonest(haul__lead *lead)
{
    return lead->patrolled ? &lead->patrol : &lead->vacant;
}

void haul__lead_pass(haul__lead *lead)
{
    (void)pthread_mutex_lock(&lead->mutex);
    lead->led = false;
    pthread_cond_t *cond = soonest(lead);
    (void)pthread_mutex_unlock(&lead->mutex);
    (void)pthread_cond_signal(cond);
}

uint64_t haul__lead_begin_run(haul__lead *lead)
{
    uint64_t run = atomic_fetch_add(&lead->n_runs, 1) + 1;
    atomic_store(&lead->run, run);
    if (atomic_load(&lead->asleep)) {
        (void)pthread_mutex_lock(&lead->mutex);
        pthread_cond_t *cond = soonest(lead);
        (void)pthread_mutex_unlock(&lead->mutex);
        (void)pthread_cond_signal(cond);
    }
    return run;
}

bool haul__lead_end_run(haul__lead *lead, uint64_t run)
{
    return atomic_compare_exchange_strong(&lead->run, &run, 0);
}

void haul__lead_end(haul__lead *lead)
{
    (void)pthread_mutex_lock(&lead->mutex);
    lead->ended = true;
    (void)pthread_cond_broadcast(&lead->vacant);
    (void)pthread_cond_broadcast(&lead->patrol);
    (void)pthread_mutex_unlock(&lead->mutex);
}
