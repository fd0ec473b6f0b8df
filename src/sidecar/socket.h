/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_SIDECAR_SOCKET_H
#define SHORTHAUL_SIDECAR_SOCKET_H

#include <shorthaul/status.h>

/*
 * Make the folders above the socket file of @address that are missing, with mode 0755.
 *
 * Failures: HAUL_SYSTEM, HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status socket_make_folder(const char *address, haul_error *err);

#endif
