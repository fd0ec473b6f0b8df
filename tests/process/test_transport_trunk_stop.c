/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A server with trunks stops in good order while calls are in progress and others come, and another
 * one takes over its address: what has been begun is answered, what has not is made elsewhere, and
 * no call is made twice.
 */

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "many_calls.h"
#include "transport/deadline.h"

#define GRACE_NS UINT64_C(60000000000)

static many_scene scene;

static void *stop(void *server)
{
    haul_server_stop(server, GRACE_NS);
    return NULL;
}

static void wait_until_gone(const char *address)
{
    while (access(address + strlen("unix:"), F_OK) == 0) {
        (void)sched_yield();
    }
}

/* Put another server in the place of the first one, which is stopping. */
static void replace(pthread_t *stopper, haul_server **out_old)
{
    *out_old = scene.pair.server;
    assert_int_equal(pthread_create(stopper, NULL, stop, *out_old), 0);
    wait_until_gone(scene.pair.address);
    many_start_server(&scene, &scene.pair.server);
}

static void what_has_begun_is_answered(void **state)
{
    (void)state;
    enum {
        N = 4
    };
    const haul_call_opts wait = {.wait_for_ready = true};
    many_caller callers[N];
    pthread_t stopper;
    haul_server *old;
    many_open(&scene, NULL);
    for (unsigned i = 0; i < N; i++) {
        many_call(&callers[i], &scene, i, HAUL__TEST__MODE__MODE_HOLD);
        many_wait_held(&scene, i);
    }
    replace(&stopper, &old);
    for (unsigned i = 100; i < 120; i++) { /* the first of them are declined, with others at work */
        /* One that came to be a call of gRPC's may end in its words, but then it has not been begun. */
        while (many_call_here(&scene, i, &wait) != GRPC_STATUS_OK) {
            assert_int_equal(many_begun(&scene, i), 0);
        }
        assert_int_equal(many_begun(&scene, i), 1);
    }
    for (unsigned i = 0; i < N; i++) {
        assert_false(haul_call_is_cancelled(scene.held[i]));
        many_let_go(&scene, i);
        many_join(&callers[i], GRPC_STATUS_OK);
        assert_int_equal(many_begun(&scene, i), 1);
    }
    assert_int_equal(pthread_join(stopper, NULL), 0);
    haul_server_destroy(old);
    many_close(&scene);
}

/* With nothing in progress a server stops at once, however long it might take. */
static void an_idle_trunk_does_not_hold_up_the_stop(void **state)
{
    (void)state;
    many_open(&scene, NULL);
    assert_int_equal(many_call_here(&scene, 0, NULL), GRPC_STATUS_OK);
    uint64_t begun = haul__clock_ns();
    haul_server_stop(scene.pair.server, GRACE_NS);
    assert_in_range(haul__clock_ns() - begun, 0, GRACE_NS / 2);
    many_close(&scene);
}

typedef struct stream_of_calls {
    pthread_t thread;
    unsigned n_wrong;
} stream_of_calls;

static atomic_uint n_numbers;
static atomic_bool enough;

/* Calls that gRPC has made by themselves may be refused as the connection ends; but what is OK has
 * been begun once, and nothing twice. */
static void *call_on(void *arg)
{
    stream_of_calls *s = arg;
    const haul_call_opts wait = {.wait_for_ready = true};
    while (!atomic_load(&enough)) {
        unsigned number = atomic_fetch_add(&n_numbers, 1);
        if (number >= MANY_CALLS) {
            break;
        }
        bool ok = many_call_here(&scene, number, &wait) == GRPC_STATUS_OK;
        unsigned n_begun = many_begun(&scene, number);
        s->n_wrong += ok ? n_begun != 1 : n_begun > 1;
    }
    return NULL;
}

static void no_call_is_made_twice(void **state)
{
    (void)state;
    enum {
        N_CALLERS = 8,
        N_REPLACED = 5
    };
    stream_of_calls streams[N_CALLERS] = {0};
    many_open(&scene, NULL);
    atomic_store(&n_numbers, 0);
    atomic_store(&enough, false);
    for (unsigned i = 0; i < N_CALLERS; i++) {
        assert_int_equal(pthread_create(&streams[i].thread, NULL, call_on, &streams[i]), 0);
    }
    for (unsigned i = 1; i <= N_REPLACED; i++) {
        pthread_t stopper;
        haul_server *old;
        while (atomic_load(&n_numbers) < i * (MANY_CALLS / (2 * N_REPLACED))) {
            (void)sched_yield();
        }
        replace(&stopper, &old);
        assert_int_equal(pthread_join(stopper, NULL), 0);
        haul_server_destroy(old);
    }
    atomic_store(&enough, true);
    for (unsigned i = 0; i < N_CALLERS; i++) {
        assert_int_equal(pthread_join(streams[i].thread, NULL), 0);
        assert_int_equal(streams[i].n_wrong, 0);
    }
    many_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_begun_is_answered),
        cmocka_unit_test(an_idle_trunk_does_not_hold_up_the_stop),
        cmocka_unit_test(no_call_is_made_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
