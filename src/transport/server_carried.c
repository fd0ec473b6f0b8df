/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Calls that come over a trunk: letters are made into calls like any others, and their answers into
 * letters.
 *
 * A letter is read by the thread that leads; the call is run by whichever thread finds it among what
 * is ready (server_loop.c), and answered by whichever thread the handler likes. The lists are the
 * carrier's mutex's.
 */

#include "transport/carrier.h"
#include "transport/deadline.h"

/* A call counts here a little longer than at the client, who may have its answer already. */
#define CALLS_SLACK 2

/* Something to tell the client of a call that was not begun: in a block. */
typedef struct note {
    haul__outgoing_letter letter;
    haul__carrier *carrier;
} note;

static void on_note_over(haul__outgoing_letter *letter, bool ok)
{
    (void)ok;
    note *n = HAUL__CONTAINER_OF(letter, note, letter);
    haul__carrier *carrier = n->carrier;
    haul__block_give_back(carrier->server->place, n);
    haul__carrier_unref(carrier);
}

/* While the letters of one message are looked at. */
typedef struct reading {
    haul__carrier *carrier;
    haul__data_conn *conn; /* that it came on; NULL: the stream */
    haul_call *call;       /* and asked for, in the first case */
    bool noted;            /* or was answered instead */
    grpc_slice frame;
    bool broken; /* the client does what it must not */
} reading;

/* Answer a call that has not been begun. */
static void send_note(reading *in, const haul__letter_fields *fields)
{
    haul__carrier *carrier = in->carrier;
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
    if (in->conn) {
        in->noted = true;
        haul__direct_answer(in->conn, &n->letter);
    } else {
        haul__outbox_post(&carrier->outbox, &n->letter);
    }
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

static entry enter_carrier(const reading *in, haul_call *call)
{
    haul__carrier *carrier = in->carrier;
    (void)pthread_mutex_lock(&carrier->mutex);
    bool room = carrier->n_calls < (size_t)CALLS_SLACK * carrier->server->max_calls;
    bool late = carrier->finished || (in->conn && carrier->closed);
    entry how = late ? TOO_LATE : room ? ENTERED : TOO_MANY;
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
    haul__carrier_finish_if_done(carrier);
    haul__carrier_unref(carrier);
}

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
    call->carried.conn = in->conn;
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
        send_note(in, &unbegun);
        return;
    }
    haul_call *call = haul__call_create(server, find_method(server, letter->method));
    entry how = call ? enter_carrier(in, call) : TOO_MANY;
    if (how == ENTERED) {
        fill(call, letter, in);
        if (in->conn) {
            in->call = call;
        } else {
            haul__ready_call(server, call);
        }
        return;
    }
    if (how == TOO_LATE && in->conn) {
        const haul__letter_fields unbegun = {.id = letter->id, .unbegun = true};
        send_note(in, &unbegun);
    }
    if (how == TOO_MANY) {
        const haul__letter_fields refused = {.id = letter->id,
                                             .status = GRPC_STATUS_RESOURCE_EXHAUSTED};
        in->broken |= call != NULL;
        send_note(in, &refused);
    }
    if (call) {
        haul__call_discard(call);
    }
    haul__server_call_ended(server);
}

static void on_letter(void *ctx, haul__letter *letter)
{
    reading *in = ctx;
    if (in->conn && (letter->cancelled || in->call || in->noted)) {
        in->broken = true;
    } else if (letter->cancelled) {
        cancel(in->carrier, letter->id);
    } else if (!in->broken) {
        begin(in, letter);
    }
}

bool haul__carrier_read(haul__carrier *carrier, grpc_slice frame)
{
    reading in = {.carrier = carrier, .frame = frame};
    return haul__letters_read(frame, on_letter, &in, NULL) && !in.broken;
}

bool haul__carrier_read_direct(haul__carrier *carrier, grpc_slice frame, haul__data_conn *conn,
                               bool *out_answered)
{
    reading in = {.carrier = carrier, .frame = frame, .conn = conn};
    bool good = haul__letters_read(frame, on_letter, &in, NULL) && !in.broken;
    *out_answered = in.call || in.noted;
    if (in.call) {
        haul__count(&carrier->server->counters.n_direct);
        haul__serve(in.call);
    }
    return good && *out_answered;
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
    if (call->carried.conn) {
        haul__direct_answer(call->carried.conn, letter);
    } else {
        haul__outbox_post(&call->carried.carrier->outbox, letter);
    }
}
