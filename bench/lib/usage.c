/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What this process has used: processor time, waits, memory. The first two hardly depend on what
 * else the machine does, so they tell more than times where others are at work.
 *
 * Stateless; any thread.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static uint64_t ns_of(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_usec * 1000ull;
}

static bool read_anonymous(uint64_t *out_bytes)
{
    FILE *file = fopen("/proc/self/status", "re");
    if (file == NULL) {
        return false;
    }
    static const char key[] = "RssAnon:";
    char line[256];
    bool found = false;
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        found = strncmp(line, key, sizeof(key) - 1) == 0;
    }
    (void)fclose(file);
    if (found) {
        *out_bytes = strtoull(line + sizeof(key) - 1, NULL, 10) * BENCH_KIB;
    }
    return found;
}

bool bench_usage_self(bench_usage *out_usage)
{
    struct rusage used;
    bench_usage usage = {0};
    if (getrusage(RUSAGE_SELF, &used) != 0 || !read_anonymous(&usage.anonymous_bytes)) {
        return false;
    }
    usage.cpu_ns = ns_of(used.ru_utime) + ns_of(used.ru_stime);
    usage.n_switches = (uint64_t)used.ru_nvcsw;
    *out_usage = usage;
    return true;
}
