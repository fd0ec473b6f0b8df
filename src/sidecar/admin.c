/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * shorthaul.v1.AdminService: what the sidecar tells about its pools. Reading only.
 *
 * Handlers run in the server's threads and answer before they return. A caller that goes away
 * leaves nothing behind.
 */

#include "sidecar/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/info_message.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_pools(Shorthaul__V1__AdminService_Service *service,
                       const Shorthaul__V1__ListPoolsRequest *request,
                       Shorthaul__V1__ListPoolsResponse_Closure closure, void *closure_data)
{
    (void)request;
    const kept_pools *kept = ((admin_service *)service)->pools;
    Shorthaul__V1__ListPoolsResponse response = SHORTHAUL__V1__LIST_POOLS_RESPONSE__INIT;
    response.names = calloc(kept->n, sizeof(*response.names));
    if (!response.names) {
        haul_call_fail(closure_data, haul_status_to_grpc(HAUL_NOMEM), "out of memory");
        return;
    }
    for (size_t i = 0; i < kept->n; i++) {
        if (pools_keeps(&kept->pools[i])) {
            response.names[response.n_names++] = (char *)kept->pools[i].spec->name;
        }
    }
    qsort(response.names, response.n_names, sizeof(*response.names), by_name);
    closure(&response, closure_data);
    free(response.names);
}

static void get_pool_info(Shorthaul__V1__AdminService_Service *service,
                          const Shorthaul__V1__GetPoolInfoRequest *request,
                          Shorthaul__V1__GetPoolInfoResponse_Closure closure, void *closure_data)
{
    kept_pool *pool = pools_find(((admin_service *)service)->pools, request->name);
    haul_pool_info *info = NULL;
    Shorthaul__V1__GetPoolInfoResponse response = SHORTHAUL__V1__GET_POOL_INFO_RESPONSE__INIT;
    haul_error err = {.text = "out of memory"};
    if (!pool) {
        haul_call_fail(closure_data, GRPC_STATUS_NOT_FOUND, "this sidecar keeps no such pool");
        return;
    }
    haul_status status = pools_get_info(pool, &info, &err);
    if (status == HAUL_OK) {
        status = info_to_message(info, &response.pool);
    }
    if (status == HAUL_OK) {
        closure(&response, closure_data);
    } else {
        haul_call_fail(closure_data, haul_status_to_grpc(status), err.text);
    }
    info_message_free(response.pool);
    haul_pool_info_free(info);
}

void admin_init(admin_service *admin, kept_pools *pools)
{
    admin->service = (Shorthaul__V1__AdminService_Service)SHORTHAUL__V1__ADMIN_SERVICE__INIT();
    admin->pools = pools;
}
