/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_BULK_H
#define SHORTHAUL_TRANSPORT_BULK_H

/* Copying payloads. See bulk.c. */

#include "transport/cursor.h"

/* As memcpy(). */
void haul__bulk_copy(void *to, const void *from, size_t n);

/* As haul__cursor_take(): move over @n bytes, and copy them to @to. */
void haul__bulk_take(haul__cursor *cursor, size_t n, uint8_t *to);

#endif
