/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Servers that say on a trunk what they must not, or nothing. The client's calls are made without
 * it, at most a second later; and an answer that never ends is one that is too large.
 */

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "raw_trunk.h"
#include "sanitized.h"
#include "transport/deadline.h"
#include "transport_test.h"

#define MS UINT64_C(1000000)

static grpc_status_code call(haul_channel *channel)
{
    const Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    haul_reply *reply;
    assert_ok(haul_channel_call(channel, &haul__test__test_service__descriptor, 1, &request.base,
                                NULL, &reply));
    grpc_status_code code = haul_reply_code(reply);
    haul_reply_free(reply);
    return code;
}

/* @first: how the first call ends; @n_more others, one after the other, are OK. */
static void survive(raw_trunk_mode mode, grpc_status_code first, int n_more)
{
    char path[100];
    char address[128];
    haul_channel *channel;
    test_socket_path(path, sizeof(path), "raw-trunk");
    (void)snprintf(address, sizeof(address), "unix:%s", path);
    raw_trunk_server *server = raw_trunk_server_start(address, mode);
    const haul_channel_opts opts = {.struct_size = sizeof(opts), .max_message_bytes = 1 << 20};
    assert_ok(haul_channel_open(address, &opts, &channel, NULL));
    assert_int_equal(call(channel), first);
    for (int i = 0; i < n_more; i++) {
        assert_int_equal(call(channel), GRPC_STATUS_OK);
    }
    haul_channel_close(channel);
    raw_trunk_server_stop(server);
    (void)unlink(path);
}

static void assert_survived(raw_trunk_mode mode, grpc_status_code first)
{
    uint64_t begun = haul__clock_ns();
    survive(mode, first, first == GRPC_STATUS_OK ? 20 : 0);
    assert_in_range(haul__clock_ns() - begun, 0, 30000 * MS); /* one second, on a busy machine */
}

static void silence(void **state)
{
    (void)state;
    assert_survived(RAW_TRUNK_SILENT, GRPC_STATUS_OK);
}

static void garbage(void **state)
{
    (void)state;
    assert_survived(RAW_TRUNK_GARBAGE, GRPC_STATUS_OK);
}

static void no_room(void **state)
{
    (void)state;
    assert_survived(RAW_TRUNK_NO_ROOM, GRPC_STATUS_OK);
}

static void an_end_at_once(void **state)
{
    (void)state;
    assert_survived(RAW_TRUNK_ENDS, GRPC_STATUS_OK);
}

static void answers_to_nobody(void **state)
{
    (void)state;
    assert_survived(RAW_TRUNK_UNKNOWN, GRPC_STATUS_OK);
}

static void an_answer_without_end(void **state)
{
    (void)state;
    assert_survived(RAW_TRUNK_MORE, GRPC_STATUS_RESOURCE_EXHAUSTED);
}

/* Begin anew to note the most memory that this process has had. */
static void forget_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    assert_non_null(file);
    assert_true(fputs("5", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static unsigned long peak_mib(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    while (kib == 0 && fgets(line, sizeof(line), file)) {
        (void)sscanf(line, "VmHWM: %lu", &kib);
    }
    (void)fclose(file);
    assert_in_range(kib, 1, ULONG_MAX);
    return kib / 1024;
}

/* What came along with small parts, 70 MiB in all, is not kept with them. Some of it is on its way at
 * any time. */
static void an_answer_in_crumbs(void **state)
{
    (void)state;
    forget_peak();
    unsigned long before = peak_mib();
    survive(RAW_TRUNK_CRUMBS, GRPC_STATUS_OK, 0);
    if (!TEST_SANITIZED) {
        assert_in_range(peak_mib() - before, 0, 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence),
        cmocka_unit_test(garbage),
        cmocka_unit_test(no_room),
        cmocka_unit_test(an_end_at_once),
        cmocka_unit_test(answers_to_nobody),
        cmocka_unit_test(an_answer_without_end),
        cmocka_unit_test(an_answer_in_crumbs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
