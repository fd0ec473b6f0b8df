/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Fuzz target: a whole control segment under a hostile pen.
 *
 * The input is a sequence of calls of the pool's public functions, by up to three participants and
 * an observer of one process, and of writes into the control segment (scribble.h), between the calls
 * and, at the pool's named points (src/pool/fault.h), in the middle of them. The callers keep to the
 * contract of pool.h: what they touch is what they were given, and they have not given it back. So
 * whatever status they get, they must never crash, hang, or touch memory outside a buffer.
 *
 * Time is the harness's own: waiting ends at once and moves the clock, so that an input gives the
 * same run again. At the end the header, and nothing else, is put right, as an operator would who
 * forces the pool away: that must work, and nothing may be left in /dev/shm or mapped.
 */

#include <string.h>

#include "dice.h"
#include "fuzz_pool.h"
#include "guard.h"
#include "pool/fault.h"
#include "pool/layout.h"
#include "pool/wait.h"
#include "scribble.h"

#define N_POOLS 3
#define N_BUFS  6
#define N_VIEWS 6
#define N_KEYS  6
#define N_CALLS 256

typedef struct held_buf {
    haul_buf *buf; /* NULL: none */
    uint8_t *data; /* as haul_buf_data() gave it; NULL once shared */
    uint64_t bytes;
    uint32_t pool;
} held_buf;

typedef struct held_view {
    haul_view view;
    uint32_t pool;
    bool held;
} held_view;

typedef struct known_key {
    haul_key key;
    uint64_t len;
} known_key;

static struct {
    dice dice;
    haul_pool *pools[N_POOLS];
    haul_pool *observer;
    held_buf bufs[N_BUFS];
    held_view views[N_VIEWS];
    known_key keys[N_KEYS];
    uint32_t n_keys;
    uint64_t now_ns;
    uint8_t *control; /* the pen's own mapping; NULL: nothing to scribble on */
    haul__geometry g;
    haul__header header; /* as the creator wrote it */
    bool header_spoilt;
} f;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* ---- The pen between the steps, and the clock ---------------------------------------------- */

static void scribble_once(void)
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

/* ---- What callers have --------------------------------------------------------------------- */

static haul_status known(haul_status s)
{
    FUZZ_REQUIRE(strcmp(haul_status_name(s), "UNKNOWN") != 0);
    return s;
}

static uint32_t some(uint32_t n)
{
    return (uint32_t)dice_roll(&f.dice, n);
}

/* A caller may write all of a buffer that it fills, and read all of a view. */
static void touch(void)
{
    uint8_t sum = 0;
    for (int i = 0; i < N_BUFS; i++) {
        for (uint64_t at = 0; f.bufs[i].data && at < f.bufs[i].bytes; at += 4096) {
            f.bufs[i].data[at] = 1;
        }
        if (f.bufs[i].data) {
            f.bufs[i].data[f.bufs[i].bytes - 1] = 2;
        }
    }
    for (int i = 0; i < N_VIEWS; i++) {
        const haul_view *view = &f.views[i].view;
        for (uint64_t at = 0; f.views[i].held && at < view->len; at += 4096) {
            sum ^= view->data[at];
        }
        if (f.views[i].held && view->len > 0) {
            sum ^= view->data[view->len - 1];
        }
    }
    __asm__ volatile("" : : "r"(sum)); /* the bytes are read, whatever is in them */
}

static void remember_key(const haul_key *key, uint64_t len)
{
    f.keys[f.n_keys++ % N_KEYS] = (known_key){.key = *key, .len = len};
}

/* A key that was handed out, or one like it. */
static known_key some_key(void)
{
    known_key k = f.keys[some(N_KEYS)];
    switch (some(8)) {
    case 0:
        k.key.index = (uint32_t)scribble_value(&f.dice, k.key.index);
        break;
    case 1:
        k.key.offset = scribble_value(&f.dice, k.key.offset);
        break;
    case 2:
        k.len = scribble_value(&f.dice, k.len);
        break;
    case 3:
        k.key.generation = (uint32_t)scribble_value(&f.dice, k.key.generation);
        break;
    default:
        break;
    }
    return k;
}

static uint64_t some_length(void)
{
    static const uint64_t lengths[] = {0, 1, 4096, 4097, 8192, 8193, 20000, 65536, 300000};
    uint32_t i = some(10);
    return i < 9 ? lengths[i] : scribble_value(&f.dice, 4096);
}

static held_buf *empty_buf(void)
{
    for (int i = 0; i < N_BUFS; i++) {
        if (!f.bufs[i].buf) {
            return &f.bufs[i];
        }
    }
    return NULL;
}

static held_view *empty_view(void)
{
    for (int i = 0; i < N_VIEWS; i++) {
        if (!f.views[i].held) {
            return &f.views[i];
        }
    }
    return NULL;
}

/* ---- Calls --------------------------------------------------------------------------------- */

static void call_scribble(void)
{
    scribble_once();
}

static void hold_writable(held_buf *held, haul_buf *buf, uint32_t p)
{
    *held = (held_buf){.buf = buf, .pool = p};
    held->data = haul_buf_data(buf);
    held->bytes = haul_buf_capacity(buf);
    FUZZ_REQUIRE(held->data != NULL && held->bytes > 0);
}

static void call_alloc(void)
{
    uint32_t p = some(N_POOLS);
    held_buf *held = empty_buf();
    const haul_alloc_opts opts = {.struct_size = sizeof(opts),
                                  .policy = some(HAUL_ALLOC_DEFAULT + 1),
                                  .wait_ns = some(4) == 0 ? 30000000 : 0};
    uint64_t len = some_length();
    haul_buf *buf;
    if (held && known(haul_buf_alloc(f.pools[p], len, &opts, &buf)) == HAUL_OK) {
        hold_writable(held, buf, p);
        FUZZ_REQUIRE(held->bytes >= len);
    }
}

static void call_share(void)
{
    held_buf *held = &f.bufs[some(N_BUFS)];
    uint64_t len = some(4) == 0 ? some_length() : held->bytes;
    haul_key key;
    if (held->buf && known(haul_buf_share(held->buf, len, &key)) == HAUL_OK) {
        held->data = NULL;
        remember_key(&key, len);
    }
}

static void call_give(void)
{
    held_buf *held = &f.bufs[some(N_BUFS)];
    uint64_t len = some(4) == 0 ? some_length() : held->bytes;
    uint32_t recipient = some(8) == 0 ? (uint32_t)scribble_value(&f.dice, 1) : 1 + some(N_POOLS);
    uint64_t deadline_ns = f.now_ns + some(65536) * 1000ull;
    haul_key key;
    if (held->buf &&
        known(haul_buf_give(held->buf, len, recipient, deadline_ns, &key)) == HAUL_OK) {
        *held = (held_buf){0};
        remember_key(&key, len);
    }
}

static void call_claim(void)
{
    uint32_t p = some(N_POOLS);
    known_key k = some_key();
    held_buf *held = empty_buf();
    haul_buf *buf;
    if (held && k.len == 0 && some(2) == 0) {
        if (known(haul_buf_claim_empty(f.pools[p], &k.key, &buf)) == HAUL_OK) {
            hold_writable(held, buf, p);
        }
        return;
    }
    if (held && known(haul_buf_claim(f.pools[p], &k.key, k.len, &buf)) == HAUL_OK) {
        *held = (held_buf){.buf = buf, .bytes = k.len, .pool = p};
    }
}

static void call_revoke(void)
{
    uint32_t p = some(N_POOLS);
    known_key k = some_key();
    (void)known(haul_pool_revoke(f.pools[p], &k.key));
}

static void call_release(void)
{
    held_buf *held = &f.bufs[some(N_BUFS)];
    haul_buf *buf = held->buf;
    *held = (held_buf){0};
    haul_buf_release(buf);
}

static void call_attach(void)
{
    uint32_t p = some(N_POOLS);
    known_key k = some_key();
    held_view *held = empty_view();
    if (held && known(haul_attach(f.pools[p], &k.key, k.len, &held->view)) == HAUL_OK) {
        FUZZ_REQUIRE(held->view.len == k.len);
        held->held = true;
        held->pool = p;
    }
}

static void call_view(void)
{
    const held_buf *buf = &f.bufs[some(N_BUFS)];
    held_view *held = empty_view();
    if (held && buf->buf && known(haul_buf_view(buf->buf, &held->view)) == HAUL_OK) {
        held->held = true;
        held->pool = buf->pool;
    }
}

static void call_detach(void)
{
    held_view *held = &f.views[some(N_VIEWS)];
    held->held = false;
    haul_detach(&held->view);
}

static void call_capacity(void)
{
    const held_buf *held = &f.bufs[some(N_BUFS)];
    if (held->buf) {
        (void)haul_buf_capacity(held->buf);
    }
}

static void call_reap(void)
{
    (void)known(haul_pool_reap(f.pools[some(N_POOLS)], NULL, NULL));
}

static void call_grow(void)
{
    uint32_t p = some(N_POOLS);
    uint32_t c = some(4);
    (void)known(haul_pool_grow(f.pools[p], c, some(8), NULL));
}

static void call_trim(void)
{
    (void)known(haul_pool_trim(f.pools[some(N_POOLS)], NULL, NULL));
}

static void look_at(haul_pool *pool)
{
    haul_pool_info *info;
    size_t n_findings;
    if (known(haul_pool_get_info(pool, &info, NULL)) == HAUL_OK) {
        for (uint32_t i = 0; i < info->n_participants; i++) {
            FUZZ_REQUIRE(memchr(info->participants[i].name, 0, HAUL_PARTICIPANT_NAME_MAX + 1));
        }
        haul_pool_info_free(info);
    }
    (void)known(haul_pool_audit(pool, NULL, NULL, &n_findings, NULL));
}

static void call_look(void)
{
    look_at(some(2) && f.observer ? f.observer : f.pools[some(N_POOLS)]);
}

static void call_touch(void)
{
    touch();
}

static void leave(uint32_t p)
{
    for (int i = 0; i < N_BUFS; i++) {
        if (f.bufs[i].buf && f.bufs[i].pool == p) {
            f.bufs[i] = (held_buf){0};
        }
    }
    for (int i = 0; i < N_VIEWS; i++) {
        if (f.views[i].held && f.views[i].pool == p) {
            f.views[i] = (held_view){0};
        }
    }
    haul_pool_close(f.pools[p]);
    f.pools[p] = NULL;
}

static void call_rejoin(void)
{
    uint32_t p = some(N_POOLS);
    const haul_open_opts opts = {.struct_size = sizeof(opts),
                                 .keeper = some(2) != 0,
                                 .preattach = some(2) != 0,
                                 .map_bytes_max = 8192 * some(3)};
    leave(p);
    (void)known(haul_pool_open(fuzz_pool_name(), &opts, &f.pools[p], NULL));
}

static void call_observe(void)
{
    const haul_open_opts opts = {.struct_size = sizeof(opts), .observe = true};
    haul_pool_close(f.observer);
    f.observer = NULL;
    (void)known(haul_pool_open(fuzz_pool_name(), &opts, &f.observer, NULL));
}

static void call_remove(void)
{
    (void)known(haul_pool_remove(fuzz_pool_name(), some(4) == 3, NULL));
}

static const char *some_name(void)
{
    static const char *const names[] = {"a", "b", "c"};
    return names[some(3)];
}

static void call_publish(void)
{
    held_buf *held = &f.bufs[some(N_BUFS)];
    const char *name = some_name();
    bool persistent = some(2) != 0;
    if (held->buf && known(haul_buf_publish(held->buf, name, persistent)) == HAUL_OK &&
        persistent) {
        *held = (held_buf){0};
    }
}

static void call_find(void)
{
    haul_key key;
    uint64_t len;
    if (known(haul_pool_find(f.pools[some(N_POOLS)], some_name(), &key, &len)) == HAUL_OK) {
        remember_key(&key, len);
    }
}

static void call_withdraw(void)
{
    (void)known(haul_pool_withdraw(f.pools[some(N_POOLS)], some_name()));
}

static void (*const calls[])(void) = {
    call_scribble, call_alloc,  call_share,   call_give,    call_claim,    call_revoke,
    call_release,  call_attach, call_view,    call_detach,  call_reap,     call_capacity,
    call_grow,     call_trim,   call_publish, call_find,    call_withdraw, call_look,
    call_rejoin,   call_touch,  call_remove,  call_observe, call_scribble};

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
        calls[dice_roll(&f.dice, sizeof(calls) / sizeof(calls[0]))]();
    }
    f.dice.left = 0;
    tear_down();
    return 0;
}
