#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
#
# Bytes from process to process: put and get.
# shellcheck source=tests/e2e/lib.sh disable=SC2034,SC2015,SC2153
source "$(dirname "$0")/lib.sh"

POOL=$NAME.pool
expect 0 "$SHORTHAUL" pool create "$POOL" --class 4KiB:2:4 --class 1MiB:1:2 --class 4MiB:0:1 \
    --budget 32MiB --measured 1

# Of every size, the bytes that come out are those that went in, as often as one likes.
for size in 0 1 4095 4096 4097 1048576 1048577 5000000; do
    head -c "$size" /dev/urandom >"$WORK/file"
    want=$(sum <"$WORK/file")
    put "$WORK/file" "$POOL"
    for _ in 1 2; do
        [[ $("$SHORTHAUL" get "$KEY" | sum) == "$want" ]] || fail "other bytes of $size"
    done
    stop_put TERM 0
    # Released, the key means nothing any more.
    expect 3 "$SHORTHAUL" get "$KEY"
    said_one_line "released"
    [[ ! -s $OUT ]] || fail "bytes behind a stale key"
    expect 0 "$SHORTHAUL" pool audit "$POOL"
done

# From a pipe, whose length nobody knows beforehand.
for size in 0 70000 3000000; do
    head -c "$size" /dev/urandom >"$WORK/file"
    mkfifo "$WORK/key$size"
    { cat "$WORK/file"; } | "$SHORTHAUL" put - --pool "$POOL" >"$WORK/key$size" &
    pipeline=$!
    IFS= read -r -t "$LIMIT" KEY <"$WORK/key$size" || fail "no key"
    expect 0 "$SHORTHAUL" get "$KEY"
    cmp "$OUT" "$WORK/file" || fail "other bytes of $size"
    expect 0 "$SHORTHAUL" pool info "$POOL" --json
    json '.pools[0].totals | [.shared, .owned]' '[1,0]'
    kill -TERM "$(jq '.pools[0].participants[0].pid' "$OUT")"
    wait "$pipeline" || fail "put ended with $?"
done

# Interrupted while it reads, it lets go.
mkfifo "$WORK/never"
exec {never}<>"$WORK/never"
"$SHORTHAUL" put - --pool "$POOL" <"$WORK/never" >/dev/null 2>"$ERR" &
PUT=$!
PIDS+=("$PUT")
until "$SHORTHAUL" pool info "$POOL" --json | jq -e '.pools[0].totals.owned == 1' >/dev/null; do
    kill -0 "$PUT" || fail "put ended by itself"
done
stop_put TERM 1
said_one_line "interrupted"
expect 0 "$SHORTHAUL" pool info "$POOL" --json
json '.pools[0] | [.totals.owned, .totals.free == .totals.count, .participants]' '[0,true,[]]'

# More than there is.
head -c 50000000 /dev/zero >"$WORK/large"
expect 1 "$SHORTHAUL" put "$WORK/large" --pool "$POOL"
said_one_line "larger than anything the pool may hold"
expect 1 "$SHORTHAUL" put - --pool "$POOL" <"$WORK/large"
said_one_line "$([[ -s $ERR ]] && echo "-: ")"
truncate -s 20000000 "$WORK/large"
put "$WORK/large" "$POOL"
expect 1 "$SHORTHAUL" put "$WORK/large" --pool "$POOL"
said_one_line "no buffer is free"
stop_put TERM 0
expect 0 "$SHORTHAUL" pool audit "$POOL"

# Files and pools that are not there.
expect 1 "$SHORTHAUL" put "$WORK/nowhere" --pool "$POOL"
said_one_line "No such file or directory"
expect 1 "$SHORTHAUL" put "$WORK" --pool "$POOL"
said_one_line "Is a directory"
expect 3 "$SHORTHAUL" put "$WORK/file" --pool "$NAME.none"

# Keys that are forged, foreign, cut, or no keys at all: nothing comes out.
refused() { # CODE KEY
    expect "$1" "$SHORTHAUL" get "$2"
    [[ ! -s $OUT ]] || fail "bytes behind $2"
    [[ $(wc -l <"$ERR") == 1 ]] || fail "not one line: $(cat "$ERR")"
}
head -c 3000 /dev/urandom >"$WORK/file"
put "$WORK/file" "$POOL"
IFS=- read -r head pool index generation ticket offset len <<<"$KEY"
refused 3 "$head-$pool-$index-$generation-1-$offset-$len"
refused 3 "$head-$pool-$index-7-$ticket-$offset-$len"
refused 3 "$head-1-$index-$generation-$ticket-$offset-$len"
refused 1 "$head-$pool-ffff-$generation-$ticket-$offset-$len"
refused 1 "$head-$pool-$index-$generation-$ticket-$offset-1001"
refused 1 "$head-$pool-$index-$generation-$ticket-ffffffffffffffff-$len"
for text in "" hk1 "$head-$pool" "${KEY%-*}" "$KEY-" "$KEY " "-$KEY" "${KEY/hk1/hk2}" \
    "$(head -c 200 /dev/urandom | tr -dc 'a-f0-9-' | sed 's/^-*//')"; do
    expect 2 "$SHORTHAUL" get -- "$text"
    [[ ! -s $OUT ]] || fail "bytes behind '$text'"
done
grep -qF "$ticket" "$ERR" && fail "an error says a ticket"

# Not onto a terminal, and not into nowhere.
timeout "$LIMIT" script -qec "'$SHORTHAUL' get $KEY" /dev/null >"$OUT" </dev/null
[[ $? == 2 ]] || fail "get wrote to a terminal"
printed "not written to a terminal"
expect 1 sh -c "'$SHORTHAUL' get $KEY >/dev/full"
said_one_line "cannot write: No space left on device"

# It still is there for whoever has the right key.
expect 0 "$SHORTHAUL" get "$KEY"
cmp "$OUT" "$WORK/file" || fail "other bytes"
stop_put TERM 0
expect 0 "$SHORTHAUL" pool audit "$POOL"
