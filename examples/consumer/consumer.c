/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * consumer: the smallest use of the pool, and the proof that an installed Shorthaul can be used.
 *
 * One process plays both parts: it makes a pool, fills and shares a buffer, and reads it back by
 * its key as another process would. It owns the pool and removes it. Killed in between, it leaves
 * the pool behind, for `shorthaul pool rm`.
 */
#include <stdio.h>
#include <string.h>

#include <shorthaul/pool.h>

static haul_status send_and_receive(haul_pool *pool, const char *text)
{
    haul_buf *buf = NULL;
    haul_status status = haul_buf_alloc(pool, strlen(text), NULL, &buf);
    if (status != HAUL_OK) {
        return status;
    }
    memcpy(haul_buf_data(buf), text, strlen(text));

    haul_key key;
    haul_view view;
    status = haul_buf_share(buf, strlen(text), &key);
    if (status == HAUL_OK) {
        status = haul_attach(pool, &key, strlen(text), &view);
    }
    if (status == HAUL_OK) {
        printf("%.*s\n", (int)view.len, (const char *)view.data);
        haul_detach(&view);
    }
    haul_buf_release(buf);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: consumer POOL\nMakes the pool, uses it, and removes it.\n");
        return 2;
    }
    haul_class_config sizes = {.size_bytes = 65536, .n_initial = 2, .n_max = 4};
    haul_pool_config config = {.struct_size = sizeof(config), .classes = &sizes, .n_classes = 1};
    haul_pool *pool = NULL;
    haul_error err;
    haul_status status = haul_pool_create(argv[1], &config, NULL, &pool, &err);
    if (status != HAUL_OK) {
        fprintf(stderr, "consumer: %s\n", err.text);
        return 1;
    }
    status = send_and_receive(pool, "by key");
    haul_pool_close(pool);
    haul_status removed = haul_pool_remove(argv[1], false, &err);
    return status == HAUL_OK && removed == HAUL_OK ? 0 : 1;
}
