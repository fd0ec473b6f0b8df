/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */
#ifndef SHORTHAUL_TESTS_DATA_SCENE_H
#define SHORTHAUL_TESTS_DATA_SCENE_H

/* Both ends of data connections, each without the other: a client that says what the test wants, and a
 * server whose data connections are the test's own. */

#include <shorthaul/v1/data.pb-c.h>

#include "transport/data.h"
#include "transport_test.h"

/* ---- A client ---- */

/* Where the server has its data connections, asked as any client asks. */
typedef struct data_server {
    uint64_t name;
    uint8_t client_token[HAUL__DATA_TOKEN_BYTES];
    uint8_t server_token[HAUL__DATA_TOKEN_BYTES];
    uint8_t letters_token[HAUL__DATA_TOKEN_BYTES];
    bool letters;
} data_server;

void data_ask(haul_channel *channel, data_server *out_server);

/* Connect and be greeted; the second to make calls. */
int data_connect(const data_server *server);
int data_connect_letters(const data_server *server);

void data_write(int fd, const void *data, size_t n);
void data_read(int fd, void *data, size_t n);

/* Send a payload of @len bytes of @seed; its number. */
uint64_t data_put(int fd, size_t len, uint8_t seed);

/* The server has nothing more to say but to hang up. */
void data_assert_closed(int fd);

/* ---- A server ---- */

/* How it treats a client that has come to the right place. */
typedef enum data_manner {
    DATA_NOBODY,   /* it does not listen */
    DATA_IMPOSTOR, /* says another token */
    DATA_MUTE,     /* says nothing */
    DATA_DEAF,     /* greets, and reads no more */
    DATA_SLOW,     /* greets, and reads a little now and then */
    DATA_RUDE,     /* greets, reads some of the payload and hangs up */
    DATA_LIAR,     /* greets, reads all and says a number that is none */
    DATA_FORGETFUL /* the same with a number that means nothing */
} data_manner;

typedef struct data_scene {
    Shorthaul__V1__DataService_Service base; /* first */
    data_manner manner;
    data_server told; /* what it answers who asks */
    int listener;
    int conn;
    pthread_t thread;
    bool joined;
    pthread_mutex_t mutex; /* the following */
    pthread_cond_t changed;
    unsigned n_asked;
    bool greeted;
    size_t n_read; /* by the slow one */

    test_service service;
    haul_server *server;
    haul_channel *channel;
    char address[128];
} data_scene;

/* A server and a channel to it, without a pool. */
void data_scene_open(data_scene *scene, data_manner manner);
void data_scene_close(data_scene *scene);

/* The same, and its data connections are those of another server. */
void data_scene_open_elsewhere(data_scene *scene, const data_server *told);

/* Close the channel early. */
void data_scene_close_channel(data_scene *scene);

/* A call with @len bytes. */
haul_reply *data_scene_call(const data_scene *scene, size_t len, const haul_call_opts *opts);

/* Wait until a client has been greeted. */
void data_scene_wait_greeted(data_scene *scene);

/* Wait until the slow one's client has hung up; how much it had sent. */
size_t data_scene_wait_hung_up(data_scene *scene);

unsigned data_scene_asked(data_scene *scene);

#endif
