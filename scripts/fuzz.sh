#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Build the fuzz targets with libFuzzer and run each for a while, from its corpus of tests/fuzz/corpus.
#
#   scripts/fuzz.sh [SECONDS] [TARGET...]     default: 60 seconds each of layout, key, control, message,
#                                             request, answer, letter
#
# What is found on the way goes to build/fuzz/corpus, an input that was not survived to
# build/fuzz/found. Exit: 0 all was survived, 1 not. Leaves nothing in /dev/shm.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || die "'$seconds' is no number of seconds"
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(layout key control message request answer letter)
readonly found=$root/build/fuzz/found

clean_up() {
    :
}

catch_signals
"$root/scripts/install-deps.sh" test
build fuzz "${targets[@]/#/fuzz_}"
mkdir -p "$found"

failed=()
for target in "${targets[@]}"; do
    note "== fuzz_$target: $seconds seconds"
    grown=$root/build/fuzz/corpus/$target
    mkdir -p "$grown"
    run "$root/scripts/isolated.sh" "$root/build/fuzz/bin/fuzz_$target" \
        -max_total_time="$seconds" -timeout=20 -max_len=512 -len_control=0 -print_final_stats=1 \
        -artifact_prefix="$found/$target-" "$grown" "$root/tests/fuzz/corpus/$target" ||
        failed+=("$target")
done

if [ ${#failed[@]} -gt 0 ]; then
    note "fuzz.sh: FAILED: ${failed[*]}; see $found"
    exit 1
fi
note "fuzz.sh: all was survived (${targets[*]})"
