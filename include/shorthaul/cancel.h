/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_CANCEL_H
#define SHORTHAUL_CANCEL_H

/*
 * A cancellation token: the means to end calls from another thread.
 *
 * It is named in the options of calls, blocking ones, those of a haul_queue, and streams; of as many
 * as one likes, on any channels. Triggering it ends those that are under way, and those that begin
 * later with the same token: each ends with GRPC_STATUS_CANCELLED, and the server's handler is told.
 * A token that has been triggered stays so.
 *
 *   haul_cancel_create(&cancel);
 *   opts.cancel = cancel;
 *   haul_channel_call(channel, service, 0, request, &opts, &reply);    one thread, or several
 *   haul_cancel_trigger(cancel);                                       another one
 */

#include <stdbool.h>

#include <shorthaul/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct haul_cancel haul_cancel;

/*
 * Ownership: the caller's, until haul_cancel_destroy().
 * Failures:  HAUL_NOMEM
 */
HAUL_API HAUL_MUST_CHECK haul_status haul_cancel_create(haul_cancel **out_cancel);

/*
 * Let go of a token, triggered or not. Calls that were begun with it go on, and keep what they need
 * of it; nobody can cancel them by it any more. NULL is allowed.
 *
 * Threads: any; no other call on @cancel may be under way, nor come after.
 */
HAUL_API void haul_cancel_destroy(haul_cancel *cancel);

/*
 * Cancel what is under way with this token, and what will be.
 *
 * A call that has not begun by then sends nothing, not even a probe. One that is under way ends at
 * once, wherever it is, but for a fifth of a second if it waits for a buffer of the pool; the server
 * may have been at it, or be done. One that has ended is as it was. Triggering again does nothing.
 *
 * Threads:  any, several at once; not a signal handler.
 * Blocking: never for a call to end; that is told where it is waited for.
 */
HAUL_API void haul_cancel_trigger(haul_cancel *cancel);

/* Whether it has been triggered. Any thread. */
HAUL_API bool haul_cancel_is_triggered(haul_cancel *cancel);

#ifdef __cplusplus
}
#endif

#endif
