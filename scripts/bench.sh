#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Run the benchmarks in full, keep their JSON lines in build/bench.jsonl, and print a table.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

clean_up() {
    :
}

catch_signals
"$root/scripts/install-deps.sh" test
build release bench_pool bench_e2e bench_message bench_cpp_peer

results=$root/build/bench.jsonl
run "$root/build/release/bin/bench_pool" >"$results"
run "$root/build/release/bin/bench_e2e" >>"$results"
run "$root/build/release/bin/bench_message" >>"$results"

jq -r 'select(.cpu) | "\(.cpu), \(.cores) cores, Linux \(.kernel)"' "$results" | sort -u
echo
printf '%-24s %14s %14s %8s\n' OPERATION P50_NS P99_NS N
jq -r 'select(.p50_ns) | [.name, .p50_ns, .p99_ns, .n] | @tsv' "$results" |
    while IFS=$'\t' read -r name p50 p99 n; do
        printf '%-24s %14.1f %14.1f %8d\n' "$name" "$p50" "$p99" "$n"
    done
echo
printf '%-20s %-16s %12s %12s %6s\n' CALL WORK P50_US P99_US N
jq -r 'select(.p50_us) | [.name, .work // .shape, .p50_us, .p99_us, .n] | @tsv' "$results" |
    while IFS=$'\t' read -r name work p50 p99 n; do
        printf '%-20s %-16s %12.1f %12.1f %6d\n' "$name" "$work" "$p50" "$p99" "$n"
    done
echo
printf '%-12s %-10s %12s %16s %16s\n' CALLERS CLIENT CALLS_PER_S CPU_US_PER_CALL WAITS_PER_CALL
jq -r 'select(.calls_per_s) |
       [.name, .path, .calls_per_s, .cpu_us_per_call, .waits_per_call] | @tsv' "$results" |
    while IFS=$'\t' read -r name path rate cpu waits; do
        printf '%-12s %-10s %12d %16.1f %16.2f\n' "$name" "$path" "$rate" "$cpu" "$waits"
    done
echo
jq -r 'select(.messages_per_s) |
       "\(.name): \(.messages_per_s) messages/s, the median of \(.n) streams of \(.messages)"' "$results"
echo
printf '%-40s %10s %10s\n' RATIO VALUE WANTED
jq -r 'select(.name == "ratios") | del(.name, .cpu, .cores, .kernel) | to_entries[] |
       [.key, .value, "", ""] | @tsv' "$results" >"$results.ratios"
jq -r 'select(.name == "ratio") |
       [([.shape, .target] | map(strings) | join(", ")), .value, .wanted // "", if .met == false then "not met" else "" end] | @tsv' \
    "$results" >>"$results.ratios"
while IFS=$'\t' read -r name value wanted met; do
    printf '%-40s %10.2f %10s %s\n' "$name" "$value" "$wanted" "$met"
done <"$results.ratios"
rm -f "$results.ratios"
