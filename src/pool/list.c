/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Which pools there are.
 *
 * POSIX has no way to list shared-memory objects; Linux shows them as files of /dev/shm
 * (shm_overview(7)). Listing only reads names; nothing is ever removed on the strength of one. A
 * pool may come or go while we look.
 */

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <shorthaul/pool.h>

#include "base/error.h"
#include "pool/object.h"

typedef struct name_list {
    char **names;
    size_t n, room;
} name_list;

static bool append(name_list *list, const char *name)
{
    if (list->n == list->room) {
        size_t room = list->room ? 2 * list->room : 16;
        char **grown = reallocarray(list->names, room, sizeof(*grown));
        if (!grown) {
            return false;
        }
        list->names = grown;
        list->room = room;
    }
    list->names[list->n] = strdup(name);
    return list->names[list->n++] != NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool collect(DIR *dir, name_list *list)
{
    const size_t prefix = sizeof(HAUL__OBJECT_PREFIX) - 1;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, HAUL__OBJECT_PREFIX, prefix) == 0 &&
            haul__pool_name_is_valid(entry->d_name + prefix) &&
            !append(list, entry->d_name + prefix)) {
            return false;
        }
    }
    return true;
}

haul_status haul_pool_list(char ***out_names, size_t *out_n, haul_error *err)
{
    name_list list = {0};
    DIR *dir = opendir("/dev/shm");
    if (!dir) {
        return haul__fail_errno(err, errno, "cannot read /dev/shm");
    }
    bool complete = collect(dir, &list);
    (void)closedir(dir);
    if (!complete) {
        for (size_t i = 0; i < list.n; i++) {
            free(list.names[i]);
        }
        free(list.names);
        return haul__fail(err, HAUL_NOMEM, "no memory for the names of the pools");
    }
    if (list.n > 0) {
        qsort(list.names, list.n, sizeof(*list.names), by_name);
    }
    *out_names = list.names;
    *out_n = list.n;
    return HAUL_OK;
}
