/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Which way the payloads of a message went, and how that is told to people and peers. Stateless;
 * a tally belongs to the call that counts in it.
 */

#include "transport/path.h"

const char *haul_path_name(haul_path path)
{
    switch (path) {
    case HAUL_PATH_NONE:
        return "none";
    case HAUL_PATH_SHM:
        return "shm";
    case HAUL_PATH_INLINE:
        return "inline";
    case HAUL_PATH_MIXED:
        return "mixed";
    }
    return "unknown";
}

void haul__tally_add(haul__tally *tally, haul__payload_kind kind, uint64_t len)
{
    if (kind == HAUL__PAYLOAD_KEY) {
        tally->n_key++;
        tally->key_bytes += len;
    } else if (kind == HAUL__PAYLOAD_INLINE) {
        tally->n_inline++;
        tally->inline_bytes += len;
    }
}

void haul__tally_merge(haul__tally *tally, const haul__tally *more)
{
    tally->n_key += more->n_key;
    tally->n_inline += more->n_inline;
    tally->key_bytes += more->key_bytes;
    tally->inline_bytes += more->inline_bytes;
}

haul_path haul__tally_path(const haul__tally *tally)
{
    if (tally->n_key == 0) {
        return tally->n_inline == 0 ? HAUL_PATH_NONE : HAUL_PATH_INLINE;
    }
    return tally->n_inline == 0 ? HAUL_PATH_SHM : HAUL_PATH_MIXED;
}

/* Literals, because gRPC may look at a metadata value until the connection has written it out. */
#define ROW(request)                                                                               \
    {                                                                                              \
        "request=" request " response=none", "request=" request " response=shm",                   \
            "request=" request " response=inline", "request=" request " response=mixed"            \
    }

const char *haul__path_metadata(haul_path request, haul_path response)
{
    static const char *const values[4][4] = {ROW("none"), ROW("shm"), ROW("inline"), ROW("mixed")};
    return values[request & 3][response & 3];
}
