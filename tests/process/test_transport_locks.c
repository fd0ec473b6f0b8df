/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * No lock of the library is held across a system call, or across a call into gRPC, which may make
 * any: a thread that loses its core there would stop the other callers of its channel.
 *
 * The library is linked statically, and the linker puts the functions below in front of those that
 * it uses for locking, for system calls and of gRPC. Each thread counts the library's locks that it
 * holds. Waking somebody is a system call too, and so may be taking a lock that somebody else has.
 * What is watched is calls on a channel that is warm, by many threads at once: making the first
 * connection, mapping a buffer for the first time, and the end of a server or channel are left out.
 */

#include "transport_test.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpc/grpc.h>

enum {
    CALLERS = 8,
    ROUNDS = 60,
    LEN = 4000,
    SMALL_CLASS = 4096, /* of the test pool */
    LARGE_CLASS = 65536,
    BUFFERS_MAX = 32
};

static _Thread_local unsigned n_held;
static atomic_bool watching;
static atomic_uint n_locks;
static atomic_uint n_entries;
static _Atomic(const char *) offender;

/* The handlers' own lock, which is none of the library's. */
static pthread_mutex_t *foreign;

/* By which all calls could be cancelled. */
static haul_cancel *cancel;

/* The library is about to do @what, for which it must hold no lock. */
static void enter(const char *what)
{
    if (atomic_load(&watching)) {
        atomic_fetch_add(&n_entries, 1);
        if (n_held > 0) {
            atomic_store(&offender, what);
        }
    }
}

/* ---- Locks ---- */

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (mutex == foreign) {
        return __real_pthread_mutex_lock(mutex);
    }
    enter("pthread_mutex_lock");
    int result = __real_pthread_mutex_lock(mutex);
    n_held++;
    atomic_fetch_add(&n_locks, 1);
    return result;
}

int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    n_held -= mutex != foreign;
    return __real_pthread_mutex_unlock(mutex);
}

/* Waiting gives up the one lock that it is given. */
int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    n_held--;
    enter("pthread_cond_wait");
    int result = __real_pthread_cond_wait(cond, mutex);
    n_held++;
    return result;
}

int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    n_held--;
    enter("pthread_cond_timedwait");
    int result = __real_pthread_cond_timedwait(cond, mutex, until);
    n_held++;
    return result;
}

/* ---- What must not be done under one ---- */

/* clang-format off */
#define WATCH(type, name, parameters, arguments) \
    type __real_##name parameters;               \
    type __wrap_##name parameters;               \
    type __wrap_##name parameters                \
    {                                            \
        enter(#name);                            \
        return __real_##name arguments;          \
    }
/* clang-format on */

WATCH(int, pthread_cond_signal, (pthread_cond_t * cond), (cond))
WATCH(int, pthread_cond_broadcast, (pthread_cond_t * cond), (cond))
WATCH(void *, mmap, (void *at, size_t len, int protection, int flags, int fd, off_t offset),
      (at, len, protection, flags, fd, offset))
WATCH(int, munmap, (void *at, size_t len), (at, len))
WATCH(int, madvise, (void *at, size_t len, int advice), (at, len, advice))
WATCH(int, shm_open, (const char *name, int flags, mode_t mode), (name, flags, mode))
WATCH(ssize_t, pread, (int fd, void *data, size_t len, off_t offset), (fd, data, len, offset))
WATCH(int, close, (int fd), (fd))
WATCH(ssize_t, recv, (int fd, void *data, size_t len, int flags), (fd, data, len, flags))
WATCH(ssize_t, send, (int fd, const void *data, size_t len, int flags), (fd, data, len, flags))
WATCH(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
WATCH(int, shutdown, (int fd, int how), (fd, how))
WATCH(long, syscall, (long number, long a, long b, long c, long d, long e, long f),
      (number, a, b, c, d, e, f))
WATCH(grpc_call_error, grpc_call_start_batch,
      (grpc_call * call, const grpc_op *ops, size_t n, void *tag, void *reserved),
      (call, ops, n, tag, reserved))
WATCH(grpc_event, grpc_completion_queue_next,
      (grpc_completion_queue * queue, gpr_timespec until, void *reserved), (queue, until, reserved))
WATCH(grpc_event, grpc_completion_queue_pluck,
      (grpc_completion_queue * queue, void *tag, gpr_timespec until, void *reserved),
      (queue, tag, until, reserved))
WATCH(grpc_call *, grpc_channel_create_registered_call,
      (grpc_channel * channel, grpc_call *parent, uint32_t mask, grpc_completion_queue *queue,
       void *method, gpr_timespec deadline, void *reserved),
      (channel, parent, mask, queue, method, deadline, reserved))
WATCH(grpc_connectivity_state, grpc_channel_check_connectivity_state,
      (grpc_channel * channel, int connect), (channel, connect))
WATCH(grpc_call_error, grpc_server_request_registered_call,
      (grpc_server * server, void *method, grpc_call **call, gpr_timespec *deadline,
       grpc_metadata_array *metadata, grpc_byte_buffer **payload, grpc_completion_queue *call_queue,
       grpc_completion_queue *queue, void *tag),
      (server, method, call, deadline, metadata, payload, call_queue, queue, tag))

void __real_grpc_call_unref(grpc_call *call);
void __wrap_grpc_call_unref(grpc_call *call);
void __wrap_grpc_call_unref(grpc_call *call)
{
    enter("grpc_call_unref");
    __real_grpc_call_unref(call);
}

/* ---- The calls ---- */

static void exchange(test_pair *pair, haul_payload *data, Haul__Test__Mode mode)
{
    Haul__Test__ExchangeRequest request = HAUL__TEST__EXCHANGE_REQUEST__INIT;
    request.data = data;
    request.mode = mode;
    request.size = LEN;
    const haul_call_opts opts = {.struct_size = sizeof(opts), .cancel = cancel};
    haul_reply *reply = test_exchange(pair, &request, &opts);
    (void)test_response(reply);
    haul_reply_free(reply);
}

typedef struct caller {
    pthread_t thread;
    test_pair *pair;
    haul_payload *by_key;
} caller;

static void *call_all_ways(void *arg)
{
    const caller *c = arg;
    uint8_t bytes[100];
    test_fill(bytes, sizeof(bytes), 1);
    for (int i = 0; i < ROUNDS; i++) {
        haul_payload_out out;
        haul_payload_set_inline(&out, bytes, sizeof(bytes));
        exchange(c->pair, NULL, HAUL__TEST__MODE__MODE_SUM);
        exchange(c->pair, &out.payload, HAUL__TEST__MODE__MODE_SUM);
        exchange(c->pair, c->by_key, HAUL__TEST__MODE__MODE_PUT);
    }
    return NULL;
}

static void call_at_once(test_pair *pair, haul_payload *by_key)
{
    caller callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (caller){.pair = pair, .by_key = by_key};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_all_ways, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
    }
}

/* Have every buffer made, and mapped by both: by @from as its owner, by @by as a reader. */
static void map_all(haul_pool *from, haul_pool *by)
{
    static const uint64_t sizes[] = {SMALL_CLASS, LARGE_CLASS};
    haul_buf *bufs[BUFFERS_MAX];
    size_t n = 0;
    for (size_t s = 0; s < 2; s++) {
        while (n < BUFFERS_MAX && haul_buf_alloc(from, sizes[s], NULL, &bufs[n]) == HAUL_OK) {
            haul_key key;
            haul_view view;
            test_fill(haul_buf_data(bufs[n]), sizes[s], 1);
            assert_ok(haul_buf_share(bufs[n++], sizes[s], &key));
            assert_ok(haul_attach(by, &key, sizes[s], &view));
            assert_true(test_is_filled(view.data, view.len, 1));
            haul_detach(&view);
        }
    }
    assert_in_range(n, CALLERS + 1, BUFFERS_MAX - 1);
    while (n > 0) {
        haul_buf_release(bufs[--n]);
    }
}

static void watch_calls(bool no_data_connections)
{
    const haul_channel_opts channel = {.no_data_connections = no_data_connections};
    test_pair pair;
    foreign = &pair.service.mutex;
    test_pair_open(&pair, &(test_pair_opts){.channel = &channel});
    assert_ok(haul_cancel_create(&cancel));
    map_all(pair.client_pool, pair.server_pool);
    map_all(pair.server_pool, pair.client_pool);
    haul_payload_out out;
    haul_buf *buf = test_payload(pair.client_pool, LEN, 1, &out);
    call_at_once(&pair, &out.payload); /* from here on the lane is proven */
    atomic_store(&n_locks, 0);
    atomic_store(&n_entries, 0);
    atomic_store(&watching, true);
    call_at_once(&pair, &out.payload);
    atomic_store(&watching, false);
    /* Each call takes locks on both sides, and makes more than two calls into gRPC or the kernel. */
    unsigned n_calls = CALLERS * ROUNDS * 3;
    assert_true(atomic_load(&n_locks) >= 2 * n_calls);
    assert_true(atomic_load(&n_entries) >= 3 * n_calls);
    const char *what = atomic_load(&offender);
    if (what) {
        fail_msg("%s was called under a lock", what);
    }
    haul_buf_release(buf);
    haul_cancel_destroy(cancel);
    test_pair_close(&pair);
}

/* On the trunk, and past gRPC. */
static void no_lock_is_held_across_a_system_call(void **state)
{
    (void)state;
    watch_calls(true);
    watch_calls(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_lock_is_held_across_a_system_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
