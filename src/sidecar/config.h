/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_SIDECAR_CONFIG_H
#define SHORTHAUL_SIDECAR_CONFIG_H

/* What the sidecar is told to keep. docs/sidecar.md is the reference of the file. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shorthaul/pool.h>

#define CONFIG_SOCKET_DEFAULT "unix:/run/shorthaul/shorthauld.sock"
#define CONFIG_REAP_NS        UINT64_C(250000000)
#define CONFIG_FILE_BYTES_MAX (1 << 20)

typedef struct pool_spec {
    char name[HAUL_POOL_NAME_MAX + 1];
    haul_class_config classes[HAUL_CLASSES_MAX];
    haul_pool_config config; /* its classes and budget are to be set by pool_spec_config() */
    bool remove_on_exit;
    bool as_found; /* nobody configured it: an existing pool is kept whatever its geometry */
} pool_spec;

typedef struct sidecar_config {
    char *socket;
    uint64_t reap_interval_ns;
    pool_spec *pools;
    size_t n_pools;
} sidecar_config;

/* Why a file was refused. */
typedef struct config_error {
    unsigned line; /* 1 and up; 0: not about a line of the file */
    char reason[256];
} config_error;

/*
 * Read a file and check all of it.
 *
 * Ownership: @config is the caller's, until config_fini(), and only on HAUL_OK.
 * Blocking:  reads a file; looks groups up.
 * Failures:  HAUL_INVALID (what is written in it; @err says which line and why), HAUL_SYSTEM (it
 *            cannot be read), HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status config_load(const char *path, sidecar_config *config,
                                        config_error *err);

/* As config_load(), of @len bytes in memory. */
HAUL_MUST_CHECK haul_status config_parse(const char *text, size_t len, sidecar_config *config,
                                         config_error *err);

/*
 * The configuration of a sidecar that was given none: one pool named "default", cut to fit
 * @shm_bytes of memory for shared objects.
 *
 * Ownership: @config is the caller's, until config_fini(), and only on HAUL_OK.
 * Failures:  HAUL_INVALID (@shm_bytes is too little for any buffer), HAUL_NOMEM
 */
HAUL_MUST_CHECK haul_status config_default(uint64_t shm_bytes, sidecar_config *config,
                                           config_error *err);

/* Add the default pool to a configuration without pools. As config_default(). */
HAUL_MUST_CHECK haul_status config_add_default_pool(uint64_t shm_bytes, sidecar_config *config,
                                                    config_error *err);

/* The pool as haul_pool_create() wants it. Points into @spec. */
haul_pool_config pool_spec_config(const pool_spec *spec);

/* Bytes that buffers of a class take: whole pages. False if that exceeds 64 bits. */
bool class_capacity(uint64_t size_bytes, uint64_t *out_bytes);

/* NULL, or why @name cannot be a pool's name. */
const char *pool_name_fault(const char *name);

/* NULL, or why @address cannot be the sidecar's. */
const char *socket_address_fault(const char *address);

/* Leaves an empty one, which may be freed again. */
void config_fini(sidecar_config *config);

#endif
