/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * A process that uses a pool as it is told: one command a line on its input, one answer a line on
 * its output, a status' name and what there is to say. Buffers and views have numbers, 0 to 9,
 * chosen by the test.
 *
 * Built twice: against the pool, and against the pool with its fault points, where "arm POINT"
 * makes it kill itself with SIGKILL at the next pass through that point.
 */

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <shorthaul/pool.h>

#define N_REGISTERS 10

static haul_pool *pool;
static haul_buf *bufs[N_REGISTERS];
static haul_view views[N_REGISTERS];

#ifdef HAUL__FAULT_POINTS
#include "pool/fault.h"

static int armed = -1;

void haul__fault_hit(enum haul__fault point)
{
    if ((int)point == armed) {
        (void)kill(getpid(), SIGKILL);
    }
}

static haul_status arm(const char *name)
{
    static const char *const names[] = {
#define FAULT_NAME(n) #n,
        HAUL__FAULT_LIST(FAULT_NAME)
#undef FAULT_NAME
    };
    for (int i = 0; i < HAUL__N_FAULTS; i++) {
        if (strcmp(names[i], name) == 0) {
            armed = i;
            return HAUL_OK;
        }
    }
    return HAUL_INVALID;
}
#else
static haul_status arm(const char *name)
{
    (void)name;
    return HAUL_INVALID;
}
#endif

/* The geometry of the fault tests: small, and every policy possible. */
static haul_status create(const char *name)
{
    static const haul_class_config cls = {.size_bytes = 4096, .n_initial = 2, .n_max = 4};
    const haul_pool_config config = {.struct_size = sizeof(config),
                                     .classes = &cls,
                                     .n_classes = 1,
                                     .n_measured_max = 2,
                                     .budget_bytes = 1u << 20,
                                     .n_participants = 8};
    return haul_pool_create(name, &config, NULL, &pool, NULL);
}

static haul_status open_as(const char *name, const char *how)
{
    const haul_open_opts opts = {.struct_size = sizeof(opts),
                                 .participant_name = "peer",
                                 .keeper = strcmp(how, "keeper") == 0};
    return haul_pool_open(name, &opts, &pool, NULL);
}

/* Use the pool in a forked child; the answer is what the child found. */
static haul_status use_in_child(void)
{
    haul_buf *buf;
    pid_t pid = fork();
    if (pid == 0) {
        haul_status s = haul_buf_alloc(pool, 1, NULL, &buf);
        haul_detach(&views[0]);
        haul_pool_close(pool);
        _exit(-s);
    }
    int wstatus = 0;
    (void)waitpid(pid, &wstatus, 0);
    return WIFEXITED(wstatus) ? (haul_status)-WEXITSTATUS(wstatus) : HAUL_SYSTEM;
}

/* A child that lives on with whatever it inherited, until it is killed. Answers when it has begun
 * to run, for its fork handlers run in it. */
static haul_status leave_child(char *answer, size_t n)
{
    int born[2];
    char byte = 0;
    if (pipe(born) != 0) {
        return HAUL_SYSTEM;
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)!write(born[1], &byte, 1);
        (void)close(STDIN_FILENO);
        (void)close(STDOUT_FILENO);
        for (;;) {
            (void)pause();
        }
    }
    bool runs = read(born[0], &byte, 1) == 1;
    (void)snprintf(answer, n, "%ld", (long)pid);
    return pid > 0 && runs ? HAUL_OK : HAUL_SYSTEM;
}

static haul_status alloc(unsigned r, uint64_t len, unsigned policy, int64_t wait_ns)
{
    const haul_alloc_opts opts = {
        .struct_size = sizeof(opts), .policy = policy, .wait_ns = wait_ns};
    return haul_buf_alloc(pool, len, &opts, &bufs[r]);
}

static haul_status sum(unsigned r, char *answer, size_t n)
{
    uint64_t total = 0;
    for (uint64_t i = 0; i < views[r].len; i++) {
        total += views[r].data[i];
    }
    (void)snprintf(answer, n, "%" PRIu64, total);
    return HAUL_OK;
}

/* ---- Commands with a buffer or view -------------------------------------------------------- */

static haul_status on_register(const char *verb, unsigned r, const char *rest, char *answer)
{
    haul_key key;
    uint64_t a = 0;
    uint64_t b = 0;
    int64_t c = 0;
    haul_status s = HAUL_INVALID;
    int n = sscanf(rest, "%" SCNu64 " %" SCNu64 " %" SCNd64, &a, &b, &c);
    if (strcmp(verb, "alloc") == 0) {
        return alloc(r, a, n > 1 ? (unsigned)b : HAUL_ALLOC_DEFAULT, c);
    }
    if (strcmp(verb, "fill") == 0) {
        memset(haul_buf_data(bufs[r]), (int)a, haul_buf_capacity(bufs[r]));
        return HAUL_OK;
    }
    if (strcmp(verb, "share") == 0 || strcmp(verb, "give") == 0) {
        s = *verb == 's' ? haul_buf_share(bufs[r], a, &key)
                         : haul_buf_give(bufs[r], a, (uint32_t)b, (uint64_t)c, &key);
        if (s == HAUL_OK) {
            haul_key_format(&key, a, answer);
        }
        return s;
    }
    if (strcmp(verb, "attach") == 0) {
        s = haul_key_parse(rest, &key, &a);
        return s == HAUL_OK ? haul_attach(pool, &key, a, &views[r]) : s;
    }
    if (strcmp(verb, "claim") == 0) {
        s = haul_key_parse(rest, &key, &a);
        return s == HAUL_OK ? haul_buf_claim(pool, &key, a, &bufs[r]) : s;
    }
    if (strcmp(verb, "claim-empty") == 0) {
        s = haul_key_parse(rest, &key, &a);
        return s == HAUL_OK ? haul_buf_claim_empty(pool, &key, &bufs[r]) : s;
    }
    if (strcmp(verb, "publish") == 0 || strcmp(verb, "keep") == 0) {
        return haul_buf_publish(bufs[r], rest, *verb == 'k');
    }
    if (strcmp(verb, "view") == 0) {
        return haul_buf_view(bufs[r], &views[r]);
    }
    if (strcmp(verb, "sum") == 0) {
        return sum(r, answer, HAUL_KEY_TEXT_BYTES);
    }
    if (strcmp(verb, "scribble") == 0) { /* dies of it: the view is read-only */
        *(volatile uint8_t *)(uintptr_t)views[r].data = 1;
        return HAUL_OK;
    }
    if (strcmp(verb, "detach") == 0) {
        haul_detach(&views[r]);
        return HAUL_OK;
    }
    if (strcmp(verb, "release") == 0) {
        haul_buf_release(bufs[r]);
        return HAUL_OK;
    }
    return HAUL_INVALID;
}

/* ---- Commands without ---------------------------------------------------------------------- */

static haul_status on_pool(const char *verb, const char *rest, char *answer)
{
    char name[96] = "";
    char how[16] = "";
    haul_key key;
    uint64_t len;
    (void)sscanf(rest, "%95s %15s", name, how);
    if (strcmp(verb, "open") == 0) {
        return open_as(name, how);
    }
    if (strcmp(verb, "create") == 0) {
        return create(name);
    }
    if (strcmp(verb, "remove") == 0) {
        return haul_pool_remove(name, strcmp(how, "force") == 0, NULL);
    }
    if (strcmp(verb, "arm") == 0) {
        return arm(name);
    }
    if (strcmp(verb, "slot") == 0) {
        (void)snprintf(answer, HAUL_KEY_TEXT_BYTES, "%" PRIu32, haul_pool_participant(pool));
        return HAUL_OK;
    }
    if (strcmp(verb, "revoke") == 0) {
        haul_status s = haul_key_parse(rest, &key, &len);
        return s == HAUL_OK ? haul_pool_revoke(pool, &key) : s;
    }
    if (strcmp(verb, "find") == 0) {
        haul_status s = haul_pool_find(pool, name, &key, &len);
        if (s == HAUL_OK) {
            haul_key_format(&key, len, answer);
        }
        return s;
    }
    if (strcmp(verb, "withdraw") == 0) {
        return haul_pool_withdraw(pool, name);
    }
    if (strcmp(verb, "reap") == 0) {
        return haul_pool_reap(pool, NULL, NULL);
    }
    if (strcmp(verb, "grow") == 0) {
        return haul_pool_grow(pool, 0, (uint32_t)strtoul(rest, NULL, 10), NULL);
    }
    if (strcmp(verb, "trim") == 0) {
        return haul_pool_trim(pool, NULL, NULL);
    }
    if (strcmp(verb, "child") == 0) {
        return use_in_child();
    }
    if (strcmp(verb, "leave-child") == 0) {
        return leave_child(answer, HAUL_KEY_TEXT_BYTES);
    }
    if (strcmp(verb, "close") == 0) {
        haul_pool_close(pool);
        pool = NULL;
        return HAUL_OK;
    }
    return HAUL_INVALID;
}

int main(void)
{
    char line[320];
    while (fgets(line, sizeof(line), stdin)) {
        char verb[32] = "";
        char answer[HAUL_KEY_TEXT_BYTES] = "";
        int at = 0;
        int at_rest = 0;
        unsigned r = 0;
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%31s %n", verb, &at) < 1) {
            return 2;
        }
        haul_status s = on_pool(verb, line + at, answer);
        if (s == HAUL_INVALID && sscanf(line + at, "%u %n", &r, &at_rest) >= 1 && r < N_REGISTERS) {
            s = on_register(verb, r, line + at + at_rest, answer);
        }
        (void)printf("%s %s\n", haul_status_name(s), answer);
        (void)fflush(stdout);
    }
    haul_pool_close(pool);
    return 0;
}
