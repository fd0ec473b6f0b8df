#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# Put the tables that PROGRAM (tests/tools/layout_tables.c) prints into docs/shm-layout.md, or with
# --check say whether they are the same already.
#
#   scripts/layout-doc.sh [--check] PROGRAM
set -euo pipefail

check=false
if [ "${1:-}" = --check ]; then
    check=true
    shift
fi
program=${1:?usage: layout-doc.sh [--check] PROGRAM}
doc=$(dirname "$0")/../docs/shm-layout.md

new=$(mktemp)
trap 'rm -f "$new"' EXIT
{
    sed '/^<!-- printed by /q' "$doc"
    "$program"
    sed -n '/^<!-- end -->/,$p' "$doc"
} >"$new"

if $check; then
    diff -u "$doc" "$new" || {
        echo "docs/shm-layout.md differs from src/pool/layout.h: run scripts/layout-doc.sh" >&2
        exit 1
    }
else
    cat "$new" >"$doc"
fi
