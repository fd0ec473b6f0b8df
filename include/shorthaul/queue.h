/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_QUEUE_H
#define SHORTHAUL_QUEUE_H

/*
 * Unary calls that do not block: any number is started, on any channels, and their replies are
 * waited for together, in the order in which the calls end.
 *
 * A queue has no thread of its own. Whoever waits in haul_queue_next() drives the connections of its
 * calls and takes the steps that are due: a refused key is sent again inline, an answer is unpacked.
 * Somebody must be there for calls to go on; one thread is enough, several may be.
 */

#include <shorthaul/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct haul_queue haul_queue;

/*
 * Ownership: the caller's, until haul_queue_destroy().
 * Failures:  HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_queue_create(haul_queue **out_queue);

/*
 * Cancel what is under way, wait for it to end, and free. Replies are dropped. NULL is allowed.
 *
 * Blocking: also while gRPC is in the middle of writing a request to a server that does not read, until it
 *           reads or dies, or the channel is closed.
 * Threads: no other call on @queue may be under way. Before the channels of its calls are closed, unless
 *          all replies have been fetched: then the channels may go first, and where a server may not
 *          be reading they should, for haul_channel_close() does not wait for it.
 */
HAUL_API void haul_queue_destroy(haul_queue *queue);

/*
 * Start a call; as haul_channel_call(), but its reply comes from haul_queue_next(). The channel must
 * not be closed before that: haul_channel_close() cancels the call and waits until another thread
 * has fetched its reply.
 *
 * @tag: handed back with the reply; the same may be used for several calls.
 *
 * Ownership:  borrows @request, what it refers to, and the metadata and @lend_buf of @opts until the
 *             reply comes.
 * Blocking:   for the probe if nobody knows whether the lane is shared, until the call's deadline or
 *             the trigger of opts->cancel; as opts->alloc says where a payload must be copied into
 *             the pool.
 * No reply comes unless it returns HAUL_OK.
 *
 * Conditions: HAUL_TOO_BIG    the request is larger than may be sent
 *             HAUL_EXHAUSTED  the pool has no buffer for a payload, and the options say that the call
 *                             fails then
 *             HAUL_TIMEOUT    nor had it one until the deadline
 * Failures:   those of haul_channel_call(); HAUL_INVALID as well once the queue is being shut down
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_channel_call_start(
    haul_channel *channel, haul_queue *queue, const ProtobufCServiceDescriptor *service,
    unsigned method_index, const ProtobufCMessage *request, const haul_call_opts *opts, void *tag);

/*
 * Wait for the next call to end.
 *
 * @timeout_ns: <0 = without end, 0 = only look, else at most so long.
 * @out_status: what haul_channel_call() would have returned. @out_reply is NULL but for HAUL_OK.
 *
 * Ownership:  the reply is the caller's, until haul_reply_free().
 * Threads:    any, several at once.
 * Conditions: HAUL_TIMEOUT  none has ended
 *             HAUL_END      the queue has been shut down, and all replies have been fetched
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_queue_next(haul_queue *queue, int64_t timeout_ns,
                                                     void **out_tag, haul_status *out_status,
                                                     haul_reply **out_reply);

/* Cancel the calls that were started with @tag: each ends CANCELLED, unless it is over. Their
 * replies still come, as those of calls do that are cancelled by the token of their options. Any
 * thread. */
HAUL_API void haul_queue_cancel(haul_queue *queue, const void *tag);

/* Take no new calls; haul_queue_next() says HAUL_END after the last reply. Any thread. */
HAUL_API void haul_queue_shutdown(haul_queue *queue);

#ifdef __cplusplus
}
#endif

#endif
