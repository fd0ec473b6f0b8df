#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# Put the tables that PROGRAM (tests/tools/layout_tables.c) prints into docs/shm-layout.md, and the
# fingerprint also into examples/python/haul_layout.py, or with --check say whether they are the same
# already.
#
#   scripts/layout-doc.sh [--check] PROGRAM
set -euo pipefail

check=false
if [ "${1:-}" = --check ]; then
    check=true
    shift
fi
program=${1:?usage: layout-doc.sh [--check] PROGRAM}
root=$(dirname "$0")/..
doc=$root/docs/shm-layout.md
python=$root/examples/python/haul_layout.py

new=$(mktemp)
new_python=$(mktemp)
trap 'rm -f "$new" "$new_python"' EXIT
{
    sed '/^<!-- printed by /q' "$doc"
    "$program"
    sed -n '/^<!-- end -->/,$p' "$doc"
} >"$new"
fingerprint=$(sed -n 's/^| fingerprint | 0x\(.*\) |$/\U\1/p' "$new")
sed "s/^FINGERPRINT = 0x[0-9A-F]*/FINGERPRINT = 0x$fingerprint/" "$python" >"$new_python"

if $check; then
    diff -u "$doc" "$new" && diff -u "$python" "$new_python" || {
        echo "these differ from src/pool/layout.h: run scripts/layout-doc.sh" >&2
        exit 1
    }
else
    cat "$new" >"$doc"
    cat "$new_python" >"$python"
fi
