/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Death at every named point (src/pool/fault.h): a peer kills itself there with SIGKILL, another
 * process reaps, audits, finds every buffer free and passes a hundred buffers through the pool.
 */

#include "peer.h"
#include "pool_test.h"

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "pool/fault.h"

#define N_STEPS 6

/* What leads to a point. In steps, $K is the key that the peer told last, $S its slot, $P the pool.
 */
typedef struct scenario {
    enum haul__fault point;
    const char *name;
    bool joined;                /* the peer joins the pool first */
    bool victim;                /* another process died in the pool before */
    const char *steps[N_STEPS]; /* the last one kills */
} scenario;

#define AT(point_name) .point = HAUL__FAULT_##point_name, .name = #point_name
#define IN_POOL(point_name, ...)                                                                   \
    {                                                                                              \
        AT(point_name), .joined = true, .steps = { __VA_ARGS__ }                                   \
    }
#define AFTER_DEATH(point_name, is_joined, ...)                                                    \
    {                                                                                              \
        AT(point_name), .joined = is_joined, .victim = true, .steps = { __VA_ARGS__ }              \
    }

static const scenario scenarios[] = {
    IN_POOL(ALLOC_OWNED, "alloc 0 100"),
    IN_POOL(ALLOC_COUNTED, "alloc 0 100"),
    IN_POOL(SHARE_WRITTEN, "alloc 0 100", "share 0 100"),
    IN_POOL(SHARE_DONE, "alloc 0 100", "share 0 100"),
    IN_POOL(GIVE_WRITTEN, "alloc 0 100", "give 0 100 $S 9000000000000000000"),
    IN_POOL(GIVE_DONE, "alloc 0 100", "give 0 100 $S 9000000000000000000"),
    IN_POOL(PUBLISH_WRITING, "alloc 0 100", "share 0 100", "publish 0 x"),
    IN_POOL(PUBLISH_ANNOUNCED, "alloc 0 100", "share 0 100", "keep 0 x"),
    IN_POOL(WITHDRAW_RETIRED, "alloc 0 100", "share 0 100", "keep 0 x", "withdraw x"),
    IN_POOL(REVOKE_RETIRED, "alloc 0 100", "give 0 100 $S 9000000000000000000", "revoke $K"),
    IN_POOL(CLAIM_DONE, "alloc 0 100", "give 0 100 $S 9000000000000000000", "claim 0 $K"),
    IN_POOL(CLAIM_OWNED, "alloc 0 100", "give 0 0 $S 9000000000000000000", "claim-empty 0 $K"),
    IN_POOL(ATTACH_BIT_SET, "attach 0 $F"),
    IN_POOL(ATTACH_PINNED, "attach 0 $F"),
    IN_POOL(ATTACH_PINNED, "alloc 0 100", "share 0 100", "attach 0 $K"),
    IN_POOL(DETACH_BIT_CLEARED, "alloc 0 100", "share 0 100", "attach 0 $K", "release 0",
            "detach 0"),
    IN_POOL(DETACH_BIT_CLEARED, "attach 0 $F", "detach 0"),
    IN_POOL(HOLD_SHOWN, "alloc 0 100", "share 0 100", "attach 0 $K", "release 0"),
    IN_POOL(RELEASE_RETIRING, "alloc 0 100", "share 0 100", "release 0"),
    IN_POOL(RELEASE_RETIRED, "alloc 0 100", "share 0 100", "attach 0 $K", "release 0"),
    IN_POOL(RELEASE_FREED, "alloc 0 100", "release 0"),
    IN_POOL(RELEASE_FREED, "alloc 0 100", "share 0 100", "release 0"),
    IN_POOL(MEASURED_TRIMMING, "alloc 0 200000", "release 0"),
    IN_POOL(GROW_CLAIMED, "grow 6"),
    IN_POOL(GROW_OBJECT, "grow 6"),
    IN_POOL(GROW_DONE, "grow 6"),
    IN_POOL(TRIM_CLAIMED, "grow 6", "trim"),
    IN_POOL(TRIM_OBJECT, "grow 6", "trim"),
    AFTER_DEATH(REAP_LOCKED, true, "reap"),
    AFTER_DEATH(REAP_RETIRED, true, "reap"),
    AFTER_DEATH(REAP_BIT_CLEARED, true, "reap"),
    AFTER_DEATH(REAP_CLEARED, true, "reap"),
    AFTER_DEATH(JOIN_LOCKED, false, "open $P"),
    AFTER_DEATH(JOIN_REAPED, false, "open $P"),
    AFTER_DEATH(JOIN_WRITTEN, false, "open $P"),
    IN_POOL(LEAVE_GIVEN_BACK, "alloc 0 100", "close"),
};

/* Points of making and removing a pool, and of what outlives its owner, have tests of their own. */
static const enum haul__fault own_tests[] = {
    HAUL__FAULT_PUBLISH_KEPT, HAUL__FAULT_CREATE_OBJECT, HAUL__FAULT_CREATE_WRITTEN,
    HAUL__FAULT_CREATE_READY, HAUL__FAULT_REMOVE_MARKED, HAUL__FAULT_REMOVE_BUFFERS};

/* ---- Running a scenario -------------------------------------------------------------------- */

/* What "$F", "$K", "$S", "$P" in a step stand for. */
typedef struct names {
    char foreign[HAUL_KEY_TEXT_BYTES]; /* the key of a buffer that the test has shared */
    char key[HAUL_KEY_TEXT_BYTES];     /* that the process has shared or given */
    char slot[8];
    const char *pool;
} names;

static void expand(const char *step, const names *as, char out[256])
{
    size_t n = 0;
    for (; *step != '\0' && n < 200; step++) {
        const char *with = NULL;
        if (*step == '$') {
            step++;
            with = *step == 'F'   ? as->foreign
                   : *step == 'K' ? as->key
                   : *step == 'S' ? as->slot
                                  : as->pool;
        }
        n += (size_t)snprintf(out + n, 256 - n, with ? "%s" : "%.1s", with ? with : step);
    }
}

/* A process that owned, shared and held something dies. */
static void let_a_victim_die(const names *as)
{
    peer victim = peer_start(POOL_PEER_FAULTS);
    assert_ok(peer_call(&victim, "open %s", as->pool));
    assert_ok(peer_call(&victim, "alloc 0 100"));
    assert_ok(peer_call(&victim, "alloc 1 100"));
    assert_ok(peer_call(&victim, "share 1 100"));
    assert_ok(peer_call(&victim, "attach 1 %s", as->foreign));
    (void)peer_kill(&victim);
}

static void run_steps(peer *p, const scenario *sc, haul_pool *pool, const haul_key *foreign)
{
    names as = {.pool = haul_pool_name(pool)};
    char line[256];
    haul_key_format(foreign, 100, as.foreign);
    if (sc->joined) {
        assert_ok(peer_call(p, "open %s", as.pool));
        assert_ok(peer_call(p, "slot"));
        (void)snprintf(as.slot, sizeof(as.slot), "%.7s", p->answer);
    }
    if (sc->victim) { /* after the join, which would reap it */
        let_a_victim_die(&as);
    }
    for (int i = 0; i < N_STEPS && sc->steps[i]; i++) {
        bool last = i + 1 == N_STEPS || !sc->steps[i + 1];
        expand(sc->steps[i], &as, line);
        if (last) {
            assert_ok(peer_call(p, "arm %s", sc->name));
            peer_tell(p, "%s", line);
            return;
        }
        assert_ok(peer_call(p, "%s", line));
        if (strncmp(p->answer, "hk1-", 4) == 0) {
            (void)snprintf(as.key, sizeof(as.key), "%.127s", p->answer);
        }
    }
}

static void pass_a_hundred_buffers(haul_pool *pool)
{
    for (int i = 0; i < 100; i++) {
        haul_key key;
        haul_view view;
        haul_buf *buf = test_share(pool, 100 + 1000u * (unsigned)(i % 50), (uint8_t)i, &key);
        assert_ok(haul_attach(pool, &key, 100, &view));
        assert_int_equal(view.data[99], i);
        haul_buf_release(buf);
        haul_detach(&view);
    }
}

static void every_point_is_survived(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        const scenario *sc = &scenarios[i];
        haul_pool *pool = test_pool_create("fault");
        haul_key foreign;
        haul_buf *shared = test_share(pool, 100, 7, &foreign);
        peer p = peer_start(POOL_PEER_FAULTS);
        run_steps(&p, sc, pool, &foreign);
        int wstatus = peer_wait(&p);
        if (!WIFSIGNALED(wstatus) || WTERMSIG(wstatus) != SIGKILL) {
            fail_msg("%s was not reached", sc->name);
        }
        print_message("             %s\n", sc->name);
        assert_ok(haul_pool_reap(pool, NULL, NULL));
        haul_buf_release(shared);
        assert_all_free(pool);
        assert_audit_clean(pool);
        pass_a_hundred_buffers(pool);
        assert_all_free(pool);
        assert_audit_clean(pool);
        test_pool_destroy(pool);
    }
}

static void every_point_has_a_test(void **state)
{
    (void)state;
    bool seen[HAUL__N_FAULTS] = {false};
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        seen[scenarios[i].point] = true;
    }
    for (size_t i = 0; i < sizeof(own_tests) / sizeof(own_tests[0]); i++) {
        seen[own_tests[i]] = true;
    }
    for (int i = 0; i < HAUL__N_FAULTS; i++) {
        assert_true(seen[i]);
    }
}

/* Died just after the pool took the buffer over: it is kept, and found by the next one. */
static void a_kept_buffer_outlives_its_publisher(void **state)
{
    (void)state;
    haul_pool *pool = test_pool_create("kept");
    haul_key key;
    haul_view view;
    uint64_t len = 0;
    peer p = peer_start(POOL_PEER_FAULTS);
    assert_ok(peer_call(&p, "open %s", haul_pool_name(pool)));
    assert_ok(peer_call(&p, "alloc 0 100"));
    assert_ok(peer_call(&p, "fill 0 5"));
    assert_ok(peer_call(&p, "share 0 100"));
    assert_ok(peer_call(&p, "arm PUBLISH_KEPT"));
    peer_tell(&p, "keep 0 weights");
    assert_int_equal(WTERMSIG(peer_wait(&p)), SIGKILL);
    assert_ok(haul_pool_reap(pool, NULL, NULL));
    assert_audit_clean(pool);
    assert_ok(haul_pool_find(pool, "weights", &key, &len));
    assert_ok(haul_attach(pool, &key, len, &view));
    assert_int_equal(view.len, 100);
    assert_int_equal(view.data[99], 5);
    haul_detach(&view);
    assert_ok(haul_pool_withdraw(pool, "weights"));
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

/* ---- Making and removing a pool ------------------------------------------------------------ */

static int count_objects(const char *pool_name)
{
    char start[HAUL_POOL_NAME_MAX + 8];
    int n = 0;
    (void)snprintf(start, sizeof(start), "haul.%s", pool_name);
    DIR *dir = opendir("/dev/shm");
    assert_non_null(dir);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        n += strncmp(entry->d_name, start, strlen(start)) == 0;
    }
    (void)closedir(dir);
    return n;
}

static void die_creating(const char *point, const char *name)
{
    peer p = peer_start(POOL_PEER_FAULTS);
    assert_ok(peer_call(&p, "arm %s", point));
    peer_tell(&p, "create %s", name);
    assert_int_equal(WTERMSIG(peer_wait(&p)), SIGKILL);
}

static void a_half_made_pool_is_made_anew(void **state)
{
    (void)state;
    static const char *const points[] = {"CREATE_OBJECT", "CREATE_WRITTEN"};
    for (int i = 0; i < 2; i++) {
        haul_pool *pool;
        const char *name = test_pool_name("halfmade");
        die_creating(points[i], name);
        assert_int_equal(count_objects(name), 1);
        assert_status(haul_pool_open(name, NULL, &pool, NULL), HAUL_NOT_FOUND);
        peer p = peer_start(POOL_PEER_FAULTS);
        assert_ok(peer_call(&p, "create %s", name));
        assert_ok(haul_pool_open(name, NULL, &pool, NULL));
        assert_audit_clean(pool);
        peer_stop(&p);
        test_pool_destroy(pool);
        assert_int_equal(count_objects(name), 0);
    }
}

/* From READY on it is a pool like any other, though it has few buffers or none yet. */
static void a_pool_whose_creator_died_early_is_usable(void **state)
{
    (void)state;
    static const char *const points[] = {"CREATE_READY", "GROW_CLAIMED", "GROW_OBJECT",
                                         "GROW_DONE"};
    for (int i = 0; i < 4; i++) {
        haul_pool *pool;
        const char *name = test_pool_name("early");
        die_creating(points[i], name);
        assert_ok(haul_pool_open(name, NULL, &pool, NULL));
        assert_ok(haul_pool_reap(pool, NULL, NULL));
        assert_audit_clean(pool);
        pass_a_hundred_buffers(pool);
        test_pool_destroy(pool);
        assert_int_equal(count_objects(name), 0);
    }
}

static void a_half_removed_pool_is_removed_by_the_next(void **state)
{
    (void)state;
    static const char *const points[] = {"REMOVE_MARKED", "REMOVE_BUFFERS"};
    for (int i = 0; i < 4; i++) {
        haul_pool *pool;
        const char *name = test_pool_name("halfgone");
        peer p = peer_start(POOL_PEER_FAULTS);
        assert_ok(peer_call(&p, "create %s", name));
        assert_ok(peer_call(&p, "close"));
        assert_ok(peer_call(&p, "arm %s", points[i % 2]));
        peer_tell(&p, "remove %s", name);
        assert_int_equal(WTERMSIG(peer_wait(&p)), SIGKILL);
        assert_status(haul_pool_open(name, NULL, &pool, NULL), HAUL_NOT_FOUND);
        if (i < 2) { /* whoever removes goes on */
            assert_ok(haul_pool_remove(name, false, NULL));
        } else { /* and so does whoever creates */
            peer q = peer_start(POOL_PEER_FAULTS);
            assert_ok(peer_call(&q, "create %s", name));
            assert_int_equal(count_objects(name), 1 + 2);
            assert_ok(peer_call(&q, "close"));
            peer_stop(&q);
            assert_ok(haul_pool_remove(name, false, NULL));
        }
        assert_int_equal(count_objects(name), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_point_has_a_test),
        cmocka_unit_test(every_point_is_survived),
        cmocka_unit_test(a_kept_buffer_outlives_its_publisher),
        cmocka_unit_test(a_half_made_pool_is_made_anew),
        cmocka_unit_test(a_pool_whose_creator_died_early_is_usable),
        cmocka_unit_test(a_half_removed_pool_is_removed_by_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
