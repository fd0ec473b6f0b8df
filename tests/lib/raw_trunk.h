/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_RAW_TRUNK_H
#define SHORTHAUL_TESTS_RAW_TRUNK_H

/* Trunks of which one side is the test: a client, and a server, that send what they are told to. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <grpc/status.h>

#include "transport/letter.h"

/* ---- A client ---- */

typedef struct raw_trunk raw_trunk;

/* A stream on a connection of its own, whose greeting has been read. */
raw_trunk *raw_trunk_open(const char *address, uint64_t *out_max_calls);

/* Send these bytes as one message; false: the stream has ended. */
bool raw_trunk_send(raw_trunk *trunk, const void *bytes, size_t n);

/* Wait for an answer, and read its fields; false: the stream has ended. */
bool raw_trunk_receive(raw_trunk *trunk, void (*read)(void *ctx, haul__letter *letter), void *ctx);

void raw_trunk_half_close(raw_trunk *trunk);

/* Wait for the end of the stream. */
grpc_status_code raw_trunk_end(raw_trunk *trunk);

/* Drop the stream and its connection. */
void raw_trunk_close(raw_trunk *trunk);

/* Append a letter to the @n bytes at @to, where there is room for @size; how many they are then. */
size_t raw_trunk_letter(uint8_t *to, size_t n, size_t size, const haul__letter_fields *fields);

/* ---- A server ---- */

/* Each of them in a message of over 200 KiB. */
#define RAW_TRUNK_N_CRUMBS 300

typedef enum raw_trunk_mode {
    RAW_TRUNK_SILENT,  /* never says a word */
    RAW_TRUNK_GARBAGE, /* begins with what is no message */
    RAW_TRUNK_NO_ROOM, /* grants no call */
    RAW_TRUNK_ENDS,    /* ends the stream at once */
    RAW_TRUNK_UNKNOWN, /* answers calls that nobody made, and ends the stream */
    RAW_TRUNK_MORE,    /* answers the first call for ever */
    RAW_TRUNK_CRUMBS   /* answers it in RAW_TRUNK_N_CRUMBS tiny parts among much else, and ends */
} raw_trunk_mode;

/* Every other method takes any message and answers an empty one. */
typedef struct raw_trunk_server raw_trunk_server;

raw_trunk_server *raw_trunk_server_start(const char *address, raw_trunk_mode mode);
void raw_trunk_server_stop(raw_trunk_server *server);

#endif
