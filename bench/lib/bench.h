/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef BENCH_H
#define BENCH_H

/* What the benchmark programs share: see bench.c and peer.c. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_KIB (1ull << 10)
#define BENCH_MIB (1ull << 20)

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t bench_now_ns(void);

/* ---- Samples ------------------------------------------------------------------------------- */

/* Durations in nanoseconds, each an average over a batch where single ones are too short to time.
 */
typedef struct bench_samples {
    double *ns;
    size_t n;
    size_t capacity;
} bench_samples;

bool bench_samples_init(bench_samples *samples, size_t capacity);
void bench_samples_fini(bench_samples *samples);

/* Add one; beyond the capacity it is dropped. */
void bench_samples_add(bench_samples *samples, double ns);

/* The sample below which @percent of them lie. Sorts; 0 where there is none. */
double bench_samples_percentile(bench_samples *samples, double percent);

/* ---- Bytes --------------------------------------------------------------------------------- */

/* The same pseudo-random bytes in every process. */
void bench_fill(void *data, size_t len);

/* The sum of the bytes as little-endian 64-bit words, the last one filled up with zeros; where
 * @whole is false the first byte plus 256 times the last. 0 where there are none. */
uint64_t bench_touch(const void *data, size_t len, bool whole);

/* "32B", "64KiB", "256MiB". */
void bench_size_text(uint64_t bytes, char *out_text, size_t n_text);

/* ---- The machine --------------------------------------------------------------------------- */

/* Print the machine's facts as JSON members, without braces. */
void bench_print_facts(void);

/* ---- Ending early -------------------------------------------------------------------------- */

/* From here on SIGINT, SIGTERM and SIGHUP only make bench_interrupted() true. */
void bench_catch_signals(void);
bool bench_interrupted(void);

/* ---- Memory -------------------------------------------------------------------------------- */

/*
 * Have malloc() keep what it is given back instead of returning it to the kernel, in this process,
 * as docs/tuning.md tells those to do who send much inline. Else the pages of each large message are
 * made anew, which on some virtual machines takes ten times as long as all the rest, and of whoever
 * is measured next, too. Not done where BENCH_TRIM is in the environment.
 */
void bench_keep_heap(void);

/* ---- What a process uses ------------------------------------------------------------------- */

typedef struct bench_usage {
    uint64_t cpu_ns;          /* of all its threads, also those that have ended */
    uint64_t n_switches;      /* times that a thread has waited for something */
    uint64_t anonymous_bytes; /* resident memory of its own; pools and files are not counted */
} bench_usage;

bool bench_usage_self(bench_usage *out_usage);

/* ---- Other processes ----------------------------------------------------------------------- */

/* A process that was started for a benchmark. Its standard input and output are the other end of
 * @fd, it writes one byte when it is ready and ends when its standard input does. */
typedef struct bench_peer {
    pid_t pid;
    int fd;
} bench_peer;

/* Start @argv and wait until it is ready. Says why not on stderr. */
bool bench_peer_start(bench_peer *peer, const char *const argv[]);

/* End it and wait for it. An empty peer is allowed. */
void bench_peer_stop(bench_peer *peer);

/* What the peer has used so far; it must be in bench_peer_wait_for_end(). */
bool bench_peer_usage(bench_peer *peer, bench_usage *out_usage);

/* In the peer: say that it is ready; wait for the end of standard input. */
bool bench_peer_say_ready(void);
void bench_peer_wait_for_end(void);

/* All bytes or false. */
bool bench_read_all(int fd, void *data, size_t len);
bool bench_write_all(int fd, const void *data, size_t len);

/* The folder of this program and @name in it. */
bool bench_beside_self(const char *name, char *out_path, size_t n_path);

#ifdef __cplusplus
}
#endif

#endif
