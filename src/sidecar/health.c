/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * grpc.health.v1.Health, the standard question whether a server serves.
 *
 * The sidecar opens its pools before it starts its server and stops the server before it leaves
 * them, so whoever gets an answer gets SERVING. Handlers run in the server's threads and keep no
 * state.
 */

#include "sidecar/health.h"

#include <string.h>

#include <shorthaul/transport.h>

static void check(Grpc__Health__V1__Health_Service *service,
                  const Grpc__Health__V1__HealthCheckRequest *request,
                  Grpc__Health__V1__HealthCheckResponse_Closure closure, void *closure_data)
{
    static const char *const served[] = {"", "shorthaul.v1.AdminService", "grpc.health.v1.Health"};
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    (void)service;
    for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
        if (strcmp(request->service, served[i]) == 0) {
            response.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
            closure(&response, closure_data);
            return;
        }
    }
    haul_call_fail(closure_data, GRPC_STATUS_NOT_FOUND, "no such service");
}

/* A stream of changes, which the standard lets a server leave out in this way. */
static void watch(Grpc__Health__V1__Health_Service *service,
                  const Grpc__Health__V1__HealthCheckRequest *request,
                  Grpc__Health__V1__HealthCheckResponse_Closure closure, void *closure_data)
{
    (void)service;
    (void)request;
    (void)closure;
    haul_call_fail(closure_data, GRPC_STATUS_UNIMPLEMENTED, "ask Check instead");
}

void health_init(Grpc__Health__V1__Health_Service *service)
{
    *service = (Grpc__Health__V1__Health_Service)GRPC__HEALTH__V1__HEALTH__INIT();
}
