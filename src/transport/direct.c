/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Calls on data connections.
 *
 * A message each way on gRPC's stream takes four times what the same bytes take on a bare socket, most of
 * it to be woken for nothing. So a caller that has made some short calls on the trunk gets a
 * connection for himself, writes the same letter there and sleeps in the kernel until the answer has
 * come. There is one call at a time on it, and a thread at the other end that serves it: nothing is
 * shared, and nobody is woken for somebody else. Callers for whom there is none ride on the trunk.
 *
 * What a letter means is the trunk's, and it is what the call hangs on: a server that stops answers that
 * it has not begun, here as there; if this process dies the trunk ends, and its calls are cancelled.
 *
 * If the connection ends without an answer nobody knows how far the call came: UNAVAILABLE. But a
 * letter that could not be sent as a whole has not been begun.
 */

#include "transport/direct.h"

#include <poll.h>
#include <sys/socket.h>

#include "transport/answer.h"
#include "transport/channel_data.h"
#include "transport/deadline.h"
#include "transport/outbox.h"
#include "transport/trunk_parts.h"

/* So many calls are made on the trunk first: a client that makes few needs no thread of the server's. */
#define WARM_UP 16

/* With less time than that a call does not sleep for a look. */
#define SOON_NS UINT64_C(50000000)

/* A call under way. */
typedef struct trip {
    haul__data_dealing dealing;
    haul__data_link *link;
    haul__attempt *attempt;
    uint64_t busy_until_ns;
    haul__incoming_answer answer;
    grpc_slice frame;
    bool done;
    bool unbegun;
    bool dropped; /* nobody waits for the answer any more; what has come of it is let go of */
    bool broken;  /* the server says what it must not */
} trip;

/* Whether calls go this way by now. */
static bool is_due(haul_channel *channel)
{
    haul__data_client *data = &channel->data;
    (void)pthread_mutex_lock(&channel->mutex);
    data->n_short += data->n_short < WARM_UP;
    bool due = data->n_short == WARM_UP && (!data->known || data->server.letters);
    (void)pthread_mutex_unlock(&channel->mutex);
    return due;
}

/* Have a cancellation of the call cut the connection; false if it has come first. @out_alone: whether no
 * other call is under way so. */
static bool show(const haul__data_dealing *d, haul__data_link *link, bool *out_alone)
{
    (void)pthread_mutex_lock(&d->channel->mutex);
    bool wanted = !d->flight->cancelled && !d->channel->closing;
    d->flight->data = wanted ? link : NULL;
    d->channel->data.n_direct++;
    *out_alone = d->channel->data.n_direct == 1;
    (void)pthread_mutex_unlock(&d->channel->mutex);
    return wanted;
}

static void hide(const haul__data_dealing *d)
{
    (void)pthread_mutex_lock(&d->channel->mutex);
    d->flight->data = NULL;
    d->channel->data.n_direct--;
    (void)pthread_mutex_unlock(&d->channel->mutex);
}

static bool send_letter(trip *t)
{
    haul_channel *channel = t->dealing.channel;
    const grpc_slice_buffer *request = &t->attempt->request->data.raw.slice_buffer;
    grpc_slice_buffer body;
    grpc_slice_buffer message;
    grpc_slice_buffer_init(&body);
    grpc_slice_buffer_init(&message);
    for (size_t i = 0; i < request->count; i++) {
        grpc_slice_buffer_add(&body, grpc_slice_ref(request->slices[i]));
    }
    haul__outgoing_letter letter = {
        .id = 1, .body = &body, .fields = haul__attempt_write_letter(channel, t->attempt, 1)};
    (void)haul__outgoing_letter_part(&letter, &message);
    bool sent =
        haul__data_send_frame(t->link->reader.fd, &message, haul__data_while_wanted, &t->dealing);
    grpc_slice_buffer_destroy(&message);
    grpc_slice_buffer_destroy(&body);
    return sent;
}

/* ---- The answer ---------------------------------------------------------------------------- */

/* From here on the server cannot send, and knows; what it has sent can still be read. */
static bool drop(trip *t)
{
    bool again = t->dropped;
    t->dropped = true;
    t->link->reader.flags = MSG_DONTWAIT;
    (void)shutdown(t->link->reader.fd, SHUT_RD);
    return !again;
}

/* Wait until something has come; false at the deadline, and all has been read. */
static bool until_it_comes(void *ctx, bool moved)
{
    trip *t = ctx;
    (void)moved;
    uint64_t now = haul__clock_ns();
    if (t->dropped || now >= t->dealing.deadline_ns) {
        return drop(t);
    }
    if (now < t->busy_until_ns) {
        return true;
    }
    uint64_t left = t->dealing.deadline_ns - now;
    const struct timespec timeout = {.tv_sec = (time_t)(left / 1000000000),
                                     .tv_nsec = (long)(left % 1000000000)};
    struct pollfd fd = {.fd = t->link->reader.fd, .events = POLLIN};
    (void)ppoll(&fd, 1, t->dealing.deadline_ns == HAUL__NEVER ? NULL : &timeout, NULL);
    return true;
}

static void on_letter(void *ctx, haul__letter *letter)
{
    trip *t = ctx;
    t->broken |= t->done;
    if (t->broken || !haul__incoming_answer_add(&t->answer, t->dealing.channel, letter, t->frame)) {
        return;
    }
    t->done = true;
    t->unbegun = letter->unbegun;
    if (!t->unbegun && !t->dropped) {
        haul__incoming_answer_end(&t->answer, t->dealing.channel, letter, t->frame, t->attempt);
    }
}

/* Read until the last part of the answer. False: it does not come. */
static bool receive_answer(trip *t)
{
    haul__data_reader *reader = &t->link->reader;
    bool soon = t->busy_until_ns > 0 || t->dealing.deadline_ns < haul__after_ns(SOON_NS);
    reader->flags = soon ? MSG_DONTWAIT : 0;
    bool good = true;
    while (good && !t->done) {
        uint8_t number[8];
        good =
            haul__data_read(reader, number, sizeof(number), until_it_comes, t) &&
            haul__data_read_frame(reader, haul__data_get_u64(number), until_it_comes, t, &t->frame);
        if (good) {
            good = haul__letters_read(t->frame, on_letter, t, NULL) && !t->broken;
            grpc_slice_unref(t->frame);
        }
    }
    reader->flags = 0;
    return good;
}

/* ---- The call ------------------------------------------------------------------------------ */

static bool is_cancelled(const trip *t)
{
    return haul__flight_is_cancelled(t->dealing.channel, t->dealing.flight);
}

/* Whether it is this side that does not want the call any more. */
static bool is_given_up(const trip *t)
{
    return is_cancelled(t) || haul__clock_ns() >= t->dealing.deadline_ns;
}

/* The answer has not come. */
static void fill_lost(trip *t)
{
    if (is_given_up(t)) {
        haul__attempt_give_up(t->attempt, is_cancelled(t));
    } else {
        t->attempt->code = GRPC_STATUS_UNAVAILABLE;
        t->attempt->details = grpc_slice_from_static_string("the connection has been lost");
    }
}

/* Whether the call has come to an end, which may be a bad one. */
static bool travel(trip *t)
{
    haul_channel *channel = t->dealing.channel;
    bool alone;
    bool sent = show(&t->dealing, t->link, &alone) && send_letter(t);
    if (sent && alone && channel->busy_poll_ns > 0) { /* else the core is the others' */
        t->busy_until_ns = haul__after_ns(channel->busy_poll_ns);
    }
    bool answered = sent && receive_answer(t) && !t->dropped;
    hide(&t->dealing);
    if (t->dropped && t->done) {
        haul__reply_drop(channel, t->attempt->method, &t->answer.parts);
    }
    if (sent && !answered && (t->dropped || !t->done)) {
        fill_lost(t);
    }
    bool good =
        answered && !t->unbegun && !is_cancelled(t) && t->link->reader.at == t->link->reader.n;
    haul__data_give_back(channel, t->link, good);
    if ((t->unbegun && !t->dropped) || (!answered && !is_given_up(t))) {
        haul__data_distrust(channel);
    }
    return sent && (t->dropped || !t->unbegun);
}

/* Make the call on a connection that the trunk has told of, if there is one. */
static bool carry_beside(haul_channel *channel, haul__flight *flight, haul__attempt *attempt)
{
    trip t = {
        .dealing = {.channel = channel,
                    .flight = flight,
                    .letters = true,
                    .deadline_ns = attempt->deadline_ns},
        .attempt = attempt,
    };
    t.link = haul__data_take(&t.dealing);
    if (!t.link) {
        return false;
    }
    haul__incoming_answer_init(&t.answer);
    bool ended = travel(&t);
    haul__incoming_answer_fini(&t.answer);
    if (ended) {
        haul__count(&channel->counters.n_direct);
        attempt->is_carried = true;
        haul__attempt_end(attempt);
    }
    return ended;
}

bool haul__direct_carry(haul_channel *channel, haul__flight *flight, haul__attempt *attempt)
{
    if (channel->no_direct || attempt->n_unbegun > 0 || !haul__attempt_is_short(attempt) ||
        haul__clock_ns() >= attempt->deadline_ns || !is_due(channel)) {
        return false;
    }
    haul__trunk *trunk = haul__trunk_board(channel, flight, attempt);
    bool ended = false;
    if (trunk && haul__trunk_hold(trunk)) {
        ended = carry_beside(channel, flight, attempt);
        haul__trunk_let_go(trunk);
    }
    haul__trunk_unref(trunk);
    return ended;
}
