/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Addresses: what a server does about those that are taken, left over, not sockets or nonsense, and
 * what it leaves behind. And the order in which a server may be set up.
 */

#include "transport_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct place {
    char dir[80]; /* a directory of this test's own, to see what is left in it */
    char path[100];
    char address[120];
} place;

static int make_place(void **state)
{
    static place p;
    char unique[100];
    test_socket_path(unique, sizeof(unique), "listen");
    (void)snprintf(p.dir, sizeof(p.dir), "%.70s.d", unique);
    (void)snprintf(p.path, sizeof(p.path), "%.80s/socket", p.dir);
    (void)snprintf(p.address, sizeof(p.address), "unix:%s", p.path);
    *state = &p;
    return mkdir(p.dir, 0700);
}

/* The directory must be empty: no socket, no workshop. */
static int remove_place(void **state)
{
    return rmdir(((const place *)*state)->dir);
}

static haul_server *create(void)
{
    haul_server *server = NULL;
    assert_ok(haul_server_create(NULL, &server, NULL));
    return server;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* Whether an empty call at @address ends OK or UNIMPLEMENTED: somebody serves there. */
static bool answers(const char *address)
{
    haul_channel *channel = NULL;
    haul_reply *reply = NULL;
    const Haul__Test__EmptyRequest request = HAUL__TEST__EMPTY_REQUEST__INIT;
    assert_ok(haul_channel_open(address, NULL, &channel, NULL));
    assert_ok(haul_channel_call(channel, &haul__test__test_service__descriptor, 0, &request.base,
                                NULL, &reply));
    grpc_status_code code = haul_reply_code(reply);
    haul_reply_free(reply);
    haul_channel_close(channel);
    return code == GRPC_STATUS_UNIMPLEMENTED;
}

static void a_socket_with_its_mode(void **state)
{
    const place *p = *state;
    static const uint32_t modes[] = {0600, 0660, 0666};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        haul_server *server = create();
        assert_ok(haul_server_listen(server, p->address, modes[i], NULL, NULL));
        struct stat st;
        assert_int_equal(lstat(p->path, &st), 0);
        assert_true(S_ISSOCK(st.st_mode));
        assert_int_equal(st.st_mode & 0777, modes[i]);
        assert_ok(haul_server_start(server, NULL));
        assert_true(answers(p->address));
        haul_server_stop(server, 0);
        assert_false(exists(p->path));
        haul_server_destroy(server);
    }
}

static void a_mode_left_to_the_umask(void **state)
{
    const place *p = *state;
    mode_t before = umask(0027);
    haul_server *server = create();
    assert_ok(haul_server_listen(server, p->address, 0, NULL, NULL));
    (void)umask(before);
    struct stat st;
    assert_int_equal(lstat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    haul_server_destroy(server);
}

static void a_path_with_a_live_listener(void **state)
{
    const place *p = *state;
    haul_server *first = create();
    haul_server *second = create();
    haul_error err = {0};
    assert_ok(haul_server_listen(first, p->address, 0600, NULL, NULL));
    assert_ok(haul_server_start(first, NULL));
    assert_status(haul_server_listen(second, p->address, 0600, NULL, &err), HAUL_BUSY);
    assert_non_null(strstr(err.text, p->path));
    haul_server_destroy(second);
    assert_true(answers(p->address));
    haul_server_destroy(first);
}

/* A socket file whose owner has gone without removing it. */
static void leave_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(close(fd), 0);
    assert_true(exists(path));
}

static void a_path_left_by_the_dead(void **state)
{
    const place *p = *state;
    leave_socket(p->path);
    haul_server *server = create();
    assert_ok(haul_server_listen(server, p->address, 0600, NULL, NULL));
    assert_ok(haul_server_start(server, NULL));
    assert_true(answers(p->address));
    haul_server_destroy(server);
}

static void a_path_that_is_not_a_socket(void **state)
{
    const place *p = *state;
    int fd = open(p->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "kept", 4), 4);
    assert_int_equal(close(fd), 0);
    haul_server *server = create();
    assert_status(haul_server_listen(server, p->address, 0600, NULL, NULL), HAUL_INVALID);
    struct stat st;
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_size, 4);
    haul_server_destroy(server);
    assert_int_equal(unlink(p->path), 0);
    assert_int_equal(symlink("/nonexistent", p->path), 0);
    server = create();
    assert_status(haul_server_listen(server, p->address, 0600, NULL, NULL), HAUL_INVALID);
    haul_server_destroy(server);
    assert_int_equal(unlink(p->path), 0);
}

/* What is at the path when the server stops may not be its own any more. */
static void a_path_that_somebody_took_over(void **state)
{
    const place *p = *state;
    haul_server *server = create();
    assert_ok(haul_server_listen(server, p->address, 0600, NULL, NULL));
    assert_ok(haul_server_start(server, NULL));
    assert_int_equal(unlink(p->path), 0);
    leave_socket(p->path);
    haul_server_destroy(server);
    assert_true(exists(p->path));
    assert_int_equal(unlink(p->path), 0);
}

static void paths_that_cannot_be(void **state)
{
    (void)state;
    char longest[300] = "unix:/tmp/";
    memset(longest + strlen(longest), 'x', 200);
    haul_server *server = create();
    haul_error err = {0};
    assert_status(haul_server_listen(server, longest, 0600, NULL, &err), HAUL_INVALID);
    assert_status(haul_server_listen(server, "unix:", 0600, NULL, &err), HAUL_INVALID);
    assert_status(haul_server_listen(server, "unix:/no/such/folder/s", 0600, NULL, &err),
                  HAUL_NOT_FOUND);
    assert_string_not_equal(err.text, "");
    haul_server_destroy(server);
}

static void abstract_names(void **state)
{
    (void)state;
    char address[100];
    (void)snprintf(address, sizeof(address), "unix-abstract:haul-test-%ld", (long)getpid());
    haul_server *first = create();
    haul_server *second = create();
    assert_ok(haul_server_listen(first, address, 0, NULL, NULL));
    assert_ok(haul_server_start(first, NULL));
    assert_status(haul_server_listen(second, address, 0, NULL, NULL), HAUL_BUSY);
    assert_status(haul_server_listen(second, "unix-abstract:", 0, NULL, NULL), HAUL_INVALID);
    haul_server_destroy(second);
    assert_true(answers(address));
    haul_server_destroy(first);
}

static void tcp_ports(void **state)
{
    (void)state;
    haul_server *first = create();
    haul_server *second = create();
    int port = 0;
    char address[64];
    assert_ok(haul_server_listen(first, "127.0.0.1:0", 0, &port, NULL));
    assert_in_range(port, 1, 65535);
    assert_ok(haul_server_start(first, NULL));
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    assert_status(haul_server_listen(second, address, 0, NULL, NULL), HAUL_BUSY);
    static const char *const nonsense[] = {
        "",       "127.0.0.1",    "127.0.0.1:",     ":1",       "127.0.0.1:65536", "127.0.0.1:x",
        "::1:80", "127.0.0.1:-1", "no such host:1", "vsock:1:2"};
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        haul_error err = {0};
        haul_status status = haul_server_listen(second, nonsense[i], 0, NULL, &err);
        if (status != HAUL_INVALID) {
            fail_msg("%s: %s", nonsense[i], haul_status_name(status));
        }
        assert_string_not_equal(err.text, "");
    }
    haul_server_destroy(second);
    assert_true(answers(address));
    haul_server_destroy(first);
}

static void several_addresses(void **state)
{
    const place *p = *state;
    haul_server *server = create();
    int port = 0;
    char address[64];
    assert_ok(haul_server_listen(server, p->address, 0600, NULL, NULL));
    assert_ok(haul_server_listen(server, "127.0.0.1:0", 0, &port, NULL));
    assert_ok(haul_server_start(server, NULL));
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    assert_true(answers(address));
    assert_true(answers(p->address));
    haul_server_destroy(server);
}

static void order_of_setting_up(void **state)
{
    const place *p = *state;
    test_service service;
    test_service_init(&service);
    ProtobufCService *base = (ProtobufCService *)&service.base;
    haul_server *server = create();
    haul_error err = {0};
    assert_status(haul_server_start(server, &err), HAUL_INVALID); /* no address */
    assert_ok(haul_server_add_service(server, base, &err));
    assert_status(haul_server_add_service(server, base, &err), HAUL_INVALID); /* twice */
    assert_ok(haul_server_listen(server, p->address, 0600, NULL, &err));
    assert_ok(haul_server_start(server, &err));
    assert_status(haul_server_start(server, &err), HAUL_INVALID);
    assert_status(haul_server_add_service(server, base, &err), HAUL_INVALID);
    assert_status(haul_server_listen(server, "127.0.0.1:0", 0, NULL, &err), HAUL_INVALID);
    haul_server_stop(server, 0);
    haul_server_stop(server, 0);
    assert_status(haul_server_start(server, &err), HAUL_INVALID);
    haul_server_destroy(server);
    haul_server_destroy(NULL);
    haul_channel_close(NULL);
    haul_reply_free(NULL);

    const haul_server_opts wrong = {.struct_size = 3};
    assert_status(haul_server_create(&wrong, &server, &err), HAUL_INVALID);
    const haul_channel_opts wrong_too = {.struct_size = 3};
    haul_channel *channel;
    assert_status(haul_channel_open(p->address, &wrong_too, &channel, &err), HAUL_INVALID);
    test_service_fini(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_socket_with_its_mode, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_mode_left_to_the_umask, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_path_with_a_live_listener, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_path_left_by_the_dead, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_path_that_is_not_a_socket, make_place, remove_place),
        cmocka_unit_test_setup_teardown(a_path_that_somebody_took_over, make_place, remove_place),
        cmocka_unit_test(paths_that_cannot_be),
        cmocka_unit_test(abstract_names),
        cmocka_unit_test(tcp_ports),
        cmocka_unit_test_setup_teardown(several_addresses, make_place, remove_place),
        cmocka_unit_test_setup_teardown(order_of_setting_up, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
