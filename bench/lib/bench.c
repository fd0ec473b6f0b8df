/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Clock, samples and their percentiles, known bytes, facts of the machine, ending early.
 *
 * A benchmark here prints one JSON object per line and result, with the machine's facts in each, so
 * that lines from several machines can lie in one file. Percentiles are samples that were taken,
 * never averages over samples.
 *
 * Belongs to the benchmark programs. One thread uses it; the only state is the flag that signal
 * handlers set, because a benchmark that is interrupted must still remove its pool.
 */
#include "bench.h"

#include <limits.h>
#include <malloc.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull

/* The most that glibc takes; it comes there by itself where M_TRIM_THRESHOLD is not set. */
#define MMAP_THRESHOLD_MAX (32 << 20)

/* The size of one heap of a thread: less, and glibc unmaps whole heaps however much it is to keep. */
#define TOP_PAD (64 << 20)

uint64_t bench_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

bool bench_samples_init(bench_samples *samples, size_t capacity)
{
    *samples = (bench_samples){.ns = calloc(capacity, sizeof(double)), .capacity = capacity};
    return samples->ns != NULL;
}

void bench_samples_fini(bench_samples *samples)
{
    free(samples->ns);
    *samples = (bench_samples){0};
}

void bench_samples_add(bench_samples *samples, double ns)
{
    if (samples->n < samples->capacity) {
        samples->ns[samples->n++] = ns;
    }
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_samples_percentile(bench_samples *samples, double percent)
{
    if (samples->n == 0) {
        return 0;
    }
    qsort(samples->ns, samples->n, sizeof(double), compare_double);
    size_t at = (size_t)ceil((double)samples->n * percent / 100.0);
    return samples->ns[at > 0 ? at - 1 : 0];
}

void bench_fill(void *data, size_t len)
{
    uint8_t *to = data;
    uint64_t x = 0x9e3779b97f4a7c15ull;
    for (size_t at = 0; at < len; at += sizeof(x)) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(to + at, &x, len - at < sizeof(x) ? len - at : sizeof(x));
    }
}

uint64_t bench_touch(const void *data, size_t len, bool whole)
{
    const uint8_t *from = data;
    if (len == 0) {
        return 0;
    }
    if (!whole) {
        return from[0] + 256ull * from[len - 1];
    }
    uint64_t sum = 0;
    uint64_t word = 0;
    size_t at = 0;
    for (; at + sizeof(word) <= len; at += sizeof(word)) {
        memcpy(&word, from + at, sizeof(word));
        sum += word;
    }
    word = 0;
    memcpy(&word, from + at, len - at);
    return sum + word;
}

void bench_size_text(uint64_t bytes, char *out_text, size_t n_text)
{
    if (bytes >= BENCH_MIB && bytes % BENCH_MIB == 0) {
        (void)snprintf(out_text, n_text, "%lluMiB", (unsigned long long)(bytes / BENCH_MIB));
    } else if (bytes >= BENCH_KIB && bytes % BENCH_KIB == 0) {
        (void)snprintf(out_text, n_text, "%lluKiB", (unsigned long long)(bytes / BENCH_KIB));
    } else {
        (void)snprintf(out_text, n_text, "%lluB", (unsigned long long)bytes);
    }
}

/* What /proc/cpuinfo calls the processor, in characters that JSON takes as they are. */
static void cpu_name(char *out_name, size_t n_name)
{
    (void)snprintf(out_name, n_name, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (file == NULL) {
        return;
    }
    char line[256];
    while (fgets(line, sizeof(line), file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            (void)snprintf(out_name, n_name, "%s", colon + strspn(colon, ": \t"));
            break;
        }
    }
    (void)fclose(file);
    for (char *c = out_name; *c != '\0'; c++) {
        if (*c == '\n') {
            *c = '\0';
            break;
        }
        if (*c < ' ' || *c > '~' || *c == '"' || *c == '\\') {
            *c = ' ';
        }
    }
}

void bench_print_facts(void)
{
    char cpu[128];
    cpu_name(cpu, sizeof(cpu));
    struct utsname names;
    const char *kernel = uname(&names) == 0 ? names.release : "unknown";
    (void)printf("\"cpu\": \"%s\", \"cores\": %ld, \"kernel\": \"%s\"", cpu,
                 sysconf(_SC_NPROCESSORS_ONLN), kernel);
}

void bench_keep_heap(void)
{
    if (getenv("BENCH_TRIM") == NULL) {
        (void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
        (void)mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_MAX);
        (void)mallopt(M_TOP_PAD, TOP_PAD);
        /* Else whichever thread receives has cold memory of its own. */
        (void)mallopt(M_ARENA_MAX, 1);
    }
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void bench_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

bool bench_interrupted(void)
{
    return interrupted != 0;
}
