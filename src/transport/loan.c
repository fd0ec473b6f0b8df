/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Room that the caller lends to the server, so that an answer by key takes no allocation there.
 *
 * The client gives the server's participant an empty buffer (GIVEN, length 0) until the call's
 * deadline and sends its key as metadata. The first haul_call_alloc() of the handler that fits
 * claims it (OWNED by the server), and haul_call_put() gives it to the client like any other
 * (GIVEN, the other way round). What is not claimed when the call is over is taken back, by
 * whichever side comes first: claim and both revocations are the same swap, so one of them has it.
 *
 *   dies      before the claim                 after the claim            after it was given back
 *   client    the server takes it back when    its handler goes on; put   reaped with the client
 *             the call ends; if the call       gives to nobody: inline,
 *             never came, a reaper past the    or reaped with the client
 *             deadline
 *   server    reaped with the server, or the   reaped with the server     claimed as usual if the
 *             client has taken it back: the                               answer came, else reaped
 *             call is over                                                past the deadline
 *
 * The buffer may be the application's own, which wants it again when the call is over. Unclaimed it
 * is taken back without being free in between (GIVEN to OWNED); with the answer in it it is claimed
 * as one to write (GIVEN to OWNED, too), and the reply's view is the application's as long as it
 * leaves the buffer alone. What a server has claimed and not given back is the server's, who may be
 * writing it, or a reaper's: then the application gets another one, if the pool has any.
 *
 * A deadline that passes before the claim ends the loan, and the handler allocates for itself.
 * After the claim it changes nothing for the handler; what is given back late is taken back like
 * any answer.
 *
 * A server believes nothing of a loan: the pool is the one that the caller shares, the key is claimed or
 * not, and the room is what the claimed buffer has.
 */

#include "transport/loan.h"

#include "transport/metadata.h"
#include "transport/payload.h"

/* Enough for a Payload with a key, and what protobuf-c takes to unpack one. */
#define VALUE_MAX     128
#define SCRATCH_BYTES 1024

/* ---- The client ---------------------------------------------------------------------------- */

void haul__loan_open(haul__loan *loan, haul_pool *pool, haul_buf **home, uint64_t bytes,
                     uint32_t to, uint64_t until_ns)
{
    haul_buf *own = home ? *home : NULL;
    haul_buf *buf = own;
    haul_key key;
    if (to == 0 || (!own && (bytes == 0 || haul_buf_alloc(pool, bytes, NULL, &buf) != HAUL_OK))) {
        return;
    }
    uint64_t room = haul_buf_capacity(buf);
    if (haul_buf_give(buf, 0, to, until_ns, &key) != HAUL_OK) {
        if (!own) {
            haul_buf_release(buf);
        }
        return;
    }
    *loan = (haul__loan){.pool = pool, .key = key, .room = room, .home = home};
    if (home) {
        *home = NULL;
    }
}

bool haul__loan_holds(const haul__loan *loan, const haul_payload *payload)
{
    return loan && loan->home && !loan->back && payload->key->index == loan->key.index;
}

haul_status haul__loan_receive(haul__loan *loan, const haul_payload *payload, haul_view *out_view)
{
    haul_key key = haul__key_of(payload->key);
    haul_status status = haul_buf_claim_writable(loan->pool, &key, payload->length, &loan->back);
    if (status == HAUL_OK) {
        const uint8_t *bytes = haul_buf_data(loan->back);
        *out_view = (haul_view){.data = bytes + key.offset, .len = payload->length};
    }
    return status;
}

grpc_slice haul__loan_value(const haul__loan *loan)
{
    haul_payload_out out;
    haul_payload_set_key(&out, &loan->key, loan->room);
    grpc_slice value = grpc_slice_malloc(protobuf_c_message_get_packed_size(&out.payload.base));
    (void)protobuf_c_message_pack(&out.payload.base, GRPC_SLICE_START_PTR(value));
    return value;
}

/* ---- The server ---------------------------------------------------------------------------- */

/* Memory for one small message, on the stack. */
typedef struct scratch {
    size_t used;
    _Alignas(max_align_t) uint8_t bytes[SCRATCH_BYTES];
} scratch;

static void *scratch_alloc(void *arg, size_t size)
{
    scratch *s = arg;
    size_t needed = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
    if (size > SCRATCH_BYTES || needed > SCRATCH_BYTES - s->used) {
        return NULL;
    }
    void *memory = s->bytes + s->used;
    s->used += needed;
    return memory;
}

static void scratch_free(void *arg, void *memory)
{
    (void)arg;
    (void)memory;
}

bool haul__loan_parse(grpc_slice value, haul_key *out_key, uint64_t *out_room)
{
    scratch s = {.used = 0};
    ProtobufCAllocator allocator = {
        .alloc = scratch_alloc, .free = scratch_free, .allocator_data = &s};
    haul__payload_kind kind;
    if (GRPC_SLICE_LENGTH(value) > VALUE_MAX) {
        return false;
    }
    const haul_payload *payload = shorthaul__v1__payload__unpack(
        &allocator, GRPC_SLICE_LENGTH(value), GRPC_SLICE_START_PTR(value));
    if (!payload || haul__payload_inspect(payload, &kind) != HAUL_OK || kind != HAUL__PAYLOAD_KEY) {
        return false;
    }
    *out_key = haul__key_of(payload->key);
    *out_room = payload->length;
    return true;
}

void haul__loan_read(haul__loan *loan, haul_pool *pool, const grpc_metadata_array *metadata)
{
    for (size_t i = 0; i < metadata->count && pool && !loan->pool; i++) {
        const grpc_metadata *md = &metadata->metadata[i];
        if (grpc_slice_str_cmp(md->key, HAUL__MD_LEND) == 0 &&
            haul__loan_parse(md->value, &loan->key, &loan->room) &&
            loan->key.pool_id == haul_pool_id(pool)) {
            loan->pool = pool;
        }
    }
}

haul_status haul__loan_claim(haul__loan *loan, uint64_t len, haul_buf **out_buf)
{
    haul_buf *buf;
    if (!loan->pool || len > loan->room || atomic_exchange(&loan->taken, true) ||
        haul_buf_claim_empty(loan->pool, &loan->key, &buf) != HAUL_OK) {
        return HAUL_NOT_FOUND;
    }
    if (haul_buf_capacity(buf) < len) {
        haul_buf_release(buf);
        return HAUL_NOT_FOUND;
    }
    *out_buf = buf;
    return HAUL_OK;
}

/* ---- Both ---------------------------------------------------------------------------------- */

static void bring_home(haul__loan *loan)
{
    haul_buf *buf = loan->back;
    if (!buf && haul_buf_take_back(loan->pool, &loan->key, &buf) != HAUL_OK &&
        haul_buf_alloc(loan->pool, loan->room, NULL, &buf) != HAUL_OK) {
        buf = NULL;
    }
    *loan->home = buf;
}

void haul__loan_close(haul__loan *loan)
{
    if (loan->pool && loan->home) {
        bring_home(loan);
    } else if (loan->pool && !atomic_load(&loan->taken)) {
        /* HAUL_STALE: it has been claimed, or the other side was first. */
        (void)!haul_pool_revoke(loan->pool, &loan->key);
    }
    loan->pool = NULL;
}
