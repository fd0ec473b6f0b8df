/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Fuzz target: a whole control segment under a hostile pen.
 *
 * The input is a sequence of calls of the pool's public functions (control_calls.c), by up to three
 * participants and an observer of one process, and of writes into the control segment (scribble.h),
 * between the calls and, at the pool's named points (src/pool/fault.h), in the middle of them. The
 * callers keep to the contract of pool.h: what they touch is what they were given, and they have not
 * given it back. So whatever status they get, they must never crash, hang, or touch memory outside a
 * buffer.
 *
 * Time is the harness's own: waiting ends at once and moves the clock, so that an input gives the
 * same run again. At the end the header, and nothing else, is put right, as an operator would who
 * forces the pool away: that must work, and nothing may be left in /dev/shm or mapped.
 */

#include "control_run.h"

#include <string.h>

#include "guard.h"
#include "pool/fault.h"
#include "pool/layout.h"
#include "pool/wait.h"
#include "scribble.h"

#define N_CALLS 256

control_run f;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* ---- The pen between the steps, and the clock ---------------------------------------------- */

void scribble_once(void)
{
    f.header_spoilt |= scribble(f.control, &f.g, &f.dice);
}

void haul__fault_hit(enum haul__fault point)
{
    (void)point;
    if (f.control && dice_more(&f.dice) && dice_roll(&f.dice, 8) == 7) {
        scribble_once();
    }
}

uint64_t __wrap_haul__now_ns(void);
void __wrap_haul__wait(haul_pool *pool, uint32_t prepared, uint64_t timeout_ns);

uint64_t __wrap_haul__now_ns(void)
{
    return ++f.now_ns;
}

void __wrap_haul__wait(haul_pool *pool, uint32_t prepared, uint64_t timeout_ns)
{
    (void)pool;
    (void)prepared;
    f.now_ns += timeout_ns;
}

_Static_assert(__builtin_types_compatible_p(__typeof__(haul__wait), __typeof__(__wrap_haul__wait)),
               "the wrapper takes what the function takes");

/* ---- One run ------------------------------------------------------------------------------- */

static void set_up(void)
{
    const char *name = fuzz_pool_name();
    f.now_ns = UINT64_C(1000000000000);
    FUZZ_REQUIRE(haul_pool_create(name, &fuzz_pool_config, NULL, &f.pools[0], NULL) == HAUL_OK);
    for (int p = 1; p < N_POOLS; p++) {
        FUZZ_REQUIRE(haul_pool_open(name, NULL, &f.pools[p], NULL) == HAUL_OK);
    }
    f.control = fuzz_map_control(name, &f.g);
    memcpy(&f.header, f.control, sizeof(f.header));
}

/* Whatever is in the records, the pool can be looked at, used as far as it goes, and removed. */
static void heal(void)
{
    haul_pool *pool = NULL;
    haul_buf *buf;
    const char *name = fuzz_pool_name();
    memcpy(f.control, &f.header, sizeof(f.header));
    f.control = NULL; /* the pen is laid down */
    if (known(haul_pool_open(name, NULL, &pool, NULL)) == HAUL_OK) {
        (void)known(haul_pool_reap(pool, NULL, NULL));
        look_at(pool);
        if (known(haul_buf_alloc(pool, 100, NULL, &buf)) == HAUL_OK) {
            memset(haul_buf_data(buf), 1, 100);
            haul_buf_release(buf);
        }
        haul_pool_close(pool);
    }
    haul_status s = known(haul_pool_remove(name, true, NULL));
    FUZZ_REQUIRE(s == HAUL_OK || s == HAUL_NOT_FOUND);
}

static void tear_down(void)
{
    uint8_t *control = f.control;
    touch();
    for (int i = 0; i < N_VIEWS; i += 2) {
        haul_detach(&f.views[i].view);
        f.views[i].held = false;
    }
    for (int i = 0; i < N_BUFS; i += 2) {
        haul_buf_release(f.bufs[i].buf);
        f.bufs[i] = (held_buf){0};
    }
    touch();
    for (uint32_t p = 0; p < N_POOLS; p++) {
        leave(p);
    }
    haul_pool_close(f.observer);
    heal();
    fuzz_unmap_control(control, &f.g);
    size_t n_left = fuzz_sweep(fuzz_pool_name());
    FUZZ_REQUIRE(n_left == 0 || f.header_spoilt);
    FUZZ_REQUIRE(guard_reset() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    memset(&f, 0, sizeof(f));
    set_up();
    f.dice = (dice){.at = bytes, .left = n};
    for (int i = 0; i < N_CALLS && n > 0 && dice_more(&f.dice); i++) {
        control_calls[dice_roll(&f.dice, N_CONTROL_CALLS)]();
    }
    f.dice.left = 0;
    tear_down();
    return 0;
}
