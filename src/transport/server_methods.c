/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What a server serves: the methods of services, registered with gRPC one by one.
 *
 * Filled by the application's thread before the server starts, constant from then on and read by
 * every thread of the server. Dies with the process.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "transport/server.h"

void haul__method_free(haul__method *method)
{
    if (method) {
        haul__plans_fini(&method->input);
        haul__plans_fini(&method->output);
        free(method);
    }
}

const haul__method *haul__server_find_method(const haul_server *server, const char *service,
                                             unsigned index)
{
    const haul__method *m = server->methods;
    while (m && (m->index != index || strcmp(m->descriptor->name, service) != 0)) {
        m = m->next;
    }
    return m;
}

haul_status haul__server_add_method(haul_server *server, const haul__method *wanted)
{
    const ProtobufCMethodDescriptor *descriptor = &wanted->descriptor->methods[wanted->index];
    size_t n = strlen(wanted->descriptor->name) + strlen(descriptor->name) + sizeof("//");
    haul__method *method = calloc(1, sizeof(*method) + n);
    if (!method) {
        return HAUL_NOMEM;
    }
    *method = *wanted;
    method->server = server;
    atomic_init(&method->typical_ns, UINT64_MAX);
    (void)snprintf(method->path, n, "/%s/%s", wanted->descriptor->name, descriptor->name);
    if (haul__plans_init(&method->input, descriptor->input) != HAUL_OK ||
        haul__plans_init(&method->output, descriptor->output) != HAUL_OK) {
        haul__method_free(method);
        return HAUL_NOMEM;
    }
    method->registered = grpc_server_register_method(
        server->grpc, method->path, NULL,
        method->stream ? GRPC_SRM_PAYLOAD_NONE : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    if (!method->registered) {
        haul__method_free(method);
        return HAUL_INVALID;
    }
    method->next = server->methods;
    server->methods = method;
    return HAUL_OK;
}

/* Whether any method of the service is served otherwise than as a stream. */
static bool has_service(const haul_server *server, const ProtobufCServiceDescriptor *descriptor)
{
    for (unsigned i = 0; i < descriptor->n_methods; i++) {
        const haul__method *m = haul__server_find_method(server, descriptor->name, i);
        if (m && !m->stream) {
            return true;
        }
    }
    return false;
}

haul_status haul__server_add(haul_server *server, ProtobufCService *service, bool attaches_itself,
                             haul_error *err)
{
    const ProtobufCServiceDescriptor *descriptor = service->descriptor;
    if (server->phase != HAUL__SERVER_NEW) {
        return haul__fail(err, HAUL_INVALID, "service %s: the server has been started",
                          descriptor->name);
    }
    if (has_service(server, descriptor)) {
        return haul__fail(err, HAUL_INVALID, "service %s is served already", descriptor->name);
    }
    for (unsigned i = 0; i < descriptor->n_methods; i++) {
        const haul__method wanted = {.service = service,
                                     .descriptor = descriptor,
                                     .index = i,
                                     .attaches_itself = attaches_itself};
        bool streams = haul__server_find_method(server, descriptor->name, i) != NULL;
        haul_status status = streams ? HAUL_OK : haul__server_add_method(server, &wanted);
        if (status != HAUL_OK) {
            return haul__fail(err, status, "service %s: method %s cannot be registered",
                              descriptor->name, descriptor->methods[i].name);
        }
    }
    return HAUL_OK;
}

haul_status haul_server_add_service(haul_server *server, ProtobufCService *service, haul_error *err)
{
    if (!service || !service->descriptor || !service->invoke) {
        return haul__fail(err, HAUL_INVALID, "no service");
    }
    return haul__server_add(server, service, false, err);
}
