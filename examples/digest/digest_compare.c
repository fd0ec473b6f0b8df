/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * digest_compare: sends files by key and then inline over one channel, checks the digests, and
 * prints what each way costs. It is the client of scripts/demo.sh; compare_measure.c says what is
 * measured.
 *
 * One thread, which owns everything. If this process is killed, its buffers are taken back by the
 * next reap.
 */
#include <getopt.h>
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <string.h>

#include "compare.h"

#define FILES_MAX 16

static void print_json(const subject *sub)
{
    (void)printf("{\"file_bytes\": %zu, \"sha256\": \"%s\", \"sha256_ok\": %s, "
                 "\"key_p50_us\": %.1f, \"inline_p50_us\": %.1f, \"message_bytes\": %zu, "
                 "\"key_produce_read_p50_us\": %.1f, \"inline_produce_read_p50_us\": %.1f, "
                 "\"path\": \"%s\"}\n",
                 sub->file.size, sub->by_key.sha256, sub->sha256_ok ? "true" : "false",
                 sub->by_key.handover_us, sub->by_inline.handover_us, sub->by_key.n_message_bytes,
                 sub->by_key.work_us, sub->by_inline.work_us, haul_path_name(sub->by_key.path));
}

/* One line of the table: how @way went, against inline. */
static bool add_line(struct libscols_table *table, const subject *sub, const figures *way)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    if (line == NULL) {
        return false;
    }
    const char *path = way == &sub->by_inline ? "inline" : haul_path_name(way->path);
    char cells[6][32];
    (void)snprintf(cells[0], sizeof(cells[0]), "%zu", sub->file.size);
    (void)snprintf(cells[1], sizeof(cells[1]), "%zu", way->n_message_bytes);
    (void)snprintf(cells[2], sizeof(cells[2]), "%.0f us", way->handover_us);
    (void)snprintf(cells[3], sizeof(cells[3]), "%.0f us", way->work_us);
    (void)snprintf(cells[4], sizeof(cells[4]), "%.4f",
                   way->handover_us / sub->by_inline.handover_us);
    (void)snprintf(cells[5], sizeof(cells[5]), "%.4f", way->work_us / sub->by_inline.work_us);
    bool ok = scols_line_set_data(line, 0, path) == 0;
    for (size_t i = 0; i < 6; i++) {
        ok = ok && scols_line_set_data(line, i + 1, cells[i]) == 0;
    }
    return ok;
}

static bool print_table(const subject *subjects, size_t n)
{
    static const char *const heads[] = {"PATH",
                                        "SIZE",
                                        "MESSAGE",
                                        "HAND-OVER p50",
                                        "PRODUCE+READ p50",
                                        "HAND-OVER:INLINE",
                                        "PRODUCE+READ:INLINE"};
    struct libscols_table *table = scols_new_table();
    bool ok = table != NULL;
    for (size_t i = 0; ok && i < sizeof(heads) / sizeof(heads[0]); i++) {
        ok = scols_table_new_column(table, heads[i], 0, i == 0 ? 0 : SCOLS_FL_RIGHT) != NULL;
    }
    for (size_t i = 0; ok && i < n; i++) {
        ok = add_line(table, &subjects[i], &subjects[i].by_key) &&
             add_line(table, &subjects[i], &subjects[i].by_inline);
    }
    ok = ok && scols_print_table(table) == 0;
    scols_unref_table(table);
    return ok;
}

static bool print_all(const subject *subjects, size_t n, bool json)
{
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        if (json) {
            print_json(&subjects[i]);
        } else {
            (void)printf("%s: %zu bytes, sha256 %s by key and inline: %s\n", subjects[i].name,
                         subjects[i].file.size, subjects[i].expected,
                         subjects[i].sha256_ok ? "OK" : "WRONG");
        }
        ok = ok && subjects[i].sha256_ok;
    }
    return (json || print_table(subjects, n)) && ok;
}

static bool measure_all(session *s, subject *subjects, size_t n)
{
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        ok = digest_file_map(subjects[i].name, &subjects[i].file) &&
             compare_measure(s, &subjects[i]);
        digest_file_unmap(&subjects[i].file);
    }
    return ok;
}

static bool connect_and_run(const char *address, const char *pool_name, subject *subjects, size_t n,
                            bool json)
{
    session s = {0};
    if (!digest_pool_open(pool_name, COMPARE_PROGRAM, &s.pool)) {
        return false;
    }
    haul_error err = {0};
    haul_channel_opts opts = {.struct_size = sizeof(opts), .pool = s.pool};
    haul_status status = haul_channel_open(address, &opts, &s.channel, &err);
    bool ok = status == HAUL_OK;
    if (ok) {
        ok = measure_all(&s, subjects, n) && print_all(subjects, n, json);
    } else {
        digest_complain(COMPARE_PROGRAM, address, status, &err);
    }
    haul_channel_close(s.channel);
    haul_pool_close(s.pool);
    return ok;
}

static void usage(FILE *to)
{
    (void)fputs(
        "usage: digest_compare --connect ADDRESS --pool NAME [--json] {FILE SHA256}...\n"
        "Send each FILE by key and inline over one channel, check both digests against\n"
        "SHA256, and print what each way costs: a table, or with --json an object per file.\n"
        "Exit: 0 done, 1 failed or a digest is wrong, 2 usage.\n",
        to);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"connect", required_argument, NULL, 'c'},
                                            {"pool", required_argument, NULL, 'p'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *address = NULL;
    const char *pool_name = NULL;
    bool json = false;
    for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (opt) {
        case 'c':
            address = optarg;
            break;
        case 'p':
            pool_name = optarg;
            break;
        case 'j':
            json = true;
            break;
        default:
            usage(opt == 'h' ? stdout : stderr);
            return opt == 'h' ? EXIT_OK : EXIT_USAGE;
        }
    }
    size_t n = (size_t)(argc - optind) / 2;
    if (address == NULL || pool_name == NULL || n == 0 || n > FILES_MAX || (argc - optind) % 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    subject subjects[FILES_MAX] = {0};
    for (size_t i = 0; i < n; i++) {
        subjects[i].name = argv[optind + 2 * (int)i];
        subjects[i].expected = argv[optind + 2 * (int)i + 1];
    }
    return connect_and_run(address, pool_name, subjects, n, json) ? EXIT_OK : EXIT_FAILED;
}
