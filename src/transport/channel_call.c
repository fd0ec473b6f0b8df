/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The blocking call: a journey whose steps are all taken in the caller's thread, which waits in
 * between on a completion queue of its own. The request is only read, so that several threads may
 * send one message at once.
 */

#include "transport/journey.h"

static haul_status travel(haul__journey *j)
{
    haul_status status = haul__journey_prepare(j);
    while (status == HAUL_OK && j->unsent == HAUL_OK) {
        haul__attempt_run(j->channel, &j->flight, &j->attempt);
        if (!haul__journey_again(j, &status)) {
            break;
        }
    }
    if (status == HAUL_OK) {
        haul__journey_arrive(j);
    }
    return status;
}

haul_status haul_channel_call(haul_channel *channel, const ProtobufCServiceDescriptor *service,
                              unsigned method_index, const ProtobufCMessage *request,
                              const haul_call_opts *opts, haul_reply **out_reply)
{
    haul__journey j;
    haul_status status = haul__journey_init(&j, channel, service, method_index, request, opts);
    if (status != HAUL_OK) {
        return status;
    }
    j.request.transfers = true;
    status = travel(&j);
    if (status == HAUL_OK) {
        *out_reply = j.reply;
        j.reply = NULL;
    }
    haul__journey_fini(&j);
    return status;
}
