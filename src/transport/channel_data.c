/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Data connections of a channel: large payloads that do not go by key are sent to the server on a
 * socket of their own, before the call that names them, straight from where they lie to where the
 * handler will see them. gRPC would hand them over in pieces that must be copied once more. Short calls are
 * made on others of them (direct.c).
 *
 * The first call that has use for one asks the server, in its own thread; one thread at a time does,
 * and the others do without. A connection serves one call at a time and is kept for the next if the
 * call ended OK, for then the server has claimed what was sent. Otherwise it is closed, which has the
 * server let go of everything.
 *
 * There is always the other way: whatever fails here, the payload goes inline over gRPC, and what becomes
 * of the call is gRPC's to say. So a server that stops reading is given up after a while (gRPC's own
 * pings may then find it dead), and one that nobody listens for is not asked again for a minute: it is
 * in another network namespace, or on another machine.
 *
 * A client that dies takes its sockets with it; the server drops what no call has named.
 */

#include "transport/channel_data.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <shorthaul/v1/data.pb-c.h>

#include "transport/data.h"
#include "transport/deadline.h"
#include "transport/pack.h"

#define LINKS_MAX 16

/* How often a thread that is not getting on looks whether its call has been cancelled or is late. */
#define LOOK_NS UINT64_C(20000000)
/* A server that has moved nothing for so long is given up. */
#define STALL_NS UINT64_C(2000000000)
/* How long a call waits to be told where to connect. */
#define ASKING_NS UINT64_C(1000000000)
/* When to ask again: one that has none, one that was out of reach, and one that was given up. */
#define ABSENT_NS  UINT64_C(60000000000)
#define BUSY_NS    UINT64_C(100000000)
#define STALLED_NS UINT64_C(10000000000)

void haul__data_link_ref(haul__data_link *link)
{
    atomic_fetch_add(&link->refs, 1);
}

static void unref(haul__data_link *link)
{
    if (atomic_fetch_sub(&link->refs, 1) == 1) {
        (void)close(link->reader.fd);
        free(link);
    }
}

void haul__data_link_cut(haul__data_link *link)
{
    (void)shutdown(link->reader.fd, SHUT_RDWR);
    unref(link);
}

/* Forget the server, and everything that leads to it. */
static void forget(haul_channel *channel, uint64_t retry_ns)
{
    haul__data_client *data = &channel->data;
    (void)pthread_mutex_lock(&channel->mutex);
    haul__data_link *idle = data->idle;
    data->idle = NULL;
    for (haul__data_link *link = idle; link; link = link->next) {
        data->n_links--;
    }
    data->known = false;
    data->epoch++;
    data->retry_ns = retry_ns;
    (void)pthread_mutex_unlock(&channel->mutex);
    while (idle) {
        haul__data_link *next = idle->next;
        unref(idle);
        idle = next;
    }
}

void haul__data_distrust(haul_channel *channel)
{
    forget(channel, 0);
}

void haul__data_close(haul_channel *channel)
{
    forget(channel, HAUL__NEVER);
}

void haul__data_give_back(haul_channel *channel, haul__data_link *link, bool claimed)
{
    haul__data_client *data = &channel->data;
    if (!link) {
        return;
    }
    (void)pthread_mutex_lock(&channel->mutex);
    bool keep = claimed && link->epoch == data->epoch && !channel->closing;
    if (keep) {
        link->next = data->idle;
        data->idle = link;
    } else {
        data->n_links--;
    }
    (void)pthread_mutex_unlock(&channel->mutex);
    if (!keep) {
        unref(link);
    }
}

/* ---- Asking -------------------------------------------------------------------------------- */

/* Read what the server has answered. */
static bool read_answer(const haul__attempt *attempt, haul__data_server *out_server)
{
    ProtobufCMessage *message;
    if (attempt->code != GRPC_STATUS_OK ||
        haul__unpack(&attempt->method->output, attempt->answer, &message) != HAUL_OK) {
        return false;
    }
    const Shorthaul__V1__OpenDataResponse *r = (const Shorthaul__V1__OpenDataResponse *)message;
    bool right = r->client_token.len == HAUL__DATA_TOKEN_BYTES &&
                 r->server_token.len == HAUL__DATA_TOKEN_BYTES;
    if (right) {
        out_server->name = r->name;
        memcpy(out_server->client_token, r->client_token.data, HAUL__DATA_TOKEN_BYTES);
        memcpy(out_server->server_token, r->server_token.data, HAUL__DATA_TOKEN_BYTES);
        out_server->letters = r->letters_token.len == HAUL__DATA_TOKEN_BYTES;
        if (out_server->letters) {
            memcpy(out_server->letters_token, r->letters_token.data, HAUL__DATA_TOKEN_BYTES);
        }
    }
    haul__unpacked_free(message);
    return right;
}

/* @out_retry_ns: when to ask again, if the answer is none. */
static bool ask(const haul__data_dealing *d, haul__data_server *out_server, uint64_t *out_retry_ns)
{
    haul_channel *channel = d->channel;
    const haul__pack_from from = {.pins = &channel->pins};
    const Shorthaul__V1__OpenDataRequest request = SHORTHAUL__V1__OPEN_DATA_REQUEST__INIT;
    uint64_t until = haul__after_ns(ASKING_NS);
    haul__attempt attempt = {.deadline_ns = until < d->deadline_ns ? until : d->deadline_ns};
    *out_retry_ns = haul__after_ns(BUSY_NS);
    if (haul__channel_method(channel, &shorthaul__v1__data_service__descriptor, 0,
                             &attempt.method) != HAUL_OK ||
        haul__pack(&request.base, &from, &attempt.request) != HAUL_OK) {
        return false;
    }
    haul__attempt_run(channel, d->flight, &attempt);
    bool right = read_answer(&attempt, out_server);
    if (!right && !haul__attempt_came_to_nothing(&attempt)) {
        *out_retry_ns = haul__after_ns(ABSENT_NS); /* UNIMPLEMENTED, most likely */
    }
    haul__attempt_fini(&attempt);
    return right;
}

/* ---- Connecting ---------------------------------------------------------------------------- */

bool haul__data_while_wanted(void *ctx, bool moved)
{
    haul__data_dealing *d = ctx;
    uint64_t now = haul__clock_ns();
    d->moved_ns = moved ? now : d->moved_ns;
    d->stalled = now - d->moved_ns >= STALL_NS;
    return !d->stalled && now < d->deadline_ns && !haul__flight_is_cancelled(d->channel, d->flight);
}

/* Whether both sides are who they should be. */
static bool greet(haul__data_dealing *d, const haul__data_link *link,
                  const haul__data_server *server)
{
    haul__data_hello hello;
    uint8_t answer[HAUL__DATA_TOKEN_BYTES];
    memcpy(hello.magic, HAUL__DATA_MAGIC, sizeof(hello.magic));
    memcpy(hello.token, d->letters ? server->letters_token : server->client_token,
           sizeof(hello.token));
    return haul__data_send(link->reader.fd, &hello, sizeof(hello), haul__data_while_wanted, d) &&
           haul__data_receive(link->reader.fd, answer, sizeof(answer), haul__data_while_wanted,
                              d) &&
           memcmp(answer, server->server_token, sizeof(answer)) == 0;
}

static haul__data_link *connect_link(haul__data_dealing *d, const haul__data_server *server,
                                     uint64_t epoch)
{
    haul__data_link *link = calloc(1, sizeof(*link));
    if (!link) {
        return NULL;
    }
    atomic_init(&link->refs, 1);
    link->epoch = epoch;
    link->letters = d->letters;
    link->reader.fd = haul__data_connect(server->name, LOOK_NS);
    if (link->reader.fd < 0) {
        free(link);
        return NULL;
    }
    if (!greet(d, link, server)) {
        unref(link);
        return NULL;
    }
    return link;
}

/* What there is for a call that needs a connection. */
typedef struct found {
    haul__data_link *link; /* an idle one, which is the caller's now */
    bool connects;         /* to @server, and one more is counted */
    bool asks;             /* first */
    uint64_t epoch;
    haul__data_server server;
} found;

static found look(const haul__data_dealing *d)
{
    haul__data_client *data = &d->channel->data;
    found f = {0};
    (void)pthread_mutex_lock(&d->channel->mutex);
    bool room = !d->channel->closing && data->n_links < LINKS_MAX;
    bool useful = data->known ? !d->letters || data->server.letters
                              : !data->asking && haul__clock_ns() >= data->retry_ns;
    haul__data_link **link = &data->idle;
    while (*link && (*link)->letters != d->letters) {
        link = &(*link)->next;
    }
    if (*link) {
        f.link = *link;
        *link = f.link->next;
    } else if (room && useful) {
        f.connects = true;
        f.asks = !data->known;
        f.server = data->server;
        f.epoch = data->epoch;
        data->n_links++;
        data->asking |= f.asks;
    }
    (void)pthread_mutex_unlock(&d->channel->mutex);
    return f;
}

/* The server has been asked. */
static void settle(const haul__data_dealing *d, const found *f, bool known, uint64_t retry_ns)
{
    haul__data_client *data = &d->channel->data;
    (void)pthread_mutex_lock(&d->channel->mutex);
    data->asking = false;
    data->known = known && data->epoch == f->epoch;
    data->server = f->server;
    data->retry_ns = retry_ns;
    (void)pthread_mutex_unlock(&d->channel->mutex);
}

/* Ask if need be, and connect. */
static haul__data_link *open_link(haul__data_dealing *d, found *f)
{
    bool known = true;
    if (f->asks) {
        uint64_t retry_ns;
        known = ask(d, &f->server, &retry_ns);
        settle(d, f, known, retry_ns);
    }
    d->moved_ns = haul__clock_ns();
    bool connects = known && (!d->letters || f->server.letters);
    haul__data_link *link = connects ? connect_link(d, &f->server, f->epoch) : NULL;
    if (connects && !link) {
        /* What was just told leads nowhere; what was told long ago may be another server's by now. */
        forget(d->channel, f->asks ? haul__after_ns(ABSENT_NS) : 0);
    }
    if (!link) {
        (void)pthread_mutex_lock(&d->channel->mutex);
        d->channel->data.n_links--;
        (void)pthread_mutex_unlock(&d->channel->mutex);
    }
    return link;
}

haul__data_link *haul__data_take(haul__data_dealing *d)
{
    found f;
    haul__data_link *link;
    do {
        f = look(d);
        link = f.connects ? open_link(d, &f) : f.link;
    } while (!link && f.connects && !f.asks); /* what is known may be out of date */
    return link;
}

/* ---- Sending ------------------------------------------------------------------------------- */

static bool upload(haul__data_dealing *d, const haul__data_link *link, const void *payload,
                   size_t n, uint64_t *out_id)
{
    uint8_t head[8];
    uint8_t answer[8];
    haul__data_put_u64(head, n);
    bool good =
        haul__data_send(link->reader.fd, head, sizeof(head), haul__data_while_wanted, d) &&
        haul__data_send(link->reader.fd, payload, n, haul__data_while_wanted, d) &&
        haul__data_receive(link->reader.fd, answer, sizeof(answer), haul__data_while_wanted, d);
    *out_id = good ? haul__data_get_u64(answer) : 0;
    return *out_id != 0;
}

bool haul__data_upload(haul_channel *channel, haul__flight *flight, uint64_t deadline_ns,
                       haul__data_link **link, const void *payload, size_t n, uint64_t *out_id)
{
    haul__data_dealing d = {.channel = channel, .flight = flight, .deadline_ns = deadline_ns};
    if (!*link) {
        *link = haul__data_take(&d);
    }
    if (!*link) {
        return false;
    }
    d.moved_ns = haul__clock_ns();
    bool good = upload(&d, *link, payload, n, out_id);
    if (!good) {
        haul__data_give_back(channel, *link, false);
        *link = NULL;
        bool ours = haul__flight_is_cancelled(channel, flight) || haul__clock_ns() >= deadline_ns;
        if (!ours) {
            forget(channel, d.stalled ? haul__after_ns(STALLED_NS) : 0);
        }
    }
    return good;
}
