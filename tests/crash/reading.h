/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_READING_H
#define SHORTHAUL_TESTS_READING_H

/* Attaching and detaching, for the table in operations.c. See reading.c. */

#include "stage.h"

haul_status run_attach(stage *st);
void prepare_mapped(stage *st);
haul_status run_attach_stale(stage *st);
haul_status run_detach(stage *st);
void arrange_shared_small(stage *st);
void arrange_shared_measured(stage *st);
void prepare_attached(stage *st);
void meet_owner_releases(stage *st);
haul_status run_view(stage *st);

#endif
