/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Counting what a process has, through /proc and /dev/shm. */

#include "limits.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool/object.h"

static size_t count_entries(const char *path, const char *prefix)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    }
    if (dir) {
        (void)closedir(dir);
    }
    return n;
}

size_t limits_objects(const char *name)
{
    char prefix[HAUL__OBJECT_NAME_BYTES];
    (void)snprintf(prefix, sizeof(prefix), HAUL__OBJECT_PREFIX "%s", name);
    return count_entries("/dev/shm", prefix);
}

size_t limits_descriptors(void)
{
    return count_entries("/proc/self/fd", "");
}

size_t limits_mappings(void)
{
    size_t n = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    for (int c; maps && (c = fgetc(maps)) != EOF;) {
        n += c == '\n';
    }
    if (maps) {
        (void)fclose(maps);
    }
    return n;
}

uint64_t limits_proc_bytes(const char *path, const char *key)
{
    char line[256];
    uint64_t kib = 0;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, key, strlen(key)) == 0) {
            (void)sscanf(line + strlen(key), "%" SCNu64, &kib);
            break;
        }
    }
    if (file) {
        (void)fclose(file);
    }
    return kib * 1024;
}

void limits_without_caches(char **argv)
{
    if (!getenv("GLIBC_TUNABLES") &&
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1) == 0) {
        (void)execv("/proc/self/exe", argv);
        perror("exec");
        exit(EXIT_FAILURE);
    }
}
