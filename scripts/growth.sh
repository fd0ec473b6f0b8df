#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Make CALLS calls, by key and inline, and see that neither the heap nor what is resident grows.
#
#   scripts/growth.sh [CALLS]    default: 1000000
#
# Exit: 0 it does not grow, 1 it does.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly calls=${1:-1000000}

clean_up() {
    :
}

catch_signals
"$root/scripts/install-deps.sh" test
build release test_transport_growth >&2
run "$root/scripts/isolated.sh" "$root/build/release/bin/test_transport_growth" "$calls"
