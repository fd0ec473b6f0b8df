/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The baseline without anything of ours: gRPC's core API, with its default settings but for the
 * bound on message sizes.
 *
 * The request is the bytes themselves in one slice that nobody copies, the answer their sum. The
 * server reads the first and the last byte where gRPC has put them. That is less than any real
 * program does (no messages, no metadata, nothing to free), so it is the least that plain gRPC
 * costs.
 *
 * Client: in main()'s process, one completion queue for each thread that calls. Server: a process
 * of its own with one thread, which ends with its standard input; a second thread waits for that.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "e2e.h"

#define METHOD          "/bench.v1.BenchService/Touch"
#define N_OUTSTANDING   16
#define UNBOUNDED_BYTES (-1)

static gpr_timespec never(void)
{
    return gpr_inf_future(GPR_CLOCK_MONOTONIC);
}

static grpc_arg unbounded(void)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER,
                      .key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
                      .value.integer = UNBOUNDED_BYTES};
}

/* ---- Client -------------------------------------------------------------------------------- */

struct e2e_core {
    grpc_channel *channel;
    void *method;
    grpc_completion_queue *queue; /* main()'s */
};

bool e2e_core_open(const char *address, e2e_core **out_core)
{
    e2e_core *core = calloc(1, sizeof(*core));
    if (core == NULL) {
        return false;
    }
    grpc_init();
    grpc_arg arg = unbounded();
    const grpc_channel_args args = {.num_args = 1, .args = &arg};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    core->channel = grpc_channel_create(address, credentials, &args);
    grpc_channel_credentials_release(credentials);
    core->method = grpc_channel_register_call(core->channel, METHOD, NULL, NULL);
    core->queue = grpc_completion_queue_create_for_pluck(NULL);
    *out_core = core;
    return true;
}

static void destroy_queue(grpc_completion_queue *queue)
{
    grpc_completion_queue_shutdown(queue);
    (void)grpc_completion_queue_pluck(queue, NULL, never(), NULL);
    grpc_completion_queue_destroy(queue);
}

void e2e_core_close(e2e_core *core)
{
    if (core != NULL) {
        destroy_queue(core->queue);
        grpc_channel_destroy(core->channel);
        grpc_shutdown();
        free(core);
    }
}

static uint64_t read_sum(grpc_byte_buffer *answer)
{
    uint64_t sum = 0;
    grpc_byte_buffer_reader reader;
    if (answer != NULL && grpc_byte_buffer_length(answer) == sizeof(sum) &&
        grpc_byte_buffer_reader_init(&reader, answer)) {
        grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
        memcpy(&sum, GRPC_SLICE_START_PTR(all), sizeof(sum));
        grpc_slice_unref(all);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    return sum;
}

/* One call with the bytes that lie at @data. */
static bool call(const e2e_core *core, grpc_completion_queue *queue, const void *data, size_t len,
                 uint64_t *out_sum)
{
    grpc_slice slice = grpc_slice_from_static_buffer(data, len);
    grpc_byte_buffer *request = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_byte_buffer *answer = NULL;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_metadata_array_init(&initial);
    grpc_metadata_array_init(&trailing);
    grpc_status_code code = GRPC_STATUS_UNKNOWN;
    grpc_slice details = grpc_empty_slice();
    grpc_call *c = grpc_channel_create_registered_call(core->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                                       queue, core->method, never(), NULL);
    const grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = request},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &initial},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &answer},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
         .data.recv_status_on_client = {.trailing_metadata = &trailing,
                                        .status = &code,
                                        .status_details = &details}},
    };
    if (grpc_call_start_batch(c, ops, sizeof(ops) / sizeof(ops[0]), c, NULL) == GRPC_CALL_OK) {
        (void)grpc_completion_queue_pluck(queue, c, never(), NULL);
    }
    *out_sum = read_sum(answer);
    grpc_slice_unref(details);
    grpc_metadata_array_destroy(&initial);
    grpc_metadata_array_destroy(&trailing);
    grpc_byte_buffer_destroy(answer);
    grpc_byte_buffer_destroy(request);
    grpc_call_unref(c);
    return code == GRPC_STATUS_OK;
}

bool e2e_core_arm(e2e *e, const e2e_arm *arm, size_t n, uint64_t *out_ns)
{
    size_t n_bytes = arm->size != NULL ? arm->size->n_bytes : 0;
    uint64_t wanted = arm->size != NULL ? arm->size->sums[false] : 0;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        uint64_t sum = 0;
        uint64_t start_ns = bench_now_ns();
        ok = call(e->core, e->core->queue, e->source, n_bytes, &sum) && sum == wanted;
        out_ns[i] = bench_now_ns() - start_ns;
    }
    return ok;
}

bool e2e_core_loop(e2e_core *core, uint64_t until_ns, uint64_t *out_calls)
{
    grpc_completion_queue *queue = grpc_completion_queue_create_for_pluck(NULL);
    bool ok = true;
    uint64_t n = 0;
    while (ok && bench_now_ns() < until_ns) {
        uint64_t sum = 0;
        ok = call(core, queue, "", 0, &sum) && sum == 0;
        n++;
    }
    destroy_queue(queue);
    *out_calls = n;
    return ok;
}

/* ---- Server -------------------------------------------------------------------------------- */

typedef struct served {
    grpc_call *call; /* NULL until gRPC has taken one */
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *request;
    bool answered;
    int cancelled;
} served;

typedef struct core_server {
    grpc_server *grpc;
    grpc_completion_queue *queue;
    void *method;
    served calls[N_OUTSTANDING];
} core_server;

static void ask(core_server *server, served *s)
{
    *s = (served){0};
    grpc_metadata_array_init(&s->metadata);
    (void)grpc_server_request_registered_call(server->grpc, server->method, &s->call, &s->deadline,
                                              &s->metadata, &s->request, server->queue,
                                              server->queue, s);
}

/* The sum of the ends, as bench_touch() has it. */
static uint64_t touch_ends(grpc_byte_buffer *bytes)
{
    grpc_byte_buffer_reader reader;
    grpc_slice *slice;
    uint64_t first = 0;
    uint64_t last = 0;
    bool seen = false;
    if (bytes == NULL || !grpc_byte_buffer_reader_init(&reader, bytes)) {
        return 0;
    }
    while (grpc_byte_buffer_reader_peek(&reader, &slice)) {
        const uint8_t *data = GRPC_SLICE_START_PTR(*slice);
        size_t len = GRPC_SLICE_LENGTH(*slice);
        if (len > 0) {
            first = seen ? first : data[0];
            last = data[len - 1];
            seen = true;
        }
    }
    grpc_byte_buffer_reader_destroy(&reader);
    return first + 256 * last;
}

static void answer(served *s)
{
    uint64_t sum = touch_ends(s->request);
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)&sum, sizeof(sum));
    grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&slice, 1);
    const grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = bytes},
        {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
         .data.send_status_from_server.status = GRPC_STATUS_OK},
        {.op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &s->cancelled},
    };
    s->answered = true;
    (void)grpc_call_start_batch(s->call, ops, sizeof(ops) / sizeof(ops[0]), s, NULL);
    grpc_byte_buffer_destroy(bytes);
    grpc_slice_unref(slice);
}

static void release(served *s)
{
    grpc_byte_buffer_destroy(s->request);
    grpc_metadata_array_destroy(&s->metadata);
    if (s->call != NULL) {
        grpc_call_unref(s->call);
    }
}

static void *serve(void *arg)
{
    core_server *server = arg;
    for (;;) {
        grpc_event event = grpc_completion_queue_next(server->queue, never(), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return NULL;
        }
        served *s = event.tag;
        if (s == NULL) { /* the end of grpc_server_shutdown_and_notify() */
            grpc_completion_queue_shutdown(server->queue);
        } else if (event.success && s->call != NULL && !s->answered) {
            answer(s);
        } else {
            release(s);
            if (event.success) {
                ask(server, s);
            }
        }
    }
}

static bool listen_at(core_server *server, const char *address)
{
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server->grpc, address, credentials);
    grpc_server_credentials_release(credentials);
    return port != 0;
}

static bool run_server(core_server *server)
{
    pthread_t thread;
    grpc_server_start(server->grpc);
    for (int i = 0; i < N_OUTSTANDING; i++) {
        ask(server, &server->calls[i]);
    }
    if (pthread_create(&thread, NULL, serve, server) != 0) {
        return false;
    }
    if (bench_peer_say_ready()) {
        bench_peer_wait_for_end();
    }
    grpc_server_shutdown_and_notify(server->grpc, server->queue, NULL);
    grpc_server_cancel_all_calls(server->grpc);
    (void)pthread_join(thread, NULL);
    return true;
}

int e2e_be_core_server(const char *address)
{
    bench_catch_signals();
    grpc_init();
    core_server server = {.queue = grpc_completion_queue_create_for_next(NULL)};
    grpc_arg arg = unbounded();
    const grpc_channel_args args = {.num_args = 1, .args = &arg};
    server.grpc = grpc_server_create(&args, NULL);
    grpc_server_register_completion_queue(server.grpc, server.queue, NULL);
    server.method = grpc_server_register_method(server.grpc, METHOD, NULL,
                                                GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    if (!listen_at(&server, address) || !run_server(&server)) {
        (void)fprintf(stderr, "bench_e2e: core server: cannot serve at %s\n", address);
        return EXIT_FAILURE; /* and what gRPC holds ends with the process */
    }
    grpc_server_destroy(server.grpc);
    grpc_completion_queue_destroy(server.queue);
    grpc_shutdown();
    return EXIT_SUCCESS;
}
