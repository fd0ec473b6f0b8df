/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * What the end-to-end benchmark prints: one JSON object per line, with the machine's facts in each.
 *
 * Used by main()'s thread. A ratio that is not reached is told, not failed: the machine may be busy
 * with something else.
 */
#include <stdio.h>

#include "e2e.h"

double e2e_p50_us(e2e_arm *arm)
{
    return bench_samples_percentile(&arm->samples, 50) / 1000;
}

void e2e_print_arm(e2e_arm *arm)
{
    uint64_t n_bytes = arm->size != NULL ? arm->size->n_bytes : 0;
    char size_text[32];
    bench_size_text(n_bytes, size_text, sizeof(size_text));
    (void)printf("{\"name\": \"%s%s%s\", \"path\": \"%s\", \"bytes\": %llu, \"work\": \"%s\", "
                 "\"p50_us\": %.1f, \"p99_us\": %.1f, \"n\": %zu, ",
                 arm->stem, arm->size != NULL ? "_" : "", arm->size != NULL ? size_text : "",
                 arm->path, (unsigned long long)n_bytes,
                 arm->whole ? "produce_consume" : "handover", e2e_p50_us(arm),
                 bench_samples_percentile(&arm->samples, 99) / 1000, arm->samples.n);
    bench_print_facts();
    (void)puts("}");
}

void e2e_print_target(const e2e_target *target)
{
    (void)printf("{\"name\": \"ratio\", \"target\": \"%s\", \"value\": %.3f, ", target->name,
                 target->value);
    if (target->wanted > 0) {
        bool met =
            target->at_most ? target->value <= target->wanted : target->value >= target->wanted;
        (void)printf("\"wanted\": \"%s %.2f\", \"met\": %s, ",
                     target->at_most ? "<=" : ">=", target->wanted, met ? "true" : "false");
    }
    bench_print_facts();
    (void)puts("}");
}
