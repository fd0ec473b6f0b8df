/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The sending half of a trunk, the same on both sides.
 *
 * The lists are the mutex's. gRPC is called without it, by whoever found nothing under way or got
 * the event of what was: so there is one message under way at most, and who has posted while there
 * was needs do nothing. If the process dies the letters die with it, and the other side's stream
 * ends.
 */

#include "transport/outbox.h"

#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/slice_buffer.h>

/* Letters in one message at most. */
#define BATCH_LETTERS 64

/* Messages up to here are copied behind their heads: a slice of their own costs more. */
#define COPY_MAX 2048

void haul__outbox_init(haul__outbox *outbox, grpc_call *call, void *tag, pthread_mutex_t *mutex,
                       bool sending)
{
    *outbox = (haul__outbox){.call = call, .tag = tag, .mutex = mutex, .sending = sending};
}

static void append(haul__outbox *outbox, haul__outgoing_letter *letter)
{
    letter->next = NULL;
    if (outbox->last) {
        outbox->last->next = letter;
    } else {
        outbox->first = letter;
    }
    outbox->last = letter;
}

static haul__outgoing_letter *take_first(haul__outbox *outbox)
{
    haul__outgoing_letter *letter = outbox->first;
    outbox->first = letter->next;
    if (!outbox->first) {
        outbox->last = NULL;
    }
    return letter;
}

bool haul__outgoing_letter_part(haul__outgoing_letter *letter, grpc_slice_buffer *message)
{
    uint8_t head[HAUL__LETTER_HEAD_MAX];
    uint8_t message_head[HAUL__LETTER_HEAD_MAX];
    size_t left = letter->body ? letter->body->length : 0;
    bool last = left <= HAUL__LETTER_MAX;
    size_t n = last ? left : HAUL__LETTER_MAX;
    const haul__letter_fields part = {.id = letter->id, .more = true};
    grpc_slice fields = last ? letter->fields : haul__letter_write(&part);
    size_t n_fields = GRPC_SLICE_LENGTH(fields);
    size_t n_head = haul__letter_head(n_fields, n, letter->body != NULL, head);
    size_t n_message_head = letter->body ? haul__letter_message_head(n, message_head) : 0;
    size_t n_copied = n <= COPY_MAX ? n : 0;

    grpc_slice slice = grpc_slice_malloc(n_head + n_fields + n_message_head + n_copied);
    uint8_t *to = GRPC_SLICE_START_PTR(slice);
    memcpy(to, head, n_head);
    memcpy(to + n_head, GRPC_SLICE_START_PTR(fields), n_fields);
    memcpy(to + n_head + n_fields, message_head, n_message_head);
    if (n_copied > 0) {
        grpc_slice_buffer_move_first_into_buffer(letter->body, n,
                                                 to + n_head + n_fields + n_message_head);
    }
    grpc_slice_buffer_add(message, slice);
    if (n > n_copied) {
        grpc_slice_buffer_move_first(letter->body, n, message);
    }
    grpc_slice_unref(fields);
    letter->begun = true;
    return last;
}

/* With the mutex: the next message, of what waits. */
static void collect(haul__outbox *outbox, grpc_slice_buffer *message)
{
    const size_t enough = HAUL__TRUNK_MESSAGE_MAX / 2; /* with one more letter it still fits */
    for (unsigned i = 0; i < BATCH_LETTERS && outbox->first && message->length < enough; i++) {
        haul__outgoing_letter *letter = take_first(outbox);
        if (haul__outgoing_letter_part(letter, message)) {
            letter->next = outbox->leaving;
            outbox->leaving = letter;
        } else {
            append(outbox, letter);
        }
    }
}

static void end_all(haul__outgoing_letter *letter, bool ok)
{
    while (letter) {
        haul__outgoing_letter *next = letter->next;
        letter->over(letter, ok);
        letter = next;
    }
}

/* Send what waits. @outbox->sending is true, and nothing is under way. */
static void send_next(haul__outbox *outbox)
{
    grpc_slice_buffer message;
    grpc_slice_buffer_init(&message);
    (void)pthread_mutex_lock(outbox->mutex);
    collect(outbox, &message);
    (void)pthread_mutex_unlock(outbox->mutex);

    grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(message.slices, message.count);
    grpc_slice_buffer_destroy(&message);
    const grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = bytes};
    grpc_call_error error = grpc_call_start_batch(outbox->call, &op, 1, outbox->tag, NULL);
    grpc_byte_buffer_destroy(bytes);
    if (error != GRPC_CALL_OK) {
        haul__outbox_sent(outbox, false);
    }
}

void haul__outbox_post(haul__outbox *outbox, haul__outgoing_letter *letter)
{
    (void)pthread_mutex_lock(outbox->mutex);
    bool closed = outbox->closed;
    bool first = !closed && !outbox->sending;
    if (!closed) {
        append(outbox, letter);
        outbox->sending = true;
    }
    (void)pthread_mutex_unlock(outbox->mutex);
    if (closed) {
        grpc_slice_unref(letter->fields);
        letter->over(letter, false);
    } else if (first) {
        send_next(outbox);
    }
}

void haul__outbox_sent(haul__outbox *outbox, bool ok)
{
    (void)pthread_mutex_lock(outbox->mutex);
    haul__outgoing_letter *gone = outbox->leaving;
    outbox->leaving = NULL;
    outbox->closed |= !ok;
    bool more = outbox->first && !outbox->closed;
    outbox->sending = more;
    (void)pthread_mutex_unlock(outbox->mutex);
    if (!ok) {
        haul__outbox_close(outbox);
    }
    if (more) {
        send_next(outbox);
    }
    end_all(gone, ok);
}

void haul__outbox_close(haul__outbox *outbox)
{
    (void)pthread_mutex_lock(outbox->mutex);
    haul__outgoing_letter *waiting = outbox->first;
    outbox->first = NULL;
    outbox->last = NULL;
    outbox->closed = true;
    (void)pthread_mutex_unlock(outbox->mutex);
    for (haul__outgoing_letter *letter = waiting; letter; letter = letter->next) {
        grpc_slice_unref(letter->fields);
    }
    end_all(waiting, false);
}

bool haul__outbox_is_empty(const haul__outbox *outbox)
{
    return !outbox->first && !outbox->sending;
}

bool haul__outbox_withdraw(haul__outbox *outbox, haul__outgoing_letter *letter)
{
    haul__outgoing_letter **link = &outbox->first;
    haul__outgoing_letter *before = NULL;
    while (*link && *link != letter) {
        before = *link;
        link = &before->next;
    }
    if (!*link || letter->begun) {
        return false;
    }
    *link = letter->next;
    if (outbox->last == letter) {
        outbox->last = before;
    }
    grpc_slice_unref(letter->fields);
    return true;
}
