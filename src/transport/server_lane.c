/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The server's half of the lane: LaneService, served beside the application's own services.
 *
 * It answers what it reads behind the key it is shown. A key that it cannot attach is no error
 * here, it is the answer. The service object is part of the server; any of its threads may be here.
 */

#include <string.h>

#include <shorthaul/v1/lane.pb-c.h>

#include "transport/server.h"

#define NONCE_MIN_BYTES 16
#define NONCE_MAX_BYTES 64

/* The pool in which the payload was found, or NULL. */
static const haul_pool *attach(const haul_server *server, const haul_payload *payload,
                               haul_view *out_view)
{
    haul_key key;
    if (haul_payload_get_key(payload, &key) != HAUL_OK) {
        return NULL;
    }
    haul_pool *pool = haul__server_pool(server, key.pool_id);
    return pool && haul_attach(pool, &key, payload->length, out_view) == HAUL_OK ? pool : NULL;
}

static void invoke(ProtobufCService *service, unsigned method_index, const ProtobufCMessage *input,
                   ProtobufCClosure closure, void *closure_data)
{
    (void)method_index; /* there is one */
    const haul_server *server = HAUL__CONTAINER_OF(service, haul_server, lane);
    const haul_payload *nonce = ((const Shorthaul__V1__ProbeRequest *)input)->nonce;
    if (!nonce || nonce->length < NONCE_MIN_BYTES || nonce->length > NONCE_MAX_BYTES) {
        haul_call_fail(closure_data, GRPC_STATUS_INVALID_ARGUMENT, "a nonce has 16 to 64 bytes");
        return;
    }
    Shorthaul__V1__ProbeResponse response = SHORTHAUL__V1__PROBE_RESPONSE__INIT;
    uint8_t bytes[NONCE_MAX_BYTES];
    haul_view view = {0};
    const haul_pool *pool = attach(server, nonce, &view);
    if (pool) {
        memcpy(bytes, view.data, view.len);
        haul_detach(&view);
        response.attached = true;
        response.participant = haul_pool_participant(pool);
        response.nonce.data = bytes;
        response.nonce.len = nonce->length;
    }
    closure(&response.base, closure_data);
}

void haul__server_lane_init(haul_server *server)
{
    server->lane = (ProtobufCService){.descriptor = &shorthaul__v1__lane_service__descriptor,
                                      .invoke = invoke};
}
