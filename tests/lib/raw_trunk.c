/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* The client of a trunk that sends what it is told to. One thread, which waits for each step. */

#include "raw_trunk.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc_security.h>

#include "pool_test.h"

struct raw_trunk {
    grpc_channel *channel;
    grpc_completion_queue *queue;
    grpc_call *call;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_slice details;
    grpc_status_code code;
    bool ended;
    int on_end; /* its address is a tag */
};

static bool wait_for(raw_trunk *trunk, void *tag)
{
    return grpc_completion_queue_pluck(trunk->queue, tag, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL)
               .success != 0;
}

static bool run(raw_trunk *trunk, const grpc_op *op)
{
    return grpc_call_start_batch(trunk->call, op, 1, trunk, NULL) == GRPC_CALL_OK &&
           wait_for(trunk, trunk);
}

static void ignore(void *ctx, haul__letter *letter)
{
    (void)ctx;
    (void)letter;
}

static bool receive(raw_trunk *trunk, void (*read)(void *ctx, haul__letter *letter), void *ctx,
                    uint64_t *out_max_calls)
{
    grpc_byte_buffer *bytes = NULL;
    const grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &bytes};
    if (!run(trunk, &op) || !bytes) {
        return false;
    }
    grpc_slice frame = haul__frame_of(bytes);
    bool ok = haul__letters_read(frame, read, ctx, out_max_calls);
    grpc_slice_unref(frame);
    grpc_byte_buffer_destroy(bytes);
    assert_true(ok);
    return true;
}

raw_trunk *raw_trunk_open(const char *address, uint64_t *out_max_calls)
{
    raw_trunk *trunk = calloc(1, sizeof(*trunk));
    assert_non_null(trunk);
    grpc_init();
    static const char local_key[] = GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL;
    grpc_arg local = {.type = GRPC_ARG_INTEGER, .key = (char *)local_key, .value.integer = 1};
    const grpc_channel_args args = {.num_args = 1, .args = &local};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    trunk->channel = grpc_channel_create(address, credentials, &args);
    grpc_channel_credentials_release(credentials);
    trunk->queue = grpc_completion_queue_create_for_pluck(NULL);
    trunk->details = grpc_empty_slice();
    trunk->call =
        grpc_channel_create_call(trunk->channel, NULL, GRPC_PROPAGATE_DEFAULTS, trunk->queue,
                                 grpc_slice_from_static_string(HAUL__TRUNK_METHOD), NULL,
                                 gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    grpc_op end = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    end.data.recv_status_on_client.trailing_metadata = &trunk->trailing;
    end.data.recv_status_on_client.status = &trunk->code;
    end.data.recv_status_on_client.status_details = &trunk->details;
    assert_int_equal(grpc_call_start_batch(trunk->call, &end, 1, &trunk->on_end, NULL),
                     GRPC_CALL_OK);
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &trunk->initial;
    assert_int_equal(grpc_call_start_batch(trunk->call, ops, 2, trunk, NULL), GRPC_CALL_OK);
    assert_true(wait_for(trunk, trunk));
    assert_true(receive(trunk, ignore, NULL, out_max_calls));
    return trunk;
}

bool raw_trunk_send(raw_trunk *trunk, const void *bytes, size_t n)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(bytes, n);
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
    const grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message};
    bool ok = run(trunk, &op);
    grpc_byte_buffer_destroy(message);
    grpc_slice_unref(slice);
    return ok;
}

bool raw_trunk_receive(raw_trunk *trunk, void (*read)(void *ctx, haul__letter *letter), void *ctx)
{
    return receive(trunk, read, ctx, NULL);
}

void raw_trunk_half_close(raw_trunk *trunk)
{
    const grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    assert_true(run(trunk, &op));
}

grpc_status_code raw_trunk_end(raw_trunk *trunk)
{
    if (!trunk->ended) {
        while (receive(trunk, ignore, NULL, NULL)) { /* it comes behind them */
        }
        (void)wait_for(trunk, &trunk->on_end);
        trunk->ended = true;
    }
    return trunk->code;
}

void raw_trunk_close(raw_trunk *trunk)
{
    (void)grpc_call_cancel(trunk->call, NULL);
    (void)raw_trunk_end(trunk);
    grpc_call_unref(trunk->call);
    grpc_channel_destroy(trunk->channel);
    grpc_completion_queue_shutdown(trunk->queue);
    (void)grpc_completion_queue_pluck(trunk->queue, NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC),
                                      NULL);
    grpc_completion_queue_destroy(trunk->queue);
    grpc_metadata_array_destroy(&trunk->initial);
    grpc_metadata_array_destroy(&trunk->trailing);
    grpc_slice_unref(trunk->details);
    grpc_shutdown();
    free(trunk);
}

size_t raw_trunk_letter(uint8_t *to, size_t n, size_t size, const haul__letter_fields *fields)
{
    uint8_t head[HAUL__LETTER_HEAD_MAX];
    grpc_slice letter = haul__letter_write(fields);
    size_t n_letter = GRPC_SLICE_LENGTH(letter);
    size_t n_head = haul__letter_head(n_letter, 0, false, head);
    assert_in_range(n + n_head + n_letter, 0, size);
    memcpy(to + n, head, n_head);
    memcpy(to + n + n_head, GRPC_SLICE_START_PTR(letter), n_letter);
    grpc_slice_unref(letter);
    return n + n_head + n_letter;
}
