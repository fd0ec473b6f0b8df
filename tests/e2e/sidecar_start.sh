#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# A sidecar from start to end: it says when it is ready, answers, and leaves its pools to others.
# shellcheck source=tests/e2e/lib.sh disable=SC2034,SC2015,SC2153
source "$(dirname "$0")/lib.sh"

write_config
SOCKET=unix:$WORK/made/for/it/s
sed -i "s|^socket:.*|socket: $SOCKET|" "$WORK/config.yaml"

# Readiness is told to systemd, and the socket is there by then.
mkfifo "$WORK/notified"
"$NOTIFY_SINK" "$WORK/notify" 2 >"$WORK/notified" &
PIDS+=($!)
exec {NOTIFIED}<"$WORK/notified"
IFS= read -r -t "$LIMIT" -u "$NOTIFIED" line && [[ $line == listening ]] || fail "no sink"
NOTIFY_SOCKET=$WORK/notify start_sidecar --config "$WORK/config.yaml"
IFS= read -r -t "$LIMIT" -u "$NOTIFIED" line || fail "systemd was told nothing"
[[ $line == READY=1 ]] || fail "systemd was told $line"
[[ $(stat -c %a "$WORK/made/for/it/s") == 660 ]] || fail "the socket's mode"
grep -qF "pool $NAME.one: created, 5 buffers of 1.2MiB in all" "$LOG" || fail "$(cat "$LOG")"
grep -qF "ready on $SOCKET, keeping 2 pools" "$LOG" || fail "$(cat "$LOG")"

# It says that it serves, and what.
for service in "" shorthaul.v1.AdminService grpc.health.v1.Health; do
    expect 0 "$SHORTHAUL" health "$service" --socket "$SOCKET"
    printed SERVING
done
expect 3 "$SHORTHAUL" health no.such.Service --socket "$SOCKET"
said_one_line "no such service"
expect 0 "$HEALTH_WATCH" "$SOCKET"
printed "12 ask Check instead"

# What it tells is what the control segments tell.
expect 0 "$SHORTHAUL" pool list --socket "$SOCKET" --json
json '[.pools[].name]' "[\"$NAME.one\",\"$NAME.two\"]"
for pool in one two; do
    expect 0 "$SHORTHAUL" pool info "$NAME.$pool" --json --socket "$SOCKET"
    cp "$OUT" "$WORK/told"
    expect 0 "$SHORTHAUL" pool info "$NAME.$pool" --json
    cmp "$OUT" "$WORK/told" || fail "the sidecar tells something else"
    expect 0 "$SHORTHAUL" pool info "$NAME.$pool" --socket "$SOCKET"
    cp "$OUT" "$WORK/told"
    expect 0 "$SHORTHAUL" pool info "$NAME.$pool"
    cmp "$OUT" "$WORK/told" || fail "the sidecar tells something else"
done
expect 0 "$SHORTHAUL" pool info --json --socket "$SOCKET"
json '.pools | length' 2
json '.pools[0].participants[0].name' '"shorthauld"'
json '[.pools[0].budget_bytes, .pools[0].slots]' '[33554432,16]'
expect 3 "$SHORTHAUL" pool info "$NAME.three" --socket "$SOCKET"
said_one_line "keeps no such pool"

# Dead processes' buffers are taken back without anybody's asking.
head -c 5000 /dev/urandom >"$WORK/file"
put "$WORK/file" "$NAME.one"
stop_put KILL 137
wait_log "pool $NAME.one: took back 1 buffers and holds"
expect 0 "$SHORTHAUL" pool audit "$NAME.one"
expect 0 "$SHORTHAUL" pool info "$NAME.one" --json
json '.pools[0].totals | [.shared, .reaps]' '[0,1]'

# It ends on SIGTERM; what others hold goes on.
put "$WORK/file" "$NAME.one"
stop_sidecar TERM 0
grep -qF "stopping: SIGTERM" "$LOG" || fail "$(cat "$LOG")"
[[ $(tail -n 1 "$LOG") == "shorthauld: stopped" ]] || fail "$(cat "$LOG")"
IFS= read -r -t "$LIMIT" -u "$NOTIFIED" line && [[ $line == STOPPING=1 ]] || fail "told $line"
[[ ! -e $WORK/made/for/it/s ]] || fail "the socket is still there"
expect 1 "$SHORTHAUL" health --socket "$SOCKET"
expect 1 "$SHORTHAUL" pool list --socket "$SOCKET"
said "no sidecar answers"
expect 0 "$SHORTHAUL" get "$KEY"
cmp "$OUT" "$WORK/file" || fail "other bytes"

# The next one finds the pools as they are, and removes at the end what nobody uses.
start_sidecar --config "$WORK/config.yaml" --remove-on-exit
grep -qF "pool $NAME.one: found, 5 buffers of 1.2MiB in all" "$LOG" || fail "$(cat "$LOG")"
expect 0 "$SHORTHAUL" get "$KEY"
cmp "$OUT" "$WORK/file" || fail "other bytes"
stop_sidecar TERM 0
grep -qF "pool $NAME.two: removed" "$LOG" || fail "$(cat "$LOG")"
grep -qF "pool $NAME.one: stays: " "$LOG" || fail "$(cat "$LOG")"
expect 3 "$SHORTHAUL" pool info "$NAME.two"
stop_put TERM 0

# Another address on the command line; remove_on_exit in the file.
echo "    remove_on_exit: true" >>"$WORK/config.yaml"
start_sidecar --config "$WORK/config.yaml" --socket "unix-abstract:$NAME"
expect 0 "$SHORTHAUL" health --socket "unix-abstract:$NAME"
stop_sidecar TERM 0
grep -qF "pool $NAME.two: removed" "$LOG" || fail "$(cat "$LOG")"
expect 0 "$SHORTHAUL" pool audit "$NAME.one"
