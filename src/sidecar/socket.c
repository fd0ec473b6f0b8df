/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The folder of the sidecar's socket.
 *
 * /run is empty after boot, and systemd makes /run/shorthaul only for a service of its own; started
 * by hand the sidecar makes it. Used while the sidecar starts, by its only thread. The folder is
 * left there at the end: another sidecar may have a socket in it.
 */

#include "sidecar/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static haul_status fail(haul_error *err, const char *folder)
{
    int code = errno;
    *err = (haul_error){.status = HAUL_SYSTEM, .sys_errno = code};
    (void)snprintf(err->text, sizeof(err->text), "%.120s cannot be made: %s", folder,
                   strerror(code));
    return HAUL_SYSTEM;
}

haul_status socket_make_folder(const char *address, haul_error *err)
{
    static const char head[] = "unix:";
    if (strncmp(address, head, strlen(head)) != 0) {
        return HAUL_OK; /* an abstract socket has no folder */
    }
    char *path = strdup(address + strlen(head));
    if (!path) {
        *err = (haul_error){.status = HAUL_NOMEM, .text = "out of memory"};
        return HAUL_NOMEM;
    }
    haul_status status = HAUL_OK;
    for (char *slash = strchr(path + 1, '/'); slash && status == HAUL_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST) {
            status = fail(err, path);
        }
        *slash = '/';
    }
    free(path);
    return status;
}
