/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * stream_peer: the other process of test_transport_stream_death, made to be killed. One command a
 * line on its input, one answer a line on its output.
 *
 *   serve POOL ADDRESS      serves the stream service
 *   download POOL ADDRESS   opens a stream, receives some frames and keeps them
 *   upload POOL ADDRESS     opens a stream and sends some frames
 *   plain POOL ADDRESS      the same from ordinary memory
 *   die                     kills itself, without an answer
 */

#include "stream_test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEN 3000

static bool serve(const char *pool_name, const char *address)
{
    static stream_service service;
    haul_pool *pool;
    stream_service_init(&service);
    if (haul_pool_open(pool_name, NULL, &pool, NULL) != HAUL_OK) {
        return false;
    }
    (void)stream_server_start(&service, pool, address, NULL, &(stream_pair_opts){0});
    return true;
}

static bool call(const char *pool_name, const char *address, bool down, bool plain)
{
    static uint8_t bytes[LEN];
    stream_pair pair = {0};
    haul_received *kept;
    if (haul_pool_open(pool_name, NULL, &pair.client_pool, NULL) != HAUL_OK) {
        return false;
    }
    const haul_channel_opts opts = {
        .struct_size = sizeof(opts), .pool = pair.client_pool, .key_threshold_bytes = LEN};
    if (haul_channel_open(address, &opts, &pair.channel, NULL) != HAUL_OK) {
        return false;
    }
    haul_stream *stream = stream_open(&pair, down ? STREAM_DOWNLOAD : STREAM_UPLOAD, NULL);
    haul_status status =
        down ? stream_act(stream, HAUL__TEST__ACT__ACT_ECHO, 1000000, LEN) : HAUL_OK;
    for (unsigned i = 0; i < 3 && status == HAUL_OK; i++) {
        if (down) {
            status = haul_stream_receive(stream, -1, &kept);
        } else {
            status = plain ? stream_send_plain(stream, HAUL__TEST__ACT__ACT_ECHO, i, bytes, LEN)
                           : stream_send(stream, i, LEN, 1);
        }
    }
    return status == HAUL_OK;
}

int main(void)
{
    char line[320];
    char verb[16];
    char pool[80];
    char address[140];
    while (fgets(line, sizeof(line), stdin)) {
        bool ok = false;
        int n = sscanf(line, "%15s %79s %139s", verb, pool, address);
        if (n == 1 && strcmp(verb, "die") == 0) {
            (void)kill(getpid(), SIGKILL);
        } else if (n == 3 && strcmp(verb, "serve") == 0) {
            ok = serve(pool, address);
        } else if (n == 3) {
            ok = call(pool, address, strcmp(verb, "download") == 0, strcmp(verb, "plain") == 0);
        }
        (void)printf("%s\n", haul_status_name(ok ? HAUL_OK : HAUL_INVALID));
        (void)fflush(stdout);
    }
    return EXIT_SUCCESS;
}
