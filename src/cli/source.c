/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Where the picture of a pool comes from.
 *
 * Without an address the control segments are read, and nobody is asked: that works with no sidecar
 * and with one that hangs. With an address the sidecar's admin service is asked, which works where
 * the caller may not open the pool's objects. Both give the same picture.
 *
 * One thread, besides gRPC's own.
 */

#include "cli/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shorthaul/v1/admin.pb-c.h>

#include "tools/info_message.h"

#define CALL_NS INT64_C(5000000000)

/* Methods of the service, in the order of admin.proto. */
enum {
    METHOD_LIST_POOLS,
    METHOD_GET_POOL_INFO
};

static haul_status fail(haul_error *err, haul_status status, const char *text)
{
    *err = (haul_error){.status = status};
    (void)snprintf(err->text, sizeof(err->text), "%.190s", text);
    return status;
}

haul_status source_open(const char *address, source *out_source, haul_error *err)
{
    const haul_channel_opts opts = {.struct_size = sizeof(opts)};
    *out_source = (source){.address = address};
    return address ? haul_channel_open(address, &opts, &out_source->channel, err) : HAUL_OK;
}

void source_close(source *s)
{
    haul_channel_close(s->channel);
    s->channel = NULL;
}

/* ---- Pools --------------------------------------------------------------------------------- */

haul_status source_observe(const char *name, haul_pool **out_pool, haul_error *err)
{
    const haul_open_opts opts = {.struct_size = sizeof(opts), .observe = true};
    return haul_pool_open(name, &opts, out_pool, err);
}

haul_status source_join(const char *name, const char *participant_name, haul_pool **out_pool,
                        haul_error *err)
{
    const haul_open_opts opts = {.struct_size = sizeof(opts), .participant_name = participant_name};
    return haul_pool_open(name, &opts, out_pool, err);
}

static haul_status read_info(const char *name, picture *out_picture, haul_error *err)
{
    haul_pool *pool = NULL;
    haul_pool_info *info = NULL;
    haul_status status = source_observe(name, &pool, err);
    if (status == HAUL_OK) {
        status = haul_pool_get_info(pool, &info, err);
    }
    haul_pool_close(pool);
    if (status == HAUL_OK) {
        *out_picture = (picture){.info = info, .free_info = haul_pool_info_free};
    }
    return status;
}

/* ---- The sidecar --------------------------------------------------------------------------- */

static haul_status status_of(grpc_status_code code)
{
    switch (code) {
    case GRPC_STATUS_OK:
        return HAUL_OK;
    case GRPC_STATUS_NOT_FOUND:
        return HAUL_NOT_FOUND;
    case GRPC_STATUS_UNAVAILABLE:
    case GRPC_STATUS_DEADLINE_EXCEEDED:
        return HAUL_PEER_GONE;
    default:
        return HAUL_PROTOCOL;
    }
}

static haul_status call(const source *s, unsigned method, const ProtobufCMessage *request,
                        haul_reply **out_reply, haul_error *err)
{
    const haul_call_opts opts = {.struct_size = sizeof(opts), .timeout_ns = CALL_NS};
    haul_reply *reply = NULL;
    haul_status status = haul_channel_call(s->channel, &shorthaul__v1__admin_service__descriptor,
                                           method, request, &opts, &reply);
    if (status != HAUL_OK) {
        return fail(err, status, "the sidecar could not be called");
    }
    status = status_of(haul_reply_code(reply));
    if (status != HAUL_OK) {
        char text[HAUL_ERROR_TEXT_BYTES];
        (void)snprintf(text, sizeof(text), "%s %.60s: %.100s",
                       status == HAUL_PEER_GONE ? "no sidecar answers on" : "sidecar on",
                       s->address, haul_reply_text(reply));
        haul_reply_free(reply);
        return fail(err, status, text);
    }
    *out_reply = reply;
    return HAUL_OK;
}

static haul_status ask_info(const source *s, const char *name, picture *out_picture,
                            haul_error *err)
{
    Shorthaul__V1__GetPoolInfoRequest request = SHORTHAUL__V1__GET_POOL_INFO_REQUEST__INIT;
    haul_reply *reply = NULL;
    haul_pool_info *info = NULL;
    request.name = (char *)name;
    haul_status status = call(s, METHOD_GET_POOL_INFO, &request.base, &reply, err);
    if (status != HAUL_OK) {
        return status;
    }
    const Shorthaul__V1__GetPoolInfoResponse *response =
        (const Shorthaul__V1__GetPoolInfoResponse *)haul_reply_message(reply);
    status = response->pool ? info_from_message(response->pool, &info) : HAUL_PROTOCOL;
    haul_reply_free(reply);
    if (status != HAUL_OK) {
        return fail(err, status, "the sidecar's answer is not right");
    }
    *out_picture = (picture){.info = info, .free_info = info_copy_free};
    return HAUL_OK;
}

static haul_status copy_names(const Shorthaul__V1__ListPoolsResponse *response, char ***out_names,
                              size_t *out_n)
{
    char **names = calloc(response->n_names + 1, sizeof(*names));
    if (!names) {
        return HAUL_NOMEM;
    }
    for (size_t i = 0; i < response->n_names; i++) {
        names[i] = strdup(response->names[i]);
        if (!names[i]) {
            source_free_names(names, i);
            return HAUL_NOMEM;
        }
    }
    *out_names = names;
    *out_n = response->n_names;
    return HAUL_OK;
}

static haul_status ask_list(const source *s, char ***out_names, size_t *out_n, haul_error *err)
{
    Shorthaul__V1__ListPoolsRequest request = SHORTHAUL__V1__LIST_POOLS_REQUEST__INIT;
    haul_reply *reply = NULL;
    haul_status status = call(s, METHOD_LIST_POOLS, &request.base, &reply, err);
    if (status != HAUL_OK) {
        return status;
    }
    status = copy_names((const Shorthaul__V1__ListPoolsResponse *)haul_reply_message(reply),
                        out_names, out_n);
    haul_reply_free(reply);
    return status == HAUL_OK ? HAUL_OK : fail(err, status, "out of memory");
}

/* ---- Either -------------------------------------------------------------------------------- */

haul_status source_list(source *s, char ***out_names, size_t *out_n, haul_error *err)
{
    return s->channel ? ask_list(s, out_names, out_n, err) : haul_pool_list(out_names, out_n, err);
}

haul_status source_info(source *s, const char *name, picture *out_picture, haul_error *err)
{
    return s->channel ? ask_info(s, name, out_picture, err) : read_info(name, out_picture, err);
}

void source_free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
}

void picture_free(picture *p)
{
    if (p->info) {
        p->free_info(p->info);
    }
    *p = (picture){0};
}
