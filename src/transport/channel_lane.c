/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The client's half of the lane: may keys be sent to whoever is on the other end?
 *
 * What is known is known of one server over one connection. It is forgotten when the connection has
 * gone, when an answer comes from another server than the one that was probed, and when a key is
 * refused. The first call that needs to know probes, in its own thread and within its own deadline;
 * others that need to know wait for it. A probe that comes to nothing proves nothing: its caller
 * goes inline and the next one tries again.
 *
 * A prober that dies takes its process with it; there is nothing to be undone.
 */

#include "transport/channel.h"

#include <string.h>
#include <sys/random.h>

#include <shorthaul/v1/lane.pb-c.h>

#include "transport/deadline.h"
#include "transport/pack.h"

#define NONCE_BYTES 32

void haul__lane_check(haul_channel *channel)
{
    if (grpc_channel_check_connectivity_state(channel->grpc, 0) != GRPC_CHANNEL_READY) {
        haul__lane_distrust(channel);
    }
}

void haul__lane_distrust(haul_channel *channel)
{
    (void)pthread_mutex_lock(&channel->mutex);
    if (channel->lane != HAUL__LANE_PROBING) {
        channel->lane = HAUL__LANE_UNPROVEN;
    }
    (void)pthread_mutex_unlock(&channel->mutex);
}

void haul__lane_learn(haul_channel *channel, const haul__attempt *attempt)
{
    bool speaks = attempt->method->input.root || attempt->method->output.root;
    (void)pthread_mutex_lock(&channel->mutex);
    bool known = channel->lane == HAUL__LANE_SHARED || channel->lane == HAUL__LANE_APART;
    bool other = attempt->has_lane
                     ? attempt->lane_id != channel->lane_id
                     : speaks && attempt->code == GRPC_STATUS_OK && channel->lane_id != 0;
    if (known && other) {
        channel->lane = HAUL__LANE_UNPROVEN;
    }
    (void)pthread_mutex_unlock(&channel->mutex);
}

/* What the server's answer to the probe says. */
static haul__lane_state judge(const haul__attempt *attempt, const uint8_t nonce[NONCE_BYTES],
                              uint32_t *out_peer)
{
    ProtobufCMessage *message;
    if (haul__attempt_came_to_nothing(attempt)) {
        return HAUL__LANE_UNPROVEN;
    }
    if (attempt->code != GRPC_STATUS_OK ||
        haul__unpack(&attempt->method->output, attempt->answer, &message) != HAUL_OK) {
        return HAUL__LANE_APART; /* UNIMPLEMENTED, most likely */
    }
    const Shorthaul__V1__ProbeResponse *response = (const Shorthaul__V1__ProbeResponse *)message;
    bool shared = response->attached && response->nonce.len == NONCE_BYTES &&
                  memcmp(response->nonce.data, nonce, NONCE_BYTES) == 0;
    *out_peer = shared ? response->participant : 0;
    haul__unpacked_free(message);
    return shared ? HAUL__LANE_SHARED : HAUL__LANE_APART;
}

/* Write a nonce into a buffer of the pool and make @out say its key. */
static haul_status share_nonce(haul_channel *channel, uint8_t nonce[NONCE_BYTES],
                               haul_payload_out *out, haul_buf **out_buf)
{
    if (getrandom(nonce, NONCE_BYTES, 0) != NONCE_BYTES) {
        return HAUL_SYSTEM;
    }
    haul_buf *buf;
    haul_status status = haul_buf_alloc(channel->pool, NONCE_BYTES, NULL, &buf);
    if (status != HAUL_OK) {
        return status;
    }
    memcpy(haul_buf_data(buf), nonce, NONCE_BYTES);
    status = haul_payload_set_buf(out, buf, NONCE_BYTES);
    if (status != HAUL_OK) {
        haul_buf_release(buf);
        return status;
    }
    *out_buf = buf;
    return HAUL_OK;
}

/* @attempt has its deadline and its flags. */
static haul__lane_state probe(haul_channel *channel, haul__flight *flight, haul__attempt *attempt,
                              uint32_t *out_peer)
{
    const haul__pack_from from = {.pins = &channel->pins};
    uint8_t nonce[NONCE_BYTES];
    haul_payload_out out;
    haul_buf *buf;
    if (haul__channel_method(channel, &shorthaul__v1__lane_service__descriptor, 0,
                             &attempt->method) != HAUL_OK ||
        share_nonce(channel, nonce, &out, &buf) != HAUL_OK) {
        return HAUL__LANE_UNPROVEN;
    }
    Shorthaul__V1__ProbeRequest request = SHORTHAUL__V1__PROBE_REQUEST__INIT;
    request.nonce = &out.payload;
    haul__lane_state state = HAUL__LANE_UNPROVEN;
    if (haul__pack(&request.base, &from, &attempt->request) == HAUL_OK) {
        haul__attempt_run(channel, flight, attempt);
        state = judge(attempt, nonce, out_peer);
    }
    haul_buf_release(buf);
    return state;
}

/* Wait, with the lock held, while another thread probes; false if it is no use any longer. */
static bool wait_for_prober(haul_channel *channel, const haul__flight *flight, uint64_t deadline_ns)
{
    while (channel->lane == HAUL__LANE_PROBING && !channel->closing && !flight->cancelled) {
        if (!haul__cond_wait_until(&channel->changed, &channel->mutex, deadline_ns)) {
            return false;
        }
    }
    return !channel->closing && !flight->cancelled;
}

bool haul__lane_is_shared(haul_channel *channel, haul__flight *flight, uint64_t deadline_ns,
                          bool wait_for_ready)
{
    (void)pthread_mutex_lock(&channel->mutex);
    if (!wait_for_prober(channel, flight, deadline_ns) || channel->lane != HAUL__LANE_UNPROVEN) {
        bool shared = channel->lane == HAUL__LANE_SHARED && !channel->closing;
        (void)pthread_mutex_unlock(&channel->mutex);
        return shared;
    }
    channel->lane = HAUL__LANE_PROBING;
    (void)pthread_mutex_unlock(&channel->mutex);

    haul__attempt attempt = {.deadline_ns = deadline_ns, .wait_for_ready = wait_for_ready};
    uint32_t peer = 0;
    haul__lane_state state = probe(channel, flight, &attempt, &peer);

    (void)pthread_mutex_lock(&channel->mutex);
    channel->lane = state;
    channel->lane_id = attempt.has_lane ? attempt.lane_id : 0;
    channel->lane_peer = peer;
    (void)pthread_cond_broadcast(&channel->changed);
    (void)pthread_mutex_unlock(&channel->mutex);
    haul__attempt_fini(&attempt);
    return state == HAUL__LANE_SHARED;
}

uint32_t haul__lane_peer(haul_channel *channel)
{
    (void)pthread_mutex_lock(&channel->mutex);
    uint32_t peer = channel->lane == HAUL__LANE_SHARED ? channel->lane_peer : 0;
    (void)pthread_mutex_unlock(&channel->mutex);
    return peer;
}
