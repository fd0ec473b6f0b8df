/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* The client of foreign bytes: gRPC's core API and nothing of Shorthaul's. */

#include "transport_raw.h"

#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

static void copy_text(grpc_slice slice, char *out, size_t size)
{
    size_t n = GRPC_SLICE_LENGTH(slice);
    n = n < size - 1 ? n : size - 1;
    memcpy(out, GRPC_SLICE_START_PTR(slice), n);
    out[n] = '\0';
}

static void copy_metadata(const grpc_metadata_array *trailing, raw_answer *answer)
{
    for (size_t i = 0; i < trailing->count; i++) {
        const grpc_metadata *md = &trailing->metadata[i];
        if (grpc_slice_str_cmp(md->key, "shorthaul-refused") == 0) {
            copy_text(md->value, answer->refused, sizeof(answer->refused));
        } else if (grpc_slice_str_cmp(md->key, "shorthaul-path") == 0) {
            copy_text(md->value, answer->paths, sizeof(answer->paths));
        } else if (grpc_slice_str_cmp(md->key, "shorthaul-lane") == 0) {
            copy_text(md->value, answer->lane, sizeof(answer->lane));
        }
    }
}

static void copy_bytes(grpc_byte_buffer *bytes, raw_answer *answer)
{
    grpc_byte_buffer_reader reader;
    if (bytes && grpc_byte_buffer_reader_init(&reader, bytes)) {
        grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
        answer->len = GRPC_SLICE_LENGTH(all);
        if (answer->len > sizeof(answer->bytes)) {
            answer->len = sizeof(answer->bytes);
        }
        memcpy(answer->bytes, GRPC_SLICE_START_PTR(all), answer->len);
        grpc_slice_unref(all);
        grpc_byte_buffer_reader_destroy(&reader);
    }
}

static grpc_byte_buffer *buffer_of(const raw_request *request)
{
    if (!request->bytes) {
        return NULL;
    }
    grpc_slice slice = grpc_slice_from_copied_buffer(request->bytes, request->len);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

static size_t metadata_of(const raw_request *request, grpc_metadata out[2])
{
    size_t n = 0;
    if (request->lend) { /* first: the order is anybody's */
        out[n++] =
            (grpc_metadata){.key = grpc_slice_from_static_string("shorthaul-lend-bin"),
                            .value = grpc_slice_from_static_buffer(request->lend, request->n_lend)};
    }
    if (request->accept) {
        out[n++] = (grpc_metadata){.key = grpc_slice_from_static_string("shorthaul-accept"),
                                   .value = grpc_slice_from_static_string(request->accept)};
    }
    return n;
}

static void converse(grpc_channel *channel, grpc_completion_queue *queue,
                     const raw_request *request, raw_answer *answer)
{
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (request->timeout_ns > 0) {
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                gpr_time_from_nanos(request->timeout_ns, GPR_TIMESPAN));
    }
    grpc_call *call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue,
                                               grpc_slice_from_static_string(request->path), NULL,
                                               deadline, NULL);
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_metadata_array_init(&initial);
    grpc_metadata_array_init(&trailing);
    grpc_metadata metadata[2];
    grpc_byte_buffer *message = buffer_of(request);
    grpc_byte_buffer *received = NULL;
    grpc_slice details = grpc_empty_slice();
    grpc_op ops[6] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
                      {.op = GRPC_OP_RECV_INITIAL_METADATA}, {.op = GRPC_OP_RECV_MESSAGE},
                      {.op = GRPC_OP_RECV_STATUS_ON_CLIENT}, {.op = GRPC_OP_SEND_MESSAGE}};
    ops[0].data.send_initial_metadata.count = metadata_of(request, metadata);
    ops[0].data.send_initial_metadata.metadata = metadata;
    ops[2].data.recv_initial_metadata.recv_initial_metadata = &initial;
    ops[3].data.recv_message.recv_message = &received;
    ops[4].data.recv_status_on_client.trailing_metadata = &trailing;
    ops[4].data.recv_status_on_client.status = &answer->code;
    ops[4].data.recv_status_on_client.status_details = &details;
    ops[5].data.send_message.send_message = message;
    (void)grpc_call_start_batch(call, ops, message ? 6 : 5, call, NULL);
    (void)grpc_completion_queue_pluck(queue, call, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);

    copy_text(details, answer->text, sizeof(answer->text));
    copy_metadata(&trailing, answer);
    copy_bytes(received, answer);
    grpc_slice_unref(details);
    grpc_byte_buffer_destroy(received);
    grpc_byte_buffer_destroy(message);
    grpc_metadata_array_destroy(&initial);
    grpc_metadata_array_destroy(&trailing);
    grpc_call_unref(call);
}

void raw_call(const raw_request *request, raw_answer *answer)
{
    *answer = (raw_answer){.code = GRPC_STATUS_UNKNOWN};
    grpc_init();
    static const char local_key[] = GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL;
    grpc_arg local = {.type = GRPC_ARG_INTEGER, .key = (char *)local_key, .value.integer = 1};
    const grpc_channel_args args = {.num_args = 1, .args = &local};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(request->address, credentials, &args);
    grpc_channel_credentials_release(credentials);
    grpc_completion_queue *queue = grpc_completion_queue_create_for_pluck(NULL);
    converse(channel, queue, request, answer);
    grpc_channel_destroy(channel);
    grpc_completion_queue_shutdown(queue);
    (void)grpc_completion_queue_pluck(queue, NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_completion_queue_destroy(queue);
    grpc_shutdown();
}
