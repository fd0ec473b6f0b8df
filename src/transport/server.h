/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_SERVER_H
#define SHORTHAUL_TRANSPORT_SERVER_H

/* What the files of the server share. */

#include <pthread.h>
#include <stdatomic.h>

#include <grpc/grpc.h>

#include "transport/container.h"
#include "transport/cq.h"
#include "transport/creds.h"
#include "transport/cut.h"
#include "transport/lead.h"
#include "transport/loan.h"
#include "transport/metadata.h"
#include "transport/outbox.h"
#include "transport/path.h"
#include "transport/pin.h"
#include "transport/place.h"
#include "transport/plan.h"
#include "transport/rewrite.h"
#include "transport/sending.h"
#include "transport/server_data.h"
#include "transport/stats.h"
#include "transport/threshold.h"
#include "transport/user_metadata.h"
#include "transport/views.h"

/* What a completion queue's event leads to. */
typedef struct haul__tag {
    bool (*fire)(struct haul__tag *tag, bool ok); /* whether the thread still leads afterwards */
    atomic_bool posted;
} haul__tag;

/*
 * Around the time in which gRPC has a tag. gRPC orders what comes before an operation's start
 * before what follows its end, in whatever thread; @posted says the same where ThreadSanitizer sees
 * it.
 *
 *   posted   who      transition      access    pairs with   because
 *            poster   any  -> true    release   firer        the call's fields are complete
 *            firer    (reads)         acquire   poster       it may be another thread
 */
static inline void haul__tag_post(haul__tag *tag, bool (*fire)(haul__tag *tag, bool ok))
{
    tag->fire = fire;
    atomic_store_explicit(&tag->posted, true, memory_order_release);
}

static inline bool haul__tag_fire(haul__tag *tag, bool ok)
{
    (void)atomic_load_explicit(&tag->posted, memory_order_acquire);
    return tag->fire(tag, ok);
}

/* Something for the next thread that leads: a call that came over a trunk, or what follows it. */
typedef struct haul__ready {
    struct haul__ready *next;
    bool (*run)(struct haul__ready *ready, size_t n_calls); /* whether the thread still leads */
} haul__ready;

typedef struct haul__method {
    struct haul__method *next;
    haul_server *server;
    ProtobufCService *service; /* NULL: streams, or answers whatever no other method matches */
    const ProtobufCServiceDescriptor *descriptor;
    unsigned index;
    haul_stream_fn stream; /* NULL: unary */
    void *stream_ctx;
    bool attaches_itself; /* the handler is shown keys as they came */
    void *registered;
    _Atomic uint64_t typical_ns; /* that a call keeps its thread; UINT64_MAX: not known yet */
    haul__plans input;
    haul__plans output;
    char path[]; /* "/package.Service/Method" */
} haul__method;

/* A socket file to be removed when the server stops, if it is still the same. */
typedef struct haul__socket_file {
    struct haul__socket_file *next;
    uint64_t device;
    uint64_t inode;
    char path[];
} haul__socket_file;

typedef enum haul__server_phase {
    HAUL__SERVER_NEW,
    HAUL__SERVER_RUNNING,
    HAUL__SERVER_STOPPED,
} haul__server_phase;

/* The threads that run the handlers of streams, and the streams that wait for one. */
typedef struct haul__stream_hall {
    uint32_t n_threads_max; /* constant, as is the next */
    uint32_t n_waiting_max;
    pthread_mutex_t mutex; /* the following; never held across a call into gRPC */
    pthread_cond_t arrived;
    pthread_t *threads;
    uint32_t n_threads;
    uint32_t n_idle;
    uint32_t n_busy;  /* running a handler */
    haul_call *first; /* of those that wait */
    haul_call *last;
    uint32_t n_waiting;
    bool ended;
} haul__stream_hall;

struct haul_server {
    /* Constant once started. */
    grpc_server *grpc;
    grpc_completion_queue *cq;
    haul_pool **pools;
    size_t n_pools;
    uint32_t n_threads;
    void *trunk; /* the registered method; NULL: none is offered */
    uint32_t max_calls;
    uint64_t busy_poll_ns;
    size_t max_metadata_bytes;
    uint64_t give_ns;
    size_t max_send_bytes;
    uint64_t max_unread_bytes; /* 0 = no bound */
    uint64_t max_unread_ns;
    uint64_t stream_give_ns;
    uint32_t stream_window;
    haul__method *methods;
    haul__method *unknown; /* the last resort, in no list */
    haul__socket_file *socket_files;
    haul__listener *listeners;
    pthread_t *threads;
    ProtobufCService lane; /* server_lane.c */
    haul__data_host *data; /* NULL: no data connections are offered */
    char lane_text[HAUL__LANE_TEXT_BYTES];

    haul__lead lead;
    haul__threshold threshold; /* of answers */
    haul__counters counters;
    haul__pins pins;
    haul__place *place;    /* for what comes inline */
    pthread_mutex_t mutex; /* the following; never held across a call into gRPC */
    pthread_cond_t changed;
    haul__server_phase phase;
    size_t n_calls;      /* taken, and not all over */
    size_t n_requesting; /* threads that are asking gRPC for a call */
    struct haul__carrier *carriers;
    size_t n_carriers;  /* trunks, the one that gRPC is asked for included */
    haul__ready *ready; /* what is to be done before polling */
    haul__ready *last_ready;
    atomic_bool has_ready;   /* written under the mutex */
    bool shut_down;          /* gRPC has no call and no connection left */
    haul_call *unread_first; /* calls whose answers gRPC has not written yet, the oldest first */
    haul_call *unread_last;
    uint64_t unread_bytes;
    haul__tag on_shut_down;
    haul__stream_hall hall;
};

/* A buffer given to the caller. */
typedef struct haul__given {
    haul_key key;
    haul_pool *pool;
    bool in_answer; /* the answer that is sent holds it */
} haul__given;

/* What a call has beyond others if it streams. */
typedef struct haul__call_stream {
    grpc_completion_queue *queue; /* where the handler's threads wait */
    uint64_t busy_poll_ns;        /* the server's */
    haul_call *next;              /* of those that wait for a thread */
    haul__mark on_closed;

    /* The sending thread's. */
    haul__sending sending;
    haul__mark on_sent;
    bool initial_sent;
    bool finished;

    /* The receiving thread's. */
    haul__mark on_received;
    grpc_byte_buffer *incoming;
    bool receiving;
    bool all_received;
    bool heard_all;           /* the caller has said that it was all */
    grpc_status_code spoiled; /* OK, or what the call ends with instead of the handler's status */
    const char *spoiled_text;

    pthread_mutex_t mutex; /* the following */
    bool watching;         /* @on_closed will come */
    bool over;             /* it has come */
} haul__call_stream;

/* A client's trunk. */
typedef struct haul__carrier haul__carrier;

/* What a call has beyond others if it has come over a trunk. */
typedef struct haul__carried {
    haul__carrier *carrier; /* NULL: it has not */
    haul__data_conn *conn;  /* on which it came instead of the trunk's stream; NULL: on that */
    haul_call *next;        /* of the carrier's */
    haul_call **link;
    haul__ready ready;
    grpc_slice frame; /* that the request and the metadata are parts of */
    haul__letter_metadata metadata;
    haul__outgoing_letter letter; /* the answer */
} haul__carried;
/* An answer that gRPC has not written yet. Under the server's mutex. */
typedef struct haul__unread {
    haul_call *next;
    haul_call *prev;
    uint64_t n_bytes; /* 0: it is in no list */
    uint64_t since_ns;
} haul__unread;

/*
 * One call, from the moment gRPC is asked for it.
 *
 * refs: one for the side that answers, one for the thread that took the call, one for each batch
 * under way; the last one ends the call.
 */
struct haul_call {
    haul__tag on_new;
    haul__tag on_closed;
    haul__tag on_sent;
    haul_server *server;
    haul__method *method;
    grpc_call *grpc;
    grpc_metadata_array metadata;
    grpc_byte_buffer *request_bytes;
    grpc_call_details details; /* of methods that are served the deadline only */

    uint64_t deadline_ns;
    size_t n_request_bytes;
    ProtobufCMessage *request;
    haul__views request_views;
    haul__transfer *transfers; /* of the request */
    haul__tally request_tally;
    bool key_refused;       /* or a transfer */
    haul_pool *accept_pool; /* NULL: the caller takes nothing by key */
    uint32_t accept_slot;
    haul__loan loan; /* of that pool */
    haul_peer *peer; /* NULL: nobody has asked who calls */

    haul__carried carried;
    haul__call_stream *stream;       /* NULL: unary */
    haul__metadata_set metadata_set; /* what the handler has asked for, of @metadata */
    bool has_metadata_set;
    haul__metadata_list answer_metadata[2]; /* by haul_metadata_when */

    haul__views answer_views;
    haul__given given_small[2];
    haul__given *given; /* instead of @given_small once there are more */
    size_t n_given;
    haul__tally answer_tally;
    grpc_byte_buffer *answer_bytes;
    haul__unread unread;

    atomic_uint refs;
    atomic_bool answered;
    atomic_bool cancelled;
    atomic_bool watched;     /* gRPC has been asked to say when the caller goes away */
    atomic_bool reuse;       /* no memory for the next call of the method: take this one */
    int closed_early;        /* written by gRPC before the batch that asked for it is over */
    bool closes_with_answer; /* that batch is the answer's */
    bool sent;               /* the answer has gone out */
};

/* ---- server_loop.c ---- */

/* What each thread runs until the queue is shut down. */
void *haul__server_thread(void *server);

/* Run the handler of a call, and what goes with it, in this thread. */
void haul__serve(haul_call *call);

/* Ask gRPC for one call of each method. Failures: HAUL_NOMEM, HAUL_SYSTEM. */
HAUL_MUST_CHECK haul_status haul__server_request_all(haul_server *server);

/* Be told when the caller goes away, unless we are already. Any thread. */
void haul__call_watch(haul_call *call);

/*
 * Ask gRPC for one call of call->method, to be @call.
 * Conditions: HAUL_END  the server is being stopped   Failures: HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status haul__server_request(haul_call *call);

/* Around asking gRPC for a call. False: the server is being stopped, and nobody asks any more. */
bool haul__server_begin_request(haul_server *server);
void haul__server_end_request(haul_server *server);

/* Have a call run that has come over a trunk. */
void haul__ready_call(haul_server *server, haul_call *call);

/* Have something else done after what is ready already. */
void haul__ready_add(haul_server *server, haul__ready *ready,
                     bool (*run)(haul__ready *ready, size_t n_calls));

/* ---- server_trunk.c ---- */

/* Offer trunks, if @opts leave room for them. Before the server starts. */
void haul__server_trunk_init(haul_server *server, const haul_server_opts *opts);

/* Ask gRPC for one. Failures: HAUL_NOMEM, HAUL_SYSTEM. */
HAUL_MUST_CHECK haul_status haul__server_request_trunk(haul_server *server);

/* The server is being stopped and begins nothing more: each trunk ends with its last answer. */
void haul__server_end_trunks(haul_server *server);

/* Answer a call that has come over a trunk. */
void haul__carrier_answer(haul_call *call, grpc_status_code code, const grpc_slice *text);

/* The stream that such a call is on. */
grpc_call *haul__carrier_stream(const haul_call *call);

/* The call ends: it is none of its trunk's any more. */
void haul__carrier_leave(haul_call *call);

/* ---- server_direct.c ---- */

/* A frame of letters has been announced on @conn: read it, and serve the call in it. False: the connection
 * is of no use any more. */
bool haul__direct_serve(haul__data_conn *conn, uint64_t number);

/* The call of @conn has been answered by @letter. */
void haul__direct_answer(haul__data_conn *conn, haul__outgoing_letter *letter);

/* Whether the client of @conn has hung up. While its call is not answered. */
bool haul__direct_is_gone(const haul__data_conn *conn);

/* ---- server_trunk.c ---- */

/* The token for connections that belong to the trunk of @call; false: it has come on none. */
bool haul__carrier_token(haul_call *call, uint8_t out_token[HAUL__DATA_TOKEN_BYTES]);

/* The trunk that has told that token, with a reference, for haul__carrier_unref(); NULL: none. */
haul__carrier *haul__carrier_find(haul_server *server, const uint8_t token[HAUL__DATA_TOKEN_BYTES]);

/* Drop a reference; the last one frees. */
void haul__carrier_unref(haul__carrier *carrier);

/* ---- server.c ---- */

/* There is one call less. */
void haul__server_call_ended(haul_server *server);

/* The server's pool of that id, or NULL. */
haul_pool *haul__server_pool(const haul_server *server, uint64_t pool_id);

/* ---- server_methods.c ---- */

HAUL_MUST_CHECK haul_status haul__server_add(haul_server *server, ProtobufCService *service,
                                             bool attaches_itself, haul_error *err);

/*
 * Register one method. @wanted: service and index, and how it is served.
 * Failures: HAUL_INVALID (registered before), HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status haul__server_add_method(haul_server *server,
                                                    const haul__method *wanted);

/* NULL is allowed. */
void haul__method_free(haul__method *method);

/* The method of that service, or NULL. */
const haul__method *haul__server_find_method(const haul_server *server, const char *service,
                                             unsigned index);

/* ---- listen_unix.c ---- */

/*
 * Listen at the socket file @path with permissions @mode (0: the umask's). Borrows @credentials.
 * Conditions: HAUL_BUSY, HAUL_NOT_FOUND   Failures: HAUL_INVALID, HAUL_DENIED, HAUL_NOMEM,
 *             HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status haul__listen_unix(haul_server *server, const char *path, uint32_t mode,
                                              grpc_server_credentials *credentials,
                                              haul_error *err);

/* ---- listen.c ---- */

/* Have gRPC listen at @address; the port, or 0. Borrows @credentials. */
int haul__listen_grpc(haul_server *server, const char *address,
                      grpc_server_credentials *credentials);

/* ---- server_lane.c ---- */

void haul__server_lane_init(haul_server *server);

/* ---- call.c ---- */

/* NULL without memory. */
haul_call *haul__call_create(haul_server *server, haul__method *method);

/* Bytes of a call that gRPC has filled in: unpack, attach and run the handler, or refuse. */
void haul__call_run(haul_call *call);

/* Drop a reference; the last one ends the call. */
void haul__call_unref(haul_call *call);

/* Free a call that gRPC has not filled in. */
void haul__call_discard(haul_call *call);

/* What Shorthaul's metadata of the request says. */
void haul__call_read_metadata(haul_call *call);

/* ---- server_stream.c ---- */

/* @opts: of the server. False without memory. */
bool haul__hall_init(haul__stream_hall *hall, const haul_server_opts *opts);
void haul__hall_fini(haul__stream_hall *hall);

/* Have the handler of a stream that has come run, or refuse the call. */
void haul__hall_enter(haul_call *call);

/* Let the threads go, once no call is left. */
void haul__hall_end(haul__stream_hall *hall);

/* ---- call_stream.c ---- */

/* Make a call that gRPC has not filled in one that streams. Failures: HAUL_NOMEM. */
HAUL_MUST_CHECK haul_status haul__call_stream_init(haul_call *call);
void haul__call_stream_fini(haul_call *call);

/* Make what an ended call had ready for another one. */
void haul__call_stream_reset(haul__call_stream *stream);

/* Run the handler, and see to the call's end. */
void haul__call_stream_run(haul_call *call);

/* Whether the call is known to be over; looks, and does not wait. */
bool haul__call_stream_is_over(void *call);

/* haul_call_put() for calls that stream. */
HAUL_MUST_CHECK haul_status haul__call_stream_put(haul_call *call, haul_buf *buf, uint64_t len,
                                                  haul_payload_out *out);

/* ---- call_move.c ---- */

/*
 * A response whose payloads lie in buffers, given to the caller, as far as they are worth one and he
 * takes them; @response itself if there is nothing to change.
 *
 * Ownership: what is new lives in @rewrite; what was put belongs to the call.
 * Failures:  HAUL_CORRUPT, HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_MUST_CHECK haul_status haul__call_move_payloads(haul_call *call,
                                                     const ProtobufCMessage *response,
                                                     haul__rewrite *rewrite,
                                                     const ProtobufCMessage **out_response);

/* ---- unread.c ---- */

/* The call's answer is about to be handed to gRPC. False: there is no room for it. */
bool haul__unread_enter(haul_call *call);

/* It has been written, or never will be. */
void haul__unread_leave(haul_call *call);

/* ---- call_answer.c ---- */

/* The metadata to send: the application's, and behind it ours, in @ours where there is only ours. */
void haul__call_initial_metadata(haul_call *call, grpc_op *out_op);
void haul__call_trailing_metadata(haul_call *call, grpc_metadata ours[HAUL__METADATA_SPARE],
                                  struct grpc_op_send_status_from_server *out);

/* The closure given to handlers. */
void haul__call_respond(const ProtobufCMessage *response, void *call);

/* Take back what was given: all of it, or what the answer that was sent does not hold. */
void haul__call_revoke(haul_call *call, bool all);

#endif
