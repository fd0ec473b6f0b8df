/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_LARGE_H
#define SHORTHAUL_TRANSPORT_LARGE_H

/* Memory for messages: like malloc(), and in huge pages where it is much. */

#include <stddef.h>

/* NULL without memory. To be freed with haul__large_free(). */
void *haul__large_alloc(size_t size);
void haul__large_free(void *memory);

/* Nobody needs what is in a block: until it is written again the kernel may take its pages. */
void haul__large_relax(void *memory);

#endif
