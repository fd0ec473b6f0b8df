#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Help, and command lines that are not right.
# shellcheck source=tests/e2e/lib.sh disable=SC2034,SC2015,SC2153
source "$(dirname "$0")/lib.sh"

commands=("pool list" "pool info" "pool audit" "pool reap" "pool rm" "pool create" "pool withdraw"
    put get health)

expect 0 "$SHORTHAUL" --help
for command in "${commands[@]}"; do
    printed "  $command "
done
expect 0 "$SHORTHAUL" pool --help
expect 0 "$SHORTHAUL" --version
printed "shorthaul "

for command in "${commands[@]}"; do
    # shellcheck disable=SC2086
    expect 0 "$SHORTHAUL" $command --help
    printed "Usage: shorthaul $command"
    # shellcheck disable=SC2086
    expect 2 "$SHORTHAUL" $command --colour red
    said "shorthaul $command"
done
for command in "pool info" "pool audit" "pool reap" "pool rm" "pool create" put get health; do
    # shellcheck disable=SC2086
    expect 2 "$SHORTHAUL" $command one two
    said "one argument too many"
done
expect 2 "$SHORTHAUL" pool withdraw one two three
said "one argument too many"
for command in "pool audit" "pool reap" "pool rm" "pool create" "pool withdraw" \
    "pool withdraw one" put get; do
    # shellcheck disable=SC2086
    expect 2 "$SHORTHAUL" $command
    said "is missing"
done
expect 2 "$SHORTHAUL" pool list more
expect 2 "$SHORTHAUL"
expect 2 "$SHORTHAUL" --colour
expect 2 "$SHORTHAUL" pour
said_one_line "no such command: pour"
expect 2 "$SHORTHAUL" pool
expect 2 "$SHORTHAUL" pool drain
said_one_line "no such command: pool drain"

# Numbers of pool create.
wrong() { # OPTION VALUE WORDS
    expect 2 "$SHORTHAUL" pool create "$NAME" --class 4KiB:1:1 "$1" "$2"
    said "$3"
}
wrong --class 4KiB "is not SIZE:INITIAL:MAX"
wrong --class 4KB:1:1 "--class 4KB:1:1: '4KB' is not a size"
wrong --class 8KiB:x:1 "'x' is not a count"
wrong --class 8KiB:1:65537 "'65537' is too large"
wrong --class 8KiB:1:1:1 "'1:1' is not a count"
wrong --budget 16777216TiB "--budget: '16777216TiB' is too large"
wrong --measured -1 "'-1' is not a count"
wrong --participants 5000 "'5000' is too large"
wrong --participants 0 "'0' is not in 1..4096"
wrong --quota 1MB "--quota: '1MB' is not a size"
wrong --names 4097 "'4097' is too large"
wrong --names 0 "--names: '0' is not in 1..4096"
wrong --mode rw "is not a mode"
wrong --group no-such-group-here "is not a group"
expect 2 "$SHORTHAUL" pool create "$NAME" --class 4KiB:1:1 --mode 0666
said_one_line "0666"
expect 2 "$SHORTHAUL" pool create "$NAME"
said "at least one --class"
expect 3 "$SHORTHAUL" pool info "$NAME"

# What says too little or too much.
expect 2 "$SHORTHAUL" put "$0" --persistent
said "--persistent needs --name"
expect 2 "$SHORTHAUL" get hk1 --name one
said "a key says all"
expect 2 "$SHORTHAUL" get hk1 --pool one
said "a key says all"

# Addresses where nobody is, and output that cannot be written.
expect 1 "$SHORTHAUL" health --socket "unix:$WORK/nobody"
expect 1 "$SHORTHAUL" pool info --socket "unix:$WORK/nobody"
said "no sidecar answers"
expect 1 sh -c "'$SHORTHAUL' pool list --json >/dev/full"
said_one_line "cannot write"
expect 1 sh -c "'$SHORTHAUL' --help >/dev/full"
