/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A channel seen through the functions that protoc-gen-c makes for a service's methods.
 *
 * The stub's caller owns the service object and waits in its thread until the closure has run. The
 * message that the closure sees holds bytes only: keys are shown as inline payloads that point into
 * the pool, for as long as the closure runs.
 */

#include <stdlib.h>

#include "transport/channel.h"
#include "transport/rewrite.h"

typedef struct stub {
    ProtobufCService base; /* first: what the generated code is given */
    haul_channel *channel;
} stub;

static void run_closure(haul_channel *channel, const ProtobufCServiceDescriptor *service,
                        unsigned method_index, haul_reply *reply, ProtobufCClosure closure,
                        void *closure_data)
{
    const haul__client_method *method;
    haul__rewrite rewrite = {0};
    ProtobufCMessage *message = reply->message;
    haul_status status = haul__channel_method(channel, service, method_index, &method);
    if (status == HAUL_OK && message && method->output.root && reply->answer_tally.n_key > 0) {
        status = haul__rewrite_message(&rewrite, method->output.root, reply->message,
                                       haul__reply_as_inline, reply, &message);
    }
    closure(status == HAUL_OK ? message : NULL, closure_data);
    haul__rewrite_fini(&rewrite);
}

static void invoke(ProtobufCService *service, unsigned method_index, const ProtobufCMessage *input,
                   ProtobufCClosure closure, void *closure_data)
{
    haul_channel *channel = ((stub *)service)->channel;
    haul_reply *reply;
    if (haul_channel_call(channel, service->descriptor, method_index, input, NULL, &reply) !=
        HAUL_OK) {
        closure(NULL, closure_data);
        return;
    }
    run_closure(channel, service->descriptor, method_index, reply, closure, closure_data);
    haul_reply_free(reply);
}

static void destroy(ProtobufCService *service)
{
    free((stub *)service);
}

haul_status haul_channel_service(haul_channel *channel,
                                 const ProtobufCServiceDescriptor *descriptor,
                                 ProtobufCService **out_service)
{
    if (!channel || !descriptor) {
        return HAUL_INVALID;
    }
    stub *s = calloc(1, sizeof(*s));
    if (!s) {
        return HAUL_NOMEM;
    }
    s->base = (ProtobufCService){.descriptor = descriptor, .invoke = invoke, .destroy = destroy};
    s->channel = channel;
    *out_service = &s->base;
    return HAUL_OK;
}
