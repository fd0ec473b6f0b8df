/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The sidecar from start to end.
 *
 * The order matters. The socket is taken first, so that a second sidecar on it creates nothing; the
 * pools come next, and with them the keeper's locks; only then is anybody answered. At the end the
 * other way round. The main thread is here and in loop.c, the server's threads are in the handlers
 * of admin.c and health.c.
 *
 * The data path does not pass here: whatever happens to this process, calls between others go on.
 */

#include "sidecar/sidecar.h"

#include <string.h>
#include <systemd/sd-daemon.h>

#include <shorthaul/transport.h>

#include "sidecar/admin.h"
#include "sidecar/health.h"
#include "sidecar/log.h"
#include "sidecar/loop.h"
#include "sidecar/pools.h"
#include "sidecar/socket.h"

#define SOCKET_MODE       0660
#define N_SERVER_THREADS  2
#define GRACE_NS          UINT64_C(1000000000)
#define MESSAGE_BYTES_MAX 65536 /* questions are short */

typedef struct sidecar {
    loop loop;
    kept_pools pools;
    admin_service admin;
    Grpc__Health__V1__Health_Service health;
    haul_server *server;
} sidecar;

static haul_status listen_on(sidecar *s, const char *address, haul_error *err)
{
    const haul_server_opts opts = {.struct_size = sizeof(opts),
                                   .n_threads = N_SERVER_THREADS,
                                   .max_message_bytes = MESSAGE_BYTES_MAX};
    admin_init(&s->admin, &s->pools);
    health_init(&s->health);
    haul_status status = socket_make_folder(address, err);
    if (status == HAUL_OK) {
        status = haul_server_create(&opts, &s->server, err);
    }
    if (status == HAUL_OK) {
        status = haul_server_add_service(s->server, &s->admin.service.base, err);
    }
    if (status == HAUL_OK) {
        status = haul_server_add_service(s->server, &s->health.base, err);
    }
    return status == HAUL_OK ? haul_server_listen(s->server, address, SOCKET_MODE, NULL, err)
                             : status;
}

static void say_ready(const sidecar *s, const sidecar_config *config)
{
    log_event("ready on %s, keeping %zu pool%s", config->socket, s->pools.n,
              s->pools.n == 1 ? "" : "s");
    (void)sd_notifyf(0, "READY=1\nSTATUS=Keeping %zu pools on %s", s->pools.n, config->socket);
}

static enum sidecar_exit serve(sidecar *s, const sidecar_config *config)
{
    int signal_number = 0;
    haul_error err = {0};
    haul_status status = haul_server_start(s->server, &err);
    if (status != HAUL_OK) {
        log_event("cannot serve: %s", err.text);
        return SIDECAR_EXIT_FAILURE;
    }
    say_ready(s, config);
    status = loop_run(&s->loop, &s->pools, &signal_number, &err);
    (void)sd_notify(0, "STOPPING=1");
    if (status == HAUL_OK) {
        log_event("stopping: SIG%s", sigabbrev_np(signal_number));
    } else {
        log_event("stopping: %s", err.text);
    }
    haul_server_stop(s->server, GRACE_NS);
    return status == HAUL_OK ? SIDECAR_EXIT_OK : SIDECAR_EXIT_FAILURE;
}

static enum sidecar_exit start(sidecar *s, const sidecar_config *config)
{
    haul_error err = {0};
    haul_status status = loop_init(&s->loop, config->reap_interval_ns, &err);
    if (status != HAUL_OK) {
        log_event("%s", err.text);
        return SIDECAR_EXIT_FAILURE;
    }
    status = listen_on(s, config->socket, &err);
    if (status != HAUL_OK) {
        log_event("cannot listen on %s: %s", config->socket,
                  status == HAUL_BUSY ? "another process listens there" : err.text);
        return SIDECAR_EXIT_FAILURE;
    }
    status = pools_open(config, &s->pools, &err); /* says itself which pool failed, and why */
    if (status != HAUL_OK) {
        return status == HAUL_EXISTS ? SIDECAR_EXIT_CONFIG : SIDECAR_EXIT_FAILURE;
    }
    return serve(s, config);
}

enum sidecar_exit sidecar_run(const sidecar_config *config)
{
    sidecar s = {.loop = LOOP_CLOSED};
    enum sidecar_exit code = start(&s, config);
    haul_server_destroy(s.server);
    pools_close(&s.pools);
    loop_fini(&s.loop);
    if (code == SIDECAR_EXIT_OK) {
        log_event("stopped");
    }
    return code;
}
