/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_SIDECAR_ADMIN_H
#define SHORTHAUL_SIDECAR_ADMIN_H

#include <shorthaul/transport.h>
#include <shorthaul/v1/admin.pb-c.h>

#include "sidecar/pools.h"

/* shorthaul.v1.AdminService over the pools of this sidecar. */
typedef struct admin_service {
    Shorthaul__V1__AdminService_Service service;
    kept_pools *pools;
} admin_service;

/* Ownership: borrows @pools. */
void admin_init(admin_service *admin, kept_pools *pools);

#endif
