/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TRANSPORT_CONTAINER_H
#define SHORTHAUL_TRANSPORT_CONTAINER_H

#include <stddef.h>

/* The @type whose @member is at @pointer. */
#define HAUL__CONTAINER_OF(pointer, type, member)                                                  \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
