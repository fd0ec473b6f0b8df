/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * Keys as one word of text, for command lines and logs of other people's making:
 *
 *   hk1-POOL-INDEX-GENERATION-TICKET-OFFSET-LENGTH, in lower-case hexadecimal.
 *
 * Strict: what haul_key_format() would not write is refused. Pure functions, any thread.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <shorthaul/pool.h>

#define N_NUMBERS 6

void haul_key_format(const haul_key *key, uint64_t len, char out_text[HAUL_KEY_TEXT_BYTES])
{
    (void)snprintf(out_text, HAUL_KEY_TEXT_BYTES,
                   "hk1-%" PRIx64 "-%" PRIx32 "-%" PRIx32 "-%" PRIx64 "-%" PRIx64 "-%" PRIx64,
                   key->pool_id, key->index, key->generation, key->ticket, key->offset, len);
}

/* The next number, of at most 16 digits; NULL if there is none. */
static const char *parse_hex(const char *text, uint64_t *out_number)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t number = 0;
    int n = 0;
    for (; *text != '\0' && *text != '-'; text++, n++) {
        const char *digit = strchr(digits, *text);
        if (!digit || n == 16 || (n == 1 && text[-1] == '0')) {
            return NULL;
        }
        number = number << 4 | (uint64_t)(digit - digits);
    }
    *out_number = number;
    return n > 0 ? text : NULL;
}

haul_status haul_key_parse(const char *text, haul_key *out_key, uint64_t *out_len)
{
    uint64_t numbers[N_NUMBERS];
    if (!text || strncmp(text, "hk1", 3) != 0) {
        return HAUL_INVALID;
    }
    text += 3;
    for (int i = 0; i < N_NUMBERS; i++) {
        if (*text != '-' || !(text = parse_hex(text + 1, &numbers[i]))) {
            return HAUL_INVALID;
        }
    }
    if (*text != '\0' || numbers[1] > UINT32_MAX || numbers[2] > UINT32_MAX) {
        return HAUL_INVALID;
    }
    *out_key = (haul_key){.pool_id = numbers[0],
                          .index = (uint32_t)numbers[1],
                          .generation = (uint32_t)numbers[2],
                          .ticket = numbers[3],
                          .offset = numbers[4]};
    *out_len = numbers[5];
    return HAUL_OK;
}
