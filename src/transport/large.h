/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_LARGE_H
#define SHORTHAUL_TRANSPORT_LARGE_H

/* Memory for messages: like malloc(), and in huge pages where it is much. */

#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

/* NULL without memory. To be freed with haul__large_free(). */
void *haul__large_alloc(size_t size);
void haul__large_free(void *memory);

/* The same for protobuf-c: what unpacks a message must free it, too. */
ProtobufCAllocator haul__large_allocator(void);

#endif
