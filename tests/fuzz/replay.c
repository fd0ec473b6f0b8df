/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Runs a fuzz target on inputs that are files: how a corpus is a test where there is no libFuzzer.
 *
 *   replay FILE|DIRECTORY...    Exit: 0 all were survived, 1 a file could not be read
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(MAX_BYTES);
    size_t n = file && bytes ? fread(bytes, 1, MAX_BYTES, file) : 0;
    int failed = !file || !bytes || ferror(file) != 0;
    if (file) {
        (void)fclose(file);
    }
    if (failed) {
        perror(path);
    } else {
        uint8_t *exact = realloc(bytes, n ? n : 1); /* so that reading past the end is seen */
        bytes = exact ? exact : bytes;
        (void)fprintf(stderr, "%s\n", path); /* the last one is the one that was not survived */
        (void)LLVMFuzzerTestOneInput(bytes, n);
    }
    free(bytes);
    return failed;
}

static int run_directory(const char *path, DIR *dir)
{
    const struct dirent *entry;
    char file[4096];
    int failed = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' &&
            snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) < (int)sizeof(file)) {
            failed |= run_file(file);
        }
    }
    return failed;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        failed |= dir ? run_directory(argv[i], dir) : run_file(argv[i]);
        if (dir) {
            (void)closedir(dir);
        }
    }
    return failed;
}
