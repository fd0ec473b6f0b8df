/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Trunks at the server: streams on which clients send short unary calls as letters.
 *
 * What comes is made into calls like any others, which wait in the server's list of those that are
 * ready until one of its threads runs them (server_loop.c); what they answer goes to the trunk's
 * outbox. Several letters of one message may so be served by several threads at once.
 *
 * A trunk lives as long as anything refers to it: the events gRPC owes for it, its calls, and notes
 * that are to be sent. If the client dies the stream ends; its calls are cancelled as gRPC's would
 * be and run to their end, and what they give is revoked. If the server stops, what has not been
 * begun is answered so, or not at all before the stream ends OK, for the client to make it again
 * elsewhere.
 *
 * A client may be anybody. It is told how many calls it may have at a time; one that takes no notice
 * loses the stream, and so does one whose messages cannot be read. The mutex is held across no call
 * into gRPC and no handler.
 */

#include "transport/deadline.h"
#include "transport/grpc_args.h"
#include "transport/server.h"

/* A call counts here a little longer than at the client, who may have its answer already. */
#define CALLS_SLACK 2

/* With fewer streams to a connection the trunk would take one that is needed. */
#define STREAMS_MIN 8

struct haul__carrier {
    haul__tag on_new;
    haul__tag on_received;
    haul__tag on_sent;
    haul__tag on_closed;
    haul__tag on_finished;
    haul__ready ready; /* to ask for the next message */
    haul_server *server;
    grpc_call *grpc;
    gpr_timespec deadline; /* which clients of ours do not set */
    grpc_metadata_array metadata;
    grpc_byte_buffer *incoming;
    int closed_early;
    atomic_uint refs;
    haul__carrier *next; /* of the server's, under its mutex */
    haul__carrier **link;
    bool told; /* that the server is stopping */

    pthread_mutex_t mutex; /* the following */
    haul__outbox outbox;
    haul_call *calls; /* that have not ended */
    size_t n_calls;
    bool greeted;     /* the first message has been written */
    bool half_closed; /* the client sends nothing more */
    bool stopping;    /* the server begins nothing more */
    bool closed;      /* nobody hears the answers */
    bool finished;
};

/* Something to tell the client of a call that was not begun: in a block. */
typedef struct note {
    haul__outgoing_letter letter;
    haul__carrier *carrier;
} note;

/* ---- Lives --------------------------------------------------------------------------------- */

static void unref(haul__carrier *carrier)
{
    if (atomic_fetch_sub(&carrier->refs, 1) != 1) {
        return;
    }
    haul_server *server = carrier->server;
    grpc_metadata_array_destroy(&carrier->metadata);
    if (carrier->grpc) {
        grpc_call_unref(carrier->grpc);
    }
    (void)pthread_mutex_lock(&server->mutex);
    *carrier->link = carrier->next;
    if (carrier->next) {
        carrier->next->link = carrier->link;
    }
    (void)pthread_mutex_unlock(&server->mutex);
    (void)pthread_mutex_destroy(&carrier->mutex);
    haul__block_give_back(server->place, carrier);
    (void)pthread_mutex_lock(&server->mutex);
    server->n_carriers--;
    bool last = server->phase == HAUL__SERVER_STOPPED && server->n_carriers == 0;
    if (last) {
        (void)pthread_cond_broadcast(&server->changed);
    }
    (void)pthread_mutex_unlock(&server->mutex);
}

static void start(haul__carrier *carrier, const grpc_op *ops, size_t n, haul__tag *tag,
                  bool (*fire)(haul__tag *tag, bool ok))
{
    atomic_fetch_add(&carrier->refs, 1);
    haul__tag_post(tag, fire);
    if (grpc_call_start_batch(carrier->grpc, ops, n, tag, NULL) != GRPC_CALL_OK) {
        unref(carrier);
    }
}

static bool on_finished(haul__tag *tag, bool ok)
{
    (void)ok;
    unref(HAUL__CONTAINER_OF(tag, haul__carrier, on_finished));
    return true;
}

/* One side has said its last word: when everything is answered, end the stream. OK tells the client
 * that what has no answer has not been begun. */
static void finish_if_done(haul__carrier *carrier)
{
    (void)pthread_mutex_lock(&carrier->mutex);
    bool last = carrier->half_closed || (carrier->stopping && carrier->greeted);
    bool done = last && carrier->n_calls == 0 && !carrier->finished &&
                haul__outbox_is_empty(&carrier->outbox);
    carrier->finished |= done;
    (void)pthread_mutex_unlock(&carrier->mutex);
    if (done) {
        grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
        op.data.send_status_from_server.status = GRPC_STATUS_OK;
        start(carrier, &op, 1, &carrier->on_finished, on_finished);
    }
}

/* ---- Calls --------------------------------------------------------------------------------- */

static void on_note_over(haul__outgoing_letter *letter, bool ok)
{
    (void)ok;
    note *n = HAUL__CONTAINER_OF(letter, note, letter);
    haul__carrier *carrier = n->carrier;
    haul__block_give_back(carrier->server->place, n);
    unref(carrier);
}

/* Answer a call that has not been begun. */
static void send_note(haul__carrier *carrier, const haul__letter_fields *fields)
{
    _Static_assert(sizeof(note) <= HAUL__BLOCK_BYTES, "a note fits into a block");
    note *n = haul__block_take(carrier->server->place);
    if (!n) {
        (void)grpc_call_cancel(carrier->grpc, NULL); /* rather than let somebody wait for ever */
        return;
    }
    *n = (note){.carrier = carrier};
    n->letter = (haul__outgoing_letter){.id = fields->id, .fields = haul__letter_write(fields)};
    n->letter.over = on_note_over;
    atomic_fetch_add(&carrier->refs, 1);
    haul__outbox_post(&carrier->outbox, &n->letter);
}

static haul__method *find_method(const haul_server *server, grpc_slice path)
{
    haul__method *method = server->methods;
    while (method && (!method->service || grpc_slice_str_cmp(path, method->path) != 0)) {
        method = method->next;
    }
    return method ? method : server->unknown;
}

/* Whether calls may begin; if so, there is one more. */
static bool enter_server(haul_server *server)
{
    (void)pthread_mutex_lock(&server->mutex);
    bool runs = server->phase == HAUL__SERVER_RUNNING;
    server->n_calls += runs;
    (void)pthread_mutex_unlock(&server->mutex);
    return runs;
}

typedef enum entry {
    ENTERED,
    TOO_MANY, /* the client has more calls than it may */
    TOO_LATE  /* it is being told that no more are begun */
} entry;

static entry enter_carrier(haul__carrier *carrier, haul_call *call)
{
    (void)pthread_mutex_lock(&carrier->mutex);
    bool room = carrier->n_calls < (size_t)CALLS_SLACK * carrier->server->max_calls;
    entry how = carrier->finished ? TOO_LATE : room ? ENTERED : TOO_MANY;
    if (how == ENTERED) {
        call->carried.next = carrier->calls;
        call->carried.link = &carrier->calls;
        if (carrier->calls) {
            carrier->calls->carried.link = &call->carried.next;
        }
        carrier->calls = call;
        carrier->n_calls++;
        atomic_store(&call->cancelled, carrier->closed);
    }
    (void)pthread_mutex_unlock(&carrier->mutex);
    return how;
}

void haul__carrier_leave(haul_call *call)
{
    haul__carrier *carrier = call->carried.carrier;
    (void)pthread_mutex_lock(&carrier->mutex);
    *call->carried.link = call->carried.next;
    if (call->carried.next) {
        call->carried.next->carried.link = call->carried.link;
    }
    carrier->n_calls--;
    (void)pthread_mutex_unlock(&carrier->mutex);
    haul__letter_metadata_fini(&call->carried.metadata);
    call->metadata = (grpc_metadata_array){0};
    grpc_slice_unref(call->carried.frame);
    finish_if_done(carrier);
    unref(carrier);
}

/* While the letters of one message are looked at. */
typedef struct reading {
    haul__carrier *carrier;
    grpc_slice frame;
    bool broken; /* the client does what it must not */
} reading;

static void cancel(haul__carrier *carrier, uint64_t id)
{
    (void)pthread_mutex_lock(&carrier->mutex);
    for (haul_call *call = carrier->calls; call; call = call->carried.next) {
        if (call->carried.letter.id == id) {
            atomic_store(&call->cancelled, true);
        }
    }
    (void)pthread_mutex_unlock(&carrier->mutex);
}

/* Make @call of the letter. */
static void fill(haul_call *call, haul__letter *letter, const reading *in)
{
    atomic_fetch_add(&in->carrier->refs, 1);
    grpc_call_ref(in->carrier->grpc);
    call->grpc = in->carrier->grpc;
    call->carried.carrier = in->carrier;
    call->carried.frame = grpc_slice_ref(in->frame);
    call->carried.letter.id = letter->id;
    haul__letter_metadata_move(&call->carried.metadata, &letter->initial);
    call->metadata = call->carried.metadata.array;
    call->deadline_ns = letter->timeout_ns > 0 ? haul__after_ns(letter->timeout_ns) : HAUL__NEVER;
    call->request_bytes = grpc_raw_byte_buffer_create(&letter->message, 1);
}

static void begin(reading *in, haul__letter *letter)
{
    haul_server *server = in->carrier->server;
    if (!enter_server(server)) {
        const haul__letter_fields unbegun = {.id = letter->id, .unbegun = true};
        send_note(in->carrier, &unbegun);
        return;
    }
    haul_call *call = haul__call_create(server, find_method(server, letter->method));
    entry how = call ? enter_carrier(in->carrier, call) : TOO_MANY;
    if (how == ENTERED) {
        fill(call, letter, in);
        haul__ready_call(server, call);
        return;
    }
    if (how == TOO_MANY) {
        const haul__letter_fields refused = {.id = letter->id,
                                             .status = GRPC_STATUS_RESOURCE_EXHAUSTED};
        in->broken |= call != NULL;
        send_note(in->carrier, &refused);
    }
    if (call) {
        haul__call_discard(call);
    }
    haul__server_call_ended(server);
}

static void on_letter(void *ctx, haul__letter *letter)
{
    reading *in = ctx;
    if (letter->cancelled) {
        cancel(in->carrier, letter->id);
    } else if (!in->broken) {
        begin(in, letter);
    }
}

/* ---- Answers ------------------------------------------------------------------------------- */

static void on_answer_over(haul__outgoing_letter *letter, bool ok)
{
    haul_call *call = HAUL__CONTAINER_OF(letter, haul_call, carried.letter);
    call->sent = ok;
    haul__unread_leave(call);
    haul__call_unref(call);
}

grpc_call *haul__carrier_stream(const haul_call *call)
{
    return call->carried.carrier->grpc;
}

void haul__carrier_answer(haul_call *call, grpc_status_code code, const grpc_slice *text)
{
    grpc_metadata ours[HAUL__METADATA_SPARE];
    struct grpc_op_send_status_from_server end = {0};
    grpc_op initial;
    haul__call_initial_metadata(call, &initial);
    haul__call_trailing_metadata(call, ours, &end);
    const haul__letter_fields fields = {
        .id = call->carried.letter.id,
        .metadata = initial.data.send_initial_metadata.metadata,
        .n_metadata = initial.data.send_initial_metadata.count,
        .trailing = end.trailing_metadata,
        .n_trailing = end.trailing_metadata_count,
        .status = (uint32_t)code,
        .text = text,
    };
    haul__outgoing_letter *letter = &call->carried.letter;
    letter->fields = haul__letter_write(&fields);
    letter->body = call->answer_bytes ? &call->answer_bytes->data.raw.slice_buffer : NULL;
    letter->over = on_answer_over;
    atomic_fetch_add(&call->refs, 1);
    haul__outbox_post(&call->carried.carrier->outbox, letter);
}

/* ---- Events -------------------------------------------------------------------------------- */

static bool on_received(haul__tag *tag, bool ok);

static void receive_next(haul__carrier *carrier)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &carrier->incoming;
    start(carrier, &op, 1, &carrier->on_received, on_received);
}

/* Behind the calls that the last message brought: their answers are under way then. If there are
 * many, or they last, another thread leads and comes here. */
static bool go_on(haul__ready *ready, size_t n_calls)
{
    (void)n_calls;
    haul__carrier *carrier = HAUL__CONTAINER_OF(ready, haul__carrier, ready);
    receive_next(carrier);
    unref(carrier);
    return true;
}

static bool on_received(haul__tag *tag, bool ok)
{
    haul__carrier *carrier = HAUL__CONTAINER_OF(tag, haul__carrier, on_received);
    grpc_byte_buffer *bytes = carrier->incoming;
    carrier->incoming = NULL;
    if (!bytes) {
        (void)pthread_mutex_lock(&carrier->mutex);
        carrier->half_closed = ok;
        (void)pthread_mutex_unlock(&carrier->mutex);
        finish_if_done(carrier);
    } else {
        reading in = {.carrier = carrier, .frame = haul__frame_of(bytes)};
        in.broken |= !haul__letters_read(in.frame, on_letter, &in, NULL);
        grpc_slice_unref(in.frame);
        grpc_byte_buffer_destroy(bytes);
        if (in.broken) {
            (void)grpc_call_cancel_with_status(carrier->grpc, GRPC_STATUS_RESOURCE_EXHAUSTED,
                                               "more calls than may be, or no calls at all", NULL);
        }
        atomic_fetch_add(&carrier->refs, 1);
        haul__ready_add(carrier->server, &carrier->ready, go_on);
    }
    unref(carrier);
    return true;
}

static bool on_sent(haul__tag *tag, bool ok)
{
    haul__carrier *carrier = HAUL__CONTAINER_OF(tag, haul__carrier, on_sent);
    (void)pthread_mutex_lock(&carrier->mutex);
    bool first = !carrier->greeted;
    carrier->greeted = true;
    (void)pthread_mutex_unlock(&carrier->mutex);
    atomic_fetch_add(&carrier->refs, 1);
    haul__tag_post(tag, on_sent); /* for the next message */
    haul__outbox_sent(&carrier->outbox, ok);
    finish_if_done(carrier);
    unref(carrier);
    if (first) {
        unref(carrier);
    }
    return true;
}

static bool on_closed(haul__tag *tag, bool ok)
{
    (void)ok;
    haul__carrier *carrier = HAUL__CONTAINER_OF(tag, haul__carrier, on_closed);
    (void)pthread_mutex_lock(&carrier->mutex);
    carrier->closed = true;
    for (haul_call *call = carrier->calls; call; call = call->carried.next) {
        atomic_store(&call->cancelled, true);
    }
    (void)pthread_mutex_unlock(&carrier->mutex);
    haul__outbox_close(&carrier->outbox);
    unref(carrier);
    return true;
}

static void greet(haul__carrier *carrier)
{
    grpc_slice hello = haul__letters_hello(carrier->server->max_calls);
    grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&hello, 1);
    grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    close.data.recv_close_on_server.cancelled = &carrier->closed_early;
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_SEND_MESSAGE}};
    ops[1].data.send_message.send_message = bytes;
    start(carrier, &close, 1, &carrier->on_closed, on_closed);
    start(carrier, ops, 2, &carrier->on_sent, on_sent);
    grpc_byte_buffer_destroy(bytes);
    grpc_slice_unref(hello);
}

static bool on_new(haul__tag *tag, bool ok)
{
    haul__carrier *carrier = HAUL__CONTAINER_OF(tag, haul__carrier, on_new);
    if (!ok) {
        unref(carrier); /* the server is shutting down */
        return true;
    }
    (void)!haul__server_request_trunk(carrier->server); /* without memory, this is the last */
    haul__outbox_init(&carrier->outbox, carrier->grpc, &carrier->on_sent, &carrier->mutex, true);
    greet(carrier);
    receive_next(carrier);
    unref(carrier);
    return true;
}

haul_status haul__server_request_trunk(haul_server *server)
{
    if (!server->trunk || !haul__server_begin_request(server)) {
        return HAUL_OK;
    }
    _Static_assert(sizeof(haul__carrier) <= HAUL__BLOCK_BYTES, "a carrier fits into a block");
    haul__carrier *carrier = haul__block_take(server->place);
    if (!carrier) {
        haul__server_end_request(server);
        return HAUL_NOMEM;
    }
    *carrier = (haul__carrier){.server = server};
    (void)pthread_mutex_init(&carrier->mutex, NULL);
    atomic_init(&carrier->refs, 1);
    (void)pthread_mutex_lock(&server->mutex);
    carrier->next = server->carriers;
    carrier->link = &server->carriers;
    if (carrier->next) {
        carrier->next->link = &carrier->next;
    }
    server->carriers = carrier;
    server->n_carriers++;
    (void)pthread_mutex_unlock(&server->mutex);
    haul__tag_post(&carrier->on_new, on_new);
    grpc_call_error error = grpc_server_request_registered_call(
        server->grpc, server->trunk, &carrier->grpc, &carrier->deadline, &carrier->metadata, NULL,
        server->cq, server->cq, &carrier->on_new);
    haul__server_end_request(server);
    if (error != GRPC_CALL_OK) {
        unref(carrier);
        return HAUL_SYSTEM;
    }
    return HAUL_OK;
}

/* With the server's lock: a carrier that has not been told, with a reference; NULL: there is none. */
static haul__carrier *find_untold(const haul_server *server)
{
    for (haul__carrier *carrier = server->carriers; carrier; carrier = carrier->next) {
        unsigned refs = atomic_load(&carrier->refs);
        bool told = carrier->told;
        while (!told && refs > 0 &&
               !atomic_compare_exchange_weak(&carrier->refs, &refs, refs + 1)) {
        }
        if (!told && refs > 0) {
            carrier->told = true;
            return carrier;
        }
    }
    return NULL;
}

void haul__server_end_trunks(haul_server *server)
{
    haul__carrier *carrier;
    do {
        (void)pthread_mutex_lock(&server->mutex);
        carrier = find_untold(server);
        (void)pthread_mutex_unlock(&server->mutex);
        if (carrier) {
            (void)pthread_mutex_lock(&carrier->mutex);
            carrier->stopping = true;
            (void)pthread_mutex_unlock(&carrier->mutex);
            finish_if_done(carrier);
            unref(carrier);
        }
    } while (carrier);
}

void haul__server_trunk_init(haul_server *server, const haul_server_opts *opts)
{
    uint32_t n_streams = haul__stream_bound(opts->max_streams);
    server->max_calls = n_streams;
    server->max_metadata_bytes = haul__metadata_bound(opts->max_metadata_bytes);
    if (!opts->no_trunk && n_streams >= STREAMS_MIN &&
        haul__trunk_fits(opts->max_message_bytes, opts->max_metadata_bytes)) {
        server->trunk = grpc_server_register_method(server->grpc, HAUL__TRUNK_METHOD, NULL,
                                                    GRPC_SRM_PAYLOAD_NONE, 0);
    }
}
