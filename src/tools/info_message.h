/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TOOLS_INFO_MESSAGE_H
#define SHORTHAUL_TOOLS_INFO_MESSAGE_H

/* A pool's picture as a message of the admin service, and back. */

#include <shorthaul/pool.h>
#include <shorthaul/v1/admin.pb-c.h>

/*
 * Copy @info into a message.
 *
 * Ownership: the message is the caller's, until info_message_free().
 * Failures:  HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status info_to_message(const haul_pool_info *info,
                                            Shorthaul__V1__PoolInfo **out_message);
void info_message_free(Shorthaul__V1__PoolInfo *message);

/*
 * Copy what another process sent into a picture. Names are cut and tables shortened to what a pool
 * can have.
 *
 * Ownership: the picture is the caller's, until info_copy_free().
 * Failures:  HAUL_PROTOCOL (an entry is missing, the UUID is none), HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status info_from_message(const Shorthaul__V1__PoolInfo *message,
                                              haul_pool_info **out_info);
void info_copy_free(haul_pool_info *info);

#endif
