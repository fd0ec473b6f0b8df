/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The calls of the control target: one function per public function of the pool, by callers who keep to
 * its contract, and what they have in their hands meanwhile.
 */

#include "control_run.h"

#include <string.h>

#include "scribble.h"

/* ---- What callers have --------------------------------------------------------------------- */

haul_status known(haul_status s)
{
    FUZZ_REQUIRE(strcmp(haul_status_name(s), "UNKNOWN") != 0);
    return s;
}

static uint32_t some(uint32_t n)
{
    return (uint32_t)dice_roll(&f.dice, n);
}

/* A caller may write all of a buffer that it fills, and read all of a view. */
void touch(void)
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

void look_at(haul_pool *pool)
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

void leave(uint32_t p)
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

void (*const control_calls[N_CONTROL_CALLS])(void) = {
    call_scribble, call_alloc,  call_share,   call_give,    call_claim,    call_revoke,
    call_release,  call_attach, call_view,    call_detach,  call_reap,     call_capacity,
    call_grow,     call_trim,   call_publish, call_find,    call_withdraw, call_look,
    call_rejoin,   call_touch,  call_remove,  call_observe, call_scribble};
