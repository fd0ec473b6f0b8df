# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# What the scripts share; to be sourced, by bash, with "set -euo pipefail".
#
# A script that is interrupted leaves nothing behind. Whatever takes long runs as a process group of
# its own through run(), because bash answers a signal only after a command in the foreground has
# ended; a trap then ends the group and cleans up. Define clean_up before calling catch_signals.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

note() {
    printf '%s\n' "$*" >&2
}

die() {
    note "${0##*/}: $*"
    exit 1
}

# run COMMAND...: like the command itself, and interruptible.
run() {
    setsid "$@" </dev/null &
    wait $!
}

# End every background job, the youngest first, and wait for it: as a process group if it leads one.
end_jobs() {
    local pid
    for pid in $(jobs -p | tac); do
        kill -TERM -- "-$pid" 2>/dev/null || true
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

on_exit() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP
    end_jobs
    clean_up
    exit "$code"
}

catch_signals() {
    trap on_exit EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}

# build PRESET [TARGET...]: configure once, and again when packages have come, then build what has
# changed.
build() {
    local preset=$1
    shift
    if [ ! -e "$root/build/$preset/build.ninja" ] ||
        [ "$root/build/packages" -nt "$root/build/$preset/build.ninja" ]; then
        run cmake -S "$root" --preset "$preset" --log-level=NOTICE
    fi
    run ninja -C "$root/build/$preset" --quiet "$@"
}
