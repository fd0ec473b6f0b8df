#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Send a file from one process to another by key and inline, and show what each costs.
#
#   scripts/demo.sh [FILE] [--json]
#
# Installs what is missing, builds, starts the sidecar and a server as processes of their own, sends
# the file both ways over one channel, compares both digests with sha256sum, and shows the pool as
# the sidecar's admin RPC tells it. Without FILE it takes real bytes of this machine: a tar of
# installed files, 64 MiB and 256 MiB of it (with --json: 64 MiB).
#
# --json prints one JSON object on stdout and nothing else there. Exit: 0 all is well, 1 not, 2 usage.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly mib=$((1024 * 1024))
readonly bin=$root/build/release/bin
readonly pool=demo-$$-$RANDOM

usage() {
    echo "usage: demo.sh [FILE] [--json]"
}

json=false
file=
for argument; do
    case $argument in
        --json) json=true ;;
        --help)
            usage
            exit 0
            ;;
        -*)
            usage >&2
            exit 2
            ;;
        *)
            [ -z "$file" ] || { usage >&2 && exit 2; }
            file=$argument
            ;;
    esac
done
if [ -n "$file" ]; then
    [ -f "$file" ] && [ -r "$file" ] || die "$file: not a file that can be read"
fi
# From here on stdout is for the result only.
exec 3>&1 1>&2
$json || exec 1>&3

dir=

# The programs have ended by now, and the sidecar has taken the pool with it; if not, it goes here.
clean_up() {
    if [ -n "$dir" ]; then
        "$bin/shorthaul" pool rm --force "$pool" >/dev/null 2>&1 || true
        rm -rf "$dir"
    fi
}

# What a demo that was killed outright has left.
remove_stale() {
    local name pid
    for name in $("$bin/shorthaul" pool list | grep -o 'demo-[0-9]*-[0-9]*'); do
        pid=${name#demo-}
        kill -0 "${pid%-*}" 2>/dev/null || "$bin/shorthaul" pool rm "$name" || true
    done
}

# Real bytes of this machine, exactly as many as asked for if it has them.
installed_files() {
    { tar -C / -cf - usr/lib usr/share usr/bin 2>/dev/null || true; } | head -c "$1"
}

# start LOG COMMAND...: in the background, ended with this script whatever becomes of it; returns
# when the program has said that it is ready.
start() {
    local log=$1 line
    shift
    mkfifo "$log.pipe"
    setpriv --pdeathsig TERM "$@" >"$log.pipe" 2>&1 3>&- &
    exec 4<"$log.pipe"
    while IFS= read -r -t 60 -u 4 line; do
        printf '%s\n' "$line" >>"$log"
        if [[ $line == *": ready on "* ]]; then
            cat <&4 >>"$log" 3>&- &
            exec 4<&-
            return 0
        fi
    done
    exec 4<&-
    cat "$log" >&2
    die "${1##*/} did not start"
}

write_config() {
    local path n last=0
    {
        echo "socket: unix:$dir/shorthauld.sock"
        echo "pools:"
        echo "  - name: $pool"
        echo "    remove_on_exit: true"
        echo "    classes:"
        for path in "${files[@]}"; do
            n=$((($(stat -L -c %s "$path") + mib - 1) / mib))
            [ "$n" -gt "$last" ] || n=$((last + 1))
            last=$n
            echo "      - {size: ${n}MiB, initial: 2, max: 2}"
        done
    } >"$dir/shorthauld.yaml"
}

catch_signals
"$root/scripts/install-deps.sh" build
build release shorthauld shorthaul_cli digest_server digest_client digest_compare

remove_stale

dir=$(mktemp -d /tmp/shorthaul-demo.XXXXXX)
if [ -n "$file" ]; then
    files=("$file")
else
    files=("$dir/installed-64MiB.tar")
    run bash -c "$(declare -f installed_files); installed_files $((64 * mib))" >"${files[0]}"
    if ! $json; then
        files+=("$dir/installed-256MiB.tar")
        run bash -c "$(declare -f installed_files); installed_files $((256 * mib))" >"${files[1]}"
    fi
fi
subjects=()
for path in "${files[@]}"; do
    subjects+=("$path" "$(sha256sum <"$path" | cut -d ' ' -f 1)")
done

write_config
start "$dir/shorthauld.log" "$bin/shorthauld" --config "$dir/shorthauld.yaml"
start "$dir/server.log" "$bin/digest_server" --listen "unix:$dir/digest.sock" --pool "$pool"

compare=("$bin/digest_compare" --connect "unix:$dir/digest.sock" --pool "$pool")
if $json; then
    run "${compare[@]}" --json "${subjects[@]}" >&3
else
    echo "by key and inline, over one channel, in turns:"
    run "${compare[@]}" "${subjects[@]}"
    echo
    echo "the pool, as the sidecar tells it:"
    "$bin/shorthaul" pool info --socket "unix:$dir/shorthauld.sock" "$pool"
fi
