/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_SIDECAR_HEALTH_H
#define SHORTHAUL_SIDECAR_HEALTH_H

#include <grpc/health/v1/health.pb-c.h>

/* Fill in grpc.health.v1.Health. */
void health_init(Grpc__Health__V1__Health_Service *service);

#endif
