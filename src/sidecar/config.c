/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The sidecar's configuration: from a file, or what it does without one.
 *
 * Read once, while the sidecar starts, by its only thread; nothing is created before all of it has
 * been found right. config_lines.c, config_values.c and config_check.c are the three steps.
 */

#include "sidecar/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "sidecar/config_file.h"

#define PAGE_BYTES UINT64_C(4096)

/* ---- What both ways have in common --------------------------------------------------------- */

bool class_capacity(uint64_t size_bytes, uint64_t *out_bytes)
{
    uint64_t bytes;
    if (__builtin_add_overflow(size_bytes, PAGE_BYTES - 1, &bytes)) {
        return false;
    }
    *out_bytes = bytes & ~(PAGE_BYTES - 1);
    return true;
}

haul_pool_config pool_spec_config(const pool_spec *spec)
{
    haul_pool_config config = spec->config;
    config.classes = spec->classes;
    return config;
}

const char *pool_name_fault(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(name);
    if (len == 0 || len > HAUL_POOL_NAME_MAX) {
        return "is not 1 to 64 characters long";
    }
    if (name[0] == '.' || strspn(name, allowed) != len) {
        return "holds more than letters, digits, '.', '_' and '-', or begins with a dot";
    }
    return NULL;
}

const char *socket_address_fault(const char *address)
{
    static const char file[] = "unix:";
    static const char abstract[] = "unix-abstract:";
    const size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    const char *path;
    if (strncmp(address, file, strlen(file)) == 0) {
        path = address + strlen(file);
    } else if (strncmp(address, abstract, strlen(abstract)) == 0) {
        path = address + strlen(abstract);
    } else {
        return "is not the address of a Unix socket (write unix:/path or unix-abstract:name)";
    }
    if (path[0] == '\0' || path[strlen(path) - 1] == '/') {
        return "names no socket";
    }
    return strlen(path) > room ? "is longer than the 107 bytes that a socket's path may have"
                               : NULL;
}

void config_fini(sidecar_config *config)
{
    free(config->socket);
    free(config->pools);
    *config = (sidecar_config){0};
}

/* ---- From a file --------------------------------------------------------------------------- */

haul_status config_parse(const char *text, size_t len, sidecar_config *config, config_error *err)
{
    config_lines *lines = NULL;
    file_values *values = NULL;
    sidecar_config read = {0};
    *err = (config_error){.reason = "out of memory"};

    haul_status status = config_lines_open(text, len, &lines, err);
    if (status == HAUL_OK) {
        status = config_values_load(text, len, lines, &values, err);
    }
    if (status == HAUL_OK) {
        status = config_check(values, lines, &read, err);
    }
    config_values_free(values);
    config_lines_close(lines);
    if (status != HAUL_OK) {
        config_fini(&read);
        return status;
    }
    *config = read;
    return HAUL_OK;
}

static haul_status cannot_read(config_error *err, int code)
{
    *err = (config_error){0};
    (void)snprintf(err->reason, sizeof(err->reason), "cannot be read: %s", strerror(code));
    return HAUL_SYSTEM;
}

/* Up to one byte more than is allowed, so that too much can be told from just enough. */
static haul_status read_file(const char *path, char *text, size_t room, size_t *out_len,
                             config_error *err)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        return cannot_read(err, errno);
    }
    size_t len = fread(text, 1, room, file);
    int code = ferror(file) ? errno : 0;
    (void)fclose(file);
    if (code != 0) {
        return cannot_read(err, code);
    }
    *out_len = len;
    return HAUL_OK;
}

haul_status config_load(const char *path, sidecar_config *config, config_error *err)
{
    size_t len = 0;
    char *text = malloc(CONFIG_FILE_BYTES_MAX + 1);
    if (!text) {
        *err = (config_error){.reason = "out of memory"};
        return HAUL_NOMEM;
    }
    haul_status status = read_file(path, text, CONFIG_FILE_BYTES_MAX + 1, &len, err);
    if (status == HAUL_OK && len > CONFIG_FILE_BYTES_MAX) {
        status = config_refuse(err, 0, "is larger than 1MiB");
    } else if (status == HAUL_OK) {
        status = config_parse(text, len, config, err);
    }
    free(text);
    return status;
}

/* ---- Without one --------------------------------------------------------------------------- */

#define MIB UINT64_C(1048576)

static const haul_class_config default_classes[] = {
    {.size_bytes = MIB, .n_initial = 8, .n_max = 64},
    {.size_bytes = 16 * MIB, .n_initial = 2, .n_max = 16},
    {.size_bytes = 64 * MIB, .n_initial = 2, .n_max = 16},
    {.size_bytes = 256 * MIB, .n_initial = 0, .n_max = 4},
};
#define N_DEFAULT_CLASSES (sizeof(default_classes) / sizeof(default_classes[0]))

static uint32_t at_most(uint64_t n, uint32_t limit)
{
    return n < limit ? (uint32_t)n : limit;
}

/* The default classes that fit the budget, with half of it at most taken from the start. */
static void fit_classes(pool_spec *spec, uint64_t budget)
{
    uint64_t left = budget / 2;
    for (size_t i = 0; i < N_DEFAULT_CLASSES; i++) {
        haul_class_config cls = default_classes[i];
        if (cls.size_bytes > budget) {
            break;
        }
        cls.n_max = at_most(budget / cls.size_bytes, cls.n_max);
        cls.n_initial = at_most(left / cls.size_bytes, at_most(cls.n_max, cls.n_initial));
        left -= cls.n_initial * cls.size_bytes;
        spec->classes[spec->config.n_classes++] = cls;
    }
}

haul_status config_add_default_pool(uint64_t shm_bytes, sidecar_config *config, config_error *err)
{
    uint64_t budget = shm_bytes / 2 < 4096 * MIB ? shm_bytes / 2 : 4096 * MIB;
    if (budget < MIB) {
        return config_refuse(err, 0, "/dev/shm is too small for the default pool");
    }
    pool_spec *spec = calloc(1, sizeof(*spec));
    if (!spec) {
        *err = (config_error){.reason = "out of memory"};
        return HAUL_NOMEM;
    }
    memcpy(spec->name, "default", sizeof("default"));
    spec->as_found = true;
    spec->config = (haul_pool_config){.struct_size = sizeof(spec->config),
                                      .n_measured_max = 4,
                                      .budget_bytes = budget,
                                      .n_participants = HAUL_PARTICIPANTS_DEFAULT,
                                      .n_names = HAUL_NAMES_DEFAULT,
                                      .mode = 0600,
                                      .gid = (gid_t)-1};
    fit_classes(spec, budget);
    config->pools = spec;
    config->n_pools = 1;
    return HAUL_OK;
}

haul_status config_default(uint64_t shm_bytes, sidecar_config *config, config_error *err)
{
    sidecar_config made = {.reap_interval_ns = CONFIG_REAP_NS};
    *err = (config_error){.reason = "out of memory"};
    made.socket = strdup(CONFIG_SOCKET_DEFAULT);
    if (!made.socket) {
        return HAUL_NOMEM;
    }
    haul_status status = config_add_default_pool(shm_bytes, &made, err);
    if (status != HAUL_OK) {
        config_fini(&made);
        return status;
    }
    *config = made;
    return HAUL_OK;
}
