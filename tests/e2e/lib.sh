# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# What the end-to-end tests have in common. To be sourced. SHORTHAUL and SHORTHAULD are the
# programs.
#
# Pools are named after this process, so that tests may run side by side, and are removed at the
# end whatever happens, as are all processes that were started. Nothing sleeps: a program is ready
# when it says so, and reads wait with a limit.
# shellcheck shell=bash disable=SC2034,SC2015

set -uo pipefail
: "${SHORTHAUL:?the shorthaul program}" "${SHORTHAULD:?the shorthauld program}"

LIMIT=60 # seconds that anything may take
WORK=$(mktemp -d "${TMPDIR:-/tmp}/shorthaul-e2e.XXXXXX")
NAME=e2e.$$
SOCKET=unix:$WORK/s
PIDS=()

cleanup() {
    local code=$?
    trap - EXIT INT TERM
    for pid in "${PIDS[@]}"; do
        kill -KILL "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    for object in /dev/shm/haul."$NAME"*; do
        [[ $object == *:* || ! -e $object ]] ||
            "$SHORTHAUL" pool rm --force "${object#/dev/shm/haul.}"
    done
    for object in /dev/shm/haul."$NAME"*; do
        [[ ! -e $object ]] || { echo "FAIL: left: $object" >&2 && code=1; }
    done
    rm -rf "$WORK"
    exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "FAIL: line ${BASH_LINENO[$((${#BASH_LINENO[@]} - 2))]}: $*" >&2
    exit 1
}

# expect CODE COMMAND...: run it, keep its output in $OUT and $ERR, and want this exit code.
OUT=$WORK/out
ERR=$WORK/err
expect() {
    local want=$1 code=0
    shift
    timeout "$LIMIT" "$@" >"$OUT" 2>"$ERR" || code=$?
    if [[ $code != "$want" ]]; then
        cat "$OUT" "$ERR" >&2
        fail "'$*' ended with $code, not $want"
    fi
}

# What the last command said, on one line of stderr.
said() {
    grep -qF -- "$1" "$ERR" || fail "not said: '$1', but: $(cat "$ERR")"
}
said_one_line() {
    [[ $(wc -l <"$ERR") == 1 ]] || fail "not one line: $(cat "$ERR")"
    said "$1"
}
printed() {
    grep -qF -- "$1" "$OUT" || fail "not printed: '$1', but: $(cat "$OUT")"
}

# json FILTER WANT: what jq makes of the last command's output.
json() {
    local got
    got=$(jq -c "$1" "$OUT") || fail "not JSON: $(cat "$OUT")"
    [[ $got == "$2" ]] || fail "$1 is $got, not $2"
}

# start_sidecar ARGUMENT...: run shorthauld until it says that it is ready. Its lines are read from
# $LOG_FD, and gathered in $LOG as far as they have been waited for.
LOG=$WORK/log
N_STARTS=0
start_sidecar() {
    N_STARTS=$((N_STARTS + 1))
    mkfifo "$WORK/fifo$N_STARTS"
    : >"$LOG"
    "$SHORTHAULD" "$@" 2>"$WORK/fifo$N_STARTS" &
    SIDECAR=$!
    PIDS+=("$SIDECAR")
    exec {LOG_FD}<"$WORK/fifo$N_STARTS"
    wait_log "shorthauld: ready on "
}

# Read the sidecar's lines up to one that holds this.
wait_log() {
    local line
    while IFS= read -r -t "$LIMIT" -u "$LOG_FD" line; do
        echo "$line" >>"$LOG"
        [[ $line == *"$1"* ]] && return 0
    done
    cat "$LOG" >&2
    fail "the sidecar never said '$1'"
}

# stop_sidecar SIGNAL CODE
stop_sidecar() {
    local code=0
    kill "-$1" "$SIDECAR"
    wait "$SIDECAR" 2>/dev/null || code=$?
    cat <&"$LOG_FD" >>"$LOG"
    exec {LOG_FD}<&-
    [[ $code == "$2" ]] || fail "shorthauld ended with $code after SIG$1, not $2"
}

# put FILE POOL [OPTION...]: start `shorthaul put`; KEY is what it prints, PUT its process.
put() {
    N_STARTS=$((N_STARTS + 1))
    mkfifo "$WORK/fifo$N_STARTS"
    "$SHORTHAUL" put "$1" --pool "$2" "${@:3}" >"$WORK/fifo$N_STARTS" &
    PUT=$!
    PIDS+=("$PUT")
    IFS= read -r -t "$LIMIT" KEY <"$WORK/fifo$N_STARTS" || fail "put printed no key"
}

# stop_put SIGNAL CODE
stop_put() {
    local code=0
    kill "-$1" "$PUT"
    wait "$PUT" 2>/dev/null || code=$?
    [[ $code == "$2" ]] || fail "put ended with $code after SIG$1, not $2"
}

sum() {
    sha256sum | cut -d' ' -f1
}

# A configuration with the pools NAME.one and NAME.two.
write_config() {
    cat >"$WORK/config.yaml" <<EOF
socket: $SOCKET
reap_interval: 20ms
pools:
  - name: $NAME.one
    classes:
      - {size: 64KiB, initial: 4, max: 8}
      - {size: 1MiB, initial: 1, max: 2}
    budget: 32MiB
    measured_max: 2
    participants: 16
    quota: 16MiB
    names: 4
  - name: $NAME.two
    classes:
      - {size: 4KiB, initial: 1, max: 1}
EOF
}
