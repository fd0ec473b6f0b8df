#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# More than one sidecar, and sidecars that were killed.
# shellcheck source=tests/e2e/lib.sh disable=SC2034,SC2015,SC2153
source "$(dirname "$0")/lib.sh"

write_config
start_sidecar --config "$WORK/config.yaml"

# A second sidecar on the same pools says so and leaves them alone.
expect 1 "$SHORTHAULD" --config "$WORK/config.yaml" --socket "$SOCKET.other"
said_one_line "pool $NAME.one: pool '$NAME.one' is kept by another process"
[[ ! -e $WORK/s.other ]] || fail "the second sidecar's socket is still there"

# A second sidecar on the same socket creates nothing.
sed "s/$NAME/$NAME.new/" "$WORK/config.yaml" >"$WORK/new.yaml"
expect 1 "$SHORTHAULD" --config "$WORK/new.yaml"
said_one_line "cannot listen on $SOCKET: another process listens there"
expect 3 "$SHORTHAUL" pool info "$NAME.new.one"
expect 0 "$SHORTHAUL" health --socket "$SOCKET"

# One that can have its first pool and not its second removes the first again.
sed "s/$NAME.one/$NAME.new.one/" "$WORK/config.yaml" >"$WORK/new.yaml"
expect 1 "$SHORTHAULD" --config "$WORK/new.yaml" --socket "$SOCKET.other"
said "pool $NAME.two: pool '$NAME.two' is kept by another process"
expect 3 "$SHORTHAUL" pool info "$NAME.new.one"

# Killed, it leaves its socket behind, and everything goes on without it.
head -c 100000 /dev/urandom >"$WORK/file"
put "$WORK/file" "$NAME.one"
stop_sidecar KILL 137
[[ -e $WORK/s ]] || fail "no socket was left; the next step shows nothing"
expect 0 "$SHORTHAUL" get "$KEY"
cmp "$OUT" "$WORK/file" || fail "other bytes"
expect 1 "$SHORTHAUL" pool info --socket "$SOCKET"

# A new one takes its place, on the same socket and with the same buffers.
start_sidecar --config "$WORK/config.yaml"
grep -qF "pool $NAME.one: found" "$LOG" || fail "$(cat "$LOG")"
expect 0 "$SHORTHAUL" pool info "$NAME.one" --json --socket "$SOCKET"
json '.pools[0].totals.shared' 1
expect 0 "$SHORTHAUL" get "$KEY"
cmp "$OUT" "$WORK/file" || fail "other bytes"

# A pool that somebody removes under its feet is not shown as if it were there.
"$SHORTHAUL" pool rm --force "$NAME.two" >/dev/null
expect 0 "$SHORTHAUL" pool info --json --socket "$SOCKET"
json '[.pools[].name]' "[\"$NAME.one\"]"
expect 3 "$SHORTHAUL" pool info "$NAME.two" --socket "$SOCKET"
expect 0 "$SHORTHAUL" pool info "$NAME.one" --json --socket "$SOCKET"

# While no sidecar was there, somebody died: the next one reaps before it is ready.
stop_sidecar KILL 137
stop_put KILL 137
start_sidecar --config "$WORK/config.yaml"
expect 0 "$SHORTHAUL" pool audit "$NAME.one"
expect 0 "$SHORTHAUL" pool info "$NAME.one" --json
json '.pools[0].totals | [.shared, .owned, .count - .free]' '[0,0,0]'
json '[.pools[0].participants[].name]' '["shorthauld"]'
stop_sidecar INT 0
grep -qF "stopping: SIGINT" "$LOG" || fail "$(cat "$LOG")"

# Killed under load, three times: nobody who passes bytes notices, whoever asks it gets an error and
# not a hang, and in the end every buffer is free.
worker() {
    local from pid key
    for _ in {1..8}; do
        exec {from}< <(exec "$SHORTHAUL" put "$WORK/file" --pool "$NAME.one")
        pid=$!
        IFS= read -r -t "$LIMIT" -u "$from" key || exit 1
        "$SHORTHAUL" get "$key" | cmp - "$WORK/file" || exit 1
        kill -TERM "$pid" && wait "$pid" || exit 1
        exec {from}<&-
    done
}
asker() {
    for _ in {1..20}; do
        timeout "$LIMIT" "$SHORTHAUL" pool info --socket "$SOCKET" >"$WORK/asked" 2>&1
        case $? in 0 | 1) ;; *) cat "$WORK/asked" && exit 1 ;; esac
    done
}
start_sidecar --config "$WORK/config.yaml"
workers=()
for work in worker worker asker; do
    $work &
    workers+=($!)
done
PIDS+=("${workers[@]}")
for _ in 1 2 3; do
    stop_sidecar KILL 137
    start_sidecar --config "$WORK/config.yaml"
done
for pid in "${workers[@]}"; do
    wait "$pid" || fail "somebody noticed"
done
expect 0 "$SHORTHAUL" pool audit "$NAME.one"
expect 0 "$SHORTHAUL" pool info "$NAME.one" --json
json '.pools[0].totals | .count - .free' 0
stop_sidecar TERM 0

# Two that start at once: one keeps the pools, the other says so and goes.
for round in 1 2 3; do
    "$SHORTHAULD" --config "$WORK/config.yaml" 2>"$WORK/a" &
    first=$!
    "$SHORTHAULD" --config "$WORK/config.yaml" --socket "$SOCKET.other" 2>"$WORK/b" &
    second=$!
    PIDS+=("$first" "$second")
    wait -n "$first" "$second"
    [[ $? == 1 ]] || fail "round $round: $(cat "$WORK/a" "$WORK/b")"
    kill -TERM "$first" "$second" 2>/dev/null
    wait "$first"
    codes=$?
    wait "$second"
    codes+=$?
    [[ $codes == 01 || $codes == 10 ]] || fail "round $round: $(cat "$WORK/a" "$WORK/b")"
    [[ $(cat "$WORK/a" "$WORK/b" | grep -c "is kept by another process") == 1 ]] || fail "not said"
done

# A pool with another geometry than the configured one is refused, and says in what it differs.
differs() { # SED-EXPRESSION WHAT
    sed "$1" "$WORK/config.yaml" >"$WORK/other.yaml"
    expect 3 "$SHORTHAULD" --config "$WORK/other.yaml"
    said "pool $NAME.one: exists with another geometry: $2"
}
differs 's/size: 64KiB/size: 32KiB/' "the size of class 1 is 64KiB, the configuration says 32KiB"
differs 's/max: 8/max: 9/' "the maximum of class 64KiB is 8, the configuration says 9"
differs 's/initial: 4/initial: 3/' "the initial count of class 64KiB is 4, the configuration says 3"
differs '/size: 1MiB/d' "the number of classes is 2, the configuration says 1"
differs 's/32MiB/33MiB/' "the budget is 32MiB, the configuration says 33MiB"
differs 's/measured_max: 2/measured_max: 3/' "measured_max is 2, the configuration says 3"
differs 's/participants: 16/participants: 17/' "the number of slots is 16"
differs 's/quota: 16MiB/quota: 8MiB/' "the quota is 16MiB, the configuration says 8MiB"
differs '/quota:/d' "the quota is 16MiB, the configuration says none"
differs 's/names: 4/names: 5/' "the number of names is 4, the configuration says 5"
differs 's/budget: 32MiB/budget: 32MiB\n    mode: 0660/' "mode is 0600, the configuration says 0660"
expect 0 "$SHORTHAUL" pool audit "$NAME.one"

# A control object that is none is refused, and is still there for somebody to look at.
expect 0 "$SHORTHAUL" pool rm "$NAME.one"
head -c 100000 /dev/urandom >"/dev/shm/haul.$NAME.one"
chmod 600 "/dev/shm/haul.$NAME.one"
expect 1 "$SHORTHAULD" --config "$WORK/config.yaml"
said "pool $NAME.one: "
[[ -e /dev/shm/haul.$NAME.one ]] || fail "the object is gone"

# An address where no socket can be.
: >"$WORK/plain"
expect 1 "$SHORTHAULD" --config "$WORK/config.yaml" --socket "unix:$WORK/plain/s"
said "cannot listen on unix:$WORK/plain/s: "
