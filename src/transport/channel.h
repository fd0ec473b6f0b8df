/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_CHANNEL_H
#define SHORTHAUL_TRANSPORT_CHANNEL_H

/* What the files of the client share. */

#include <pthread.h>
#include <stdatomic.h>

#include <grpc/grpc.h>

#include "transport/backlog.h"
#include "transport/connections.h"
#include "transport/cq.h"
#include "transport/data.h"
#include "transport/letter.h"
#include "transport/loan.h"
#include "transport/metadata.h"
#include "transport/path.h"
#include "transport/pin.h"
#include "transport/place.h"
#include "transport/plan.h"
#include "transport/stats.h"
#include "transport/threshold.h"
#include "transport/user_metadata.h"
#include "transport/views.h"

#define HAUL__IDLE_QUEUES 16

/* What is known of a method that has been called. Constant once it is in the channel's list. */
typedef struct haul__client_method {
    struct haul__client_method *next;
    const ProtobufCMethodDescriptor *descriptor;
    void *registered;
    haul__plans input;
    haul__plans output;
    char path[];
} haul__client_method;

typedef struct haul__trunk haul__trunk;
typedef struct haul__data_link haul__data_link;

/* One call under way, on its thread's stack and in the channel's list. */
typedef struct haul__flight {
    struct haul__flight *next;
    struct haul__flight **link;
    haul_channel *channel;
    grpc_call *grpc;         /* NULL between attempts */
    struct haul__ride *ride; /* instead, while the call is on the trunk */
    haul__data_link *data;   /* or while it is on a data connection */
    bool cancelled;

    /* Of the list of a token, under its lock (cancel.c). */
    haul_cancel *cancel; /* constant; NULL: the call has none */
    struct haul__flight *cancel_next;
    struct haul__flight **cancel_link; /* NULL: not in the list */
} haul__flight;

/* Whether the server on the other end shares the channel's pool. */
typedef enum haul__lane_state {
    HAUL__LANE_UNPROVEN,
    HAUL__LANE_PROBING, /* by some thread; the others wait */
    HAUL__LANE_SHARED,
    HAUL__LANE_APART,
} haul__lane_state;

/* Where a server's data connections are. */
typedef struct haul__data_server {
    uint64_t name;
    uint8_t client_token[HAUL__DATA_TOKEN_BYTES];
    uint8_t server_token[HAUL__DATA_TOKEN_BYTES];
    bool letters; /* calls may be made on them, by those who say this: */
    uint8_t letters_token[HAUL__DATA_TOKEN_BYTES];
} haul__data_server;

/* What a channel knows of them, and has. Under its mutex. */
typedef struct haul__data_client {
    bool asking; /* some thread is; the others do without */
    bool known;
    haul__data_server server; /* if it is known */
    uint64_t epoch;           /* one more whenever it has been forgotten */
    uint64_t retry_ns;        /* when to ask, if it is not known */
    haul__data_link *idle;
    unsigned n_links;  /* idle or not, or about to be */
    unsigned n_short;  /* calls that could have been made on one, before it was known */
    unsigned n_direct; /* calls that are being made on one */
} haul__data_client;

struct haul_channel {
    /* Constant. */
    grpc_channel *grpc;
    haul_pool *pool;
    haul__threshold threshold; /* what is measured of it changes once */
    haul_alloc_opts alloc;     /* how buffers are taken for requests */
    haul_if_exhausted if_exhausted;
    size_t max_send_bytes;
    size_t max_message_bytes; /* 0 = no bound */
    size_t max_metadata_bytes;
    bool no_trunk;
    bool no_data_connections;
    bool no_direct; /* no calls on them */
    uint64_t busy_poll_ns;
    char accept_text[HAUL__ACCEPT_TEXT_BYTES];

    haul__connections *connections; /* NULL: they are not known */
    haul__backlog backlog;
    haul__counters counters;
    haul__pins pins;
    haul__place *place;    /* for what comes inline */
    pthread_mutex_t mutex; /* the following; never held across a call into gRPC that may block */
    pthread_cond_t changed;
    bool closing;
    haul__flight *flights;
    size_t n_flights;
    haul__client_method *methods;
    grpc_completion_queue *idle[HAUL__IDLE_QUEUES];
    unsigned n_idle;
    haul__trunk *trunk;      /* NULL: none is open */
    bool trunk_opening;      /* by some thread; the others do without */
    uint64_t trunk_retry_ns; /* when to ask the server for one */
    haul__data_client data;  /* channel_data.c */
    haul__lane_state lane;
    uint64_t lane_id;   /* of the server that was probed; 0 = it did not say */
    uint32_t lane_peer; /* that server's slot in the pool; 0 = it takes no gifts, or nobody knows */
};

/* One attempt at a call. The caller fills in the first part. */
typedef struct haul__attempt {
    const haul__client_method *method;
    grpc_byte_buffer *request;
    uint64_t deadline_ns;
    bool accept; /* answers by key are welcome */
    bool wait_for_ready;
    const haul__metadata_list *metadata; /* NULL: the application sends none */
    haul__loan *loan;                    /* what the answer may bring back; NULL: nothing */

    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_status_code code;
    char *text;               /* NULL or to be freed with gpr_free() */
    grpc_byte_buffer *answer; /* NULL or to be destroyed */
    bool refused;             /* for a key that could not be attached */
    bool unbegun;             /* by a server that is stopping or gone: as if it had not been made */
    unsigned n_unbegun;       /* attempts of the same call before that were */
    bool has_lane;
    uint64_t lane_id;

    uint64_t n_bytes; /* of the request */
    bool sends_apart; /* HAUL__SENT is an event of its own, which may come later than the end */
    grpc_slice details;
    grpc_metadata only; /* ours, where the application sends no metadata */
    grpc_slice accept_value;

    bool is_carried; /* over the trunk: the metadata is that below, and lies in the frame */
    grpc_slice frame;
    haul__letter_metadata carried[2]; /* by haul_metadata_when */
} haul__attempt;

/* The answer to a call. */
struct haul_reply {
    haul__place *place; /* it is a block of */
    grpc_status_code code;
    char *text; /* NULL, or gRPC's memory */
    const char *static_text;
    ProtobufCMessage *message;
    haul__views views;
    haul__metadata_set metadata[2]; /* by haul_metadata_when */
    haul__tally request_tally;
    haul__tally answer_tally;
    size_t n_request_bytes;
    bool was_resent;
};

/* ---- channel.c ---- */

/* The method's entry, made on first use. Failures: HAUL_INVALID, HAUL_NOMEM. */
HAUL_MUST_CHECK haul_status haul__channel_method(haul_channel *channel,
                                                 const ProtobufCServiceDescriptor *service,
                                                 unsigned method_index,
                                                 const haul__client_method **out_method);

/* Enter a call into the list; HAUL_INVALID once the channel is being closed. @cancel: may be NULL. */
HAUL_MUST_CHECK haul_status haul__channel_enter(haul_channel *channel, haul__flight *flight,
                                                haul_cancel *cancel);
void haul__channel_leave(haul_channel *channel, haul__flight *flight);

/* Have haul_channel_close() wait for haul__channel_drop(). While a call is in the list. */
void haul__channel_hold(haul_channel *channel);
void haul__channel_drop(haul_channel *channel);

/* Wake the calls that wait for another one's probe. */
void haul__channel_wake(haul_channel *channel);

/* ---- channel_attempt.c ---- */

/* Make one call, over the trunk or of gRPC's own, and wait for its end, whatever it is. */
void haul__attempt_run(haul_channel *channel, haul__flight *flight, haul__attempt *attempt);
void haul__attempt_fini(haul__attempt *attempt);

/*
 * The same in two parts: begin the call, whose end is then an event with @tag on @queue; and close
 * it after the event. False, and closed already: gRPC would not have it, and no event comes.
 */
bool haul__attempt_begin(haul_channel *channel, haul__flight *flight, haul__attempt *attempt,
                         grpc_completion_queue *queue, void *tag);
void haul__attempt_close(haul_channel *channel, haul__flight *flight, haul__attempt *attempt);

/* The tag of the event that says that an attempt's request has been written, where that is one of
 * its own. It means nothing to anybody, but the queue is not free before. */
extern const char haul__sent;
#define HAUL__SENT ((void *)&haul__sent)

/* The parts of it, for calls that are made otherwise: the operations that begin and end a call. */
void haul__attempt_send_metadata(haul_channel *channel, haul__attempt *attempt, grpc_op *op);
void haul__attempt_recv_status(haul__attempt *attempt, grpc_op *op);

/* The same for calls that go as letters: whether one may; its letter, but for the message; and its end if
 * nobody waits for the answer any more. */
bool haul__attempt_is_short(const haul__attempt *attempt);
grpc_slice haul__attempt_write_letter(haul_channel *channel, haul__attempt *attempt, uint64_t id);
void haul__attempt_give_up(haul__attempt *attempt, bool cancelled);

/* Whether it ended without a word of the server's, which so says nothing about it. */
bool haul__attempt_came_to_nothing(const haul__attempt *attempt);

/* After all of them: look at what came. */
void haul__attempt_end(haul__attempt *attempt);

/* Let haul_channel_close() know the call, or no longer; if it has come first, cancel. If the deadline
 * has passed before the call begins, end it so. */
void haul__flight_show(haul_channel *channel, haul__flight *flight, grpc_call *call,
                       uint64_t deadline_ns);
grpc_call *haul__flight_hide(haul_channel *channel, haul__flight *flight);

/* What is to be cancelled, with a reference: one of the three, or nothing. */
typedef struct haul__grip {
    grpc_call *call;
    struct haul__ride *ride;
    haul__data_link *link;
} haul__grip;

/* Have the attempts to come cancelled, and get hold of the one at hand for haul__grip_cancel(). The
 * second: with the channel's lock held. */
haul__grip haul__flight_cancel(haul_channel *channel, haul__flight *flight);
haul__grip haul__flight_grip(haul__flight *flight);

/* Takes the references. Without locks; any thread. */
void haul__grip_cancel(haul__grip grip);

/* Whether it has been cancelled, by whomever, or its channel is being closed. It stays so. */
bool haul__flight_is_cancelled(haul_channel *channel, haul__flight *flight);

/* A completion queue to pluck from, and back with nothing under way on it; NULL is allowed. */
grpc_completion_queue *haul__channel_take_queue(haul_channel *channel);
void haul__channel_return_queue(haul_channel *channel, grpc_completion_queue *queue);

/* ---- channel_lane.c ---- */

/* Forget what was proven if the connection of which it was proven is gone. */
void haul__lane_check(haul_channel *channel);

/* Whether keys may be sent now; probes if nobody knows. */
bool haul__lane_is_shared(haul_channel *channel, haul__flight *flight, uint64_t deadline_ns,
                          bool wait_for_ready);

/* The slot to give buffers to, while the lane is known to be shared; else 0. */
uint32_t haul__lane_peer(haul_channel *channel);

/* Learn from the end of a call which server it was that answered. */
void haul__lane_learn(haul_channel *channel, const haul__attempt *attempt);

/* A key of ours was refused. */
void haul__lane_distrust(haul_channel *channel);

/* ---- reply.c ---- */

/* An answer that says nothing yet, for haul_reply_free(). NULL without memory. */
haul_reply *haul__reply_create(haul_channel *channel);

/* Take the status and the metadata that @attempt brought. */
void haul__reply_take_status(haul_reply *reply, haul__attempt *attempt);

/* Another end than the one that came. @text: a literal. */
void haul__reply_spoil(haul_reply *reply, grpc_status_code code, const char *text);

/* Take what @attempt brought: unpack the answer and claim what was given with it. Whatever is wrong
 * with it becomes the reply's code. */
void haul__reply_take(haul_reply *reply, haul_channel *channel, haul__attempt *attempt);

/* An answer that nobody waits for has come after all: let go of what was given with it. */
void haul__reply_drop(haul_channel *channel, const haul__client_method *method,
                      const grpc_slice_buffer *answer);

/* Show a payload of the answer: the key's bytes as inline ones. For haul__rewrite_message(). */
haul_status haul__reply_as_inline(void *reply, const haul_payload *original, haul_payload *copy);

#endif
