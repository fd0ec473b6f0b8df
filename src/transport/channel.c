/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A channel: one connection of gRPC's to one server, and the calls on it.
 *
 * The application owns it and any of its threads may call through it at once. It has no threads of
 * its own: whoever waits for an answer polls for it, on a completion queue that is his alone until
 * the call is over, so that nobody is woken for somebody else's answer. The queues are kept, for
 * making one costs system calls.
 *
 * If this process dies the server's handler runs to its end; what the process held is reaped. If
 * the server dies the calls end UNAVAILABLE, and buffers are still their owner's.
 */

#include "transport/channel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shorthaul/v1/lane.pb-c.h>

#include "base/error.h"
#include "transport/cancel.h"
#include "transport/channel_data.h"
#include "transport/creds.h"
#include "transport/deadline.h"
#include "transport/event.h"
#include "transport/grpc_args.h"
#include "transport/trunk.h"

#define CUT_NS  UINT64_C(500000000) /* for a server to read what it is being sent */
#define POLL_NS UINT64_C(5000000)

static void fini_parts(haul_channel *channel)
{
    haul__connections_unref(channel->connections);
    haul__backlog_fini(&channel->backlog);
    haul__place_unref(channel->place);
    haul__pins_fini(&channel->pins);
    (void)pthread_cond_destroy(&channel->changed);
    (void)pthread_mutex_destroy(&channel->mutex);
}

static haul_status init_parts(haul_channel *channel, haul_pool *pool)
{
    if (haul__pins_init(&channel->pins) != HAUL_OK) {
        return HAUL_NOMEM;
    }
    if (!haul__cond_init(&channel->changed)) {
        haul__pins_fini(&channel->pins);
        return HAUL_NOMEM;
    }
    (void)pthread_mutex_init(&channel->mutex, NULL);
    if (haul__backlog_init(&channel->backlog) != HAUL_OK) {
        (void)pthread_cond_destroy(&channel->changed);
        haul__pins_fini(&channel->pins);
        return HAUL_NOMEM;
    }
    channel->connections = haul__connections_create();
    channel->place = haul__place_create(pool);
    if (!channel->place) {
        fini_parts(channel);
        return HAUL_NOMEM;
    }
    return HAUL_OK;
}

haul_status haul_channel_open(const char *address, const haul_channel_opts *opts,
                              haul_channel **out_channel, haul_error *err)
{
    haul_channel_opts o = {0};
    if (!address || (opts && opts->struct_size != sizeof(o))) {
        return haul__fail(err, HAUL_INVALID, "channel: address or options are not valid");
    }
    if (opts) {
        o = *opts;
    }
    if (o.alloc && o.alloc->struct_size != sizeof(*o.alloc)) {
        return haul__fail(err, HAUL_INVALID, "channel: the options for buffers are not valid");
    }
    if (o.pool && haul_pool_participant(o.pool) == 0) {
        return haul__fail(err, HAUL_INVALID,
                          "channel: the pool has not been joined, only observed");
    }
    if (o.busy_poll_ns > HAUL__BUSY_MAX_NS) {
        return haul__fail(err, HAUL_INVALID, "channel: busy_poll_ns is more than a millisecond");
    }
    haul_channel *channel = calloc(1, sizeof(*channel));
    if (!channel || init_parts(channel, o.pool) != HAUL_OK) {
        free(channel);
        return haul__fail(err, HAUL_NOMEM, "channel: out of memory");
    }
    grpc_init();
    grpc_channel_credentials *credentials;
    haul_status status = haul__channel_creds(o.credentials, address, &credentials, err);
    if (status != HAUL_OK) {
        fini_parts(channel);
        free(channel);
        grpc_shutdown();
        return status;
    }
    channel->grpc = haul__grpc_channel_create(address, &o, credentials, channel->connections);
    haul__channel_creds_release(o.credentials, credentials);
    channel->pool = o.pool;
    haul__threshold_init(&channel->threshold, o.key_threshold_bytes);
    channel->alloc =
        o.alloc ? *o.alloc
                : (haul_alloc_opts){.struct_size = sizeof(*o.alloc), .policy = HAUL_ALLOC_DEFAULT};
    channel->if_exhausted = o.if_exhausted;
    channel->max_send_bytes = o.max_send_bytes;
    channel->max_message_bytes = o.max_message_bytes;
    channel->max_metadata_bytes = haul__metadata_bound(o.max_metadata_bytes);
    channel->busy_poll_ns = o.busy_poll_ns;
    channel->no_data_connections = o.no_data_connections || haul__creds_encrypt(o.credentials);
    channel->no_trunk = o.no_trunk || !haul__trunk_fits(o.max_message_bytes, o.max_metadata_bytes);
    /* gRPC's pings tell nothing of other connections. */
    channel->no_direct =
        channel->no_trunk || channel->no_data_connections || o.keepalive_interval_ns > 0;
    if (o.pool) {
        (void)snprintf(channel->accept_text, sizeof(channel->accept_text),
                       "%016" PRIx64 ".%" PRIu32, haul_pool_id(o.pool),
                       haul_pool_participant(o.pool));
    }
    *out_channel = channel;
    return HAUL_OK;
}

/* One by one, because gRPC must not be called under our lock. */
static bool cancel_one(haul_channel *channel)
{
    haul__grip grip = {0};
    (void)pthread_mutex_lock(&channel->mutex);
    haul__flight *f = channel->flights;
    while (f && (f->cancelled || (!f->grpc && !f->ride && !f->data))) {
        f = f->next;
    }
    if (f) {
        grip = haul__flight_grip(f);
    }
    (void)pthread_mutex_unlock(&channel->mutex);
    haul__grip_cancel(grip);
    return f != NULL;
}

static void free_methods(haul_channel *channel)
{
    while (channel->methods) {
        haul__client_method *method = channel->methods;
        channel->methods = method->next;
        haul__plans_fini(&method->input);
        haul__plans_fini(&method->output);
        free(method);
    }
}

/* Wait until gRPC has let go of what it was to send. It works where somebody waits on a queue. */
static bool wait_until_sent(haul_channel *channel, uint64_t until_ns)
{
    if (!haul__backlog_clear(&channel->backlog, until_ns)) {
        return false;
    }
    grpc_completion_queue *queue = haul__channel_take_queue(channel);
    while (haul__pins_are_left(&channel->pins) && haul__clock_ns() < until_ns) {
        (void)grpc_completion_queue_pluck(queue, channel, haul__gpr_of_ns(haul__after_ns(POLL_NS)),
                                          NULL);
    }
    haul__channel_return_queue(channel, queue);
    return !haul__pins_are_left(&channel->pins);
}

void haul_channel_close(haul_channel *channel)
{
    if (!channel) {
        return;
    }
    (void)pthread_mutex_lock(&channel->mutex);
    channel->closing = true;
    (void)pthread_cond_broadcast(&channel->changed);
    (void)pthread_mutex_unlock(&channel->mutex);
    while (cancel_one(channel)) {
    }
    (void)pthread_mutex_lock(&channel->mutex);
    while (channel->n_flights > 0) {
        (void)pthread_cond_wait(&channel->changed, &channel->mutex);
    }
    (void)pthread_mutex_unlock(&channel->mutex);

    haul__data_close(channel);
    while (!haul__trunk_close(channel, haul__after_ns(CUT_NS))) {
        haul__connections_cut(channel->connections);
    }
    grpc_channel_destroy(channel->grpc);
    while (!wait_until_sent(channel, haul__after_ns(CUT_NS))) {
        haul__connections_cut(channel->connections);
    }
    /* What is left of calls that are over may be stuck, and their queues wait for it. */
    if (haul__backlog_is_unheard(&channel->backlog)) {
        haul__connections_cut(channel->connections);
    }
    for (unsigned i = 0; i < channel->n_idle; i++) {
        haul__queue_destroy(channel->idle[i]);
    }
    free_methods(channel);
    fini_parts(channel);
    grpc_shutdown();
    free(channel);
}

static haul__client_method *find_method(haul_channel *channel,
                                        const ProtobufCMethodDescriptor *descriptor)
{
    haul__client_method *method = channel->methods;
    while (method && method->descriptor != descriptor) {
        method = method->next;
    }
    return method;
}

static haul__client_method *create_method(haul_channel *channel,
                                          const ProtobufCServiceDescriptor *service,
                                          const ProtobufCMethodDescriptor *descriptor)
{
    size_t n = strlen(service->name) + strlen(descriptor->name) + sizeof("//");
    haul__client_method *method = calloc(1, sizeof(*method) + n);
    if (!method) {
        return NULL;
    }
    method->descriptor = descriptor;
    (void)snprintf(method->path, n, "/%s/%s", service->name, descriptor->name);
    if (haul__plans_init(&method->input, descriptor->input) != HAUL_OK ||
        haul__plans_init(&method->output, descriptor->output) != HAUL_OK) {
        haul__plans_fini(&method->input);
        free(method);
        return NULL;
    }
    method->registered = grpc_channel_register_call(channel->grpc, method->path, NULL, NULL);
    return method;
}

haul_status haul__channel_method(haul_channel *channel, const ProtobufCServiceDescriptor *service,
                                 unsigned method_index, const haul__client_method **out_method)
{
    if (!service || method_index >= service->n_methods) {
        return HAUL_INVALID;
    }
    const ProtobufCMethodDescriptor *descriptor = &service->methods[method_index];
    (void)pthread_mutex_lock(&channel->mutex);
    haul__client_method *method = find_method(channel, descriptor);
    (void)pthread_mutex_unlock(&channel->mutex);
    if (method) {
        *out_method = method;
        return HAUL_OK;
    }
    haul__client_method *created = create_method(channel, service, descriptor);
    if (!created) {
        return HAUL_NOMEM;
    }
    /* Two threads may have made one; gRPC knows both, so both are kept. */
    (void)pthread_mutex_lock(&channel->mutex);
    created->next = channel->methods;
    channel->methods = created;
    (void)pthread_mutex_unlock(&channel->mutex);
    *out_method = created;
    return HAUL_OK;
}

haul_status haul__channel_enter(haul_channel *channel, haul__flight *flight, haul_cancel *cancel)
{
    *flight = (haul__flight){.channel = channel};
    haul_status status = HAUL_INVALID;
    (void)pthread_mutex_lock(&channel->mutex);
    if (!channel->closing) {
        flight->next = channel->flights;
        flight->link = &channel->flights;
        if (flight->next) {
            flight->next->link = &flight->next;
        }
        channel->flights = flight;
        channel->n_flights++;
        status = HAUL_OK;
    }
    (void)pthread_mutex_unlock(&channel->mutex);
    if (status == HAUL_OK && cancel) {
        haul__cancel_join(cancel, flight);
    }
    return status;
}

/* With the lock held. */
static void count_out(haul_channel *channel)
{
    if (--channel->n_flights == 0 && channel->closing) {
        (void)pthread_cond_broadcast(&channel->changed);
    }
}

void haul__channel_leave(haul_channel *channel, haul__flight *flight)
{
    haul__cancel_leave(flight);
    (void)pthread_mutex_lock(&channel->mutex);
    *flight->link = flight->next;
    if (flight->next) {
        flight->next->link = flight->link;
    }
    count_out(channel);
    (void)pthread_mutex_unlock(&channel->mutex);
}

void haul__channel_hold(haul_channel *channel)
{
    (void)pthread_mutex_lock(&channel->mutex);
    channel->n_flights++;
    (void)pthread_mutex_unlock(&channel->mutex);
}

void haul__channel_drop(haul_channel *channel)
{
    (void)pthread_mutex_lock(&channel->mutex);
    count_out(channel);
    (void)pthread_mutex_unlock(&channel->mutex);
}

void haul__channel_wake(haul_channel *channel)
{
    (void)pthread_cond_broadcast(&channel->changed);
}
