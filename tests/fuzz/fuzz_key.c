/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Fuzz target: keys.
 *
 * As text: what is read must be written as it was read. As numbers: on a sound pool with shared and
 * given buffers, keys that differ from the right one in some numbers are tried in every function
 * that takes one. Only the right key may open a buffer, only for bytes that were shared, and those
 * bytes are readable and right.
 */

#include <string.h>

#include "dice.h"
#include "fuzz_pool.h"
#include "guard.h"
#include "scribble.h"

#define SHARED_BYTES 5000u
#define GIVEN_BYTES  100u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* ---- Text ---------------------------------------------------------------------------------- */

static void try_text(const char *text)
{
    haul_key key;
    haul_key again;
    uint64_t len;
    uint64_t len_again;
    char written[HAUL_KEY_TEXT_BYTES];
    if (haul_key_parse(text, &key, &len) != HAUL_OK) {
        return;
    }
    haul_key_format(&key, len, written);
    FUZZ_REQUIRE(strcmp(text, written) == 0);
    FUZZ_REQUIRE(haul_key_parse(written, &again, &len_again) == HAUL_OK);
    FUZZ_REQUIRE(len == len_again && key.pool_id == again.pool_id && key.ticket == again.ticket &&
                 key.offset == again.offset && key.index == again.index &&
                 key.generation == again.generation);
}

static void round_trip(const haul_key *key, uint64_t len)
{
    char text[HAUL_KEY_TEXT_BYTES];
    haul_key again;
    uint64_t len_again;
    haul_key_format(key, len, text);
    FUZZ_REQUIRE(haul_key_parse(text, &again, &len_again) == HAUL_OK);
    FUZZ_REQUIRE(len == len_again && key->pool_id == again.pool_id && key->ticket == again.ticket &&
                 key->offset == again.offset && key->index == again.index &&
                 key->generation == again.generation);
    try_text(text);
}

/* ---- Numbers ------------------------------------------------------------------------------- */

typedef struct scene {
    haul_pool *pool;
    haul_buf *shared;
    haul_key shared_key;
    haul_key given_key;
} scene;

static bool same_buffer(const haul_key *a, const haul_key *b)
{
    return a->pool_id == b->pool_id && a->index == b->index && a->generation == b->generation &&
           a->ticket == b->ticket;
}

static bool within(const haul_key *key, uint64_t len, uint64_t whole)
{
    return len <= whole && key->offset <= whole - len;
}

static void give(scene *sc)
{
    haul_buf *buf;
    FUZZ_REQUIRE(haul_buf_alloc(sc->pool, GIVEN_BYTES, NULL, &buf) == HAUL_OK);
    FUZZ_REQUIRE(haul_buf_give(buf, GIVEN_BYTES, haul_pool_participant(sc->pool), UINT64_MAX,
                               &sc->given_key) == HAUL_OK);
}

static void set_up(scene *sc)
{
    FUZZ_REQUIRE(haul_pool_create(fuzz_pool_name(), &fuzz_pool_config, NULL, &sc->pool, NULL) ==
                 HAUL_OK);
    FUZZ_REQUIRE(haul_buf_alloc(sc->pool, SHARED_BYTES, NULL, &sc->shared) == HAUL_OK);
    memset(haul_buf_data(sc->shared), 0x5a, SHARED_BYTES);
    FUZZ_REQUIRE(haul_buf_share(sc->shared, SHARED_BYTES, &sc->shared_key) == HAUL_OK);
    give(sc);
}

static void try_attach(scene *sc, const haul_key *key, uint64_t len)
{
    haul_view view;
    haul_status s = haul_attach(sc->pool, key, len, &view);
    bool right = same_buffer(key, &sc->shared_key) && within(key, len, SHARED_BYTES);
    FUZZ_REQUIRE((s == HAUL_OK) == right);
    FUZZ_REQUIRE(right || s == HAUL_STALE || s == HAUL_INVALID);
    if (s == HAUL_OK) {
        FUZZ_REQUIRE(view.len == len);
        FUZZ_REQUIRE(len == 0 || (view.data[0] == 0x5a && view.data[len - 1] == 0x5a));
        haul_detach(&view);
    }
}

static void try_claim(scene *sc, const haul_key *key, uint64_t len)
{
    haul_buf *buf;
    haul_view view;
    haul_status s = haul_buf_claim(sc->pool, key, len, &buf);
    bool right = same_buffer(key, &sc->given_key) && within(key, len, GIVEN_BYTES);
    FUZZ_REQUIRE((s == HAUL_OK) == right);
    FUZZ_REQUIRE(right || s == HAUL_STALE || s == HAUL_INVALID);
    if (s == HAUL_OK) {
        FUZZ_REQUIRE(haul_buf_view(buf, &view) == HAUL_OK);
        FUZZ_REQUIRE(view.len <= GIVEN_BYTES);
        haul_buf_release(buf);
        haul_detach(&view);
        give(sc);
    }
}

/* Nothing here is given empty, so nobody may write. */
static void try_claim_empty(scene *sc, const haul_key *key)
{
    haul_buf *buf;
    haul_status s = haul_buf_claim_empty(sc->pool, key, &buf);
    FUZZ_REQUIRE(s == HAUL_STALE || s == HAUL_INVALID);
}

static void try_revoke(scene *sc, const haul_key *key)
{
    haul_status s = haul_pool_revoke(sc->pool, key);
    bool right = same_buffer(key, &sc->given_key);
    FUZZ_REQUIRE((s == HAUL_OK) == right);
    FUZZ_REQUIRE(right || s == HAUL_STALE || s == HAUL_INVALID);
    if (s == HAUL_OK) {
        give(sc);
    }
}

/* A key that is right but for what the input says. */
static haul_key spoilt_key(const scene *sc, dice *d, uint64_t *len)
{
    haul_key key = dice_roll(d, 2) ? sc->shared_key : sc->given_key;
    uint64_t spoil = dice_roll(d, 64);
    *len = dice_roll(d, 2) ? dice_roll(d, SHARED_BYTES + 2) : scribble_value(d, *len);
    key.pool_id = spoil & 1 ? scribble_value(d, key.pool_id) : key.pool_id;
    key.index = spoil & 2 ? (uint32_t)scribble_value(d, key.index) : key.index;
    key.generation = spoil & 4 ? (uint32_t)scribble_value(d, key.generation) : key.generation;
    key.ticket = spoil & 8 ? scribble_value(d, key.ticket) : key.ticket;
    key.offset = spoil & 16 ? scribble_value(d, SHARED_BYTES - *len) : key.offset;
    return key;
}

static void try_numbers(dice *d)
{
    scene sc = {0};
    uint64_t len = SHARED_BYTES;
    size_t n_findings = 0;
    set_up(&sc);
    while (dice_more(d)) {
        haul_key key = spoilt_key(&sc, d, &len);
        round_trip(&key, len);
        switch (dice_roll(d, 4)) {
        case 0:
            try_attach(&sc, &key, len);
            break;
        case 1:
            try_claim(&sc, &key, len);
            break;
        case 2:
            try_claim_empty(&sc, &key);
            break;
        default:
            try_revoke(&sc, &key);
            break;
        }
    }
    FUZZ_REQUIRE(haul_pool_audit(sc.pool, NULL, NULL, &n_findings, NULL) == HAUL_OK);
    FUZZ_REQUIRE(n_findings == 0);
    haul_buf_release(sc.shared);
    haul_pool_close(sc.pool);
    FUZZ_REQUIRE(haul_pool_remove(fuzz_pool_name(), false, NULL) == HAUL_OK);
    FUZZ_REQUIRE(fuzz_sweep(fuzz_pool_name()) == 0);
    FUZZ_REQUIRE(guard_reset() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char text[2 * HAUL_KEY_TEXT_BYTES] = "";
    dice d = {.at = bytes, .left = n};
    if (n > 3 && memcmp(bytes, "hk1", 3) == 0) {
        memcpy(text, bytes, n < sizeof(text) ? n : sizeof(text) - 1);
        try_text(text);
    } else {
        try_numbers(&d);
    }
    return 0;
}
