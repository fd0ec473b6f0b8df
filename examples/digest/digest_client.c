/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * digest_client: asks a digest_server for the SHA-256 of a file.
 *
 * The file goes into a buffer of the pool, and the call carries the buffer's key; where there is no
 * pool, no free buffer or --inline was said, it carries the bytes. The region between the two
 * "README" marks is the example in README.md, word for word (a test compares them).
 *
 * One thread, which owns everything. If this process is killed while it fills the buffer or after
 * it has sent the key, the next reap takes the buffer back, once the server has read it.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

#define PROGRAM    "digest_client"
#define REPEAT_MAX 1000000

typedef struct settings {
    const char *address;
    const char *pool_name;
    const char *path;
    bool inline_only;
    bool json;
    size_t n_repeat;
} settings;

/* README: begin */
static haul_status digest_by_key(haul_channel *channel, haul_pool *pool, const void *bytes,
                                 size_t len, haul_reply **out_reply)
{
    haul_buf *buf = NULL;
    haul_status status = haul_buf_alloc(pool, len, NULL, &buf);
    if (status != HAUL_OK) {
        return status;
    }
    memcpy(haul_buf_data(buf), bytes, len); /* or read(), recv(), render() straight into it */

    haul_payload_out data;
    status = haul_payload_set_buf(&data, buf, len);
    if (status == HAUL_OK) {
        Digest__V1__SumRequest request = DIGEST__V1__SUM_REQUEST__INIT;
        request.data = &data.payload;
        status = haul_channel_call(channel, &digest__v1__digest_service__descriptor, DIGEST_SUM,
                                   &request.base, NULL, out_reply);
    }
    haul_buf_release(buf);
    return status;
}
/* README: end */

/* The same with the bytes in the message. */
static haul_status digest_inline(haul_channel *channel, const void *bytes, size_t len,
                                 haul_reply **out_reply)
{
    haul_payload_out data;
    haul_payload_set_inline(&data, bytes, len);
    Digest__V1__SumRequest request = DIGEST__V1__SUM_REQUEST__INIT;
    request.data = &data.payload;
    haul_call_opts opts = {.struct_size = sizeof(opts), .inline_only = true};
    return haul_channel_call(channel, &digest__v1__digest_service__descriptor, DIGEST_SUM,
                             &request.base, &opts, out_reply);
}

/* By key if that can be, else inline. */
static haul_status digest_bytes(haul_channel *channel, haul_pool *pool, bool inline_only,
                                const digest_file *file, haul_reply **out_reply)
{
    const void *bytes = file->size > 0 ? file->data : "";
    if (pool != NULL && !inline_only) {
        haul_status status = digest_by_key(channel, pool, bytes, file->size, out_reply);
        if (status != HAUL_EXHAUSTED && status != HAUL_TOO_BIG) {
            return status;
        }
    }
    return digest_inline(channel, bytes, file->size, out_reply);
}

static bool print_reply(const settings *set, const haul_reply *reply, double p50_us)
{
    const Digest__V1__SumResponse *sum = (const void *)haul_reply_message(reply);
    const char *path = haul_path_name(haul_reply_request_path(reply));
    size_t n_message = haul_reply_request_bytes(reply);
    char hex[DIGEST_HEX_BYTES];
    if (!digest_hex(&sum->sha256, hex)) {
        (void)fprintf(stderr, PROGRAM ": the answer is not a SHA-256\n");
        return false;
    }
    if (set->json) {
        (void)printf("{\"sha256\": \"%s\", \"size\": %" PRIu64 ", \"path\": \"%s\", "
                     "\"message_bytes\": %zu, \"calls\": %zu, \"p50_us\": %.1f}\n",
                     hex, sum->size, path, n_message, set->n_repeat, p50_us);
    } else {
        (void)printf("sha256         %s\nsize           %" PRIu64 "\npath           %s\n"
                     "message bytes  %zu\ncalls          %zu\np50            %.1f us\n",
                     hex, sum->size, path, n_message, set->n_repeat, p50_us);
    }
    return true;
}

/* One call; false, and a line on stderr, unless it ended OK. */
static bool digest_once(const settings *set, haul_channel *channel, haul_pool *pool,
                        const digest_file *file, haul_reply **out_reply)
{
    haul_reply *reply = NULL;
    haul_status status = digest_bytes(channel, pool, set->inline_only, file, &reply);
    if (status != HAUL_OK) {
        digest_complain(PROGRAM, set->path, status, NULL);
        return false;
    }
    if (haul_reply_code(reply) != GRPC_STATUS_OK) {
        (void)fprintf(stderr, PROGRAM ": gRPC status %d: %s\n", (int)haul_reply_code(reply),
                      haul_reply_text(reply));
        haul_reply_free(reply);
        return false;
    }
    *out_reply = reply;
    return true;
}

/* All the calls that were asked for; prints the last answer. */
static bool run(const settings *set, haul_channel *channel, haul_pool *pool,
                const digest_file *file)
{
    uint64_t *samples_ns = calloc(set->n_repeat, sizeof(*samples_ns));
    bool ok = samples_ns != NULL;
    haul_reply *reply = NULL;
    for (size_t i = 0; ok && i < set->n_repeat; i++) {
        haul_reply_free(reply);
        reply = NULL;
        uint64_t start_ns = digest_now_ns();
        ok = digest_once(set, channel, pool, file, &reply);
        samples_ns[i] = digest_now_ns() - start_ns;
    }
    ok = ok && print_reply(set, reply, digest_median_us(samples_ns, set->n_repeat));
    haul_reply_free(reply);
    free(samples_ns);
    return ok;
}

static bool connect_and_run(const settings *set, const digest_file *file)
{
    haul_pool *pool = NULL;
    if (!digest_pool_open(set->pool_name, PROGRAM, &pool)) {
        return false;
    }
    haul_error err = {0};
    haul_channel_opts opts = {.struct_size = sizeof(opts), .pool = pool};
    haul_channel *channel = NULL;
    haul_status status = haul_channel_open(set->address, &opts, &channel, &err);
    bool ok = status == HAUL_OK;
    if (ok) {
        ok = run(set, channel, pool, file);
    } else {
        digest_complain(PROGRAM, set->address, status, &err);
    }
    haul_channel_close(channel);
    haul_pool_close(pool);
    return ok;
}

static void usage(FILE *to)
{
    (void)fputs("usage: " PROGRAM " --connect ADDRESS [OPTION]... FILE\n"
                "Print the SHA-256 of FILE as a digest_server sees it.\n"
                "  --connect ADDRESS  unix:/path, unix-abstract:name or host:port\n"
                "  --pool NAME        send the file through this pool\n"
                "  --inline           send it in the message all the same\n"
                "  --repeat N         make N calls (1 to 1000000)\n"
                "  --json             print one JSON object\n"
                "Exit: 0 done, 1 failed, 2 usage.\n",
                to);
}

static bool parse_repeat(const char *text, size_t *out_n)
{
    char *end = NULL;
    unsigned long n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n == 0 || n > REPEAT_MAX) {
        return false;
    }
    *out_n = n;
    return true;
}

/* EXIT_OK: go on; anything else: end with it. */
static int parse_option(int opt, settings *set)
{
    switch (opt) {
    case 'c':
        set->address = optarg;
        return EXIT_OK;
    case 'p':
        set->pool_name = optarg;
        return EXIT_OK;
    case 'i':
        set->inline_only = true;
        return EXIT_OK;
    case 'j':
        set->json = true;
        return EXIT_OK;
    case 'r':
        return parse_repeat(optarg, &set->n_repeat) ? EXIT_OK : EXIT_USAGE;
    default:
        return EXIT_USAGE;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"connect", required_argument, NULL, 'c'},
                                            {"pool", required_argument, NULL, 'p'},
                                            {"inline", no_argument, NULL, 'i'},
                                            {"repeat", required_argument, NULL, 'r'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    settings set = {.n_repeat = 1};
    int code = EXIT_OK;
    for (int opt; code == EXIT_OK && (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (opt == 'h') {
            usage(stdout);
            return EXIT_OK;
        }
        code = parse_option(opt, &set);
    }
    if (code != EXIT_OK || set.address == NULL || optind + 1 != argc) {
        usage(stderr);
        return EXIT_USAGE;
    }
    set.path = argv[optind];

    digest_file file = {0};
    if (!digest_file_map(set.path, &file)) {
        return EXIT_FAILED;
    }
    bool ok = connect_and_run(&set, &file);
    digest_file_unmap(&file);
    return ok ? EXIT_OK : EXIT_FAILED;
}
