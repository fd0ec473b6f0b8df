#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Kill and restart the processes that use a pool, as released, KILLS times, stopping some of them
# for seconds first.
#
#   scripts/storm.sh [KILLS]    default: 10000
#
# One JSON line on stdout, at the end. Exit: 0 nothing was lost, wrong or taken from the living,
# 1 not.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly kills=${1:-10000}
readonly stop_ms=3000

clean_up() {
    :
}

catch_signals
"$root/scripts/install-deps.sh" test
build release storm >&2
run "$root/scripts/isolated.sh" "$root/build/release/bin/storm" "$kills" "$stop_ms"
