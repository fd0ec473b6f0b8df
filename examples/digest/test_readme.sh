#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# The example in the README is the marked region of the client, word for word.
set -euo pipefail
readme=${1:?usage: test_readme.sh README CLIENT}
client=${2:?}

region=$(sed -n '/README: begin/,/README: end/p' "$client" | sed '1d;$d')
example=$(awk '/^```c$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$readme")
[ -n "$region" ]
diff <(printf '%s\n' "$region") <(printf '%s\n' "$example")
[ "$(wc -l <<<"$region")" -le 25 ]
