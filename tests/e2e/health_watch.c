/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * health_watch ADDRESS: calls grpc.health.v1.Health/Watch and prints the code and text that the
 * server answers with. One thread, besides gRPC's own.
 */

#include <stdio.h>

#include <grpc/health/v1/health.pb-c.h>
#include <shorthaul/transport.h>

#define METHOD_WATCH 1
#define CALL_NS      INT64_C(10000000000)

int main(int argc, char **argv)
{
    const haul_channel_opts channel_opts = {.struct_size = sizeof(channel_opts)};
    const haul_call_opts opts = {.struct_size = sizeof(opts), .timeout_ns = CALL_NS};
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    haul_channel *channel = NULL;
    haul_reply *reply = NULL;
    if (argc != 2 || haul_channel_open(argv[1], &channel_opts, &channel, NULL) != HAUL_OK) {
        return 2;
    }
    haul_status status = haul_channel_call(channel, &grpc__health__v1__health__descriptor,
                                           METHOD_WATCH, &request.base, &opts, &reply);
    if (status == HAUL_OK) {
        (void)printf("%d %s\n", (int)haul_reply_code(reply), haul_reply_text(reply));
    }
    haul_reply_free(reply);
    haul_channel_close(channel);
    return status == HAUL_OK ? 0 : 1;
}
