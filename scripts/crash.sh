#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Kill a process at every instruction of every operation of the pool, as released, and see that the
# living lose nothing. Takes minutes.
#
#   scripts/crash.sh [OPTION...]    options as for tests/crash/crash_sweep.c, such as --operation NAME
#
# One JSON line per operation on stdout. Exit: 0 every point was survived, 1 not.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

clean_up() {
    :
}

catch_signals
"$root/scripts/install-deps.sh" test
build release crash_sweep >&2
run "$root/scripts/isolated.sh" "$root/build/release/bin/crash_sweep" "$@"
