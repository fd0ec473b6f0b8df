/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Pins: bytes go from a pool to a socket without a copy.
 *
 * gRPC holds on to a slice until its transport has written it out, which can be long after the
 * call that sent it is over: a cancelled call's bytes may sit in a connection's queue. The pin is
 * the holder of the pool's buffer for that time, so nobody reuses its memory. Any thread of gRPC's
 * may drop the last reference. If the process dies, the reaper clears the hold like any other.
 *
 * The pool must not be closed while a pin is left, hence the count.
 */

#include "transport/pin.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "transport/deadline.h"

/* Made by one thread and undone by whichever of gRPC's lets go last. gRPC counts the references and
 * orders the two; @posted, stored with release and loaded with acquire, says so where
 * ThreadSanitizer sees it. */
typedef struct pin {
    haul_view view;
    haul__pins *pins;
    atomic_bool posted;
} pin;

haul_status haul__pins_init(haul__pins *pins)
{
    *pins = (haul__pins){0};
    if (!haul__cond_init(&pins->none)) {
        return HAUL_NOMEM;
    }
    if (pthread_mutex_init(&pins->mutex, NULL) != 0) {
        (void)pthread_cond_destroy(&pins->none);
        return HAUL_NOMEM;
    }
    return HAUL_OK;
}

bool haul__pins_are_left(haul__pins *pins)
{
    (void)pthread_mutex_lock(&pins->mutex);
    bool left = pins->n > 0;
    (void)pthread_mutex_unlock(&pins->mutex);
    return left;
}

void haul__pins_fini(haul__pins *pins)
{
    (void)pthread_mutex_lock(&pins->mutex);
    pins->ending = true;
    while (pins->n > 0) {
        (void)pthread_cond_wait(&pins->none, &pins->mutex);
    }
    (void)pthread_mutex_unlock(&pins->mutex);
    (void)pthread_mutex_destroy(&pins->mutex);
    (void)pthread_cond_destroy(&pins->none);
}

static void unpin(void *user_data)
{
    pin *p = user_data;
    (void)atomic_load_explicit(&p->posted, memory_order_acquire);
    haul__pins *pins = p->pins;
    haul_detach(&p->view);
    free(p);
    (void)pthread_mutex_lock(&pins->mutex);
    if (--pins->n == 0 && pins->ending) {
        (void)pthread_cond_broadcast(&pins->none);
    }
    (void)pthread_mutex_unlock(&pins->mutex);
}

haul_status haul__pin_take(haul__pins *pins, haul_view *view, grpc_slice *out_slice)
{
    pin *p = malloc(sizeof(*p));
    if (!p) {
        return HAUL_NOMEM;
    }
    p->view = *view;
    p->pins = pins;
    view->pool = NULL;
    (void)pthread_mutex_lock(&pins->mutex);
    pins->n++;
    (void)pthread_mutex_unlock(&pins->mutex);
    /* gRPC reads what is in a slice of a message and never writes it. */
    void *bytes = (void *)view->data;
    atomic_store_explicit(&p->posted, true, memory_order_release);
    *out_slice = grpc_slice_new_with_user_data(bytes, view->len, unpin, p);
    return HAUL_OK;
}
