/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_STREAM_H
#define SHORTHAUL_STREAM_H

/*
 * Calls that stream: any number of messages either way, with payloads by key.
 *
 * protobuf-c does not say which methods of a service stream, so the program does: a server registers
 * a handler with haul_server_add_stream(), a client opens the call with haul_channel_stream(). Both
 * then send and receive one message at a time, and block meanwhile. Which side sends how many is
 * between the two; so client, server and bidirectional streaming are all the same functions.
 *
 * A payload that is put into a message goes by key where both sides share a pool: the buffer is
 * given to the peer, which becomes its owner when it receives the message. How many such buffers may
 * be on their way unclaimed is bounded (the window), and the sender waits when so many are: a
 * receiver that stops stops its sender, who wakes as soon as the receiver goes on. Other messages are
 * bounded by gRPC's flow control.
 *
 * A payload in ordinary memory is copied to a buffer when its message is sent, and goes like one that
 * was put, if it reaches the threshold (haul_channel_opts.key_threshold_bytes, and that of
 * haul_server_opts) and both sides share a pool; else it goes inline.
 *
 * Whoever dies, nothing is lost: what a dead sender gave can still be received, what a dead
 * receiver was given goes back to the pool, and what is unclaimed when a stream ends is taken back.
 *
 * One thread may send while another one receives; haul_call_finish() and haul_stream_finish() come
 * after both.
 */

#include <shorthaul/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HAUL_STREAM_WINDOW_DEFAULT 16

/* ---- A received message -------------------------------------------------------------------- */

/* One message of a stream, as it was received, with what its payloads refer to. */
typedef struct haul_received haul_received;

/* The message. Lives as long as @received. */
HAUL_API const ProtobufCMessage *haul_received_message(const haul_received *received);

/*
 * The bytes of a payload of the message, whichever way they came. Readable until
 * haul_received_free(); do not detach the view.
 *
 * Failures: HAUL_INVALID (not a payload of this message)
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_received_view(const haul_received *received,
                                                        const haul_payload *payload,
                                                        haul_view *out_view);

/* How the payloads of the message came. */
HAUL_API haul_path haul_received_path(const haul_received *received);

/*
 * Free the message and let go of the buffers that came with it. NULL is allowed.
 *
 * Threads: any; before the pool, and before the server or the channel is closed.
 */
HAUL_API void haul_received_free(haul_received *received);

/* ---- Server -------------------------------------------------------------------------------- */

/*
 * Handle one call of a streaming method. Runs in a thread of the server's that is its own until it
 * returns (haul_server_opts: n_stream_threads), so it may block. The call lives until then; a
 * handler that returns without haul_call_finish() ends it with INTERNAL.
 *
 * In it, beside the functions below, haul_call_alloc(), haul_call_put(), haul_call_metadata(),
 * haul_call_add_metadata(), haul_call_deadline_ns() and haul_call_is_cancelled() are used as in any
 * handler. haul_call_put() waits while the window is full; HAUL_END says that the call was over
 * first. Initial metadata goes with the first message that is sent.
 */
typedef void (*haul_stream_fn)(haul_call *call, void *ctx);

/*
 * Serve one method as a streaming one. Before start, and before haul_server_add_service() of the
 * same service, which then serves the methods that are left.
 *
 * @ctx: handed to @fn.
 *
 * Failures: HAUL_INVALID (started; no such method; registered before), HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status
haul_server_add_stream(haul_server *server, const ProtobufCServiceDescriptor *service,
                       unsigned method_index, haul_stream_fn fn, void *ctx, haul_error *err);

/*
 * Wait for the caller's next message.
 *
 * @timeout_ns: <0 = as long as the call lives; else at most so long. A message that comes after a
 *              timeout is for the next call of this function.
 *
 * Ownership:  the message is the handler's, until haul_received_free().
 * Threads:    one at a time.
 * Conditions: HAUL_END      the caller has said all, or the call is over. That it is over may be
 *                           learned a moment later (haul_call_is_cancelled())
 *             HAUL_TIMEOUT
 *             HAUL_STALE    a payload's key cannot be attached here; the call will end with
 *                           FAILED_PRECONDITION, whatever haul_call_finish() is given
 * Failures:   HAUL_PROTOCOL (the message is malformed; the call will end with INVALID_ARGUMENT),
 *             HAUL_INVALID (not a streaming call, or finished), HAUL_NOMEM, HAUL_CORRUPT,
 *             HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_call_receive(haul_call *call, int64_t timeout_ns,
                                                       haul_received **out_received);

/*
 * Send a message. Payloads that haul_call_put() made since the last one belong into this one; what
 * is not in it is taken back. Keys of the handler's own shared buffers may be in it, too; these must
 * stay shared until the caller has received the message.
 *
 * Ownership:  @message is only read, and free again when this returns.
 * Threads:    one at a time.
 * Blocking:   while gRPC's flow control has no room for the message, or the call is over; before that
 *             while the window is full, if a payload in ordinary memory is to be moved to a buffer.
 *             For a buffer nobody waits: without one it goes inline.
 * Conditions: HAUL_END      the call is over
 *             HAUL_TOO_BIG  more than a gRPC message can be; nothing was sent
 * Failures:   HAUL_INVALID (not a streaming call, or finished; a message of another type or not
 *             well-formed; a key that cannot be sent), HAUL_NOMEM, HAUL_CORRUPT, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_call_send(haul_call *call,
                                                    const ProtobufCMessage *message);

/*
 * End the call with @code. @text is copied; may be NULL. Messages that the caller has not sent yet
 * are not received any more.
 *
 * Threads:  when no other thread sends or receives any more.
 * Blocking: until the caller has claimed all buffers that were sent to it, or the call is over.
 */
HAUL_API void haul_call_finish(haul_call *call, grpc_status_code code, const char *text);

/* ---- Client -------------------------------------------------------------------------------- */

typedef struct haul_stream haul_stream;

typedef struct haul_stream_opts {
    size_t struct_size;            /* sizeof(haul_stream_opts) */
    int64_t timeout_ns;            /* for the whole stream; <= 0: no deadline */
    bool inline_only;              /* send and ask for payloads inline */
    bool wait_for_ready;           /* wait for a connection instead of failing UNAVAILABLE */
    const haul_metadata *metadata; /* to send along; borrowed until the stream is open */
    size_t n_metadata;
    uint32_t window;     /* buffers that may be on their way unclaimed; 0 = the default */
    uint64_t give_ns;    /* how long a buffer waits to be claimed if the stream has no deadline;
                          * 0 = 10 minutes */
    haul_cancel *cancel; /* by which the stream can be cancelled, while it is being opened, too;
                          * NULL = by haul_stream_cancel() only */
    /* How a buffer is taken for a payload in ordinary memory; copied. NULL = as the channel says.
     * Nobody waits past the stream's end. */
    const haul_alloc_opts *alloc;
    haul_if_exhausted if_exhausted; /* and if none can be had */
} haul_stream_opts;

/*
 * Open a streaming call. Probes the lane if nobody knows whether it is shared.
 *
 * Ownership: the stream is the caller's, until haul_stream_finish().
 * Blocking:  for the probe, until the deadline, the trigger of opts->cancel or
 *            haul_channel_close(); else never.
 * Failures:  HAUL_INVALID (options, no such method, metadata that cannot be sent, channel being
 *            closed), HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_channel_stream(haul_channel *channel,
                                                         const ProtobufCServiceDescriptor *service,
                                                         unsigned method_index,
                                                         const haul_stream_opts *opts,
                                                         haul_stream **out_stream);

/*
 * A buffer for a payload to be sent, of the channel's pool.
 *
 * Ownership:  the caller's, until haul_stream_put() or haul_buf_release().
 * Threads:    the one that sends.
 * Blocking:   as opts->wait_ns says, but no longer than the stream lives.
 * Conditions: those of haul_buf_alloc(); HAUL_END  the stream was over first
 *             HAUL_NOT_FOUND  the channel has no pool
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_stream_alloc(haul_stream *stream, uint64_t len,
                                                       const haul_alloc_opts *opts,
                                                       haul_buf **out_buf);

/*
 * Make @out->payload, for the next message, say: the first @len bytes of @buf. By key, given to the
 * server, if the lane is shared; inline if not.
 *
 * @buf: filled and not shared yet.
 * @wait_ns: while the window is full: <0 = wait as long as the stream lives, else at most so long.
 *           A thread that is also the one to receive should not wait without end.
 *
 * Ownership:  takes @buf, but for HAUL_TIMEOUT. The buffer is freed when the server lets go of it,
 *             or taken back when the stream ends first.
 * Threads:    the one that sends.
 * Conditions: HAUL_TIMEOUT  the window is full; @buf is still the caller's
 *             HAUL_END      the stream is over
 * Failures:   HAUL_INVALID (@len exceeds the capacity, shared already), HAUL_CORRUPT, HAUL_NOMEM,
 *             HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_stream_put(haul_stream *stream, haul_buf *buf,
                                                     uint64_t len, int64_t wait_ns,
                                                     haul_payload_out *out);

/*
 * Send a message; as haul_call_send(), the other way, and payloads in ordinary memory wait for buffers
 * as the options of the stream say.
 *
 * Conditions: those of haul_call_send(); HAUL_END: the stream is over, and haul_stream_finish() says why
 *             HAUL_EXHAUSTED  there is no buffer for a payload, and the options say that the message
 *                             fails then; nothing was sent
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_stream_send(haul_stream *stream,
                                                      const ProtobufCMessage *message);

/*
 * Say that no more messages will be sent.
 *
 * Threads:    the one that sends.
 * Conditions: HAUL_END  the stream is over, or this has been said before
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_stream_close_send(haul_stream *stream);

/*
 * Wait for the server's next message; as haul_call_receive(), the other way.
 *
 * Conditions: HAUL_END      there are no more; haul_stream_finish() says how the stream ended
 *             HAUL_TIMEOUT
 *             HAUL_STALE    a payload was taken back before it could be claimed; the stream is
 *                           cancelled and ends ABORTED
 * Failures:   HAUL_PROTOCOL (malformed; the stream is cancelled and ends INTERNAL), HAUL_NOMEM,
 *             HAUL_CORRUPT, HAUL_SYSTEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_stream_receive(haul_stream *stream, int64_t timeout_ns,
                                                         haul_received **out_received);

/* Give the stream up: it ends CANCELLED, unless it is over. Any thread, until
 * haul_stream_finish(). */
HAUL_API void haul_stream_cancel(haul_stream *stream);

/*
 * End a stream: say that no more will be sent, drop what has not been received, wait for the
 * server's status. To end it early, haul_stream_cancel() it first.
 *
 * @out_reply: how it ended: code, text, metadata, and the paths that the payloads took; it has no
 *             message. The caller's, until haul_reply_free(). May be NULL.
 *
 * Ownership: frees @stream; NULL is allowed.
 * Threads:   when no other thread uses the stream any more.
 * Blocking:  until the server has ended the stream, its deadline, or haul_channel_close() in another
 *            thread, which in turn waits for this.
 */
HAUL_API void haul_stream_finish(haul_stream *stream, haul_reply **out_reply);

#ifdef __cplusplus
}
#endif

#endif
