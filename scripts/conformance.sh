#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# The whole conformance list: all kinds of call, payloads up to 300 MiB, every event; and after each
# case an audit. Twice: with data connections, and without. CTest runs it without what takes long.
#
#   scripts/conformance.sh [PRESET]     default: release
#
# Needs 3 GiB of /dev/shm. Exit: 0 all cases passed and nothing was left behind, 1 not.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

clean_up() {
    :
}

preset=${1:-release}
catch_signals
"$root/scripts/install-deps.sh" test
build "$preset" conformance
run "$root/scripts/isolated.sh" "$root/build/$preset/bin/conformance" full
CONF_NO_DATA=1 run "$root/scripts/isolated.sh" "$root/build/$preset/bin/conformance" full
