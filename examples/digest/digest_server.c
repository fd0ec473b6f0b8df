/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * digest_server: serves DigestService (digest.proto).
 *
 * The handlers see bytes, and neither know nor ask which way they came. They run in the server's
 * polling threads, several at once, and keep nothing between calls. main() owns the server and the
 * pool, and waits in its own thread for SIGTERM or SIGINT; both are blocked before the first thread
 * starts, so that only main() takes them.
 *
 * If this process is killed while it reads, its callers get UNAVAILABLE and their buffers back. If
 * a caller is killed, the bytes under a running handler stay where they are until it has answered.
 */
#include <getopt.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>

#include "common.h"

#define PROGRAM  "digest_server"
#define GRACE_NS 1000000000ull

/* The payload's bytes; ends the call itself where there are none to see. */
static bool see_payload(haul_call *call, const haul_payload *payload, haul_view *out_view)
{
    if (payload != NULL && haul_call_view(call, payload, out_view) == HAUL_OK) {
        return true;
    }
    haul_call_fail(call, GRPC_STATUS_INVALID_ARGUMENT, "the request has no payload");
    return false;
}

static void handle_sum(Digest__V1__DigestService_Service *service,
                       const Digest__V1__SumRequest *request,
                       Digest__V1__SumResponse_Closure closure, void *closure_data)
{
    (void)service;
    haul_call *call = closure_data;
    haul_view view;
    if (!see_payload(call, request->data, &view)) {
        return;
    }
    uint8_t md[EVP_MAX_MD_SIZE];
    unsigned md_len = 0;
    if (EVP_Digest(view.data, view.len, md, &md_len, EVP_sha256(), NULL) != 1) {
        haul_call_fail(call, GRPC_STATUS_INTERNAL, "SHA-256 failed");
        return;
    }
    Digest__V1__SumResponse response = DIGEST__V1__SUM_RESPONSE__INIT;
    response.sha256 = (ProtobufCBinaryData){.len = md_len, .data = md};
    response.size = view.len;
    closure(&response, closure_data);
}

static void handle_touch(Digest__V1__DigestService_Service *service,
                         const Digest__V1__TouchRequest *request,
                         Digest__V1__TouchResponse_Closure closure, void *closure_data)
{
    (void)service;
    haul_view view;
    if (!see_payload(closure_data, request->data, &view)) {
        return;
    }
    Digest__V1__TouchResponse response = DIGEST__V1__TOUCH_RESPONSE__INIT;
    response.sum = digest_touch(view.data, view.len, request->whole);
    response.size = view.len;
    closure(&response, closure_data);
}

/* Make a server on @address; says why not on stderr. */
static haul_server *start_server(haul_pool *pool, const char *address, ProtobufCService *service)
{
    haul_error err = {0};
    haul_pool *const pools[] = {pool};
    haul_server_opts opts = {
        .struct_size = sizeof(opts), .pools = pools, .n_pools = pool != NULL ? 1 : 0};
    haul_server *server = NULL;
    haul_status status = haul_server_create(&opts, &server, &err);
    if (status == HAUL_OK) {
        status = haul_server_add_service(server, service, &err);
    }
    if (status == HAUL_OK) {
        status = haul_server_listen(server, address, 0600, NULL, &err);
    }
    if (status == HAUL_OK) {
        status = haul_server_start(server, &err);
    }
    if (status != HAUL_OK) {
        digest_complain(PROGRAM, address, status, &err);
        haul_server_destroy(server);
        return NULL;
    }
    return server;
}

/* Serve until SIGTERM or SIGINT. */
static int serve(const char *address, const char *pool_name)
{
    sigset_t ends;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &ends, NULL);

    haul_pool *pool = NULL;
    if (!digest_pool_open(pool_name, PROGRAM, &pool)) {
        return EXIT_FAILED;
    }
    Digest__V1__DigestService_Service service = DIGEST__V1__DIGEST_SERVICE__INIT(handle_);
    haul_server *server = start_server(pool, address, &service.base);
    if (server != NULL) {
        (void)printf(PROGRAM ": ready on %s\n", address);
        (void)fflush(stdout);
        int signal_number = 0;
        (void)sigwait(&ends, &signal_number);
        haul_server_stop(server, GRACE_NS);
        haul_server_destroy(server);
    }
    haul_pool_close(pool);
    return server != NULL ? EXIT_OK : EXIT_FAILED;
}

static void usage(FILE *to)
{
    (void)fputs("usage: " PROGRAM " --listen ADDRESS [--pool NAME]\n"
                "Serve digest.v1.DigestService until SIGTERM or SIGINT.\n"
                "  --listen ADDRESS  unix:/path, unix-abstract:name or host:port\n"
                "  --pool NAME       understand keys of this pool; without it, inline only\n"
                "Says on stdout when it is ready. Exit: 0 ended as asked, 1 failed, 2 usage.\n",
                to);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"listen", required_argument, NULL, 'l'},
                                            {"pool", required_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *address = NULL;
    const char *pool_name = NULL;
    for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (opt) {
        case 'l':
            address = optarg;
            break;
        case 'p':
            pool_name = optarg;
            break;
        case 'h':
            usage(stdout);
            return EXIT_OK;
        default:
            usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (address == NULL || optind != argc) {
        usage(stderr);
        return EXIT_USAGE;
    }
    return serve(address, pool_name);
}
