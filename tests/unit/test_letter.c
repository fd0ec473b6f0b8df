/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Letters are read as they were written, whatever is in them, and messages that are malformed are
 * refused. Every frame is a block of the heap of just its size, so that AddressSanitizer sees a read
 * past its end.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>

#include "pool_test.h"
#include "transport/letter.h"

/* ---- Frames -------------------------------------------------------------------------------- */

/* A message of a trunk that is being put together. */
typedef struct frame {
    uint8_t *bytes;
    size_t n;
} frame;

static void add(frame *f, const void *bytes, size_t n)
{
    f->bytes = realloc(f->bytes, f->n + n + 1);
    assert_non_null(f->bytes);
    memcpy(f->bytes + f->n, bytes, n);
    f->n += n;
}

/* A letter, with @n bytes of @byte as its message if @n is not negative. */
static void add_letter(frame *f, const haul__letter_fields *fields, int64_t n, uint8_t byte)
{
    uint8_t head[HAUL__LETTER_HEAD_MAX];
    size_t n_message = n < 0 ? 0 : (size_t)n;
    grpc_slice written = haul__letter_write(fields);
    size_t n_written = GRPC_SLICE_LENGTH(written);
    add(f, head, haul__letter_head(n_written, n_message, n >= 0, head));
    add(f, GRPC_SLICE_START_PTR(written), n_written);
    grpc_slice_unref(written);
    if (n >= 0) {
        uint8_t *message = malloc(n_message + 1);
        assert_non_null(message);
        memset(message, byte, n_message);
        add(f, head, haul__letter_message_head(n_message, head));
        add(f, message, n_message);
        free(message);
    }
}

static grpc_slice slice_of(const frame *f)
{
    grpc_slice slice = grpc_slice_malloc_large(f->n);
    memcpy(GRPC_SLICE_START_PTR(slice), f->bytes, f->n);
    return slice;
}

static void free_frame(frame *f)
{
    free(f->bytes);
    *f = (frame){0};
}

/* ---- Reading ------------------------------------------------------------------------------- */

enum {
    N_SEEN = 4
};

/* What was shown, with what is to be compared of it. */
typedef struct seen {
    haul__letter letters[N_SEEN];
    uint64_t sum;
    size_t n;
} seen;

static void touch(uint64_t *sum, grpc_slice slice)
{
    for (size_t i = 0; i < GRPC_SLICE_LENGTH(slice); i++) {
        *sum += GRPC_SLICE_START_PTR(slice)[i];
    }
}

/* Every byte that a letter claims to have is read. */
static void show(void *ctx, haul__letter *letter)
{
    seen *s = ctx;
    touch(&s->sum, letter->method);
    touch(&s->sum, letter->text);
    touch(&s->sum, letter->message);
    const haul__letter_metadata *lists[] = {&letter->initial, &letter->trailing};
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < lists[i]->array.count; j++) {
            touch(&s->sum, lists[i]->array.metadata[j].key);
            touch(&s->sum, lists[i]->array.metadata[j].value);
        }
    }
    if (s->n < N_SEEN) {
        haul__letter *kept = &s->letters[s->n];
        *kept = *letter;
        haul__letter_metadata_move(&kept->initial, &letter->initial);
        haul__letter_metadata_move(&kept->trailing, &letter->trailing);
    }
    s->n++;
}

static void forget(seen *s)
{
    for (size_t i = 0; i < s->n && i < N_SEEN; i++) {
        haul__letter_metadata_fini(&s->letters[i].initial);
        haul__letter_metadata_fini(&s->letters[i].trailing);
    }
    *s = (seen){0};
}

static bool is_read(const void *bytes, size_t n)
{
    const frame f = {.bytes = (uint8_t *)bytes, .n = n};
    grpc_slice slice = slice_of(&f);
    seen s = {0};
    uint64_t max_calls = 0;
    bool ok = haul__letters_read(slice, show, &s, &max_calls);
    forget(&s);
    grpc_slice_unref(slice);
    return ok;
}

static void assert_slice(grpc_slice slice, const char *text)
{
    assert_int_equal(GRPC_SLICE_LENGTH(slice), strlen(text));
    assert_memory_equal(GRPC_SLICE_START_PTR(slice), text, strlen(text));
}

/* ---- What is right ------------------------------------------------------------------------- */

static void every_field_comes_back(void **state)
{
    (void)state;
    grpc_slice text = grpc_slice_from_static_string("no such thing");
    const haul__letter_fields fields = {
        .id = UINT64_MAX,
        .timeout_ns = UINT64_C(1) << 63,
        .method = "/a.B/C",
        .text = &text,
        .status = 16,
        .more = true,
        .unbegun = true,
    };
    const haul__letter_fields cancelled = {.id = 1, .cancelled = true};
    frame f = {0};
    seen s = {0};
    add_letter(&f, &fields, 3, 'm');
    add_letter(&f, &cancelled, -1, 0);
    grpc_slice slice = slice_of(&f);
    assert_true(haul__letters_read(slice, show, &s, NULL));
    assert_int_equal(s.n, 2);
    assert_true(s.letters[0].id == UINT64_MAX);
    assert_true(s.letters[0].timeout_ns == UINT64_C(1) << 63);
    assert_slice(s.letters[0].method, "/a.B/C");
    assert_slice(s.letters[0].text, "no such thing");
    assert_slice(s.letters[0].message, "mmm");
    assert_int_equal(s.letters[0].status, 16);
    assert_true(s.letters[0].more && s.letters[0].unbegun && s.letters[0].has_message);
    assert_false(s.letters[0].cancelled);
    assert_int_equal(s.letters[1].id, 1);
    assert_true(s.letters[1].cancelled);
    assert_false(s.letters[1].more || s.letters[1].unbegun || s.letters[1].has_message);
    forget(&s);
    grpc_slice_unref(slice);
    free_frame(&f);
}

static void assert_entry(const grpc_metadata *entry, size_t i)
{
    char key[16];
    char value[16];
    (void)snprintf(key, sizeof(key), "key-%zu", i);
    (void)snprintf(value, sizeof(value), "value-%zu", i);
    assert_slice(entry->key, key);
    assert_slice(entry->value, value);
}

/* @n entries as initial metadata, and one less as trailing. */
static void metadata_comes_back(size_t n)
{
    char texts[200][2][16];
    grpc_metadata items[200] = {0};
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(texts[i][0], sizeof(texts[i][0]), "key-%zu", i);
        (void)snprintf(texts[i][1], sizeof(texts[i][1]), "value-%zu", i);
        items[i].key = grpc_slice_from_static_string(texts[i][0]);
        items[i].value = grpc_slice_from_static_string(texts[i][1]);
    }
    size_t n_trailing = n > 0 ? n - 1 : 0;
    const haul__letter_fields fields = {
        .id = 7, .metadata = items, .n_metadata = n, .trailing = items, .n_trailing = n_trailing};
    frame f = {0};
    seen s = {0};
    add_letter(&f, &fields, -1, 0);
    grpc_slice slice = slice_of(&f);
    assert_true(haul__letters_read(slice, show, &s, NULL));
    assert_int_equal(s.n, 1);
    assert_int_equal(s.letters[0].initial.array.count, n);
    assert_int_equal(s.letters[0].trailing.array.count, n_trailing);
    for (size_t i = 0; i < n; i++) {
        assert_entry(&s.letters[0].initial.array.metadata[i], i);
        if (i < n_trailing) {
            assert_entry(&s.letters[0].trailing.array.metadata[i], i);
        }
    }
    forget(&s);
    grpc_slice_unref(slice);
    free_frame(&f);
}

static void any_metadata_comes_back(void **state)
{
    (void)state;
    metadata_comes_back(0);
    metadata_comes_back(4);
    metadata_comes_back(5);
    metadata_comes_back(200);
}

static void message_comes_back(size_t n)
{
    const haul__letter_fields fields = {.id = 7};
    frame f = {0};
    seen s = {0};
    add_letter(&f, &fields, (int64_t)n, 0x5a);
    grpc_slice slice = slice_of(&f);
    assert_true(haul__letters_read(slice, show, &s, NULL));
    assert_int_equal(s.n, 1);
    assert_true(s.letters[0].has_message);
    assert_int_equal(GRPC_SLICE_LENGTH(s.letters[0].message), n);
    assert_int_equal(s.sum, n * 0x5a);
    forget(&s);
    grpc_slice_unref(slice);
    free_frame(&f);
}

static void any_message_comes_back(void **state)
{
    (void)state;
    message_comes_back(0);
    message_comes_back(127);
    message_comes_back(128);
    message_comes_back(HAUL__LETTER_MAX);
    message_comes_back(5 << 20);
}

static void the_greeting_says_how_many_calls(void **state)
{
    (void)state;
    uint64_t max_calls = 0;
    seen s = {0};
    grpc_slice hello = haul__letters_hello(UINT32_MAX);
    const frame f = {.bytes = GRPC_SLICE_START_PTR(hello), .n = GRPC_SLICE_LENGTH(hello)};
    grpc_slice slice = slice_of(&f);
    assert_true(haul__letters_read(slice, show, &s, &max_calls));
    assert_true(max_calls == UINT32_MAX);
    assert_int_equal(s.n, 0);
    grpc_slice_unref(slice);
    grpc_slice_unref(hello);
}

/* Fields of later versions, of each wire type, around and within a letter. */
static void unknown_fields_are_skipped(void **state)
{
    (void)state;
    static const uint8_t raw[] = {
        0x98, 0x06, 0x05,                          /* 99: a varint */
        0x0a, 0x20,                                /* a letter */
        0x99, 0x06, 1,    2,   3,   4, 5, 6, 7, 8, /* 99: 64 bits */
        0x08, 0x2a,                                /* its id */
        0x9d, 0x06, 1,    2,   3,   4,             /* 99: 32 bits */
        0x9a, 0x06, 0x02, 'x', 'y',                /* 99: bytes */
        0x10, 0x01,                                /* the number of a method, as a varint */
        0x4a, 0x02, 'o',  'k',                     /* its message */
        0x9a, 0x06, 0x00,                          /* 99: no bytes */
    };
    const frame f = {.bytes = (uint8_t *)raw, .n = sizeof(raw)};
    grpc_slice slice = slice_of(&f);
    seen s = {0};
    assert_true(haul__letters_read(slice, show, &s, NULL));
    assert_int_equal(s.n, 1);
    assert_int_equal(s.letters[0].id, 42);
    assert_slice(s.letters[0].message, "ok");
    assert_slice(s.letters[0].method, "");
    forget(&s);
    grpc_slice_unref(slice);
}

static void of_a_field_the_last_one_counts(void **state)
{
    (void)state;
    static const uint8_t raw[] = {
        0x0a, 0x12, 0x08, 0x01, 0x08, 0x02,             /* ids */
        0x12, 0x01, 'a',  0x12, 0x01, 'b',              /* methods */
        0x4a, 0x02, 'x',  'y',  0x4a, 0x00, 0x50, 0x00, /* messages; not cancelled */
    };
    const frame f = {.bytes = (uint8_t *)raw, .n = sizeof(raw)};
    grpc_slice slice = slice_of(&f);
    seen s = {0};
    assert_true(haul__letters_read(slice, show, &s, NULL));
    assert_int_equal(s.n, 1);
    assert_int_equal(s.letters[0].id, 2);
    assert_slice(s.letters[0].method, "b");
    assert_slice(s.letters[0].message, "");
    assert_true(s.letters[0].has_message);
    forget(&s);
    grpc_slice_unref(slice);
}

/* As gRPC hands them over: in one short piece that lies in the struct itself, or in several. */
static void frames_are_made_of_any_pieces(void **state)
{
    (void)state;
    const haul__letter_fields fields = {.id = 7, .method = "/a.B/C"};
    frame f = {0};
    add_letter(&f, &fields, 2, 'm');
    for (size_t cut = 0; cut < f.n; cut++) {
        grpc_slice pieces[2] = {
            grpc_slice_from_copied_buffer((const char *)f.bytes, cut),
            grpc_slice_from_copied_buffer((const char *)f.bytes + cut, f.n - cut)};
        grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(pieces, 2);
        grpc_slice whole = haul__frame_of(buffer);
        seen s = {0};
        assert_non_null(whole.refcount);
        assert_true(haul__letters_read(whole, show, &s, NULL));
        assert_int_equal(s.n, 1);
        assert_slice(s.letters[0].method, "/a.B/C");
        assert_slice(s.letters[0].message, "mm");
        forget(&s);
        grpc_slice_unref(whole);
        grpc_byte_buffer_destroy(buffer);
        grpc_slice_unref(pieces[0]);
        grpc_slice_unref(pieces[1]);
    }
    free_frame(&f);
}

/* ---- What is wrong ------------------------------------------------------------------------- */

/* With metadata, so that lengths stand in lengths. */
static void cut_anywhere_it_is_refused(void **state)
{
    (void)state;
    const grpc_metadata entry = {.key = grpc_slice_from_static_string("key"),
                                 .value = grpc_slice_from_static_string("value")};
    grpc_slice text = grpc_slice_from_static_string("text");
    const haul__letter_fields fields = {.id = 300,
                                        .timeout_ns = 1000000,
                                        .method = "/a.B/C",
                                        .metadata = &entry,
                                        .n_metadata = 1,
                                        .trailing = &entry,
                                        .n_trailing = 1,
                                        .text = &text,
                                        .status = 5};
    frame f = {0};
    add_letter(&f, &fields, 10, 'm');
    assert_true(is_read(f.bytes, f.n));
    for (size_t n = 1; n < f.n; n++) {
        assert_false(is_read(f.bytes, n));
    }
    free_frame(&f);
}

static void refuse(const void *bytes, size_t n)
{
    assert_false(is_read(bytes, n));
}

#define REFUSE(...)                                                                                \
    do {                                                                                           \
        static const uint8_t raw_[] = {__VA_ARGS__};                                               \
        refuse(raw_, sizeof(raw_));                                                                \
    } while (0)

static void lengths_beyond_the_frame_are_refused(void **state)
{
    (void)state;
    REFUSE(0x0a, 0x01);
    REFUSE(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00);
    REFUSE(0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0x00);
    REFUSE(0x0a, 0x02, 0x4a, 0x01, 0x00, 0x00);             /* a message longer than its letter */
    REFUSE(0x0a, 0x04, 0x22, 0x02, 0x0a, 0x01, 0x6b, 0x6b); /* a key longer than its entry */
    REFUSE(0x9d, 0x06, 1, 2, 3);                            /* 32 bits of which 8 are missing */
    REFUSE(0x99, 0x06, 1, 2, 3, 4, 5, 6, 7);
}

static void overlong_varints_are_refused(void **state)
{
    (void)state;
    REFUSE(0x10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01);
    REFUSE(0x0a, 0x0c, 0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01);
    REFUSE(0x90, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x01); /* a field's number in six bytes */
}

static void groups_and_nameless_fields_are_refused(void **state)
{
    (void)state;
    REFUSE(0x0b, 0x0c);             /* a group, which ends at once */
    REFUSE(0x0a, 0x02, 0x0b, 0x0c); /* the same in a letter */
    REFUSE(0x0e, 0x00);             /* wire types that do not exist */
    REFUSE(0x0f, 0x00);
    REFUSE(0x00, 0x00); /* field 0 */
    REFUSE(0x0a, 0x02, 0x02, 0x00);
}

/* @n empty entries of metadata in a letter. */
static bool entries_are_read(size_t n)
{
    uint8_t head[HAUL__LETTER_HEAD_MAX];
    static const uint8_t empty_entry[] = {0x22, 0x00};
    frame f = {0};
    add(&f, head, haul__letter_head(n * sizeof(empty_entry), 0, false, head));
    for (size_t i = 0; i < n; i++) {
        add(&f, empty_entry, sizeof(empty_entry));
    }
    bool ok = is_read(f.bytes, f.n);
    free_frame(&f);
    return ok;
}

static void masses_of_metadata_are_refused(void **state)
{
    (void)state;
    assert_true(entries_are_read(1000));
    assert_false(entries_are_read(2000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_comes_back),
        cmocka_unit_test(any_metadata_comes_back),
        cmocka_unit_test(any_message_comes_back),
        cmocka_unit_test(the_greeting_says_how_many_calls),
        cmocka_unit_test(unknown_fields_are_skipped),
        cmocka_unit_test(of_a_field_the_last_one_counts),
        cmocka_unit_test(frames_are_made_of_any_pieces),
        cmocka_unit_test(cut_anywhere_it_is_refused),
        cmocka_unit_test(lengths_beyond_the_frame_are_refused),
        cmocka_unit_test(overlong_varints_are_refused),
        cmocka_unit_test(groups_and_nameless_fields_are_refused),
        cmocka_unit_test(masses_of_metadata_are_refused),
    };
    grpc_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    grpc_shutdown();
    return failed;
}
