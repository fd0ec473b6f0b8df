/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Fuzz target: an answer, from the bytes that gRPC hands over to the reply that the caller is given.
 *
 * The channel is real and never connects. The input's first bytes say how the call ended and what
 * else the answer brings; the rest is the message (see fuzz_wire.h), in which the key of a buffer
 * that was given to this client may be named. Whatever it holds, the reply has a status; if that is
 * OK each of its payloads can be read, byte for byte, and only the right key has claimed the gift.
 * Nothing is left in the pool.
 */

#include <stdlib.h>
#include <string.h>

#include <grpc/support/string_util.h>
#include <transport_test.pb-c.h>

#include "fuzz_wire.h"
#include "transport/channel.h"
#include "transport/deadline.h"

#define HEAD_BYTES 2

enum {
    WITH_POOL = 1,   /* the client has said that it takes gifts */
    FAILED = 2,      /* the answer came with a status that is not OK */
    LATE = 4,        /* its deadline has passed */
    TAKEN_BACK = 8,  /* the server has revoked its gift */
    NO_MESSAGE = 16, /* gRPC has none */
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static haul_channel *channel;
static const haul__client_method *method;

static void close_channel(void)
{
    haul_channel_close(channel);
}

static void set_up(void)
{
    const wire_pools *pools = wire_pools_get();
    if (channel) {
        return;
    }
    const haul_channel_opts opts = {.struct_size = sizeof(opts), .pool = pools->client};
    FUZZ_REQUIRE(haul_channel_open("unix:/nobody/listens", &opts, &channel, NULL) == HAUL_OK);
    FUZZ_REQUIRE(haul__channel_method(channel, &haul__test__test_service__descriptor, 1, &method) ==
                 HAUL_OK);
    FUZZ_REQUIRE(atexit(close_channel) == 0);
}

static void look(const haul_reply *reply, const haul_payload *payload, bool may_hold_key)
{
    haul_view view;
    if (!payload) {
        return;
    }
    FUZZ_REQUIRE(haul_reply_view(reply, payload, &view) == HAUL_OK);
    FUZZ_REQUIRE(view.len == payload->length);
    if (payload->source_case == SHORTHAUL__V1__PAYLOAD__SOURCE_KEY) {
        FUZZ_REQUIRE(may_hold_key);
        FUZZ_REQUIRE(view.len + payload->key->offset <= WIRE_BYTES);
        FUZZ_REQUIRE(view.len == 0 || (view.data[0] == 0x5a && view.data[view.len - 1] == 0x5a));
    }
    (void)wire_sum(&view);
}

static void require_reply(const haul_reply *reply, uint8_t flags)
{
    const ProtobufCMessage *message = haul_reply_message(reply);
    if (flags & FAILED) {
        FUZZ_REQUIRE(reply->code == GRPC_STATUS_NOT_FOUND);
    }
    FUZZ_REQUIRE((reply->code == GRPC_STATUS_OK) == (message != NULL));
    if (message) {
        const Haul__Test__ExchangeResponse *response =
            (const Haul__Test__ExchangeResponse *)message;
        bool may_hold_key = (flags & WITH_POOL) && !(flags & TAKEN_BACK);
        look(reply, response->data, may_hold_key);
        look(reply, response->more, may_hold_key);
    } else {
        FUZZ_REQUIRE((flags & FAILED) || reply->code == GRPC_STATUS_INTERNAL ||
                     reply->code ==
                         (flags & LATE ? GRPC_STATUS_DEADLINE_EXCEEDED : GRPC_STATUS_ABORTED));
    }
}

/* The server's gift. */
static haul_key give(const wire_pools *pools)
{
    haul_key key;
    haul_buf *buf;
    FUZZ_REQUIRE(haul_buf_alloc(pools->server, WIRE_BYTES, NULL, &buf) == HAUL_OK);
    memset(haul_buf_data(buf), 0x5a, WIRE_BYTES);
    FUZZ_REQUIRE(haul_buf_give(buf, WIRE_BYTES, haul_pool_participant(pools->client), UINT64_MAX,
                               &key) == HAUL_OK);
    return key;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    uint8_t head[HEAD_BYTES] = {0};
    set_up();
    const wire_pools *pools = wire_pools_get();
    size_t n_head = n < HEAD_BYTES ? n : HEAD_BYTES;
    memcpy(head, bytes, n_head);
    haul_key key = give(pools);
    wire_text text = wire_spell(bytes + n_head, n - n_head, &key);
    haul__attempt attempt = {
        .method = method,
        .accept = (head[0] & WITH_POOL) != 0,
        .deadline_ns = head[0] & LATE ? 0 : HAUL__NEVER,
        .code = head[0] & FAILED ? GRPC_STATUS_NOT_FOUND : GRPC_STATUS_OK,
        .text = head[0] & FAILED ? gpr_strdup("as asked") : NULL,
        .answer = wire_buffer(&text, head[1] * (size_t)16),
    };
    if (head[0] & NO_MESSAGE) {
        grpc_byte_buffer_destroy(attempt.answer);
        attempt.answer = NULL;
    }
    if (head[0] & TAKEN_BACK) {
        FUZZ_REQUIRE(haul_pool_revoke(pools->server, &key) == HAUL_OK);
    }
    haul_reply *reply = haul__reply_create(channel);
    FUZZ_REQUIRE(reply);
    haul__reply_take(reply, channel, &attempt);
    require_reply(reply, head[0]);
    haul_reply_free(reply);
    grpc_byte_buffer_destroy(attempt.answer);
    (void)!haul_pool_revoke(pools->server, &key); /* what nobody claimed */
    wire_pools_require_quiet();
    return 0;
}
