#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Build and run all tests: with AddressSanitizer and UndefinedBehaviorSanitizer, with
# ThreadSanitizer, and as released.
#
#   scripts/test.sh [PRESET...]     default: asan tsan release
#
# Installs what is missing. Exit: 0 all tests passed and nothing was left behind, 1 not.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

presets=("${@:-}")
[ -n "${presets[0]}" ] || presets=(asan tsan release)

clean_up() {
    :
}

catch_signals
"$root/scripts/install-deps.sh" test
for preset in "${presets[@]}"; do
    note "== $preset: build"
    build "$preset"
done

failed=()
for preset in "${presets[@]}"; do
    note "== $preset: test"
    run "$root/scripts/isolated.sh" ctest --test-dir "$root/build/$preset" --output-on-failure -j 2 ||
        failed+=("$preset")
done

if [ ${#failed[@]} -gt 0 ]; then
    note "test.sh: FAILED: ${failed[*]}"
    exit 1
fi
note "test.sh: all tests passed (${presets[*]}), nothing left behind"
