/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Fuzz target: unpacking from a view.
 *
 * The first byte of the input says which type is meant, how many bytes are left in place, and
 * whether the bytes are to change while they are read.
 *
 * If they do not change: what is unpacked serialises to the same bytes as what protobuf-c unpacks,
 * and is refused where protobuf-c refuses it. It may be refused besides only for its framing.
 *
 * If they change: another thread turns them into the same bytes with some bits flipped, and back, as
 * fast as it can. Whatever comes of it, every pointer in the message lies in private memory or in
 * the view, with all of its length.
 */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <shapes.pb-c.h>
#include <shapes3.pb-c.h>

#include <shorthaul/message.h>

#include "fuzz_pool.h"
#include "transport/nesting.h"

#define N_ROUNDS 40

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* ---- The same as protobuf-c ---------------------------------------------------------------- */

typedef struct packed {
    uint8_t *bytes;
    size_t n;
} packed;

static packed pack(const ProtobufCMessage *message)
{
    packed p = {.n = protobuf_c_message_get_packed_size(message)};
    p.bytes = malloc(p.n + 1);
    FUZZ_REQUIRE(p.bytes);
    FUZZ_REQUIRE(protobuf_c_message_pack(message, p.bytes) == p.n);
    return p;
}

static void compare(const ProtobufCMessageDescriptor *type, const haul_view *view,
                    const haul_unpack_opts *opts)
{
    haul_message *ours = NULL;
    haul_status s = haul_message_unpack_view(type, view, opts, &ours);
    FUZZ_REQUIRE(s == HAUL_OK || s == HAUL_PROTOCOL);
    if (!haul__nesting_ok(type, view->data, view->len)) {
        FUZZ_REQUIRE(s == HAUL_PROTOCOL);
        return;
    }
    ProtobufCMessage *theirs = protobuf_c_message_unpack(type, NULL, view->len, view->data);
    FUZZ_REQUIRE((s == HAUL_OK) == (theirs != NULL));
    if (theirs) {
        packed a = pack(haul_message_get(ours));
        packed b = pack(theirs);
        FUZZ_REQUIRE(a.n == b.n && memcmp(a.bytes, b.bytes, a.n) == 0);
        free(a.bytes);
        free(b.bytes);
        protobuf_c_message_free_unpacked(theirs, NULL);
    }
    haul_message_free(ours);
}

/* ---- Bytes that change --------------------------------------------------------------------- */

typedef struct changer {
    uint8_t *bytes;
    size_t n;
    uint8_t flip;
    atomic_bool started;
    atomic_bool done;
} changer;

static void *change(void *arg)
{
    changer *c = arg;
    atomic_store(&c->started, true);
    for (size_t round = 0; round < N_ROUNDS; round++) {
        for (size_t i = 0; i < c->n;
             i += round / 2 % 7 + 1) { /* even rounds there, odd ones back */
            __atomic_fetch_xor(&c->bytes[i], c->flip, __ATOMIC_RELAXED);
        }
    }
    atomic_store(&c->done, true);
    return NULL;
}

static void unpack_while_changing(const ProtobufCMessageDescriptor *type, const haul_view *view,
                                  const haul_unpack_opts *opts, uint8_t *bytes)
{
    changer c = {.bytes = bytes, .n = view->len, .flip = (uint8_t)(bytes[0] | 1)};
    pthread_t thread;
    FUZZ_REQUIRE(pthread_create(&thread, NULL, change, &c) == 0);
    while (!atomic_load(&c.started)) {
        (void)sched_yield();
    }
    do {
        haul_message *message = NULL;
        haul_status s = haul_message_unpack_view(type, view, opts, &message);
        FUZZ_REQUIRE(s == HAUL_OK || s == HAUL_PROTOCOL);
        if (s == HAUL_OK) {
            packed p = pack(haul_message_get(message)); /* reads all of it, by its lengths */
            free(p.bytes);
            haul_message_free(message);
        }
    } while (!atomic_load(&c.done));
    FUZZ_REQUIRE(pthread_join(thread, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0) {
        return 0;
    }
    const ProtobufCMessageDescriptor *type =
        bytes[0] & 1 ? &haul__test__plain__descriptor : &haul__test__shapes__descriptor;
    static const uint64_t mins[] = {1, 2, 5, 16, 17, 100, UINT64_MAX, 0};
    const haul_unpack_opts opts = {.struct_size = sizeof(opts),
                                   .in_place_min_bytes = mins[bytes[0] >> 1 & 7]};
    uint8_t *exact = malloc(n); /* so that reading past the end is seen */
    FUZZ_REQUIRE(exact);
    memcpy(exact, bytes + 1, n - 1);
    uint8_t *fitting = realloc(exact, n > 1 ? n - 1 : 1);
    FUZZ_REQUIRE(fitting);
    const haul_view view = {.data = fitting, .len = n - 1};
    if (bytes[0] >> 4 == 1 && n > 1) { /* few, for threads are slow */
        unpack_while_changing(type, &view, &opts, fitting);
    } else {
        compare(type, &view, &opts);
    }
    free(fitting);
    return 0;
}
