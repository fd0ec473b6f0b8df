/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_SIDECAR_SIDECAR_H
#define SHORTHAUL_SIDECAR_SIDECAR_H

#include "sidecar/config.h"

/* How the process ends; docs/sidecar.md. */
enum sidecar_exit {
    SIDECAR_EXIT_OK = 0,
    SIDECAR_EXIT_FAILURE = 1,
    SIDECAR_EXIT_USAGE = 2,
    SIDECAR_EXIT_CONFIG = 3
};

/* Keep the configured pools and serve, until a signal says to end. Says what happens. */
enum sidecar_exit sidecar_run(const sidecar_config *config);

#endif
