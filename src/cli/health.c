/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * shorthaul health: asks a sidecar, or any gRPC server, whether it serves. For scripts and for the
 * probes of whatever runs the sidecar.
 *
 * One thread, besides gRPC's own.
 */

#include <stdio.h>

#include <grpc/health/v1/health.pb-c.h>
#include <shorthaul/transport.h>

#include "cli/command.h"
#include "cli/report.h"

#define SOCKET_DEFAULT "unix:/run/shorthaul/shorthauld.sock"
#define CALL_NS        INT64_C(5000000000)
#define METHOD_CHECK   0 /* the first of health.proto */

struct health {
    const char *socket;
    const char *service;
};

static error_t parse_health(int key, char *arg, struct argp_state *state)
{
    struct health *health = state->input;
    switch (key) {
    case 's':
        health->socket = arg;
        return 0;
    case ARGP_KEY_ARG:
        command_take_name(state, &health->service, arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char *name_of(int status)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &grpc__health__v1__health_check_response__serving_status__descriptor, status);
    return value ? value->name : "UNKNOWN";
}

static enum cli_exit tell(const struct health *health, const haul_reply *reply)
{
    if (haul_reply_code(reply) != GRPC_STATUS_OK) {
        return report(haul_reply_code(reply) == GRPC_STATUS_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILURE,
                      "%s: %s", health->socket, haul_reply_text(reply));
    }
    const Grpc__Health__V1__HealthCheckResponse *response =
        (const Grpc__Health__V1__HealthCheckResponse *)haul_reply_message(reply);
    bool serving =
        response->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    (void)printf("%s\n", name_of((int)response->status));
    return report_written(serving ? CLI_OK : CLI_FAILURE);
}

static enum cli_exit ask(const struct health *health, haul_channel *channel)
{
    const haul_call_opts opts = {.struct_size = sizeof(opts), .timeout_ns = CALL_NS};
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    haul_reply *reply = NULL;
    if (health->service) {
        request.service = (char *)health->service;
    }
    haul_status status = haul_channel_call(channel, &grpc__health__v1__health__descriptor,
                                           METHOD_CHECK, &request.base, &opts, &reply);
    if (status != HAUL_OK) {
        return report_status(health->socket, status, NULL);
    }
    enum cli_exit code = tell(health, reply);
    haul_reply_free(reply);
    return code;
}

enum cli_exit cmd_health(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"socket", 's', "ADDRESS", 0, "Whom to ask. Default: " SOCKET_DEFAULT, 0}, {0}};
    const struct argp argp = {.options = options,
                              .parser = parse_health,
                              .args_doc = "[SERVICE]",
                              .doc = "Ask a sidecar, or any server with grpc.health.v1.Health, "
                                     "whether it serves, or whether it serves SERVICE."};
    struct health health = {.socket = SOCKET_DEFAULT};
    const haul_channel_opts opts = {.struct_size = sizeof(opts)};
    haul_channel *channel = NULL;
    haul_error err = {0};
    if (argp_parse(&argp, argc, argv, 0, NULL, &health) != 0) {
        return CLI_FAILURE;
    }
    haul_status status = haul_channel_open(health.socket, &opts, &channel, &err);
    if (status != HAUL_OK) {
        return report_status(health.socket, status, &err);
    }
    enum cli_exit code = ask(&health, channel);
    haul_channel_close(channel);
    return code;
}
