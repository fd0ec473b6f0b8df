/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_H
#define SHORTHAUL_TRANSPORT_H

/*
 * gRPC for C, with payloads that travel through a pool.
 *
 * Serves and calls any service that protoc-gen-c generates, over unix: and TCP addresses. Messages
 * may hold shorthaul.v1.Payload fields, anywhere and any number: the library sends them by key
 * where both sides are proven to share a pool and inline where not, and the code on either side is
 * the same.
 *
 * Unless a comment says otherwise, functions may be called from any thread. gRPC's own library is
 * initialised while a haul_server or haul_channel exists; do not fork() then.
 */

#include <grpc/status.h>
#include <protobuf-c/protobuf-c.h>

#include <shorthaul/cancel.h>
#include <shorthaul/credentials.h>
#include <shorthaul/pool.h>
#include <shorthaul/v1/payload.pb-c.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct haul_server haul_server;
typedef struct haul_channel haul_channel;
typedef struct haul_call haul_call;
typedef struct haul_reply haul_reply;

/* A payload as it stands in a message. */
typedef Shorthaul__V1__Payload haul_payload;

/* A payload to be sent, with room for its key: the message's field points at @payload. It refers to
 * itself once it carries a key, so do not copy or move it. */
typedef struct haul_payload_out {
    haul_payload payload;
    Shorthaul__V1__Key key;
} haul_payload_out;

/* The gRPC code that stands for a status; the one table of the project. */
HAUL_API grpc_status_code haul_status_to_grpc(haul_status status);

/* How a payload went. */
typedef enum haul_path {
    HAUL_PATH_NONE = 0,   /* there was no payload */
    HAUL_PATH_SHM = 1,    /* all by key */
    HAUL_PATH_INLINE = 2, /* all inline */
    HAUL_PATH_MIXED = 3   /* some by key, some inline */
} haul_path;

/* "none", "shm", "inline", "mixed". */
HAUL_API const char *haul_path_name(haul_path path);

/* ---- Metadata ------------------------------------------------------------------------------ */

/*
 * One entry of a call's metadata. Keys are lower-case letters, digits, "-", "_" and "."; values are
 * printable ASCII, or any bytes if the key ends in "-bin". Keys that start with "shorthaul-" or
 * "grpc-" (but for "grpc-status-details-bin"), and those that HTTP/2 and gRPC fill in themselves
 * ("te", "content-type", "user-agent", "host", "connection"), cannot be sent. A key may occur
 * several times. What a peer takes altogether has a bound, 8 KiB unless it was set otherwise.
 */
typedef struct haul_metadata {
    const char *key;
    const void *value; /* has a terminator behind its last byte where it was received */
    size_t n_bytes;    /* of the value, without terminator */
} haul_metadata;

/* Whether metadata goes before a side's messages or after them. */
typedef enum haul_metadata_when {
    HAUL_METADATA_INITIAL = 0,
    HAUL_METADATA_TRAILING = 1
} haul_metadata_when;

/* Payloads that went one way and the other. Empty ones are not counted. */
typedef struct haul_traffic {
    uint64_t n_by_key;
    uint64_t n_inline;
    uint64_t bytes_by_key;
    uint64_t bytes_inline;
} haul_traffic;

/* ---- Payload fields ------------------------------------------------------------------------ */

/*
 * Make @out->payload say: @len bytes from @key. Initialises it; owns nothing.
 * The buffer must stay shared until the call that sends it has returned.
 */
HAUL_API void haul_payload_set_key(haul_payload_out *out, const haul_key *key, uint64_t len);

/* Make @out->payload say: these bytes, inline. Borrows @data until the call that sends it has
 * returned. */
HAUL_API void haul_payload_set_inline(haul_payload_out *out, const void *data, size_t len);

/*
 * Share @buf and make @out->payload say: its first @len bytes, by key.
 *
 * Ownership:  @buf stays the caller's; release it after the call that sends it has returned.
 * Failures:   those of haul_buf_share()
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_payload_set_buf(haul_payload_out *out, haul_buf *buf,
                                                          uint64_t len);

/*
 * The key of a payload that carries one.
 *
 * Conditions: HAUL_NOT_FOUND  the payload is inline or empty
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_payload_get_key(const haul_payload *payload,
                                                          haul_key *out_key);

/* ---- Server -------------------------------------------------------------------------------- */

typedef struct haul_server_opts {
    size_t struct_size; /* sizeof(haul_server_opts) */
    haul_pool *const
        *pools; /* pools whose keys are understood; borrowed, they outlive the server */
    size_t n_pools;
    uint32_t n_threads;       /* polling threads, which run the handlers too; 0 = one per core, and
                               * at least two. Of the threads of data connections (below) as many
                               * again may be in handlers */
    size_t max_message_bytes; /* larger requests get RESOURCE_EXHAUSTED; 0 = no bound but gRPC's */
    uint64_t give_ns;         /* how long an answer by key waits to be claimed if the call has no
                               * deadline; 0 = 60 s, and 10 minutes for streams */
    uint64_t key_threshold_bytes; /* of answers, and messages of streams, in ordinary memory, to
                                   * callers that share a pool: as in haul_channel_opts. A pool
                                   * without a buffer means inline */

    size_t max_send_bytes;     /* larger answers become RESOURCE_EXHAUSTED; 0 = no bound */
    size_t max_metadata_bytes; /* of one request, as HTTP/2 counts them; those with more get
                                * RESOURCE_EXHAUSTED; 0 = 8 KiB */
    uint32_t max_streams;      /* calls of one connection at a time, counted until the client has
                                * read the answer; its further ones wait. So many again may be on
                                * the stream for short calls. 0 = 1,024 */

    /* Pings, by which a client that is frozen or out of reach is noticed: its connection is closed
     * and its calls are cancelled. gRPC sends one a second at most. */
    uint64_t keepalive_interval_ns; /* since the last byte came; 0 = none; below 100 ms is 100 ms */
    uint64_t keepalive_timeout_ns;  /* how long to wait for the answer to a ping; 0 = 20 s */

    /* For streaming calls (shorthaul/stream.h). */
    uint32_t n_stream_threads;  /* threads, started when needed, that run the handlers of streams;
                                 * so many streams are served at once; 0 = 16 */
    uint32_t n_streams_waiting; /* streams that may wait for one of them; any more are refused
                                 * with RESOURCE_EXHAUSTED; 0 = 64 */
    uint32_t stream_window; /* buffers that may be on their way to one caller unclaimed; 0 = 16 */

    bool
        no_trunk; /* do not offer clients one stream for their short calls (docs/adr/0012); nor does
                    * a server whose max_streams is below 8, max_message_bytes below 256 KiB or
                    * max_metadata_bytes below 1 KiB */

    /* Answers of unary calls that their callers do not read, as far as they are inline: their bytes
     * together, of all callers. One more is then not sent, and its call ends RESOURCE_EXHAUSTED; but
     * answers that have been unread for max_unread_ns are dropped before that, the oldest first, and
     * their calls end so. A single one may be larger. */
    uint64_t max_unread_bytes; /* 0 = no bound */
    uint64_t max_unread_ns;    /* 0 = 10 s */

    uint64_t busy_poll_ns; /* how long the thread that waits for requests, and one that waits for a
                            * message of a stream, looks before it sleeps: as in haul_channel_opts */

    /* Offer clients no sockets beside gRPC's connections, for large payloads and short calls (as in
     * haul_channel_opts). There is none, nor a thread for them, before a client has asked; then one thread
     * that accepts and one for each of up to 64 connections, which runs the handlers of the calls that
     * are made there: n_threads of them at a time, beside the other ones. Servers with n_threads 1 offer them
     * for payloads only. */
    bool no_data_connections;
} haul_server_opts;

/*
 * Ownership: the caller's, until haul_server_destroy().
 * Failures:  HAUL_INVALID, HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_server_create(const haul_server_opts *opts,
                                                        haul_server **out_server, haul_error *err);

/*
 * Serve @service, an object of a protoc-gen-c service (its handlers filled in). Before start only.
 * A handler is called with the request, a closure and closure_data:
 *
 *   - closure_data is the call: haul_call *call = closure_data.
 *   - it answers by calling closure(&response, closure_data), at once or later from any thread,
 *     exactly once; the response is packed before the closure returns.
 *   - it fails by calling haul_call_fail() instead.
 *   - call and request live until then, and must not be touched afterwards. Payloads of the request
 *     are attached before the handler runs.
 *
 * Methods are served as unary ones, because protobuf-c does not say which of them stream; but for
 * those that haul_server_add_stream() (shorthaul/stream.h) has been called for. A service of which
 * not all methods are wanted needs handlers that fail UNIMPLEMENTED.
 *
 * Ownership: borrows @service until haul_server_destroy().
 * Failures:  HAUL_INVALID (started, service added before), HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_server_add_service(haul_server *server,
                                                             ProtobufCService *service,
                                                             haul_error *err);

/*
 * Listen at @address: "unix:/path", "unix-abstract:name" or "host:port", port 0 for any free one.
 * Before start only.
 *
 * @socket_mode: permission bits of a unix: socket, 0 = leave to the umask; ignored elsewhere.
 * @out_port: the TCP port; may be NULL.
 *
 * A socket file left by a dead process is replaced, anything else that is at the path is left
 * alone; the file is removed when the server stops. It is never to be seen with wider permissions
 * than asked for.
 *
 * Conditions: HAUL_BUSY       somebody listens there
 *             HAUL_NOT_FOUND  no such directory
 * Failures:   HAUL_INVALID (no such address, a path that is no socket or too long, server started),
 *             HAUL_DENIED, HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_server_listen(haul_server *server, const char *address,
                                                        uint32_t socket_mode, int *out_port,
                                                        haul_error *err);

typedef struct haul_listen_opts {
    size_t struct_size;                  /* sizeof(haul_listen_opts) */
    uint32_t socket_mode;                /* as for haul_server_listen() */
    const haul_credentials *credentials; /* borrowed for the time of the call; NULL = insecure */
} haul_listen_opts;

/*
 * The same with credentials. A server may listen at several addresses, each with its own.
 *
 * Conditions and failures: those of haul_server_listen(); HAUL_INVALID (options; credentials that
 *            were made for channels, or local ones for a TCP address)
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_server_listen_with(haul_server *server,
                                                             const char *address,
                                                             const haul_listen_opts *opts,
                                                             int *out_port, haul_error *err);

/* Start the threads and serve. Failures: HAUL_INVALID (twice, no address), HAUL_SYSTEM. */
HAUL_API HAUL_MUST_CHECK haul_status haul_server_start(haul_server *server, haul_error *err);

/*
 * Take no new calls, let those in flight finish for @grace_ns, cancel the rest, stop the threads.
 * Waits for every handler: one that keeps its call must still end it. Clients that do not read are
 * not waited for: half a second later their connections are shut down.
 *
 * Threads:  not from a handler.   Blocking: until done.
 */
HAUL_API void haul_server_stop(haul_server *server, uint64_t grace_ns);

/* Stop without grace if running, and free. NULL is allowed. */
HAUL_API void haul_server_destroy(haul_server *server);

typedef struct haul_server_stats {
    size_t struct_size; /* sizeof(haul_server_stats), set by the caller */
    uint64_t n_calls;   /* that were answered, however */
    uint64_t n_failed;  /* those of them that were not answered OK */
    haul_traffic requests;
    haul_traffic answers;
    uint64_t n_copied;      /* payloads copied to a buffer to be sent by key */
    uint64_t n_refused;     /* calls refused because a key could not be attached */
    uint64_t n_exhausted;   /* times that there was no buffer for an answer */
    uint64_t n_transferred; /* inline payloads of requests that came over data connections */
    uint64_t n_direct;      /* calls that were made on them */
} haul_server_stats;

/*
 * What a server has done since it was created. Others go on meanwhile: sums may be off by a call.
 *
 * Blocking: never.   Failures: HAUL_INVALID (struct_size)
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_server_get_stats(haul_server *server,
                                                           haul_server_stats *out_stats);

/* ---- In a handler -------------------------------------------------------------------------- */

/*
 * The bytes of a payload of the request, whichever way they came: in one piece, at an address that
 * is a multiple of 64. Readable until the call is answered; do not detach the view.
 *
 * Failures: HAUL_INVALID (not a payload of this call's request)
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_call_view(haul_call *call, const haul_payload *payload,
                                                    haul_view *out_view);

/*
 * A buffer of at least @len bytes for an answer: the one that the caller has lent, if it is large
 * enough and has not been had before; else from the pool that the caller shares, else from the
 * server's first pool.
 *
 * @opts: for a buffer that is not lent.
 *
 * Ownership:  the caller's, until haul_call_put() or haul_buf_release().
 * Conditions: those of haul_buf_alloc(); HAUL_NOT_FOUND  the server has no pool
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_call_alloc(haul_call *call, uint64_t len,
                                                     const haul_alloc_opts *opts,
                                                     haul_buf **out_buf);

/*
 * Make @out->payload, for the response, say: the first @len bytes of @buf. By key, given to the
 * caller, if the caller shares the pool; inline if not. @out must live until the call is answered.
 *
 * @buf: filled and not shared yet, of the pool from which haul_call_alloc() takes.
 *
 * Ownership: takes @buf, whatever it returns; the buffer is freed when the caller lets go, when the
 *            call fails, or when the call's deadline passes unclaimed.
 * Threads:   one at a time for one call.
 * Failures:  HAUL_INVALID (@len exceeds the capacity, another pool's buffer), HAUL_CORRUPT,
 *            HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_call_put(haul_call *call, haul_buf *buf, uint64_t len,
                                                   haul_payload_out *out);

/* End the call with a status other than OK instead of a response. @text is copied; may be NULL. */
HAUL_API void haul_call_fail(haul_call *call, grpc_status_code code, const char *text);

/* CLOCK_MONOTONIC nanoseconds; UINT64_MAX = none. */
HAUL_API uint64_t haul_call_deadline_ns(const haul_call *call);

/*
 * True once the caller has gone away, cancelled, or run out of time. The first two are noticed by
 * the server's threads, so by none while all of them are in handlers.
 */
HAUL_API bool haul_call_is_cancelled(haul_call *call);

/*
 * Who calls, as far as the connection tells.
 *
 * Ownership: @out_peer lives as long as the call.
 * Threads:   one at a time for one call.
 * Failures:  HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_call_peer(haul_call *call, const haul_peer **out_peer);

/*
 * The caller's metadata: the @index-th entry named @key, or of all entries if @key is NULL, from 0.
 *
 * Ownership:  @out_metadata lives as long as the call.
 * Threads:    one at a time for one call.
 * Conditions: HAUL_NOT_FOUND  there are no more
 * Failures:   HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_call_metadata(haul_call *call, const char *key,
                                                        size_t index, haul_metadata *out_metadata);

/*
 * Send an entry of metadata along with the answer, whatever the answer is.
 *
 * @when: before or after the response.
 *
 * Ownership:  @metadata is copied.
 * Threads:    one at a time for one call, and before the call is answered.
 * Failures:   HAUL_INVALID (a key or value that cannot be sent; too late), HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_call_add_metadata(haul_call *call,
                                                            haul_metadata_when when,
                                                            const haul_metadata *metadata);

/* Bytes of the request as it came over the wire, in the message or over a data connection. */
HAUL_API size_t haul_call_request_bytes(const haul_call *call);

/* ---- Client -------------------------------------------------------------------------------- */

/* For haul_channel_opts.key_threshold_bytes. */
#define HAUL_KEY_ALWAYS        1        /* by key whatever there is */
#define HAUL_KEY_THRESHOLD_MAX 20000000 /* from here on by key always; larger numbers mean this */

/* What becomes of a payload that is worth a buffer, and the pool has none. */
typedef enum haul_if_exhausted {
    HAUL_EXHAUSTED_DEFAULT = 0, /* of a call: as the channel says; of a channel: inline */
    HAUL_EXHAUSTED_INLINE = 1,  /* it is sent inline */
    HAUL_EXHAUSTED_FAIL = 2     /* the call ends RESOURCE_EXHAUSTED, and nothing is sent */
} haul_if_exhausted;

typedef struct haul_channel_opts {
    size_t struct_size; /* sizeof(haul_channel_opts) */
    haul_pool *pool;    /* the pool to send and receive by key with; borrowed; NULL = inline */
    size_t max_message_bytes; /* larger answers get RESOURCE_EXHAUSTED; 0 = no bound but gRPC's */
    /* Payloads of fewer bytes are sent inline even where a key would do. 0: those that lie in
     * ordinary memory from where on a buffer is cheaper, which is measured on this host when it first
     * matters, in less than a millisecond; those that carry a key never. */
    uint64_t key_threshold_bytes;
    const haul_credentials *credentials; /* borrowed for the time of the call; NULL = insecure */

    size_t max_send_bytes;     /* larger requests are not sent: RESOURCE_EXHAUSTED; 0 = no bound */
    size_t max_metadata_bytes; /* of one answer, as HTTP/2 counts them; those with more get
                                * RESOURCE_EXHAUSTED; 0 = 8 KiB */

    /* Pings, by which a server that is frozen or out of reach is noticed: calls then end
     * UNAVAILABLE, and the next one makes a new connection. gRPC sends one a second at most, and none
     * while it is in the middle of writing; what ends a call then is its deadline. Servers of
     * Shorthaul accept that; others may want five minutes between pings. */
    uint64_t keepalive_interval_ns; /* since the last byte came; 0 = none; below 100 ms is 100 ms */
    uint64_t keepalive_timeout_ns;  /* how long to wait for the answer to a ping; 0 = 20 s */
    bool keepalive_idle;            /* also while there are no calls */

    /* How a buffer is taken for a payload that lies in ordinary memory; copied. NULL =
     * HAUL_ALLOC_DEFAULT, without waiting. Nobody waits past the call's deadline. */
    const haul_alloc_opts *alloc;
    haul_if_exhausted if_exhausted; /* and if none can be had */

    bool no_trunk; /* make every call as one of gRPC's, also short ones to servers that offer one
                    * stream for all of them (docs/adr/0012), which halves what such a call costs.
                    * So does a channel with bounds that low */

    /* For so long a thread that waits for an answer, or a message of a stream, looks for it again
     * and again before it sleeps; 0 = it sleeps at once, at most 1 ms. With as much at the server a
     * short call takes half the time, and a core on either side meanwhile: for few callers, and
     * cores to spare (docs/tuning.md). A caller that is not alone on the stream for short calls
     * sleeps all the same, and so does one in haul_queue_next(). */
    uint64_t busy_poll_ns;

    /* Leave everything to gRPC's connection. Otherwise Unix sockets beside it are used, up to 16, to servers
     * that offer it and run in the same network namespace; not by channels with TLS.
     *
     *   - Payloads of 256 KiB and more that do not go by key, of blocking unary calls, are sent over one
     *     before the call, which spares one copy of them or two (docs/adr/0018). They count as inline.
     *   - Blocking unary calls of up to 64 KiB, after the first ones, are made on them past gRPC, in half
     *     the time (docs/adr/0019); not with no_trunk or keepalive_interval_ns. */
    bool no_data_connections;
} haul_channel_opts;

/*
 * A channel to @address (as for haul_server_listen(), or any gRPC target). Connects on first use.
 *
 * Ownership: the caller's, until haul_channel_close().
 * Failures:  HAUL_INVALID (address, options; credentials that were made for servers, or local ones
 *            for a TCP address), HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_channel_open(const char *address,
                                                       const haul_channel_opts *opts,
                                                       haul_channel **out_channel, haul_error *err);

/*
 * Cancel the calls in flight, wait until they have returned, and free. NULL is allowed.
 *
 * Blocking: until then; and where gRPC is in the middle of writing to a server that does not read, half a
 *           second more, after which the connection is shut down. (That takes /proc and the version of
 *           gRPC for which it was written, 1.51; with another one, until the server reads or dies.)
 */
HAUL_API void haul_channel_close(haul_channel *channel);

typedef struct haul_channel_stats {
    size_t struct_size; /* sizeof(haul_channel_stats), set by the caller */
    uint64_t n_calls;   /* that have ended, however */
    uint64_t n_failed;  /* those of them that did not end OK */
    haul_traffic requests;
    haul_traffic answers;
    uint64_t n_copied;            /* payloads copied to a buffer to be sent by key */
    uint64_t n_resent;            /* calls sent again inline, because a key was refused */
    uint64_t n_exhausted;         /* payloads for which the pool had no buffer */
    uint64_t key_threshold_bytes; /* in force; 0 = it has not mattered yet */
    uint64_t n_transferred;       /* inline payloads that were sent over data connections */
    uint64_t n_direct;            /* calls that were made on them, past gRPC */
} haul_channel_stats;

/*
 * What a channel has done since it was opened. Others go on meanwhile: sums may be off by a call.
 *
 * Blocking: never.   Failures: HAUL_INVALID (struct_size)
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_channel_get_stats(haul_channel *channel,
                                                            haul_channel_stats *out_stats);

typedef struct haul_call_opts {
    size_t struct_size;  /* sizeof(haul_call_opts) */
    int64_t timeout_ns;  /* <= 0: no deadline */
    bool inline_only;    /* send and ask for payloads inline, whatever the lane could do */
    bool wait_for_ready; /* wait for a connection instead of failing UNAVAILABLE */
    const haul_metadata *metadata; /* to send along; borrowed until the call returns */
    size_t n_metadata;
    uint64_t
        lend_bytes; /* room for a payload of the answer, 0 = none: a buffer of so many bytes of the
                          * channel's pool is lent to the server for the time of the call (60 s if it
                          * has no deadline), which then need not allocate. Where the lane is not
                          * proven, or there is no buffer, the call goes without */
    const haul_alloc_opts *alloc; /* for this call; borrowed; NULL = as the channel says */
    haul_if_exhausted if_exhausted;

    /*
     * The same with a buffer of the application's own, so that one buffer serves for the answers of any
     * number of calls: *@lend_buf, of the channel's pool and as haul_buf_alloc() returned it. NULL:
     * none; *@lend_buf is NULL: one of @lend_bytes is taken. @lend_buf must stay where it is until the
     * call is over.
     *
     * The library takes the buffer and *@lend_buf is NULL until the call is over (of calls with a queue:
     * until their reply has been fetched); then *@lend_buf is the caller's again, whatever has become of
     * the call. It is the same buffer, with the answer's payload in it, to be seen with
     * haul_reply_view(), if the server has used it: do not write, lend or release it before you have
     * read that. If the server has it still (it was dropped there, is being written past the deadline,
     * or the server has died), *@lend_buf is another buffer of at least that size; it is NULL if the pool
     * has none even so. A call that fails without being made leaves it as it is.
     */
    haul_buf **lend_buf;

    haul_cancel *cancel; /* by which the call can be cancelled; NULL = by none */
} haul_call_opts;

/*
 * Call a unary method and wait for its answer. Payloads of the request that carry keys of the
 * channel's pool are sent by key once the lane is proven (one probe per connection, made by the
 * first call that needs it) and inline otherwise; if the server refuses a key the call is sent
 * again, inline, within the same deadline. Payloads in ordinary memory that reach the channel's
 * threshold are copied to a buffer of the pool, for the time of the call, and sent by key likewise.
 * @request is the same afterwards as before.
 *
 * @service, @method_index: from the generated code, such as &digest__service__descriptor, 0.
 * @out_reply: set on HAUL_OK only. HAUL_OK means that the call ended, with whatever gRPC status:
 *             ask haul_reply_code().
 *
 * Ownership: the reply is the caller's, until haul_reply_free().
 * Blocking:  until the answer, the deadline, the trigger of opts->cancel, or haul_channel_close().
 * Failures:  HAUL_INVALID (request of another type or not well-formed, no such method, a key of
 *            another pool than the channel's, a stale key where it had to be sent inline, metadata
 *            that cannot be sent, a buffer that cannot be lent, channel being closed), HAUL_CORRUPT,
 *            HAUL_NOMEM, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_channel_call(
    haul_channel *channel, const ProtobufCServiceDescriptor *service, unsigned method_index,
    const ProtobufCMessage *request, const haul_call_opts *opts, haul_reply **out_reply);

/*
 * A protobuf-c service whose methods are calls on @channel: pass it to the generated stubs. The
 * stub blocks, without a deadline, and runs its closure, with NULL if the call did not end OK.
 * Payload keys of the answer are turned into bytes for the time of the closure.
 *
 * Ownership: protobuf_c_service_destroy() before haul_channel_close().
 */
HAUL_API HAUL_MUST_CHECK haul_status
haul_channel_service(haul_channel *channel, const ProtobufCServiceDescriptor *descriptor,
                     ProtobufCService **out_service);

/* How the call ended. */
HAUL_API grpc_status_code haul_reply_code(const haul_reply *reply);

/* The server's words, or gRPC's; "" where there are none. Lives as long as @reply. */
HAUL_API const char *haul_reply_text(const haul_reply *reply);

/* The answer; NULL unless the code is OK. Lives as long as @reply. */
HAUL_API const ProtobufCMessage *haul_reply_message(const haul_reply *reply);

/*
 * The server's metadata: the @index-th entry named @key, or of all entries if @key is NULL, from 0.
 *
 * Ownership:  @out_metadata lives as long as @reply.
 * Conditions: HAUL_NOT_FOUND  there are no more
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_reply_metadata(const haul_reply *reply,
                                                         haul_metadata_when when, const char *key,
                                                         size_t index, haul_metadata *out_metadata);

/* How the payloads of the request went, of the call that was answered. */
HAUL_API haul_path haul_reply_request_path(const haul_reply *reply);

/* How the payloads of the answer came. */
HAUL_API haul_path haul_reply_path(const haul_reply *reply);

/* Whether a key was refused and the call sent again inline. */
HAUL_API bool haul_reply_was_resent(const haul_reply *reply);

/* Bytes of the request on the wire, of the call that was answered: the message, and what was sent over
 * a data connection instead of in it. */
HAUL_API size_t haul_reply_request_bytes(const haul_reply *reply);

/*
 * The bytes of a payload of the answer: in one piece, at an address that is a multiple of 64.
 * Readable until haul_reply_free(), or in a buffer of your own until you use that again
 * (haul_call_opts.lend_buf); do not detach the view.
 *
 * Failures: HAUL_INVALID (not a payload of this answer)
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_reply_view(const haul_reply *reply,
                                                     const haul_payload *payload,
                                                     haul_view *out_view);

/* Free the answer and let go of what was given with it. NULL is allowed. */
HAUL_API void haul_reply_free(haul_reply *reply);

#ifdef __cplusplus
}
#endif

#endif
