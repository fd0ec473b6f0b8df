/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * The test vectors of docs/wire.md (tests/vectors), as this library understands them. The Python
 * implementation reads the same files, so that the two cannot come to mean different things.
 */

#include "transport_test.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include <shorthaul/v1/lane.pb-c.h>

#include "pool/impl.h"
#include "transport/data.h"
#include "transport/loan.h"
#include "transport/metadata.h"
#include "transport/path.h"
#include "transport/payload.h"

#define BYTES_MAX 512

/* ---- Reading the files ---- */

static json_t *load(const char *file)
{
    char path[512];
    json_error_t error;
    (void)snprintf(path, sizeof(path), "%s/%s", HAUL_VECTORS, file);
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        fail_msg("%s, line %d: %s", path, error.line, error.text);
    }
    return root;
}

static const char *string(const json_t *vector, const char *name)
{
    const char *text = json_string_value(json_object_get(vector, name));
    if (!text) {
        fail_msg("a vector has no %s", name);
    }
    return text;
}

static uint64_t number(const json_t *vector, const char *name, int base)
{
    return strtoull(string(vector, name), NULL, base);
}

static uint32_t integer(const json_t *vector, const char *name)
{
    const json_t *value = json_object_get(vector, name);
    assert_true(json_is_integer(value));
    return (uint32_t)json_integer_value(value);
}

static bool flag(const json_t *vector, const char *name)
{
    return json_is_true(json_object_get(vector, name));
}

static size_t bytes(const json_t *vector, const char *name, uint8_t out[BYTES_MAX])
{
    const char *hex = string(vector, name);
    size_t n = strlen(hex) / 2;
    assert_true(n <= BYTES_MAX);
    for (size_t i = 0; i < n; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return n;
}

static haul_key key(const json_t *vector)
{
    return (haul_key){.pool_id = number(vector, "pool_id", 16),
                      .index = integer(vector, "index"),
                      .generation = integer(vector, "generation"),
                      .ticket = number(vector, "ticket", 16),
                      .offset = number(vector, "offset", 10)};
}

/* Say which vector it is that fails. */
static void announce(const json_t *vector, const char *name)
{
    print_message("  %s\n", string(vector, name));
}

/* ---- payloads.json ---- */

static void assert_says(const haul_payload *payload, const json_t *vector)
{
    static const char *const kinds[] = {"empty", "inline", "key"};
    haul__payload_kind kind;
    assert_ok(haul__payload_inspect(payload, &kind));
    assert_string_equal(kinds[kind], string(vector, "kind"));
    assert_true(payload->length == number(vector, "length", 10));
    if (kind == HAUL__PAYLOAD_INLINE) {
        uint8_t expected[BYTES_MAX];
        assert_int_equal(payload->inline_.len, bytes(vector, "inline", expected));
        if (payload->inline_.len > 0) {
            assert_memory_equal(payload->inline_.data, expected, payload->inline_.len);
        }
    } else if (kind == HAUL__PAYLOAD_KEY) {
        const haul_key expected = key(json_object_get(vector, "key"));
        haul_key found;
        assert_ok(haul_payload_get_key(payload, &found));
        assert_memory_equal(&found, &expected, sizeof(found));
    }
}

static void check_payload(const json_t *vector)
{
    uint8_t encoded[BYTES_MAX];
    uint8_t again[BYTES_MAX];
    const char *kind = string(vector, "kind");
    size_t n = bytes(vector, "hex", encoded);
    haul_payload *payload = shorthaul__v1__payload__unpack(NULL, n, encoded);
    if (strcmp(kind, "unparsable") == 0) {
        assert_null(payload);
        return;
    }
    assert_non_null(payload);
    haul__payload_kind ignored;
    if (strcmp(kind, "transfer") == 0) { /* which is right in one place only */
        assert_status(haul__payload_inspect(payload, &ignored), HAUL_PROTOCOL);
        assert_int_equal(payload->source_case, SHORTHAUL__V1__PAYLOAD__SOURCE_TRANSFER);
        assert_true(payload->length == number(vector, "length", 10));
        assert_true(payload->transfer == number(vector, "transfer", 16));
    } else if (strcmp(kind, "malformed") == 0) {
        assert_status(haul__payload_inspect(payload, &ignored), HAUL_PROTOCOL);
    } else {
        assert_says(payload, vector);
    }
    if (flag(vector, "canonical")) {
        assert_int_equal(shorthaul__v1__payload__get_packed_size(payload), n);
        (void)shorthaul__v1__payload__pack(payload, again);
        assert_memory_equal(again, encoded, n);
    }
    shorthaul__v1__payload__free_unpacked(payload, NULL);
}

static void payloads(void **state)
{
    (void)state;
    size_t i;
    json_t *vector;
    json_t *root = load("payloads.json");
    json_array_foreach(json_object_get(root, "payloads"), i, vector)
    {
        announce(vector, "name");
        check_payload(vector);
    }
    assert_true(i > 20);
    json_decref(root);
}

/* ---- data.json ---- */

static void check_connection(const json_t *vector)
{
    uint8_t expected[BYTES_MAX];
    haul__data_hello hello;
    memcpy(hello.magic, HAUL__DATA_MAGIC, sizeof(hello.magic));
    assert_int_equal(bytes(vector, "client_token", expected), sizeof(hello.token));
    memcpy(hello.token, expected, sizeof(hello.token));
    assert_int_equal(bytes(vector, "hello", expected), sizeof(hello));
    assert_memory_equal(&hello, expected, sizeof(hello));

    struct sockaddr_un address;
    socklen_t len = sizeof(address);
    int fd = haul__data_listen(number(vector, "name", 16));
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(close(fd), 0);
    const char *name = string(vector, "socket");
    assert_int_equal(len, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    assert_int_equal(address.sun_path[0], '\0');
    assert_memory_equal(address.sun_path + 1, name, strlen(name));
}

static void data(void **state)
{
    (void)state;
    size_t i;
    json_t *vector;
    json_t *root = load("data.json");
    json_array_foreach(json_object_get(root, "connections"), i, vector)
    {
        announce(vector, "name");
        check_connection(vector);
    }
    assert_true(i > 0);
    json_array_foreach(json_object_get(root, "numbers"), i, vector)
    {
        uint8_t expected[BYTES_MAX];
        uint8_t found[8];
        announce(vector, "value");
        assert_int_equal(bytes(vector, "hex", expected), sizeof(found));
        haul__data_put_u64(found, number(vector, "value", 10));
        assert_memory_equal(found, expected, sizeof(found));
        assert_true(haul__data_get_u64(found) == number(vector, "value", 10));
    }
    assert_true(i > 0);
    json_decref(root);
}

/* ---- probes.json ---- */

static void check_probe_request(const json_t *vector, const uint8_t *encoded, size_t n)
{
    const haul_key expected = key(json_object_get(vector, "key"));
    haul_key found;
    Shorthaul__V1__ProbeRequest *request = shorthaul__v1__probe_request__unpack(NULL, n, encoded);
    assert_non_null(request);
    assert_true(request->nonce->length == number(vector, "length", 10));
    assert_ok(haul_payload_get_key(request->nonce, &found));
    assert_memory_equal(&found, &expected, sizeof(found));
    shorthaul__v1__probe_request__free_unpacked(request, NULL);
}

static void check_probe_response(const json_t *vector, const uint8_t *encoded, size_t n)
{
    uint8_t nonce[BYTES_MAX];
    Shorthaul__V1__ProbeResponse *response =
        shorthaul__v1__probe_response__unpack(NULL, n, encoded);
    assert_non_null(response);
    assert_int_equal(response->attached, flag(vector, "attached"));
    assert_int_equal(response->nonce.len, bytes(vector, "nonce", nonce));
    if (response->nonce.len > 0) {
        assert_memory_equal(response->nonce.data, nonce, response->nonce.len);
    }
    assert_int_equal(response->participant, integer(vector, "participant"));
    shorthaul__v1__probe_response__free_unpacked(response, NULL);
}

static void probes(void **state)
{
    (void)state;
    size_t i;
    json_t *vector;
    json_t *root = load("probes.json");
    json_array_foreach(json_object_get(root, "probes"), i, vector)
    {
        uint8_t encoded[BYTES_MAX];
        size_t n = bytes(vector, "hex", encoded);
        announce(vector, "name");
        if (strcmp(string(vector, "message"), "ProbeRequest") == 0) {
            check_probe_request(vector, encoded, n);
        } else {
            check_probe_response(vector, encoded, n);
        }
    }
    assert_true(i >= 4);
    json_decref(root);
}

/* ---- metadata.json ---- */

static void check_accept(const json_t *vector)
{
    grpc_slice value = grpc_slice_from_copied_string(string(vector, "text"));
    uint64_t pool_id;
    uint32_t slot;
    bool understood = haul__accept_parse(value, &pool_id, &slot);
    grpc_slice_unref(value);
    assert_int_equal(understood, !flag(vector, "ignored"));
    if (understood) {
        assert_true(pool_id == number(vector, "pool_id", 16));
        assert_true(slot == number(vector, "slot", 10));
    }
}

static void check_lane(const json_t *vector)
{
    grpc_slice value = grpc_slice_from_copied_string(string(vector, "text"));
    uint64_t lane_id;
    bool understood = haul__lane_parse(value, &lane_id);
    grpc_slice_unref(value);
    assert_int_equal(understood, !flag(vector, "ignored"));
    if (understood) {
        assert_true(lane_id == number(vector, "lane", 16));
    }
}

static void check_stream(const json_t *vector)
{
    grpc_slice value = grpc_slice_from_copied_string(string(vector, "text"));
    uint64_t group;
    bool understood = haul__stream_parse(value, &group);
    grpc_slice_unref(value);
    assert_int_equal(understood, !flag(vector, "ignored"));
    if (understood) {
        assert_true(group == number(vector, "group", 16));
    }
}

static haul_path path(const json_t *vector, const char *name)
{
    for (haul_path p = HAUL_PATH_NONE; p <= HAUL_PATH_MIXED; p++) {
        if (strcmp(haul_path_name(p), string(vector, name)) == 0) {
            return p;
        }
    }
    fail_msg("%s is no path", string(vector, name));
    return HAUL_PATH_NONE;
}

static void check_path(const json_t *vector)
{
    assert_string_equal(haul__path_metadata(path(vector, "request"), path(vector, "response")),
                        string(vector, "text"));
}

static void metadata(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*check)(const json_t *vector);
    } kinds[] = {{HAUL__MD_ACCEPT, check_accept},
                 {HAUL__MD_LANE, check_lane},
                 {HAUL__MD_PATH, check_path},
                 {HAUL__MD_STREAM, check_stream}};
    json_t *root = load("metadata.json");
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        size_t i;
        json_t *vector;
        json_array_foreach(json_object_get(root, kinds[k].name), i, vector)
        {
            announce(vector, "text");
            kinds[k].check(vector);
        }
        assert_true(i >= 8);
    }
    json_decref(root);
}

static void loans(void **state)
{
    (void)state;
    size_t i;
    json_t *vector;
    json_t *root = load("metadata.json");
    json_array_foreach(json_object_get(root, HAUL__MD_LEND), i, vector)
    {
        uint8_t encoded[BYTES_MAX];
        haul_key found;
        uint64_t room;
        announce(vector, "name");
        size_t n = bytes(vector, "hex", encoded);
        grpc_slice value = grpc_slice_from_static_buffer(encoded, n);
        bool understood = haul__loan_parse(value, &found, &room);
        assert_int_equal(understood, !flag(vector, "ignored"));
        if (understood) {
            const haul_key expected = key(json_object_get(vector, "key"));
            assert_memory_equal(&found, &expected, sizeof(found));
            assert_true(room == number(vector, "room", 10));
        }
    }
    assert_true(i >= 10);
    json_decref(root);
}

/* ---- keys.json ---- */

static uint32_t phase(const char *name)
{
    static const char *const names[] = {"ABSENT", "CREATING", "FREE",     "OWNED", "SHARED",
                                        "GIVEN",  "RETIRED",  "TRIMMING", "KEPT",  "RETIRING"};
    for (uint32_t p = 0; p < HAUL__N_PHASES; p++) {
        if (strcmp(names[p], name) == 0) {
            return p;
        }
    }
    return (uint32_t)strtoul(name, NULL, 10);
}

static void forge(haul__record *record, const json_t *buffer)
{
    haul__store64_relaxed(&record->ticket, number(buffer, "ticket", 16));
    haul__store64_relaxed(&record->length, number(buffer, "length", 10));
    haul__store64_seq(&record->state,
                      haul__word(integer(buffer, "generation"), integer(buffer, "participant"),
                                 (enum haul__phase)phase(string(buffer, "phase")),
                                 integer(buffer, "flags")));
}

static void check_key(haul_pool *pool, const json_t *vector)
{
    static const struct {
        const char *name;
        haul_status status;
    } results[] = {{"attached", HAUL_OK},
                   {"stale", HAUL_STALE},
                   {"invalid", HAUL_INVALID},
                   {"corrupt", HAUL_CORRUPT}};
    const json_t *said = json_object_get(vector, "key");
    bool ours = strcmp(string(said, "pool"), "this") == 0;
    const haul_key k = {.pool_id = haul_pool_id(pool) + (ours ? 0 : 1),
                        .index = integer(said, "index"),
                        .generation = integer(said, "generation"),
                        .ticket = number(said, "ticket", 16),
                        .offset = number(said, "offset", 10)};
    forge(haul__record_of(pool, 0), json_object_get(vector, "buffer"));
    haul_view view = {0};
    haul_status status = haul_attach(pool, &k, number(vector, "length", 10), &view);
    size_t r = 0;
    while (strcmp(results[r].name, string(vector, "result")) != 0) {
        r++;
        assert_true(r < sizeof(results) / sizeof(results[0]));
    }
    assert_status(status, results[r].status);
    haul_detach(&view);
}

static void keys(void **state)
{
    (void)state;
    size_t i;
    json_t *vector;
    haul_pool *pool = test_pool_create("vectors");
    haul__a64 *word = &haul__record_of(pool, 0)->state;
    uint64_t before = haul__load64_seq(word);
    json_t *root = load("keys.json");
    json_array_foreach(json_object_get(root, "keys"), i, vector)
    {
        announce(vector, "name");
        check_key(pool, vector);
    }
    assert_true(i > 20);
    json_decref(root);
    haul__store64_seq(word, before);
    assert_all_free(pool);
    assert_audit_clean(pool);
    test_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads), cmocka_unit_test(data),  cmocka_unit_test(probes),
        cmocka_unit_test(metadata), cmocka_unit_test(loans), cmocka_unit_test(keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
