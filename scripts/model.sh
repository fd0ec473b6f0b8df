#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Check the model of a buffer's life (tests/model, docs/model.md) with spin, exhaustively.
#
#   scripts/model.sh [CHECK...]             default: all of them
#   scripts/model.sh --mutants [MUTANT...]  the model with a known bug each: spin must find it
#
# One line per check, with the number of states. A counterexample stays as a trail, and as text, in
# build/model/CHECK. Exit: 0 everything was as it should be, 1 not.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly model=$root/tests/model
readonly memory_mb=7500
readonly depth=5000000
readonly mutant_depth=2000

# Name, file, cast, LIVES, DEATHS. Bounds and sizes are in docs/model.md.
readonly checks='
    recover           recover LIFE     1 1
    recover-object    recover OBJECT   1 1
    recover-measured  recover MEASURED 1 1
    recover-name      recover NAME     1 1
    life              buffer  LIFE     1 2
    readers           buffer  READERS  1 1
    gift              buffer  GIFT     1 1
    loan              buffer  LOAN     1 1
    hints             buffer  HINTS    2 1
    object            buffer  OBJECT   2 1
    mapping           buffer  OBJECT   3 0
    name              buffer  NAME     1 1
    measured          buffer  MEASURED 1 1
'

# Bug, file, cast, LIVES, DEATHS, and what the assertion that must fail speaks of.
readonly mutants='
    LOOK_THEN_PIN      buffer  READERS  1 0 readers==0
    LOOK_THEN_RETIRE   buffer  READERS  1 0 readers==0
    FINISH_BLIND       buffer  READERS  1 0 readers==0
    HALF_A_LOOK        buffer  READERS  1 0 readers==0
    FINISH_STORES      buffer  READERS  1 0 from==
    UNPIN_WALKS_AWAY   buffer  READERS  1 0 holders
    STALE_KEY_FITS     buffer  READERS  2 0 ==key
    SAME_LIFE          buffer  READERS  1 0 next/256
    REAP_WITHOUT_LOCK  buffer  READERS  1 0 owners
    JOIN_WITHOUT_REAP  buffer  READERS  1 1 !=9
    NOTHING_IS_MENDED  recover LIFE     1 1 holders
    HOLDS_ARE_KEPT     recover LIFE     1 1 holders
    CLAIM_STORES       buffer  GIFT     1 0 from==
    CLAIM_EMPTY_STORES buffer  LOAN     1 0 from==
    CLAIM_EMPTY_SAME_LIFE buffer LOAN   1 0 next/256
    TAKE_BACK_STORES   buffer  LOAN     1 0 from==
    EXPIRY_STORES      buffer  GIFT     1 0 from==
    HINT_DROPPED_BLIND buffer  HINTS    1 0 hint
    FRESH_RAISED_BLIND buffer  HINTS    1 0 hint
    ABSENT_TOO_EARLY   buffer  OBJECT   1 0 object
    OLD_MAPPING        buffer  OBJECT   3 0 map==object
    WITHDRAWN_TOO_EARLY buffer NAME     1 0 entry_life
    RETIRING_BLIND     buffer  READERS  1 0 readers==0
    HINT_RETIRING      buffer  HINTS    1 0 hint
    HOLD_NEVER_SHOWN   buffer  READERS  1 0 hidden_readers==0
'

clean_up() {
    :
}

# check NAME FILE CAST LIVES DEATHS "MORE DEFINES" "GCC OPTIONS" DEPTH: spin's verdict in pan.out.
check() {
    local defines=(-DCAST_"$3" -DLIVES="$4" -DDEATHS="$5" $6)
    mkdir -p "$root/build/model/$1"
    cd "$root/build/model/$1"
    rm -f ./*
    spin -a "${defines[@]}" "$model/$2.pml" >spin.out || die "$1: $(cat spin.out)"
    run gcc -w -DSAFETY -DNOREDUCE -DMEMLIM=$memory_mb $7 -o pan pan.c
    run ./pan -m"$8" >pan.out 2>&1 || true
    if [ -e "$2.pml.trail" ]; then
        run spin -k "$2.pml.trail" -p -g -l "${defines[@]}" "$model/$2.pml" >trail.txt 2>&1 || true
    fi
}

# The search was complete and found nothing.
is_clean() {
    grep -q 'errors: 0$' pan.out && ! grep -qE 'Search not completed|too small|out of memory|limit' pan.out
}

n_states() {
    awk '/states, stored/ { print $1; exit }' pan.out
}

run_check() {
    SECONDS=0
    check "$1" "$2" "$3" "$4" "$5" "" "-O2 -DCOLLAPSE" $depth
    if ! is_clean; then
        note "model.sh: $1: FAILED, see build/model/$1"
        grep -E '^pan|error' pan.out >&2 || true
        return 1
    fi
    note "model.sh: $1: $(n_states) states, ${SECONDS} s"
}

run_mutant() {
    check "mutant-$1" "$2" "$3" "$4" "$5" "-DBUG_$1" -O0 $mutant_depth
    if ! grep 'assertion violated' pan.out | grep -qF -- "$6"; then
        note "model.sh: $1: NOT FOUND, see build/model/mutant-$1"
        return 1
    fi
    note "model.sh: $1: found"
}

# each COMMAND TABLE [NAME...]: for each line of the table, or for those named.
each() {
    local command=$1 table=$2 line name n_bad=0 n=0
    shift 2
    while read -r -a line; do
        name=${line[0]:-}
        if [ -n "$name" ] && { [ $# -eq 0 ] || [[ " $* " == *" $name "* ]]; }; then
            n=$((n + 1))
            "$command" "${line[@]}" || n_bad=$((n_bad + 1))
        fi
    done <<<"$table"
    [ "$n" -gt 0 ] || die "no such check: $*"
    [ "$n_bad" -eq 0 ]
}

catch_signals
if [ "${1:-}" = --mutants ]; then
    shift
    each run_mutant "$mutants" "$@"
else
    each run_check "$checks" "$@"
fi
