/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_NAMED_H
#define SHORTHAUL_TESTS_NAMED_H

/* Operations on published buffers, for the table in operations.c. See named.c. */

#include "stage.h"

haul_status run_publish(stage *st);
haul_status run_publish_persistent(stage *st);
haul_status run_find(stage *st);
haul_status run_withdraw(stage *st);

void arrange_published(stage *st);
void arrange_persistent(stage *st);
void prepare_published(stage *st);
void settle_published(stage *st);
void settle_persistent(stage *st);

#endif
