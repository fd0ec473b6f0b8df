/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_SIDECAR_LOG_H
#define SHORTHAUL_SIDECAR_LOG_H

/* Say one event: a line on stderr, behind the program's name, in one write. Any thread. */
void log_event(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
