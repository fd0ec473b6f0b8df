#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Run a command where it can leave nothing behind, and say if it tried to.
#
#   scripts/isolated.sh COMMAND...
#
# The command gets a /dev/shm and a /tmp of its own and, so that no process outlives it, a PID
# namespace. All vanish with it, however it ends. Where the kernel or a container forbids that, it
# runs as it is. Fails as the command does, or with 1 if it left a shm object.
set -euo pipefail

left_behind() {
    local left
    left=$(comm -13 <(printf '%s\n' "$before") <(list_objects))
    [ -z "$left" ] || printf 'left in /dev/shm: %s\n' $left >&2
    [ -n "$left" ]
}

list_objects() {
    find /dev/shm -mindepth 1 -name 'haul.*' -printf '%f\n' | sort
}

as_before=()
if [ "${1:-}" = --inside ]; then
    # Mounting takes a root, if only a mapped one; the command is who it was before.
    [ "$2" -eq 0 ] || as_before=(unshare --map-user="$2" --map-group="$3")
    shift 3
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
    # Unless the sources are there.
    [[ $(realpath "$0") == /tmp/* ]] || mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /tmp
else
    isolate=(unshare --mount --pid --fork --kill-child --mount-proc)
    [ "$(id -u)" -eq 0 ] || isolate+=(--map-root-user)
    if "${isolate[@]}" mount -t tmpfs tmpfs /dev/shm 2>/dev/null; then
        exec "${isolate[@]}" "$0" --inside "$(id -u)" "$(id -g)" "$@"
    fi
fi

before=$(list_objects)
code=0
"${as_before[@]}" "$@" || code=$?
if left_behind && [ "$code" -eq 0 ]; then
    code=1
fi
exit "$code"
