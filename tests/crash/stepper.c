/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Leading a child from instruction to instruction.
 *
 * The child is forked from the harness and does not exec, so that all code is at the same addresses
 * in both, in every child alike: what one child was recorded doing is a map for the next ones, and
 * the harness reads the child's code in its own memory.
 *
 * To bring a child to step N of a recording one could single-step it N times; for all N together
 * that is quadratic. Instead a breakpoint takes it to a place shortly before, and single steps the
 * rest of the way. Either way it has executed what comes before N, and is where the recording says.
 *
 * The child dies with the harness (PTRACE_O_EXITKILL). One thread, x86-64.
 */

#include "stepper.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define BREAKPOINT     0xccu
#define SYSCALL_OPCODE 0x050fu /* 0f 05 */

extern const char __executable_start[];
extern const char etext[];

/* ---- Registers, memory, one move ----------------------------------------------------------- */

#define REGISTER(name) ((void *)offsetof(struct user, regs.name))

static uint64_t get_register(const tracee *child, void *which)
{
    return (uint64_t)ptrace(PTRACE_PEEKUSER, child->pid, which, NULL);
}

/* The same bytes as in the child, where it has no breakpoint. */
static uint64_t code_at(uint64_t address)
{
    uint64_t word;
    memcpy(&word, (const void *)(uintptr_t)address, sizeof(word));
    return word;
}

static bool is_system_call(uint64_t address)
{
    uint16_t opcode;
    memcpy(&opcode, (const void *)(uintptr_t)address, sizeof(opcode));
    return opcode == SYSCALL_OPCODE;
}

static bool poke_code(const tracee *child, uint64_t address, uint64_t word)
{
    return ptrace(PTRACE_POKETEXT, child->pid, (void *)(uintptr_t)address,
                  (void *)(uintptr_t)word) == 0;
}

/* Let the child go on until its next trap. False: something else became of it. */
static bool move(tracee *child, enum __ptrace_request how)
{
    int wstatus;
    if (child->pid == 0 || ptrace(how, child->pid, NULL, NULL) != 0 ||
        waitpid(child->pid, &wstatus, 0) != child->pid) {
        return false;
    }
    if (!WIFSTOPPED(wstatus)) {
        child->pid = 0;
        return false;
    }
    return WSTOPSIG(wstatus) == SIGTRAP;
}

static bool single_step(tracee *child)
{
    return move(child, PTRACE_SINGLESTEP);
}

/* Let the child run until it is about to execute @address for the @pass-th time from now. It is not
 * there now. */
static bool run_to(tracee *child, uint64_t address, uint32_t pass)
{
    uint64_t code = code_at(address);
    bool there = false;
    while (pass > 0) {
        there = poke_code(child, address, (code & ~UINT64_C(0xff)) | BREAKPOINT) &&
                move(child, PTRACE_CONT) && get_register(child, REGISTER(rip)) == address + 1 &&
                poke_code(child, address, code) &&
                ptrace(PTRACE_POKEUSER, child->pid, REGISTER(rip), (void *)(uintptr_t)address) == 0;
        if (!there) {
            return false;
        }
        pass--;
        /* A string instruction stays where it is until its last turn. */
        while (pass > 0 && there && get_register(child, REGISTER(rip)) == address) {
            there = single_step(child);
        }
    }
    return there;
}

/* ---- Start and end ------------------------------------------------------------------------- */

bool stepper_start(const guided *g, tracee *out_child)
{
    int wstatus;
    *out_child = (tracee){.pid = fork()};
    if (out_child->pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 && raise(SIGSTOP) == 0) {
            g->child(g->ctx);
        }
        _exit(1);
    }
    if (out_child->pid < 0 || waitpid(out_child->pid, &wstatus, 0) != out_child->pid ||
        !WIFSTOPPED(wstatus)) {
        out_child->pid = 0;
        return false;
    }
    if (ptrace(PTRACE_SETOPTIONS, out_child->pid, NULL, (void *)PTRACE_O_EXITKILL) != 0 ||
        !run_to(out_child, g->function, 1)) {
        return false;
    }
    uint64_t sp = get_register(out_child, REGISTER(rsp));
    out_child->return_address =
        (uint64_t)ptrace(PTRACE_PEEKDATA, out_child->pid, (void *)(uintptr_t)sp, NULL);
    return true;
}

void stepper_kill(tracee *child)
{
    if (child->pid > 0) {
        (void)kill(child->pid, SIGKILL);
        (void)waitpid(child->pid, NULL, 0);
        child->pid = 0;
    }
}

bool stepper_finish(tracee *child)
{
    int wstatus = 0;
    bool ended = child->pid > 0 && ptrace(PTRACE_CONT, child->pid, NULL, NULL) == 0 &&
                 waitpid(child->pid, &wstatus, 0) == child->pid && !WIFSTOPPED(wstatus);
    if (ended) {
        child->pid = 0;
    }
    return ended && WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0;
}

/* ---- Recording ----------------------------------------------------------------------------- */

/* Whether the child, about to enter the kernel, is going to wait on a futex. */
static bool is_going_to_sleep(const tracee *child)
{
    int op = (int)get_register(child, REGISTER(rsi)) & FUTEX_CMD_MASK;
    return get_register(child, REGISTER(rax)) == SYS_futex &&
           (op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET);
}

static bool append(recording *r, uint64_t address)
{
    if (r->n == r->n_room) {
        uint32_t n_room = r->n_room == 0 ? 4096 : r->n_room * 2;
        step *steps = realloc(r->steps, n_room * sizeof(*steps));
        if (!steps) {
            return false;
        }
        r->steps = steps;
        r->n_room = n_room;
    }
    r->steps[r->n] = (step){
        .address = address,
        .last_pass = NO_STEP,
        .ours =
            address >= (uintptr_t)__executable_start &&
            address<(uintptr_t)etext, .system_call = is_system_call(address), .repeated = r->n> 0 &&
            r->steps[r->n - 1].address == address};
    r->n++;
    return true;
}

typedef struct place {
    uint64_t address;
    uint32_t index;
} place;

static int by_address_then_index(const void *a, const void *b)
{
    const place *x = a;
    const place *y = b;
    if (x->address != y->address) {
        return x->address < y->address ? -1 : 1;
    }
    return x->index < y->index ? -1 : 1;
}

/* Tell each step where its address was passed before. */
static bool link_passes(recording *r)
{
    place *places = malloc((r->n + 1) * sizeof(*places));
    uint32_t n = 0;
    if (!places) {
        return false;
    }
    for (uint32_t i = 0; i < r->n; i++) {
        if (!r->steps[i].repeated) {
            places[n++] = (place){.address = r->steps[i].address, .index = i};
        }
    }
    qsort(places, n, sizeof(*places), by_address_then_index);
    for (uint32_t p = 1; p < n; p++) {
        if (places[p].address == places[p - 1].address) {
            r->steps[places[p].index].last_pass = places[p - 1].index;
        }
    }
    free(places);
    return true;
}

bool stepper_record(const guided *g, tracee *child, recording *out)
{
    uint64_t address = get_register(child, REGISTER(rip));
    *out = (recording){0};
    while (address != child->return_address) {
        if (!append(out, address)) {
            return false;
        }
        if (out->steps[out->n - 1].system_call && is_going_to_sleep(child)) {
            if (out->n_sleeps == MAX_SLEEPS) {
                return false;
            }
            out->sleeps[out->n_sleeps++] = out->n - 1;
            if (g->relieve) {
                g->relieve(g->ctx);
            }
        }
        if (!single_step(child)) {
            return false;
        }
        address = get_register(child, REGISTER(rip));
    }
    return link_passes(out);
}

/* ---- Going there --------------------------------------------------------------------------- */

/* How often the address of step @to comes up in the steps after @from, @to included; or more than
 * @limit. */
static uint32_t count_passes(const recording *r, uint32_t from, uint32_t to, uint32_t limit)
{
    uint32_t n = 0;
    for (uint32_t i = to; i != NO_STEP && i > from && n <= limit; i = r->steps[i].last_pass) {
        n++;
    }
    return n;
}

/* A way: run to @landing, by a breakpoint passed @n_passes times, and single-step from there. */
typedef struct way {
    uint32_t landing;
    uint32_t n_passes;
} way;

/*
 * The cheapest way. A pass through a breakpoint costs about as much as three single steps. Only our
 * own code and system calls are landed on, for how often libc comes by at other places depends on
 * what it finds: how a string lies in its page, whether malloc() has something at hand.
 */
static way find_way(const recording *r, uint32_t from, uint32_t to)
{
    way best = {.landing = from};
    uint32_t best_cost = to - from;
    for (uint32_t i = to; i > from && to - i < best_cost; i--) {
        if (r->steps[i].repeated || !(r->steps[i].ours || r->steps[i].system_call)) {
            continue;
        }
        uint32_t n = count_passes(r, from, i, (best_cost - (to - i)) / 3);
        if (3 * n + (to - i) < best_cost) {
            best_cost = 3 * n + (to - i);
            best = (way){.landing = i, .n_passes = n};
        }
    }
    return best;
}

/* From step @from to step @to. */
static stepper_arrival advance(tracee *child, const recording *r, uint32_t from, uint32_t to)
{
    way w = find_way(r, from, to);
    bool ok = w.n_passes == 0 || run_to(child, r->steps[w.landing].address, w.n_passes);
    for (uint32_t i = w.landing; i < to && ok; i++) {
        ok = single_step(child);
        if (ok && get_register(child, REGISTER(rip)) == child->return_address) {
            return STEPPER_STRAYED; /* a shorter path than the recorded one */
        }
    }
    if (!ok) {
        return STEPPER_LOST;
    }
    return get_register(child, REGISTER(rip)) == r->steps[to].address ? STEPPER_THERE
                                                                      : STEPPER_STRAYED;
}

stepper_arrival stepper_reach(const guided *g, tracee *child, const recording *r, uint32_t index)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < r->n_sleeps && r->sleeps[i] < index; i++) {
        stepper_arrival arrival = advance(child, r, at, r->sleeps[i]);
        if (arrival != STEPPER_THERE) {
            return arrival;
        }
        at = r->sleeps[i];
        if (g->relieve) {
            g->relieve(g->ctx);
        }
    }
    if (index == STEPPER_RETURNS) {
        return run_to(child, child->return_address, 1) ? STEPPER_THERE : STEPPER_LOST;
    }
    return advance(child, r, at, index);
}

bool stepper_fall_asleep(tracee *child)
{
    char path[64];
    char text[256] = "";
    if (ptrace(PTRACE_CONT, child->pid, NULL, NULL) != 0) {
        return false;
    }
    /* The state is the first character after the name, which ends with the last parenthesis. */
    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)child->pid);
    for (;;) {
        FILE *file = fopen(path, "re");
        const char *end = file && fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
        if (file) {
            (void)fclose(file);
        }
        if (!end || strchr("ZXt", end[2])) {
            return false;
        }
        if (end[2] == 'S') {
            return true;
        }
        (void)sched_yield();
    }
}

/* ---- For people ---------------------------------------------------------------------------- */

void stepper_name_address(uint64_t address, char *out, size_t size)
{
    Dl_info info;
    if (dladdr((const void *)(uintptr_t)address, &info) == 0 || !info.dli_fname) {
        (void)snprintf(out, size, "%#" PRIx64, address);
        return;
    }
    const char *slash = strrchr(info.dli_fname, '/');
    (void)snprintf(out, size, "%s+%#" PRIx64 " %s", slash ? slash + 1 : info.dli_fname,
                   address - (uintptr_t)info.dli_fbase, info.dli_sname ? info.dli_sname : "");
}
