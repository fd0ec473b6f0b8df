/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The server of trunks that says what it must not. One thread, which takes one event after the
 * other; a call's struct is its own until the server is stopped.
 */

#include "raw_trunk.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

/* A call from the moment gRPC is asked for it. */
typedef struct served {
    struct served *next;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    grpc_byte_buffer *request;
    int cancelled;
    bool begun;
    bool is_trunk;
    bool ended;
    unsigned n_sent;
} served;

struct raw_trunk_server {
    grpc_server *grpc;
    grpc_completion_queue *queue;
    pthread_t thread;
    raw_trunk_mode mode;
    served *calls;
};

static void request_next(raw_trunk_server *server)
{
    served *s = calloc(1, sizeof(*s));
    if (!s) {
        abort();
    }
    s->next = server->calls;
    server->calls = s;
    grpc_call_details_init(&s->details);
    (void)grpc_server_request_call(server->grpc, &s->call, &s->details, &s->metadata, server->queue,
                                   server->queue, s);
}

/* ---- What is sent -------------------------------------------------------------------------- */

static grpc_byte_buffer *bytes_of(const void *bytes, size_t n)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(bytes, n);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

static grpc_byte_buffer *greeting(uint32_t max_calls)
{
    grpc_slice hello = haul__letters_hello(max_calls);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&hello, 1);
    grpc_slice_unref(hello);
    return buffer;
}

/* Append an answer whose bytes are those at @message, or zeros if that is NULL. */
static size_t add_answer(uint8_t *to, size_t n, const haul__letter_fields *fields,
                         const void *message, size_t n_message)
{
    grpc_slice letter = haul__letter_write(fields);
    n += haul__letter_head(GRPC_SLICE_LENGTH(letter), n_message, true, to + n);
    memcpy(to + n, GRPC_SLICE_START_PTR(letter), GRPC_SLICE_LENGTH(letter));
    n += GRPC_SLICE_LENGTH(letter);
    grpc_slice_unref(letter);
    n += haul__letter_message_head(n_message, to + n);
    if (message) {
        memcpy(to + n, message, n_message);
    } else {
        memset(to + n, 0, n_message);
    }
    return n + n_message;
}

/* An answer of 60 KiB to call 1 that goes on, or an empty one to a call that nobody made. */
static grpc_byte_buffer *answer(bool more)
{
    static uint8_t bytes[70000];
    const haul__letter_fields fields = {.id = more ? 1 : 4711, .more = more};
    return bytes_of(bytes, add_answer(bytes, 0, &fields, NULL, more ? 60000 : 0));
}

/* The next field of the answer to call 1, one that is unknown, and much for nobody. */
static grpc_byte_buffer *crumb(bool more)
{
    static uint8_t bytes[250000];
    static const uint8_t field[] = {0x98, 0x06, 0x00};
    const haul__letter_fields for_nobody = {.id = 4711, .more = true};
    const haul__letter_fields fields = {.id = 1, .more = more};
    size_t n = 0;
    for (int i = 0; i < 4; i++) {
        n = add_answer(bytes, n, &for_nobody, NULL, 60000);
    }
    return bytes_of(bytes, add_answer(bytes, n, &fields, field, sizeof(field)));
}

/* What a trunk says next; NULL: nothing. */
static grpc_byte_buffer *next_message(raw_trunk_mode mode, unsigned n_sent)
{
    switch (mode) {
    case RAW_TRUNK_GARBAGE:
        return n_sent == 0 ? bytes_of("\x0a\xff\xff\xff", 4) : NULL;
    case RAW_TRUNK_NO_ROOM:
        return n_sent == 0 ? bytes_of("", 0) : NULL;
    case RAW_TRUNK_UNKNOWN:
        return n_sent == 0 ? greeting(100) : n_sent < 10 ? answer(false) : NULL;
    case RAW_TRUNK_MORE:
        return n_sent == 0 ? greeting(100) : answer(true);
    case RAW_TRUNK_CRUMBS:
        return n_sent == 0                    ? greeting(100)
               : n_sent <= RAW_TRUNK_N_CRUMBS ? crumb(n_sent < RAW_TRUNK_N_CRUMBS)
                                              : NULL;
    default:
        return NULL;
    }
}

static void end_call(served *s)
{
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER}};
    ops[1].data.recv_close_on_server.cancelled = &s->cancelled;
    s->ended = true;
    (void)grpc_call_start_batch(s->call, ops, 2, s, NULL);
}

static void go_on(const raw_trunk_server *server, served *s)
{
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_SEND_MESSAGE}};
    grpc_byte_buffer *message = s->is_trunk      ? next_message(server->mode, s->n_sent)
                                : s->n_sent == 0 ? bytes_of("", 0)
                                                 : NULL;
    bool ends = !s->is_trunk || server->mode == RAW_TRUNK_ENDS ||
                server->mode == RAW_TRUNK_UNKNOWN || server->mode == RAW_TRUNK_CRUMBS;
    ops[1].data.send_message.send_message = message;
    if (message) {
        bool first = s->n_sent++ == 0;
        (void)grpc_call_start_batch(s->call, first ? ops : ops + 1, first ? 2 : 1, s, NULL);
        grpc_byte_buffer_destroy(message);
    } else if (ends) {
        end_call(s);
    }
}

/* ---- Events -------------------------------------------------------------------------------- */

/* What is begun reads its first message, if it is none of a trunk, and then sends. */
static void on_event(raw_trunk_server *server, served *s, bool ok)
{
    if (!s->call || s->ended || (s->begun && !ok)) {
        return;
    }
    if (s->begun) {
        go_on(server, s);
        return;
    }
    s->begun = true;
    s->is_trunk = grpc_slice_str_cmp(s->details.method, HAUL__TRUNK_METHOD) == 0;
    request_next(server);
    if (s->is_trunk) {
        go_on(server, s);
    } else {
        const grpc_op op = {.op = GRPC_OP_RECV_MESSAGE,
                            .data.recv_message.recv_message = &s->request};
        (void)grpc_call_start_batch(s->call, &op, 1, s, NULL);
    }
}

static void *serve(void *arg)
{
    raw_trunk_server *server = arg;
    bool stopping = false;
    grpc_event event;
    while ((event = grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC),
                                               NULL))
               .type == GRPC_OP_COMPLETE) {
        if (event.tag == server) {
            grpc_completion_queue_shutdown(server->queue);
            stopping = true;
        } else if (!stopping) {
            on_event(server, event.tag, event.success != 0);
        }
    }
    return NULL;
}

raw_trunk_server *raw_trunk_server_start(const char *address, raw_trunk_mode mode)
{
    raw_trunk_server *server = calloc(1, sizeof(*server));
    if (!server) {
        abort();
    }
    grpc_init();
    server->mode = mode;
    server->grpc = grpc_server_create(NULL, NULL);
    server->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server->grpc, server->queue, NULL);
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server->grpc, address, credentials);
    grpc_server_credentials_release(credentials);
    grpc_server_start(server->grpc);
    request_next(server);
    if (port == 0 || pthread_create(&server->thread, NULL, serve, server) != 0) {
        abort();
    }
    return server;
}

void raw_trunk_server_stop(raw_trunk_server *server)
{
    grpc_server_shutdown_and_notify(server->grpc, server->queue, server);
    grpc_server_cancel_all_calls(server->grpc);
    (void)pthread_join(server->thread, NULL);
    while (server->calls) {
        served *s = server->calls;
        server->calls = s->next;
        grpc_byte_buffer_destroy(s->request);
        grpc_call_details_destroy(&s->details);
        grpc_metadata_array_destroy(&s->metadata);
        if (s->call) {
            grpc_call_unref(s->call);
        }
        free(s);
    }
    grpc_server_destroy(server->grpc);
    grpc_completion_queue_destroy(server->queue);
    grpc_shutdown();
    free(server);
}
