/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* The pool that is spoilt. Its name holds the process id, and nothing of it survives the process
 * unless that is killed in the middle. */

#include "fuzz_pool.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pool/object.h"

static const haul_class_config classes[] = {{.size_bytes = 4096, .n_initial = 2, .n_max = 4},
                                            {.size_bytes = 8192, .n_initial = 1, .n_max = 3}};

const haul_pool_config fuzz_pool_config = {.struct_size = sizeof(haul_pool_config),
                                           .classes = classes,
                                           .n_classes = 2,
                                           .n_measured_max = 2,
                                           .budget_bytes = 256 << 10,
                                           .quota_bytes = 160 << 10,
                                           .n_names = 4,
                                           .n_participants = 66};

void fuzz_wrong(const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

const char *fuzz_pool_name(void)
{
    static char name[HAUL_POOL_NAME_MAX + 1];
    (void)snprintf(name, sizeof(name), "fuzz-%ld", (long)getpid());
    return name;
}

uint8_t *fuzz_map_control(const char *name, haul__geometry *out_geometry)
{
    char object[HAUL__OBJECT_NAME_BYTES];
    haul__header header;
    haul__control_name(name, object);
    int fd = shm_open(object, O_RDWR | O_CLOEXEC, 0);
    FUZZ_REQUIRE(fd >= 0 && pread(fd, &header, sizeof(header), 0) == sizeof(header));
    FUZZ_REQUIRE(haul__geometry_of_header(&header, out_geometry, NULL) == HAUL_OK);
    void *base = mmap(NULL, out_geometry->total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    FUZZ_REQUIRE(base != MAP_FAILED);
    (void)close(fd);
    return base;
}

void fuzz_unmap_control(uint8_t *base, const haul__geometry *g)
{
    (void)munmap(base, g->total_bytes);
}

size_t fuzz_sweep(const char *name)
{
    char file[HAUL__OBJECT_NAME_BYTES];
    size_t n_left = 0;
    DIR *dir = opendir("/dev/shm");
    FUZZ_REQUIRE(dir != NULL);
    int n = snprintf(file, sizeof(file), HAUL__OBJECT_PREFIX "%s", name);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char after = '\0';
        if (strncmp(entry->d_name, file, (size_t)n) == 0) {
            after = entry->d_name[n];
            if (after == '\0' || after == ':') {
                (void)shm_unlink(entry->d_name);
                n_left++;
            }
        }
    }
    (void)closedir(dir);
    return n_left;
}
