/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The client of the conformance list: one call of each kind, to its end or to where it is
 * interrupted. Payloads come from the pool where it has a buffer, else from ordinary memory. Runs in
 * the test's own process or in one of its children, in one thread, but for another one that ends a
 * blocking call.
 */

#include <stdlib.h>

#include "conformance.h"

#define PASSES  300000000   /* a deadline that is meant to pass */
#define FOREVER 60000000000 /* one that is not */

/* ---- What is sent and expected ---- */

typedef struct request {
    Haul__Test__Frame frame;
    haul_payload_out out;
    haul_payload *data[1];
    haul_buf *buf; /* of a unary call, until it is over */
    void *memory;
} request;

static int64_t timeout_of(const conf_case *c)
{
    switch (c->event) {
    case CONF_DEADLINE_BEFORE:
        return 1;
    case CONF_DEADLINE_DURING:
        return PASSES;
    case CONF_DEADLINE_AFTER:
        return FOREVER;
    default:
        return 0;
    }
}

/* What the handler does before it answers. */
static Haul__Test__Act act_of(const conf_case *c)
{
    switch (c->event) {
    case CONF_CANCELLED_DURING:
    case CONF_DEADLINE_DURING:
        return HAUL__TEST__ACT__ACT_PAUSE;
    case CONF_SERVER_KILLED: /* what is given is not the dead's any more, and nobody will claim it */
    case CONF_CLIENT_KILLED:
        return HAUL__TEST__ACT__ACT_LINGER;
    default:
        return HAUL__TEST__ACT__ACT_ECHO;
    }
}

static bool is_interrupted(const conf_case *c)
{
    return act_of(c) != HAUL__TEST__ACT__ACT_ECHO || c->event == CONF_CANCELLED_BEFORE ||
           c->event == CONF_DEADLINE_BEFORE;
}

static unsigned n_frames_of(const conf_case *c)
{
    return c->size > (1u << 20) ? 2 : 5;
}

static void request_init(request *r, const conf_case *c, uint64_t number, uint64_t size)
{
    *r = (request){.memory = NULL};
    haul__test__frame__init(&r->frame);
    r->frame.number = number;
    r->frame.size = size;
    r->frame.act = act_of(c);
    r->frame.data = r->data;
    r->data[0] = &r->out.payload;
}

static void request_use_memory(request *r)
{
    r->memory = malloc(r->frame.size + 1);
    assert_non_null(r->memory);
    test_fill(r->memory, r->frame.size, (uint8_t)r->frame.number);
    haul_payload_set_inline(&r->out, r->memory, r->frame.size);
    r->frame.n_data = 1;
}

static void assert_frame(const Haul__Test__Frame *frame, const haul_view *view, uint64_t number,
                         uint64_t size)
{
    assert_int_equal(frame->number, number);
    assert_int_equal(view->len, size);
    assert_true(test_is_filled(view->data, size, (uint8_t)number));
}

static void assert_ended(const haul_reply *reply, const conf_expected *e)
{
    grpc_status_code code = haul_reply_code(reply);
    if (code != e->code && code != e->or_code) {
        fail_msg("the call ended %d: %s", code, haul_reply_text(reply));
    }
}

/* ---- Unary ---- */

/* Who ends a call that the server has paused. */
typedef struct ender {
    pthread_t thread;
    const conf_run *run;
    haul_cancel *cancel;
} ender;

static void *end_when_paused(void *arg)
{
    const ender *e = arg;
    conf_wait_for(e->run->server, "paused");
    if (e->run->c->event == CONF_SERVER_KILLED) {
        (void)peer_kill(e->run->server);
    } else {
        haul_cancel_trigger(e->cancel);
    }
    return NULL;
}

static void fill_unary(const conf_run *run, request *r)
{
    haul_status status =
        haul_buf_alloc(run->pool, r->frame.size, conf_alloc_opts(run->c->event), &r->buf);
    if (status == HAUL_EXHAUSTED) {
        request_use_memory(r);
        return;
    }
    assert_ok(status);
    test_fill(haul_buf_data(r->buf), r->frame.size, (uint8_t)r->frame.number);
    assert_ok(haul_payload_set_buf(&r->out, r->buf, r->frame.size));
    r->frame.n_data = 1;
}

static void assert_unary(const haul_reply *reply, const conf_case *c, const conf_expected *e)
{
    assert_ended(reply, e);
    if (e->code != GRPC_STATUS_OK) {
        return;
    }
    haul_view view;
    const Haul__Test__Frame *frame = (const Haul__Test__Frame *)haul_reply_message(reply);
    assert_int_equal(frame->n_data, 1);
    assert_ok(haul_reply_view(reply, frame->data[0], &view));
    assert_frame(frame, &view, CONF_ANSWER, c->size);
    assert_int_equal(haul_reply_request_path(reply), e->request);
    assert_int_equal(haul_reply_path(reply), e->answer);
}

/* The call itself, ended as its case says. */
static haul_reply *call_once(const conf_run *run, const Haul__Test__Frame *frame)
{
    const conf_case *c = run->c;
    bool is_ended = c->event == CONF_CANCELLED_DURING || c->event == CONF_SERVER_KILLED;
    ender other = {.run = run};
    haul_call_opts opts = {.struct_size = sizeof(opts),
                           .timeout_ns = timeout_of(c),
                           .inline_only = c->event == CONF_INLINE,
                           .wait_for_ready = true};
    haul_reply *reply = NULL;
    assert_ok(haul_cancel_create(&opts.cancel));
    other.cancel = opts.cancel;
    if (c->event == CONF_CANCELLED_BEFORE) {
        haul_cancel_trigger(opts.cancel);
    } else if (is_ended) {
        assert_int_equal(pthread_create(&other.thread, NULL, end_when_paused, &other), 0);
    }
    assert_ok(haul_channel_call(run->channel, &haul__test__stream_service__descriptor, CONF_UNARY,
                                &frame->base, &opts, &reply));
    if (is_ended) {
        assert_int_equal(pthread_join(other.thread, NULL), 0);
    } else if (c->event == CONF_CANCELLED_AFTER) {
        haul_cancel_trigger(opts.cancel);
    }
    haul_cancel_destroy(opts.cancel);
    return reply;
}

static void call_unary(const conf_run *run, const conf_expected *e)
{
    request r;
    request_init(&r, run->c, 0, run->c->size);
    fill_unary(run, &r);
    haul_reply *reply = call_once(run, &r.frame);
    haul_buf_release(r.buf);
    free(r.memory);
    assert_unary(reply, run->c, e);
    haul_reply_free(reply);
}

/* ---- Streams ---- */

/* Give the stream a payload; HAUL_END if it is over. */
static haul_status fill_streamed(const conf_run *run, haul_stream *stream, request *r)
{
    haul_buf *buf;
    haul_status status =
        haul_stream_alloc(stream, r->frame.size, conf_alloc_opts(run->c->event), &buf);
    if (status == HAUL_EXHAUSTED) {
        request_use_memory(r);
        return HAUL_OK;
    }
    if (status != HAUL_OK) {
        return status;
    }
    test_fill(haul_buf_data(buf), r->frame.size, (uint8_t)r->frame.number);
    r->frame.n_data = 1;
    return haul_stream_put(stream, buf, r->frame.size, -1, &r->out);
}

static haul_status send_frame(const conf_run *run, haul_stream *stream, uint64_t number)
{
    request r;
    haul_status status = HAUL_OK;
    request_init(&r, run->c, number, run->c->size);
    if (run->c->kind == CONF_DOWNLOAD) {
        r.frame.count = n_frames_of(run->c);
    } else {
        status = fill_streamed(run, stream, &r);
    }
    if (status == HAUL_OK) {
        status = haul_stream_send(stream, &r.frame.base);
    }
    free(r.memory);
    return status;
}

static void expect_frame(const conf_run *run, haul_stream *stream, uint64_t number,
                         const conf_expected *e)
{
    haul_received *received;
    haul_view view;
    assert_ok(haul_stream_receive(stream, -1, &received));
    const Haul__Test__Frame *frame = (const Haul__Test__Frame *)haul_received_message(received);
    assert_int_equal(frame->n_data, 1);
    assert_ok(haul_received_view(received, frame->data[0], &view));
    assert_frame(frame, &view, CONF_ANSWER + number, run->c->size);
    assert_int_equal(haul_received_path(received), e->answer);
    haul_received_free(received);
}

static void converse(const conf_run *run, haul_stream *stream, const conf_expected *e)
{
    unsigned n_frames = n_frames_of(run->c);
    unsigned n_sent = run->c->kind == CONF_DOWNLOAD ? 1 : n_frames;
    for (unsigned i = 0; i < n_sent; i++) {
        assert_ok(send_frame(run, stream, i));
        if (run->c->kind == CONF_CHAT) {
            expect_frame(run, stream, i, e);
        }
    }
    assert_ok(haul_stream_close_send(stream));
    for (unsigned i = 0; i < n_frames && run->c->kind == CONF_DOWNLOAD; i++) {
        expect_frame(run, stream, i, e);
    }
    if (run->c->kind == CONF_UPLOAD) {
        expect_frame(run, stream, n_frames, e);
    }
    haul_received *none;
    assert_status(haul_stream_receive(stream, -1, &none), HAUL_END);
    if (run->c->event == CONF_CANCELLED_AFTER) {
        haul_stream_cancel(stream);
    }
}

/* Send one frame, whose handler then waits; be interrupted or interrupt. */
static void interrupt(const conf_run *run, haul_stream *stream)
{
    if (run->c->event == CONF_CANCELLED_BEFORE) {
        haul_stream_cancel(stream);
    }
    haul_status status = send_frame(run, stream, 0);
    if (run->c->event == CONF_CANCELLED_DURING) {
        assert_ok(status);
        conf_wait_for(run->server, "paused");
        haul_stream_cancel(stream);
    } else if (run->c->event == CONF_SERVER_KILLED) {
        assert_ok(status);
        conf_wait_for(run->server, "paused");
        (void)peer_kill(run->server);
    } else {
        assert_true(status == HAUL_OK || status == HAUL_END);
    }
}

static void call_stream(const conf_run *run, const conf_expected *e)
{
    const conf_case *c = run->c;
    const haul_stream_opts opts = {.struct_size = sizeof(opts),
                                   .timeout_ns = timeout_of(c),
                                   .inline_only = c->event == CONF_INLINE,
                                   .wait_for_ready = true};
    haul_stream *stream;
    haul_reply *reply;
    assert_ok(haul_channel_stream(run->channel, &haul__test__stream_service__descriptor, c->kind,
                                  &opts, &stream));
    if (is_interrupted(c)) {
        interrupt(run, stream);
    } else {
        converse(run, stream, e);
    }
    haul_stream_finish(stream, &reply);
    assert_ended(reply, e);
    if (haul_reply_code(reply) == GRPC_STATUS_OK) {
        assert_int_equal(haul_reply_request_path(reply),
                         c->kind == CONF_DOWNLOAD ? HAUL_PATH_NONE : e->request);
    }
    haul_reply_free(reply);
}

void conf_call(const conf_run *run, const conf_expected *expected)
{
    if (run->c->kind == CONF_UNARY) {
        call_unary(run, expected);
    } else {
        call_stream(run, expected);
    }
}
