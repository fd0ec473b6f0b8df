/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The one table from Shorthaul's statuses to gRPC's codes. Stateless; any thread.
 */

#include <shorthaul/transport.h>

grpc_status_code haul_status_to_grpc(haul_status status)
{
    switch (status) {
    case HAUL_OK:
        return GRPC_STATUS_OK;
    case HAUL_AGAIN:
    case HAUL_PEER_GONE:
        return GRPC_STATUS_UNAVAILABLE;
    case HAUL_STALE:
    case HAUL_BUSY:
    case HAUL_VERSION:
        return GRPC_STATUS_FAILED_PRECONDITION;
    case HAUL_TIMEOUT:
        return GRPC_STATUS_DEADLINE_EXCEEDED;
    case HAUL_TOO_BIG:
    case HAUL_EXHAUSTED:
    case HAUL_NOMEM:
        return GRPC_STATUS_RESOURCE_EXHAUSTED;
    case HAUL_NOT_FOUND:
        return GRPC_STATUS_NOT_FOUND;
    case HAUL_END:
        return GRPC_STATUS_OUT_OF_RANGE;
    case HAUL_EXISTS:
        return GRPC_STATUS_ALREADY_EXISTS;
    case HAUL_INVALID:
    case HAUL_PROTOCOL:
        return GRPC_STATUS_INVALID_ARGUMENT;
    case HAUL_CORRUPT:
        return GRPC_STATUS_DATA_LOSS;
    case HAUL_SYSTEM:
        return GRPC_STATUS_INTERNAL;
    case HAUL_DENIED:
        return GRPC_STATUS_PERMISSION_DENIED;
    }
    return GRPC_STATUS_UNKNOWN;
}
