/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/* Two and more processes on one pool: hand-over, death by SIGKILL at every stage, stopped
 * processes, fork, and what a pool refuses while others use it. */

#include "peer.h"
#include "pool_test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/impl.h"
#include "pool/wait.h"

static peer join(haul_pool *pool)
{
    peer p = peer_start(POOL_PEER);
    assert_ok(peer_call(&p, "open %s", haul_pool_name(pool)));
    return p;
}

static haul_key key_of(const peer *p, uint64_t *out_len)
{
    haul_key key = {0};
    assert_ok(haul_key_parse(p->answer, &key, out_len));
    return key;
}

static size_t reap(haul_pool *pool)
{
    size_t n = 0;
    assert_ok(haul_pool_reap(pool, &n, NULL));
    return n;
}

/* ---- Hand-over ----------------------------------------------------------------------------- */

static void bytes_travel_by_key(void **state)
{
    haul_pool *pool = *state;
    peer owner = join(pool);
    peer reader = join(pool);
    assert_ok(peer_call(&owner, "alloc 0 60000"));
    assert_ok(peer_call(&owner, "fill 0 3"));
    assert_ok(peer_call(&owner, "share 0 60000"));
    assert_ok(peer_call(&reader, "attach 1 %s", owner.answer));
    assert_ok(peer_call(&owner, "release 0"));
    assert_ok(peer_call(&reader, "sum 1"));
    assert_string_equal(reader.answer, "180000");
    assert_int_equal(test_class_info(pool, 1).n_retired, 1);
    assert_ok(peer_call(&reader, "detach 1"));
    peer_stop(&owner);
    peer_stop(&reader);
    assert_int_equal(test_class_info(pool, 1).n_free, 2);
}

static void a_gift_travels_by_key(void **state)
{
    haul_pool *pool = *state;
    peer giver = join(pool);
    peer recipient = join(pool);
    assert_ok(peer_call(&recipient, "slot"));
    assert_ok(peer_call(&giver, "alloc 0 100"));
    assert_ok(peer_call(&giver, "fill 0 2"));
    assert_ok(peer_call(&giver, "give 0 100 %s 9000000000000000000", recipient.answer));
    char key[HAUL_KEY_TEXT_BYTES];
    (void)snprintf(key, sizeof(key), "%.127s", giver.answer);
    assert_status(peer_call(&giver, "claim 1 %s", key), HAUL_STALE);
    assert_int_equal(WTERMSIG(peer_kill(&giver)), SIGKILL);
    reap(pool); /* the giver's death does not take the gift back */
    assert_ok(peer_call(&recipient, "claim 2 %s", key));
    assert_ok(peer_call(&recipient, "view 2"));
    assert_ok(peer_call(&recipient, "sum 2"));
    assert_string_equal(recipient.answer, "200");
    peer_stop(&recipient); /* leaving gives everything back */
}

static void an_attacher_cannot_write(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    char text[HAUL_KEY_TEXT_BYTES];
    peer reader = join(pool);
    haul_buf *buf = test_share(pool, 4096, 1, &key);
    haul_key_format(&key, 4096, text);
    assert_ok(peer_call(&reader, "attach 0 %s", text));
    peer_tell(&reader, "scribble 0");
    int wstatus = peer_wait(&reader);
    /* A sanitizer turns the signal into an exit of its own. */
    assert_true(WIFSIGNALED(wstatus) ? WTERMSIG(wstatus) == SIGSEGV : WEXITSTATUS(wstatus) != 0);
    haul_buf_release(buf);
}

/* ---- Death --------------------------------------------------------------------------------- */

static void an_owner_dies_while_filling(void **state)
{
    haul_pool *pool = *state;
    peer owner = join(pool);
    assert_ok(peer_call(&owner, "alloc 0 100"));
    assert_ok(peer_call(&owner, "alloc 1 60000"));
    assert_ok(peer_call(&owner, "alloc 2 200000"));
    (void)peer_kill(&owner);
    assert_int_equal(reap(pool), 3);
}

static void an_owner_dies_while_others_read(void **state)
{
    haul_pool *pool = *state;
    uint64_t len;
    haul_view view;
    haul_view late;
    peer owner = join(pool);
    assert_ok(peer_call(&owner, "alloc 0 4096"));
    assert_ok(peer_call(&owner, "fill 0 8"));
    assert_ok(peer_call(&owner, "share 0 4096"));
    haul_key key = key_of(&owner, &len);
    assert_ok(haul_attach(pool, &key, len, &view));
    (void)peer_kill(&owner);
    assert_int_equal(reap(pool), 1);
    assert_int_equal(view.data[4095], 8);
    assert_status(haul_attach(pool, &key, len, &late), HAUL_STALE);
    assert_int_equal(test_class_info(pool, 0).n_retired, 1);
    haul_detach(&view);
    assert_int_equal(test_class_info(pool, 0).n_free, 4);
}

static void a_reader_dies(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    char text[HAUL_KEY_TEXT_BYTES];
    peer reader = join(pool);
    haul_buf *buf = test_share(pool, 100, 1, &key);
    haul_key_format(&key, 100, text);
    assert_ok(peer_call(&reader, "attach 0 %s", text));
    (void)peer_kill(&reader);
    haul_buf_release(buf);
    assert_int_equal(test_class_info(pool, 0).n_retired, 1);
    assert_int_equal(reap(pool), 1);
}

static void a_recipient_dies_before_it_claims(void **state)
{
    haul_pool *pool = *state;
    haul_key key;
    peer recipient = join(pool);
    assert_ok(peer_call(&recipient, "slot"));
    haul_buf *buf = test_alloc(pool, 100);
    uint32_t slot = (uint32_t)strtoul(recipient.answer, NULL, 10);
    assert_ok(haul_buf_give(buf, 100, slot, UINT64_MAX, &key));
    (void)peer_kill(&recipient);
    assert_int_equal(reap(pool), 1);
}

static void everybody_dies_and_the_next_one_finds_all_free(void **state)
{
    haul_pool *pool = *state;
    peer owner = join(pool);
    peer reader = join(pool);
    assert_ok(peer_call(&owner, "alloc 0 100"));
    assert_ok(peer_call(&owner, "share 0 100"));
    assert_ok(peer_call(&reader, "attach 0 %s", owner.answer));
    assert_ok(peer_call(&reader, "alloc 1 100"));
    (void)peer_kill(&owner);
    (void)peer_kill(&reader);
    /* Two joiners take the two slots and clean them; nobody calls reap. */
    peer a = join(pool);
    peer b = join(pool);
    assert_all_free(pool);
    peer_stop(&a);
    peer_stop(&b);
}

static void an_allocator_without_a_buffer_takes_from_the_dead(void **state)
{
    haul_pool *pool = *state;
    const haul_alloc_opts strict = {.struct_size = sizeof(strict)};
    haul_buf *buf;
    peer hog = join(pool);
    for (int i = 0; i < 4; i++) {
        assert_ok(peer_call(&hog, "alloc %d 100 0", i));
    }
    assert_status(haul_buf_alloc(pool, 1, &strict, &buf), HAUL_EXHAUSTED);
    (void)peer_kill(&hog);
    assert_ok(haul_buf_alloc(pool, 1, &strict, &buf));
    haul_buf_release(buf);
}

/* ---- Not dead ------------------------------------------------------------------------------ */

static void a_stopped_process_keeps_everything(void **state)
{
    haul_pool *pool = *state;
    int wstatus;
    peer p = join(pool);
    assert_ok(peer_call(&p, "alloc 0 100"));
    assert_ok(peer_call(&p, "share 0 100"));
    assert_ok(peer_call(&p, "attach 0 %s", p.answer));
    assert_int_equal(kill(p.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(p.pid, &wstatus, WUNTRACED), p.pid);
    assert_true(WIFSTOPPED(wstatus));
    assert_int_equal(reap(pool), 0);
    assert_int_equal(test_class_info(pool, 0).n_shared, 1);
    assert_int_equal(kill(p.pid, SIGCONT), 0);
    assert_ok(peer_call(&p, "sum 0"));
    peer_stop(&p);
}

/* A waiter in another process, without a deadline, is woken by a release here. */
static void a_release_wakes_a_waiter_in_another_process(void **state)
{
    haul_pool *pool = *state;
    haul_buf *bufs[4];
    peer waiter = join(pool);
    for (int i = 0; i < 4; i++) {
        bufs[i] = test_alloc(pool, 1);
    }
    peer_tell(&waiter, "alloc 0 1 0 -1");
    while ((haul__load32_seq(&haul__header_of(pool)->wake) & 1) == 0) {
        (void)sched_yield();
    }
    haul_buf_release(bufs[3]);
    assert_ok(peer_call(&waiter, "slot")); /* the first answer is the allocation's */
    assert_string_equal(waiter.answer, "");
    peer_stop(&waiter);
    for (int i = 0; i < 3; i++) {
        haul_buf_release(bufs[i]);
    }
}

/* ---- fork ---------------------------------------------------------------------------------- */

static void a_forked_child_is_refused_and_the_parent_keeps_its_things(void **state)
{
    haul_pool *pool = *state;
    peer p = join(pool);
    assert_ok(peer_call(&p, "alloc 0 100"));
    assert_ok(peer_call(&p, "fill 0 1"));
    assert_ok(peer_call(&p, "share 0 100"));
    assert_ok(peer_call(&p, "attach 0 %s", p.answer));
    assert_status(peer_call(&p, "child"), HAUL_INVALID);
    assert_int_equal(reap(pool), 0);
    assert_ok(peer_call(&p, "sum 0"));
    assert_string_equal(p.answer, "100");
    peer_stop(&p);
}

static void a_childs_copies_do_not_keep_a_dead_parent_alive(void **state)
{
    haul_pool *pool = *state;
    peer p = join(pool);
    assert_ok(peer_call(&p, "alloc 0 100"));
    assert_ok(peer_call(&p, "leave-child"));
    pid_t child = (pid_t)strtol(p.answer, NULL, 10);
    (void)peer_kill(&p);
    assert_int_equal(reap(pool), 1);
    assert_int_equal(kill(child, 0), 0); /* it did live on */
    assert_int_equal(kill(child, SIGKILL), 0);
}

/* ---- Who may what -------------------------------------------------------------------------- */

static void one_keeper_at_a_time(void **state)
{
    haul_pool *pool = *state;
    peer first = peer_start(POOL_PEER);
    peer second = peer_start(POOL_PEER);
    assert_ok(peer_call(&first, "open %s keeper", haul_pool_name(pool)));
    assert_status(peer_call(&second, "open %s keeper", haul_pool_name(pool)), HAUL_BUSY);
    (void)peer_kill(&first);
    assert_ok(peer_call(&second, "open %s keeper", haul_pool_name(pool)));
    peer_stop(&second);
}

static void slots_run_out_and_come_back(void **state)
{
    haul_pool *pool = *state;
    haul_pool *mine[15];
    for (int i = 0; i < 15; i++) {
        assert_ok(haul_pool_open(haul_pool_name(pool), NULL, &mine[i], NULL));
    }
    peer p = peer_start(POOL_PEER);
    assert_status(peer_call(&p, "open %s", haul_pool_name(pool)), HAUL_EXHAUSTED);
    haul_pool_close(mine[7]);
    assert_ok(peer_call(&p, "open %s", haul_pool_name(pool)));
    assert_ok(peer_call(&p, "slot"));
    assert_string_equal(p.answer, "9");
    peer_stop(&p);
    for (int i = 0; i < 15; i++) {
        if (i != 7) {
            haul_pool_close(mine[i]);
        }
    }
}

static void a_pool_in_use_is_not_removed_unless_forced(void **state)
{
    haul_pool *pool = *state;
    char name[HAUL_POOL_NAME_MAX + 1];
    haul_error err;
    haul_key key;
    haul_view view;
    haul_pool *gone;
    (void)snprintf(name, sizeof(name), "%s", test_pool_name("forced"));
    haul_pool *mine = test_pool_create("forced");
    haul_buf *buf = test_share(mine, 100, 6, &key);
    assert_ok(haul_attach(mine, &key, 100, &view));
    assert_status(haul_pool_remove(name, false, &err), HAUL_BUSY);
    assert_non_null(strstr(err.text, "1 living"));
    assert_audit_clean(mine);
    assert_ok(haul_pool_remove(name, true, NULL));
    /* It goes on for those who have it, makes nothing new, and cannot be found. */
    assert_int_equal(view.data[99], 6);
    haul_buf *more;
    haul_buf_release(buf);
    haul_detach(&view);
    haul_buf_release(test_alloc(mine, 100)); /* the one that is mapped */
    assert_status(haul_buf_alloc(mine, 60000, NULL, &more), HAUL_NOT_FOUND);
    assert_status(haul_pool_grow(mine, 0, 8, NULL), HAUL_NOT_FOUND);
    assert_status(haul_pool_open(name, NULL, &gone, NULL), HAUL_NOT_FOUND);
    haul_pool_close(mine);
    assert_status(haul_pool_remove(name, true, NULL), HAUL_NOT_FOUND);
    (void)pool;
}

static void a_pool_whose_users_all_died_can_be_removed(void **state)
{
    (void)state;
    peer p = peer_start(POOL_PEER);
    const char *name = test_pool_name("orphan");
    assert_ok(peer_call(&p, "create %s", name));
    assert_status(haul_pool_remove(name, false, NULL), HAUL_BUSY);
    (void)peer_kill(&p);
    assert_ok(haul_pool_remove(name, false, NULL));
}

static void an_observer_sees_and_touches_nothing(void **state)
{
    haul_pool *pool = *state;
    const haul_open_opts opts = {.struct_size = sizeof(opts), .observe = true};
    haul_pool *observer;
    haul_buf *buf;
    haul_key key;
    haul_view view;
    haul_buf *shared = test_share(pool, 1, 1, &key);
    assert_ok(haul_pool_open(haul_pool_name(pool), &opts, &observer, NULL));
    assert_int_equal(haul_pool_participant(observer), 0);
    assert_int_equal(test_class_info(observer, 0).n_shared, 1);
    assert_audit_clean(observer);
    assert_status(haul_buf_alloc(observer, 1, NULL, &buf), HAUL_INVALID);
    assert_status(haul_attach(observer, &key, 1, &view), HAUL_INVALID);
    assert_status(haul_pool_reap(observer, NULL, NULL), HAUL_INVALID);
    assert_status(haul_pool_trim(observer, NULL, NULL), HAUL_INVALID);
    haul_pool_close(observer);
    haul_buf_release(shared);
}

int main(void)
{
#define IN_A_POOL(f) cmocka_unit_test_setup_teardown(f, test_pool_setup, test_pool_teardown_reaped)
    const struct CMUnitTest tests[] = {
        IN_A_POOL(bytes_travel_by_key),
        IN_A_POOL(a_gift_travels_by_key),
        IN_A_POOL(an_attacher_cannot_write),
        IN_A_POOL(an_owner_dies_while_filling),
        IN_A_POOL(an_owner_dies_while_others_read),
        IN_A_POOL(a_reader_dies),
        IN_A_POOL(a_recipient_dies_before_it_claims),
        IN_A_POOL(everybody_dies_and_the_next_one_finds_all_free),
        IN_A_POOL(an_allocator_without_a_buffer_takes_from_the_dead),
        IN_A_POOL(a_stopped_process_keeps_everything),
        IN_A_POOL(a_release_wakes_a_waiter_in_another_process),
        IN_A_POOL(a_forked_child_is_refused_and_the_parent_keeps_its_things),
        IN_A_POOL(a_childs_copies_do_not_keep_a_dead_parent_alive),
        IN_A_POOL(one_keeper_at_a_time),
        IN_A_POOL(slots_run_out_and_come_back),
        IN_A_POOL(a_pool_in_use_is_not_removed_unless_forced),
        IN_A_POOL(a_pool_whose_users_all_died_can_be_removed),
        IN_A_POOL(an_observer_sees_and_touches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
