#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Make CALLS calls between two processes, as released, by key, inline and empty, and tell how much
# memory client and server have gained by them.
#
#   scripts/soak.sh [CALLS]    default: 1000000
#
# One JSON line on stdout, at the end. Exit: 0 neither has grown by more than 1 MiB, 1 one has, or a
# call has failed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly calls=${1:-1000000}

clean_up() {
    :
}

catch_signals
"$root/scripts/install-deps.sh" test
build release bench_e2e >&2
run "$root/build/release/bin/bench_e2e" --soak "$calls"
