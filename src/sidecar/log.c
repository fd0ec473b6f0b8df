/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The sidecar's words: one line per event on stderr, for a terminal or the journal.
 *
 * Any thread. A line goes out in one write, so lines of several threads do not mix and none is half
 * written when the process dies. A reader that has gone away is no reason to stop serving pools:
 * SIGPIPE is ignored (loop.c) and the failed write too.
 */

#include "sidecar/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void log_event(const char *fmt, ...)
{
    static const char head[] = "shorthauld: ";
    char line[640];
    const size_t n_head = sizeof(head) - 1;
    const size_t room = sizeof(line) - n_head - 1; /* the last byte is for the newline */
    memcpy(line, head, n_head);
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line + n_head, room, fmt, args);
    va_end(args);
    if (n < 0) {
        return;
    }
    size_t len = n_head + ((size_t)n < room ? (size_t)n : room - 1);
    line[len++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}
